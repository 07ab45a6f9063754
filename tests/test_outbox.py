"""Accepting, rendezvous and looking after it, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg as plain_asyncpg  # type: ignore[import-untyped]
import attrs
import psycopg as plain_psycopg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, Insert, MetaData, create_engine, event, text
from sqlalchemy.dialects.postgresql import asyncpg, psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from golem_client import (
    InvalidIdError,
    OutboxError,
    PayloadError,
    PromiseId,
    make_converter,
)
from golem_client.outbox import Entry, Key, Outbox, State, golem_outbox
from tests.databases import DRIVERS, empty_database, postgresql_uri, postgresql_url, url_of
from tests.samples import PROMISE_ID
from tests.tracebacks import assert_nothing_shows

SECRET = "a-secret-payload"


def promise(n: int) -> PromiseId:
    return PromiseId(PROMISE_ID.worker_id, n)


@pytest.fixture(params=DRIVERS)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with empty_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
async def outbox(engine: AsyncEngine) -> AsyncIterator[Outbox]:
    async with Outbox(engine) as outbox:
        await outbox.create_tables()
        yield outbox


async def stored(outbox: Outbox, promise_id: PromiseId | Key) -> bytes | None:
    """Return the payload as it stands in the database."""
    column = "key" if isinstance(promise_id, Key) else "promise_id"
    query = text(f"SELECT payload FROM golem_outbox_entries WHERE {column} = :name")
    async with outbox.engine.connect() as connection:
        payload = (await connection.execute(query, {"name": str(promise_id)})).scalar_one()
    return None if payload is None else bytes(payload)


async def set_column(outbox: Outbox, promise_id: PromiseId, **values: Any) -> None:
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    statement = text(f"UPDATE golem_outbox_entries SET {assignments} WHERE promise_id = :id")
    async with outbox.engine.begin() as connection:
        await connection.execute(statement, {**values, "id": str(promise_id)})


async def kill_row(outbox: Outbox, promise_id: PromiseId, **values: Any) -> None:
    """Make an entry dead, as a worker would."""
    await set_column(outbox, promise_id, state="dead", error="XError: x", due_at=None, **values)


class TestAccepting:
    """What has been accepted is there, once."""

    async def test_an_entry_says_what_was_accepted(self, outbox: Outbox) -> None:
        """It is pending and due; times are in UTC."""
        before = datetime.now(UTC) - timedelta(seconds=1)
        entry = await outbox.complete_json(str(PROMISE_ID), {"approved": True})
        assert attrs.evolve(entry, accepted_at=before, due_at=before) == Entry(
            promise_id=PROMISE_ID,
            key=None,
            state=State.PENDING,
            outcome=None,
            attempts=0,
            error=None,
            accepted_at=before,
            due_at=before,
            settled_at=None,
            is_new=True,
        )
        assert entry.due_at is not None
        assert before < entry.accepted_at <= entry.due_at < datetime.now(UTC) + timedelta(seconds=1)
        assert b'{"approved":true}' == await stored(outbox, PROMISE_ID)

    async def test_every_kind_of_payload_is_stored_as_the_client_would_send_it(
        self, outbox: Outbox
    ) -> None:
        """JSON, text, bytes, and the value of a typed promise."""
        await outbox.complete_text(promise(1), "é")
        await outbox.complete_bytes(promise(2), bytearray(b"\0\xff"))
        await outbox.promise(promise(3), dict[str, int]).complete({"n": 1})
        await outbox.complete_json(promise(4), None, as_type=None)
        assert ["é".encode(), b"\0\xff", b'{"n":1}', b"null"] == [
            await stored(outbox, promise(n)) for n in range(1, 5)
        ]

    async def test_accepting_again_changes_nothing(self, outbox: Outbox) -> None:
        """One payload per promise: a redelivery finds the entry."""
        first = await outbox.complete_text(PROMISE_ID, "first")
        second = await outbox.complete_text(PROMISE_ID, "second")
        assert attrs.evolve(first, is_new=False) == second
        assert b"first" == await stored(outbox, PROMISE_ID)
        await set_column(outbox, PROMISE_ID, state="completed", outcome="fulfilled", due_at=None)
        third = await outbox.complete_text(PROMISE_ID, "third")
        assert (State.COMPLETED, False) == (third.state, third.is_new)
        assert b"first" == await stored(outbox, PROMISE_ID)

    async def test_callers_at_the_same_time_share_a_commit(self, outbox: Outbox) -> None:
        """Each has an entry of its own; of two with one promise, one is new."""
        ids = [promise(n % 30) for n in range(60)]
        entries = await asyncio.gather(
            *(outbox.complete_text(id_, f"t{n}") for n, id_ in enumerate(ids))
        )
        assert ids == [entry.promise_id for entry in entries]
        assert [True] * 30 + [False] * 30 == [entry.is_new for entry in entries]
        assert 30 == (await outbox.counts()).pending

    @pytest.mark.parametrize(
        ("mark", "kept"),
        [({}, b"new"), ({"may_have_stored": True}, b"old"), ({"is_claimed": True}, b"old")],
    )
    async def test_accepting_what_is_dead_makes_it_pending_again(
        self, outbox: Outbox, mark: dict[str, bool], kept: bytes
    ) -> None:
        """With the new payload, unless the old one may be out: Golem must not see two."""
        await outbox.complete_text(PROMISE_ID, "old")
        await kill_row(outbox, PROMISE_ID, failures=7, **mark)
        entry = await outbox.complete_text(PROMISE_ID, "new")
        assert (State.PENDING, True, None) == (entry.state, entry.is_new, entry.error)
        assert entry.due_at is not None
        assert kept == await stored(outbox, PROMISE_ID)

    async def test_what_is_wrong_is_refused_before_anything_is_written(
        self, outbox: Outbox
    ) -> None:
        """Ids, values and sizes, when the method or `statement` is called."""
        small = Outbox(outbox.engine, max_payload_bytes=3)
        with pytest.raises(InvalidIdError):
            await outbox.complete_json("nonsense", 1)
        with pytest.raises(PayloadError, match=r"^\$"):
            await outbox.complete_json(PROMISE_ID, {"x": math.nan})
        with pytest.raises(PayloadError):
            await small.complete_text(PROMISE_ID, "four")
        with pytest.raises(PayloadError):
            await small.complete_bytes(PROMISE_ID, b"four")
        with pytest.raises(PayloadError):
            small.statement(PROMISE_ID, "four")
        with pytest.raises(PayloadError):
            small.statement_text(PROMISE_ID, "four")
        with pytest.raises(PayloadError):
            small.statement_bytes(PROMISE_ID, b"four")
        with pytest.raises(PayloadError):
            await outbox.promise(PROMISE_ID, int).complete("x")  # type: ignore[arg-type]
        assert [] == [entry async for entry in outbox.entries()]

    async def test_the_converter_is_used(self, engine: AsyncEngine) -> None:
        """As the client's is."""

        @attrs.frozen
        class Decision:
            was_approved: bool

        outbox = Outbox(engine, converter=make_converter(key_style="camelCase"))
        await outbox.create_tables()
        await outbox.complete_json(PROMISE_ID, Decision(was_approved=True))
        assert b'{"wasApproved":true}' == await stored(outbox, PROMISE_ID)


class TestStatement:
    """Accepting in the user's own transaction."""

    async def test_it_is_accepted_with_the_transaction(self, outbox: Outbox) -> None:
        """A rollback accepts nothing; by promise and by key."""
        statements: list[Callable[[], Insert]] = [
            lambda: outbox.statement(PROMISE_ID, {"n": 1}),
            lambda: outbox.statement_text(promise(2), "x"),
            lambda: outbox.statement_bytes(Key("k"), b"x"),
        ]
        async with AsyncSession(outbox.engine) as session:
            for make in statements:
                await session.execute(make())
            await session.rollback()
            assert 0 == (await outbox.counts()).pending
            async with session.begin():
                for make in statements:
                    await session.execute(make())
        counts = await outbox.counts()
        assert (2, 1) == (counts.pending, counts.waiting)
        assert b'{"n":1}' == await stored(outbox, PROMISE_ID)

    async def test_a_redelivery_in_a_transaction_changes_nothing(self, outbox: Outbox) -> None:
        """No error that would break the user's transaction."""
        await outbox.complete_text(PROMISE_ID, "first")
        async with AsyncSession(outbox.engine) as session, session.begin():
            await session.execute(outbox.statement_text(PROMISE_ID, "second"))
        assert b"first" == await stored(outbox, PROMISE_ID)

    async def test_a_sync_session_executes_it(self, outbox: Outbox) -> None:
        """With a driver of its own on the same database."""
        engine = sync_engine(outbox.engine)

        def work() -> None:
            with Session(engine) as session, session.begin():
                session.execute(outbox.statement(PROMISE_ID, 1))
                session.execute(outbox.statement(Key("k"), 1))
            engine.dispose()

        await asyncio.to_thread(work)
        assert b"1" == await stored(outbox, PROMISE_ID)


def sync_engine(engine: AsyncEngine) -> Engine:
    url = engine.url.render_as_string(hide_password=False)
    return create_engine(url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg"))


async def test_an_error_that_nobody_expected_is_no_cancellation(tmp_path: Path) -> None:
    """Every caller that waits is told of it, and the next one tries anew."""
    async with await Outbox.open(tmp_path / "x.sqlite") as outbox:
        run, errors = outbox._database.run, [ZeroDivisionError("a bug")]

        async def buggy(work: Any, **options: Any) -> Any:
            if errors:
                await asyncio.sleep(0)
                raise errors.pop()
            return await run(work, **options)

        outbox._database.run = buggy  # type: ignore[method-assign]
        calls = (outbox.complete_text(promise(n), "x") for n in range(3))
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [ZeroDivisionError] * 3 == [type(end) for end in ends]
        assert (await outbox.complete_text(PROMISE_ID, "x")).is_new


async def test_the_recipes_for_plain_drivers_work(tmp_path: Path) -> None:
    """Those of the docstring of `statement`, on asyncpg and psycopg without SQLAlchemy."""
    async with empty_database("asyncpg", tmp_path) as engine, Outbox(engine) as outbox:
        await outbox.create_tables()
        compiled = outbox.statement(promise(1), SECRET).compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
        uri = postgresql_uri()
        raw = await plain_asyncpg.connect(uri)
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        await raw.execute(str(compiled), *values)
        await raw.close()
        compiled = outbox.statement(promise(2), SECRET).compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
        async with await plain_psycopg.AsyncConnection.connect(uri) as connection:
            await connection.execute(str(compiled).encode(), compiled.params)
        assert [f'"{SECRET}"'.encode()] * 2 == [await stored(outbox, promise(n)) for n in (1, 2)]


class TestSecrets:
    """No payload is shown, whatever prints."""

    async def test_neither_echo_nor_an_error_nor_a_repr_shows_a_payload(
        self, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        """On every driver, with the engine's settings left alone."""
        engine.sync_engine.echo = True
        outbox = Outbox(engine)
        with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
            await outbox.create_tables()
            await outbox.complete_text(PROMISE_ID, SECRET)
            await outbox.complete_text(Key("k"), SECRET)
            statement = outbox.statement_text(promise(3), SECRET)
            async with engine.begin() as connection:
                await connection.execute(statement)
                await connection.execute(text("DROP TABLE golem_outbox_entries"))
            shown = [repr(statement), str(statement), repr(statement.compile().params)]
            async with engine.connect() as connection:
                with pytest.raises(Exception, match="golem_outbox_entries") as caught:
                    await connection.execute(outbox.statement_text(promise(4), SECRET))
            with pytest.raises(OutboxError) as ours:
                await outbox.complete_text(promise(5), SECRET)
        assert "<payload of 16 bytes>" in caplog.text
        assert SECRET not in "\n".join([caplog.text, *shown, str(caught.value), str(ours.value)])
        assert (None, None) == (ours.value.__cause__, ours.value.__context__)

    async def test_no_frame_that_leaves_shows_a_payload(self, outbox: Outbox) -> None:
        """Error reporters send the local variables of every frame."""
        async with outbox.engine.begin() as connection:
            await connection.execute(text("DROP TABLE golem_outbox_entries"))
        with pytest.raises(OutboxError) as caught:
            await outbox.complete_text(PROMISE_ID, f"{SECRET}{'!' * 2}")
        frames = []
        trace = caught.value.__traceback__
        while trace is not None:
            if "golem_client" in trace.tb_frame.f_code.co_filename:
                frames.append(repr(dict(trace.tb_frame.f_locals)))
            trace = trace.tb_next
        assert frames
        assert SECRET not in "".join(frames)


class TestRendezvous:
    """A completion and its promise find each other, in either order."""

    async def test_what_comes_first_waits_for_its_promise(self, outbox: Outbox) -> None:
        """It is not due; binding makes it so."""
        waiting = await outbox.complete_text(Key("order-17"), "x")
        assert (State.WAITING, None, None) == (waiting.state, waiting.promise_id, waiting.due_at)
        await outbox.bind("order-17", str(PROMISE_ID))
        entry = await outbox.entry(PROMISE_ID)
        assert entry == await outbox.entry(Key("order-17"))
        assert entry is not None
        assert (State.PENDING, Key("order-17")) == (entry.state, entry.key)
        assert entry.due_at is not None

    async def test_what_comes_later_goes_to_its_promise(self, outbox: Outbox) -> None:
        """At once; and to the newer one, once the key is bound again."""
        await outbox.bind("k", promise(1))
        first = await outbox.complete_text(Key("k"), "x")
        again = await outbox.complete_text(Key("k"), "y")
        await outbox.bind("k", promise(2))
        second = await outbox.complete_text(Key("k"), "z")
        assert [(promise(1), True), (promise(1), False), (promise(2), True)] == [
            (entry.promise_id, entry.is_new) for entry in (first, again, second)
        ]

    async def test_one_payload_waits_for_a_key(self, outbox: Outbox) -> None:
        """A redelivery finds it."""
        await outbox.complete_text(Key("k"), "first")
        again = await outbox.complete_text(Key("k"), "second")
        assert (State.WAITING, False) == (again.state, again.is_new)
        assert b"first" == await stored(outbox, Key("k"))

    async def test_a_promise_that_was_accepted_already_keeps_its_payload(
        self, outbox: Outbox
    ) -> None:
        """The waiting one is dead, and says why; it cannot be retried into a second payload."""
        await outbox.complete_text(PROMISE_ID, "by promise")
        await outbox.complete_text(Key("k"), "by key")
        await outbox.bind("k", PROMISE_ID)
        for _ in range(2):
            dead = await outbox.entry(Key("k"))
            assert dead is not None
            assert State.DEAD == dead.state
            assert str(PROMISE_ID) in (dead.error or "")
            assert b"by promise" == await stored(outbox, PROMISE_ID)
            await outbox.retry(Key("k"))

    async def test_a_waiting_entry_counts_its_time_from_the_binding(self, outbox: Outbox) -> None:
        """It may wait for longer than it is tried."""
        await outbox.complete_text(Key("k"), "x")
        async with outbox.engine.begin() as connection:
            await connection.execute(text("UPDATE golem_outbox_entries SET counted_from = 0"))
        await outbox.bind("k", PROMISE_ID)
        async with outbox.engine.connect() as connection:
            query = text("SELECT counted_from FROM golem_outbox_entries")
            assert (await connection.execute(query)).scalar_one() > 0

    @pytest.mark.parametrize("bound_first", [False, True])
    async def test_races_lose_nothing(self, outbox: Outbox, bound_first: bool) -> None:
        """Accepting and binding at the same moment, many times, in transactions of their own."""
        other = Outbox(create_async_engine(outbox.engine.url))
        keys = [f"key-{n}" for n in range(12)]
        pairs = [
            [other.bind(key, promise(n)), outbox.complete_text(Key(key), "x")]
            for n, key in enumerate(keys)
        ]
        calls = [call for pair in pairs for call in (pair if bound_first else reversed(pair))]
        await asyncio.gather(*calls)
        await other.engine.dispose()
        entries = [await outbox.entry(promise(n)) for n in range(12)]
        assert [State.PENDING] * 12 == [entry and entry.state for entry in entries]

    async def test_two_keys_for_one_promise_at_the_same_time(self, outbox: Outbox) -> None:
        """One payload goes to it; the other is dead."""
        await outbox.complete_text(Key("a"), "a")
        await outbox.complete_text(Key("b"), "b")
        await asyncio.gather(outbox.bind("a", PROMISE_ID), outbox.bind("b", PROMISE_ID))
        states = [entry.state async for entry in outbox.entries()]
        assert [State.DEAD, State.PENDING] == sorted(states)


async def test_a_bind_under_way_is_not_missed(tmp_path: Path) -> None:
    """On PostgreSQL, accepting by key waits for a transaction that has bound it."""
    async with empty_database("asyncpg", tmp_path) as engine, Outbox(engine) as outbox:
        await outbox.create_tables()
        async with engine.begin() as connection:
            await connection.execute(
                text("INSERT INTO golem_outbox_keys VALUES ('k', :id, 0)"), {"id": str(PROMISE_ID)}
            )
            accepting = asyncio.create_task(outbox.complete_text(Key("k"), "x"))
            await asyncio.sleep(0.1)
            assert not accepting.done()
        assert PROMISE_ID == (await accepting).promise_id


async def test_a_key_that_is_being_used_is_not_pruned(tmp_path: Path) -> None:
    """Its next completion would wait for ever: `prune` waits for the transaction that uses it."""
    async with empty_database("asyncpg", tmp_path) as engine, Outbox(engine) as outbox:
        await outbox.create_tables()
        await outbox.bind("k", promise(1))
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(outbox.statement_text(Key("k"), "x"))
            pruning = asyncio.create_task(outbox.prune(older_than=0))
            await asyncio.sleep(0.05)
            assert not pruning.done()
        await pruning
        assert promise(1) == (await outbox.complete_text(Key("k"), "x")).promise_id


class TestLookingAfterIt:
    """Entries, retry, discard, prune, counts."""

    async def test_entries_come_oldest_first_and_all_of_them(self, outbox: Outbox) -> None:
        """More than are read at a time."""
        await asyncio.gather(*(outbox.complete_text(promise(n), "x") for n in range(600)))
        await kill_row(outbox, promise(7))
        everything = [entry async for entry in outbox.entries()]
        assert 600 == len(everything)
        assert everything == sorted(everything, key=lambda entry: entry.accepted_at)
        assert [promise(7)] == [e.promise_id async for e in outbox.entries(state="dead")]
        states = "one of waiting, pending, completed, dead, and not 'queued'"
        with pytest.raises(ValueError, match=states):
            await anext(outbox.entries(state="queued"))

    async def test_retry_makes_dead_entries_pending(self, outbox: Outbox) -> None:
        """With their old payload, and the whole time anew."""
        await outbox.complete_text(PROMISE_ID, "x")
        await kill_row(outbox, PROMISE_ID, counted_from=0, failures=9)
        entry = await outbox.retry(PROMISE_ID)
        assert entry is not None
        assert (State.PENDING, None) == (entry.state, entry.error)
        assert b"x" == await stored(outbox, PROMISE_ID)
        assert await outbox.retry(promise(9)) is None

    async def test_retry_leaves_what_is_completed(self, outbox: Outbox) -> None:
        """There is nothing to be sent."""
        await outbox.complete_text(PROMISE_ID, "x")
        await set_column(outbox, PROMISE_ID, state="completed", outcome="fulfilled", due_at=None)
        entry = await outbox.retry(PROMISE_ID)
        assert entry is not None
        assert (State.COMPLETED, None) == (entry.state, entry.due_at)

    async def test_discard_deletes(self, outbox: Outbox) -> None:
        """Whatever the state; a second time there is nothing."""
        await outbox.complete_text(Key("k"), "x")
        gone = await outbox.discard(Key("k"))
        assert gone is not None
        assert (State.WAITING, None) == (gone.state, await outbox.discard(Key("k")))
        assert [] == [entry async for entry in outbox.entries()]

    async def test_prune_deletes_what_is_over(self, outbox: Outbox) -> None:
        """Not what is younger, pending, waiting or to be sent a second time."""
        day = 86_400_000_000
        for n in range(5):
            await outbox.complete_text(promise(n), "x")
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        ended = {"state": "completed", "outcome": "fulfilled", "due_at": None}
        await set_column(outbox, promise(0), **ended, settled_at=now - 2 * day)
        await set_column(outbox, promise(1), **ended, settled_at=now)
        await set_column(outbox, promise(2), **{**ended, "due_at": now}, settled_at=now - 2 * day)
        await kill_row(outbox, promise(3), settled_at=now - 2 * day)
        assert 2 == await outbox.prune(older_than=timedelta(days=1))
        left = [entry.promise_id async for entry in outbox.entries()]
        assert [promise(1), promise(2), promise(4)] == left

    async def test_prune_deletes_keys_that_nobody_uses(self, outbox: Outbox) -> None:
        """One that an entry has stays, and so does the schema's version."""
        await outbox.bind("unused", promise(1))
        await outbox.bind("used", promise(2))
        await outbox.complete_text(Key("used"), "x")
        await outbox.prune(older_than=0)
        async with outbox.engine.connect() as connection:
            keys = (await connection.execute(text("SELECT key FROM golem_outbox_keys"))).scalars()
            assert {"", "used"} == set(keys)

    async def test_counts_say_how_old_the_oldest_is(self, outbox: Outbox) -> None:
        """None where nothing is pending."""
        assert (await outbox.counts()).oldest_pending is None
        await outbox.complete_text(promise(1), "x")
        await outbox.complete_text(promise(2), "x")
        await outbox.complete_text(Key("k"), "x")
        await set_column(outbox, promise(1), accepted_at=0)
        counts = await outbox.counts()
        assert (1, 2, 0, 0) == (counts.waiting, counts.pending, counts.completed, counts.dead)
        assert counts.oldest_pending is not None
        assert counts.oldest_pending > timedelta(days=365)


class TestSchema:
    """Whose tables they are, and of which version."""

    async def test_without_tables_the_error_says_what_to_do(self, engine: AsyncEngine) -> None:
        """Nothing is made unasked in a database that is the user's."""
        with pytest.raises(OutboxError, match="create_tables"):
            await Outbox(engine).complete_text(PROMISE_ID, "x")

    async def test_tables_of_a_migration_are_used(self, engine: AsyncEngine) -> None:
        """Made by the user's own MetaData; the version is recorded by the first use."""
        metadata = MetaData()
        tables = golem_outbox(metadata)
        assert ["golem_outbox_entries", "golem_outbox_keys"] == [table.name for table in tables]
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        assert (await Outbox(engine).complete_text(PROMISE_ID, "x")).is_new

    async def test_a_newer_version_is_refused(self, outbox: Outbox) -> None:
        """By accepting, and by create_tables."""
        async with outbox.engine.begin() as connection:
            await connection.execute(
                text("UPDATE golem_outbox_keys SET promise_id = '2' WHERE key = ''")
            )
        for use in (Outbox(outbox.engine).counts, Outbox(outbox.engine).create_tables):
            with pytest.raises(OutboxError, match=r"of version 2.*upgrade golem-client"):
                await use()

    async def test_many_may_make_the_tables_at_once(self, engine: AsyncEngine) -> None:
        """Every process does so when it starts."""
        await asyncio.gather(*(Outbox(engine).create_tables() for _ in range(4)))

    async def test_a_borrowed_engine_stays_open(self, outbox: Outbox) -> None:
        """It is its owner's; the outbox is closed for good."""
        await outbox.aclose()
        async with outbox.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        with pytest.raises(RuntimeError, match="closed"):
            await outbox.complete_text(PROMISE_ID, "x")


class TestEncryption:
    """Payloads at rest."""

    async def test_the_first_key_writes_and_all_read(self, engine: AsyncEngine) -> None:
        """The payload does not stand in the database."""
        old, new = Fernet.generate_key(), Fernet.generate_key().decode()
        outbox = Outbox(engine, keys=[new, old])
        await outbox.create_tables()
        await outbox.complete_text(PROMISE_ID, SECRET)
        token = await stored(outbox, PROMISE_ID)
        assert token is not None
        assert SECRET.encode() == Fernet(new).decrypt(token)


@pytest.mark.parametrize("keys", [["short"], [b"x" * 32], [17]])
async def test_a_bad_key_is_refused(tmp_path: Path, keys: list[Any]) -> None:
    """When the outbox is made, without showing it."""
    with pytest.raises(ValueError, match=r"key 1 of keys= is not a Fernet key"):
        await Outbox.open(tmp_path / "x.sqlite", keys=keys)


class TestFile:
    """`Outbox.open`."""

    async def test_a_file_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        """Mode 0600, durable, and open again with what it holds."""
        path = tmp_path / "outbox ü%20#.sqlite"
        folder = [path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm")]
        before = os.umask(0)
        try:
            async with await Outbox.open(path) as outbox:
                await outbox.complete_text(PROMISE_ID, "x")
                async with outbox.engine.connect() as connection:
                    mode = (await connection.execute(text("PRAGMA journal_mode"))).scalar()
                    sync = (await connection.execute(text("PRAGMA synchronous"))).scalar()
                modes = {stat.S_IMODE(os.stat(file).st_mode) for file in folder}
        finally:
            os.umask(before)
        assert ("wal", 2, {0o600}) == (mode, sync, modes)
        async with await Outbox.open(str(path)) as outbox:
            assert await outbox.entry(PROMISE_ID) is not None

    @pytest.mark.parametrize("path", ["", ":memory:"])
    async def test_memory_is_no_file(self, path: str) -> None:
        """Nothing would survive."""
        with pytest.raises(ValueError, match="name a file"):
            await Outbox.open(path)

    @pytest.mark.parametrize(
        "place",
        [
            "postgresql://ops:p4ssw0rd@127.0.0.1:1/app",
            Path("postgresql://ops:p4ssw0rd@127.0.0.1:1/app"),
            b"postgresql+asyncpg://host/app?password=p4ssw0rd",
        ],
        ids=["text", "path", "bytes"],
    )
    async def test_a_url_is_no_file_and_its_password_is_not_shown(
        self, place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nothing is made in the folder."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match=r"Outbox\(create_async_engine\(") as caught:
            await Outbox.open(place)
        assert_nothing_shows(caught.value, "p4ssw0rd", but_for=__file__)
        assert [] == os.listdir(tmp_path)

    async def test_what_is_no_database_is_refused(self, tmp_path: Path) -> None:
        """And left alone; so is a folder that is not there."""
        path = tmp_path / "x.sqlite"
        path.write_text("precious " * 100)
        with pytest.raises(OutboxError, match="not a database") as caught:
            await Outbox.open(path)
        assert not caught.value.worth_retrying
        assert "later" not in str(caught.value)
        assert "at the moment" not in str(caught.value)
        assert "precious " * 100 == path.read_text()
        with pytest.raises(OutboxError, match="No such file"):
            await Outbox.open(tmp_path / "no" / "x.sqlite")

    async def test_a_locked_file_is_a_clear_error(self, tmp_path: Path) -> None:
        """Nothing was written; with another busy timeout than ours, which is ten seconds."""
        path = tmp_path / "outbox.sqlite"
        async with await Outbox.open(path):
            pass
        url = f"sqlite+aiosqlite:///{path}"
        impatient = create_async_engine(url, connect_args={"timeout": 0.05})
        locker = create_async_engine(url)
        outbox = Outbox(impatient)
        async with locker.connect() as connection:
            await connection.execute(text("BEGIN IMMEDIATE"))
            with pytest.raises(OutboxError, match="database is locked") as caught:
                await outbox.complete_text(PROMISE_ID, "x")
            await connection.rollback()
        assert caught.value.worth_retrying
        assert (await outbox.complete_text(PROMISE_ID, "y")).is_new
        await impatient.dispose()
        await locker.dispose()

    async def test_a_full_disk_is_a_clear_error(self, tmp_path: Path) -> None:
        """Nothing was accepted, and what was is there."""
        async with await Outbox.open(tmp_path / "x.sqlite") as outbox:
            await outbox.complete_text(promise(1), "x")
            async with outbox.engine.connect() as connection:
                await connection.execute(text("PRAGMA max_page_count = 20"))
            with pytest.raises(OutboxError, match="full"):
                await outbox.complete_bytes(promise(2), b"x" * 200_000)
            assert [promise(1)] == [entry.promise_id async for entry in outbox.entries()]


FULL_DISK = [
    """CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE 'could not extend file "base/5/16384": No space left on device'
    USING ERRCODE = '53100', DETAIL = encode(NEW.payload, 'escape'); END $$""",
    """CREATE TRIGGER full_disk BEFORE INSERT ON golem_outbox_entries
    FOR EACH ROW EXECUTE FUNCTION full_disk()""",
]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_full_disk_of_postgresql_is_a_clear_error(driver: str, tmp_path: Path) -> None:
    """Nothing was accepted, what was is there, and later it works again."""
    async with empty_database(driver, tmp_path) as engine, Outbox(engine) as outbox:
        await outbox.create_tables()
        await outbox.complete_text(promise(1), "x")
        async with engine.begin() as connection:
            for statement in FULL_DISK:
                await connection.execute(text(statement))
        callers = (outbox.complete_text(id_, SECRET) for id_ in (promise(2), promise(3), Key("k")))
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert 3 == len(set(map(id, errors))), "each caller raises an error of its own"
        for error in errors:
            assert isinstance(error, OutboxError)
            assert "DiskFull" in str(error)
            assert "No space left on device" in str(error)
            assert (False, True) == (error.may_have_completed, error.worth_retrying)
            assert_nothing_shows(error, SECRET, but_for=__file__)
        assert [promise(1)] == [entry.promise_id async for entry in outbox.entries()]
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER full_disk ON golem_outbox_entries"))
        assert (await outbox.complete_text(promise(2), "y")).is_new


async def test_what_postgresql_ended_for_a_deadlock_is_repeated(tmp_path: Path) -> None:
    """Another transaction locks the same two rows in the other order."""
    quick = {"deadlock_timeout": "50ms"}  # the outbox waits first, and so it is the one to be ended
    engine = create_async_engine(postgresql_url(), connect_args={"server_settings": quick})
    lock = "SELECT 1 FROM golem_outbox_entries WHERE promise_id = '{}' FOR UPDATE"
    async with empty_database("asyncpg", tmp_path) as other, Outbox(engine) as outbox:
        await outbox.create_tables()
        for n in (1, 2, 3):
            await outbox.complete_text(promise(n), "x")
        async with other.begin() as connection:
            await connection.execute(text(lock.format(promise(2))))
            accepting = asyncio.gather(*(outbox.complete_text(promise(n), "y") for n in (1, 2, 3)))
            await asyncio.sleep(0.03)
            await connection.execute(text(lock.format(promise(1))))
            assert not accepting.done()
        assert [False] * 3 == [entry.is_new for entry in await accepting]
    await engine.dispose()


async def test_a_connection_that_is_lost_at_the_commit_is_told_as_it_is(tmp_path: Path) -> None:
    """Nobody can know whether it was committed. Here it was; accepting it again is harmless."""
    async with empty_database("asyncpg", tmp_path) as engine, Outbox(engine) as outbox:
        await outbox.create_tables()
        other = create_engine(postgresql_url("psycopg"))

        def commit_and_lose(connection: Any) -> None:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            connection.exec_driver_sql("COMMIT")
            with other.connect() as killing:
                killing.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        event.listen(engine.sync_engine, "commit", commit_and_lose, once=True)
        with pytest.raises(OutboxError, match="completed all the same") as caught:
            await outbox.complete_text(promise(1), "x")
        other.dispose()
        assert (True, True) == (caught.value.may_have_completed, caught.value.worth_retrying)
        assert not (await outbox.complete_text(promise(1), "x")).is_new


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_stricter_isolation_loses_no_race(
    driver: str, isolation: str, tmp_path: Path
) -> None:
    """PostgreSQL ends a transaction there whose row another one has changed: it is repeated."""
    engine = create_async_engine(postgresql_url(driver), isolation_level=isolation)
    async with empty_database(driver, tmp_path) as other, Outbox(engine) as outbox:
        await outbox.create_tables()
        await outbox.complete_text(promise(1), "x")
        async with other.begin() as connection:
            await connection.execute(text("UPDATE golem_outbox_entries SET failures = 1"))
            accepting = asyncio.create_task(outbox.complete_text(promise(1), "x"))
            await asyncio.sleep(0.05)
            assert not accepting.done()
        assert not (await accepting).is_new
    await engine.dispose()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"give_up_after": 0}, ValueError),
        ({"give_up_after": math.inf}, ValueError),
        ({"nudge_after": -1}, ValueError),
        ({"lease": "60"}, TypeError),
        ({"lease": True}, TypeError),
        ({"max_payload_bytes": 0}, ValueError),
        ({"max_payload_bytes": 1.5}, TypeError),
        ({"keys": "one"}, TypeError),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    """Before anything is opened."""
    with pytest.raises(error):
        await Outbox.open(tmp_path / "x.sqlite", **options)


async def test_another_database_is_refused(tmp_path: Path) -> None:
    """And an engine that is not asynchronous."""
    with pytest.raises(TypeError, match="AsyncEngine"):
        Outbox(create_engine("sqlite://"))  # type: ignore[arg-type]


async def test_a_database_that_is_away_is_a_clear_error() -> None:
    """Nothing was accepted, and the caller may try again."""
    engine = create_async_engine("postgresql+asyncpg://u:p4ssw0rd@127.0.0.1:1/x")
    outbox = Outbox(engine)
    with pytest.raises(OutboxError, match="cannot be used at the moment") as caught:
        await outbox.complete_text(PROMISE_ID, "x")
    assert caught.value.worth_retrying
    assert "p4ssw0rd" not in str(caught.value) + repr(outbox)


async def test_a_password_among_a_urls_options_is_not_shown() -> None:
    """As drivers take it there, too."""
    outbox = Outbox(create_async_engine("postgresql+asyncpg://host/x?password=p4ssw0rd"))
    assert "<Outbox postgresql+asyncpg://host/x>" == repr(outbox)


def test_the_names_are_these() -> None:
    """And what needs SQLAlchemy says which extra has it."""
    assert url_of("aiosqlite", Path("/x")) == "sqlite+aiosqlite:////x/outbox.sqlite"
    assert sys.modules["golem_client.outbox"].Outbox is Outbox
