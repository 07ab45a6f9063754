"""The outbox: what a program calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack

import cattrs
from sqlalchemy import Insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import TypeForm

from golem_client import AnyPromiseId, GolemClient, OutboxError, PromiseId
from golem_client.frames import made_without_locals, without_locals
from golem_client.outbox import statements
from golem_client.outbox.accepting import Acceptor
from golem_client.outbox.database import Database, sqlite_engine
from golem_client.outbox.encryption import Cipher
from golem_client.outbox.entry import Entry
from golem_client.outbox.key import Key
from golem_client.outbox.records import Records
from golem_client.outbox.settling import Rules, size, span
from golem_client.outbox.worker import CONCURRENCY, Worker, stopping_on_sigterm, telemetry
from golem_client.payload import encode_bytes, encode_json, encode_text

T = TypeVar("T")


class OutboxOptions(TypedDict, total=False):
    """The options of an outbox; `Outbox` describes them."""

    keys: Sequence[str | bytes]
    converter: cattrs.Converter | None
    max_payload_bytes: int
    give_up_after: float | timedelta
    nudge_after: float | timedelta | None
    lease: float | timedelta


class Outbox(Records):
    """Completions, accepted durably and delivered by any process that sees the database.

        async with await Outbox.open("golem.sqlite") as outbox, outbox.delivering(client):
            entry = await outbox.complete_json(promise_id, {"approved": True})

    What `complete_json` has returned survives a `kill -9`, and with `Outbox.open` a power failure.
    It is delivered at least once; `entry.outcome` tells the truth about by whom the promise is
    completed. One payload per promise: accepting a promise again that is pending or completed
    changes nothing, so that a redelivered event is harmless.

    Many tasks may share an outbox, in one event loop; threads use
    `golem_client.blocking.BlockingOutbox`. Any number of processes and machines may share a
    PostgreSQL; processes on one machine may share a file. Close it with `async with` or `aclose`.

    Golem can answer `true` and lose the wake-up, when an executor dies right after. So each
    completion that may be ours is sent once more after `nudge_after`, with the same bytes, which
    wakes the worker. That also resumes a worker that somebody interrupted by hand.

    SQLAlchemy shows no payload, in errors and with `echo=True`; with `echo="debug"` it prints what
    it reads, payloads included: use `keys`.

    Args:
        engine: A SQLAlchemy AsyncEngine, of PostgreSQL (asyncpg or psycopg) or SQLite. It is
            borrowed: never disposed, no pragma is set on it, and it is as durable as its owner
            made it.
        keys: Fernet keys to encrypt payloads with: the first one writes, all of them read. To
            change the key, put the new one in front, and leave the old ones until no entry that
            they encrypted is left. Needs the extra `outbox-encryption`.
        converter: Encodes JSON payloads; start from `make_converter()`.
        max_payload_bytes: The largest payload; 4,000,000 bytes is what every Golem takes.
        give_up_after: For how long a completion is tried, from its acceptance on (or from its
            binding, where it waited), in seconds or as a timedelta. Then it is `dead`.
        nudge_after: How long after its completion a payload is sent a second time, in seconds or
            as a timedelta; None for never.
        lease: How long a worker may keep a row, in seconds or as a timedelta: after a crash,
            others take over within that time. A call's timeout ends before it.

    Attributes:
        engine: The engine.

    Raises:
        ValueError: An option makes no sense, or the engine is of another database.
    """

    @made_without_locals
    def __init__(
        self,
        engine: AsyncEngine,
        *,
        keys: Sequence[str | bytes] = (),
        converter: cattrs.Converter | None = None,
        max_payload_bytes: int = 4_000_000,
        give_up_after: float | timedelta = timedelta(days=14),
        nudge_after: float | timedelta | None = 60.0,
        lease: float | timedelta = 60.0,
    ) -> None:
        super().__init__()
        self.engine = engine
        self._database = Database(engine)
        self._cipher = Cipher(keys)
        self._converter = converter
        self._most_bytes = size("max_payload_bytes", max_payload_bytes)
        nudge = None if nudge_after is None else span("nudge_after", nudge_after, may_be_zero=True)
        self._rules = Rules(give_up_after=span("give_up_after", give_up_after), nudge_after=nudge)
        self._lease = span("lease", lease).total_seconds()
        self._acceptor = Acceptor(self._database, self._tell_workers)
        self._is_owner = False

    @classmethod
    @without_locals
    async def open(cls, path: str | os.PathLike[str], **options: Unpack[OutboxOptions]) -> Self:
        """Open an outbox in a file, an SQLite database; it is made where there is none.

            async with await Outbox.open("golem.sqlite") as outbox:  # mind the await

        A new file has mode 0600. What is accepted survives a power failure (WAL,
        `synchronous=FULL`). Put it on a disk of this machine, not on a network file system.

        Args:
            path: The file.
            **options: As for the class.

        Raises:
            OutboxError: The file cannot be used, is not a database, or is of a newer version.
            ValueError: An option makes no sense, or the path is a URL.
        """
        engine = sqlite_engine(path)
        try:
            outbox = cls(engine, **options)
            await outbox.create_tables()
        except BaseException:
            await engine.dispose()
            raise
        outbox._is_owner = True
        return outbox

    def __repr__(self) -> str:
        state = " closed" if self._is_closed else ""
        url = self.engine.url.set(query={})  # drivers take a password there as well
        return f"<{type(self).__name__} {url.render_as_string()}{state}>"

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End deliveries of this outbox, and close what `open` opened. Nothing accepted is lost.

        A second time it does nothing.
        """
        self._is_closed = True
        workers = list(self._workers)
        for worker in workers:
            worker.stop()
        for worker in workers:
            await worker.ended()
        await self._acceptor.drain()
        if self._is_owner:
            await self.engine.dispose()

    @without_locals
    async def create_tables(self) -> None:
        """Make the outbox's tables where they are missing, and move an older schema on.

        Many processes may do so at the same time. Where migrations are your own, use
        `golem_outbox(metadata)` instead. An `OutboxError` says that the database is away, or that
        its tables are of a newer version.
        """
        self._check_open()
        await self._database.create_tables()

    # Accepting

    @without_locals
    async def complete_json(
        self, promise_id: AnyPromiseId | Key, value: Any, as_type: TypeForm[Any] | None = None
    ) -> Entry:
        """Accept the completion of a promise with this value as JSON.

        Args:
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts; or a `Key`,
                which may be bound to its promise earlier or later.
            value: The payload, by the rules of `golem_client.payload`.
            as_type: The type to encode it as, where the value alone does not tell.

        Returns:
            The entry, which is durable now. `is_new` says whether this call stored its payload.
            Where the promise was accepted before, it is the entry as it is; one that was dead is
            pending again.

        Raises:
            InvalidIdError: It is not an id.
            PayloadError: The value cannot be encoded, or is too large.
            OutboxError: The database cannot be used; nothing was accepted, unless its
                `may_have_completed` is true.
        """
        return await self._accept(promise_id, self._json(value, as_type))

    @without_locals
    async def complete_text(self, promise_id: AnyPromiseId | Key, text: str) -> Entry:
        """Accept the completion of a promise with this text, as UTF-8; see `complete_json`."""
        return await self._accept(promise_id, encode_text(text, max_bytes=self._most_bytes))

    @without_locals
    async def complete_bytes(
        self, promise_id: AnyPromiseId | Key, data: bytes | bytearray | memoryview
    ) -> Entry:
        """Accept the completion of a promise with these bytes; see `complete_json`."""
        return await self._accept(promise_id, encode_bytes(data, max_bytes=self._most_bytes))

    def promise(self, promise_id: AnyPromiseId | Key, type_: TypeForm[T]) -> OutboxPromise[T]:
        """Return a typed handle on one promise (or `Key`), as `GolemClient.promise` does."""
        parsed = promise_id if isinstance(promise_id, Key) else PromiseId.parse(promise_id)
        return OutboxPromise(self, parsed, type_)

    @made_without_locals
    def statement(
        self, promise_id: AnyPromiseId | Key, value: Any, as_type: TypeForm[Any] | None = None
    ) -> Insert:
        """Return the acceptance of a JSON value as a statement, for a transaction of your own.

            async with session.begin():       # a Session, an AsyncSession, a Connection
                session.add(order)
                await session.execute(outbox.statement(promise_id, value))

        It needs no connection, and a database of the same kind as the outbox's engine. The
        completion is accepted when your transaction commits; what executing it returns is not
        specified. Make the statement anew for each execution.

        Without SQLAlchemy, on a connection of asyncpg (for psycopg, pass `compiled.params`):

            from sqlalchemy.dialects.postgresql import asyncpg

            compiled = statement.compile(dialect=asyncpg.dialect())
            values = [compiled.params[name] for name in compiled.positiontup]
            await connection.execute(str(compiled), *values)

        Its arguments are those of `complete_json`; a wrong id or value raises here.
        """
        return self._statement(promise_id, self._json(value, as_type))

    @made_without_locals
    def statement_text(self, promise_id: AnyPromiseId | Key, text: str) -> Insert:
        """Return the acceptance of a text as a statement; see `statement`."""
        return self._statement(promise_id, encode_text(text, max_bytes=self._most_bytes))

    @made_without_locals
    def statement_bytes(
        self, promise_id: AnyPromiseId | Key, data: bytes | bytearray | memoryview
    ) -> Insert:
        """Return the acceptance of bytes as a statement; see `statement`."""
        return self._statement(promise_id, encode_bytes(data, max_bytes=self._most_bytes))

    # Delivering

    @without_locals
    async def deliver(self, client: GolemClient, *, concurrency: int = CONCURRENCY) -> None:
        """Deliver until this is cancelled, or the process gets a SIGTERM.

        For a worker of its own. On SIGTERM it takes no more rows, waits for the calls under way,
        each within the client's timeout, and returns. The signal is taken only in the main thread,
        and where nobody else handles it. When cancelled, it ends the calls at once: each may have
        been stored, which is remembered.

        While the database is away it waits, and goes on when it is back; on SIGTERM it waits five
        seconds more, and leaves the rest to the lease. While Golem is down, one row at a time is
        tried. A token that is refused stops nothing: it slows, and is logged.

        Args:
            client: What delivers; it stays the caller's to close.
            concurrency: The most calls at the same time; let the client's `max_connections` be no
                smaller.

        Raises:
            OutboxError: The tables are missing, or of a newer version.
        """
        worker = self._worker(client, concurrency=concurrency)
        loop = asyncio.get_running_loop()
        with stopping_on_sigterm(lambda: loop.call_soon_threadsafe(worker.stop)):
            await worker.run()

    @asynccontextmanager
    async def delivering(
        self, client: GolemClient, *, concurrency: int = CONCURRENCY
    ) -> AsyncIterator[None]:
        """Deliver in this process for as long as the context lasts; see `deliver`.

        At its end no more rows are taken, and the calls under way are waited for, each within the
        client's timeout. When the body raises or is cancelled they are ended at once.
        """
        worker = self._worker(client, concurrency=concurrency)
        try:
            await self._database.check()
        except OutboxError as error:
            if not error.worth_retrying:
                raise
        running = asyncio.create_task(worker.run())
        try:
            yield
            worker.stop()
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    # Inside

    def _worker(self, client: GolemClient, **options: Any) -> Worker:
        """Return a `Worker`, which delivers once it is run; bulk and the blocking outbox call this.

        The options are the attributes of `Worker`.
        """
        self._check_open()
        return Worker(
            client=client,
            database=self._database,
            cipher=self._cipher,
            lease=self._lease,
            siblings=self._workers,
            tell_waiters=self._tell_waiters,
            **{"rules": self._rules, **options},
        )

    async def _accept_all(self, completions: Sequence[tuple[str, bytes]]) -> None:
        """Accept bytes of any size for many promises, each of which comes once; for bulk."""
        accepted = [self._acceptance(id_, data) for id_, data in completions]
        values = [statements.values_of(each) for each in accepted]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statements.accepting(self._database.dialect), values)

        if values:
            await self._database.run(work)
            self._tell_workers()

    def _json(self, value: Any, as_type: Any) -> bytes:
        return encode_json(value, as_type, self._converter, max_bytes=self._most_bytes)

    def _accept(self, promise_id: Any, payload: bytes) -> asyncio.Future[Entry]:
        return self._acceptor.hand_in(self._acceptance(promise_id, payload))

    def _statement(self, promise_id: Any, payload: bytes) -> Insert:
        accepted = self._acceptance(promise_id, payload)
        dialect = self._database.dialect
        if accepted.promise_id is None:
            statement = statements.accepting_by_key(dialect, accepted)
        else:
            statement = statements.accepting(dialect).values(**statements.values_of(accepted))
        accepting: Insert = statements.notifying(dialect, statement)
        return accepting

    def _acceptance(self, promise_id: Any, payload: bytes) -> statements.Acceptance:
        self._check_open()
        is_key = isinstance(promise_id, Key)
        recording = telemetry()
        return statements.Acceptance(
            promise_id=None if is_key else str(PromiseId.parse(promise_id)),
            key=str(promise_id) if is_key else None,
            payload=self._cipher.encrypt(payload),
            is_encrypted=self._cipher.is_on,
            trace=None if recording is None else recording.current_trace(),
        )


class OutboxPromise(Generic[T]):
    """A promise whose worker awaits a `T`; made by `Outbox.promise`.

    Attributes:
        id: The promise, or the key that stands for it.
    """

    def __init__(self, outbox: Outbox, promise_id: PromiseId | Key, type_: TypeForm[T]) -> None:
        self.id = promise_id
        self._outbox = outbox
        # `None` is how Python spells the type; for complete_json it means "as the value tells".
        self._type: Any = type(None) if type_ is None else type_

    def __repr__(self) -> str:
        name = getattr(self._type, "__name__", None) or str(self._type)
        return f"<OutboxPromise[{name}] {self.id}>"

    @without_locals
    async def complete(self, value: T) -> Entry:
        """Accept the completion of the promise with this value; see `Outbox.complete_json`.

        Raises:
            PayloadError: The value is not a `T`, or cannot be encoded.
            OutboxError: As in `Outbox.complete_json`.
        """
        return await self._outbox.complete_json(self.id, value, self._type)
