"""Reading and changing entries on behalf of people: all but accepting and delivering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from golem_client import AnyPromiseId, PromiseId
from golem_client.frames import without_locals
from golem_client.outbox.entry import Counts, Entry, State, entry_of
from golem_client.outbox.key import Key
from golem_client.outbox.settling import span
from golem_client.outbox.statements import (
    ENTRY_COLUMNS,
    binding,
    freeing,
    notifying,
    promise_slot,
    refusing,
    retrying,
)
from golem_client.outbox.tables import ENTRIES, KEYS, MICROSECONDS, SCHEMA_KEY, Now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from golem_client.outbox.database import Database
    from golem_client.outbox.worker import Worker

_PAGE = 500
_POLL_SECONDS = 0.25
_E = ENTRIES.c


class Records:
    """The half of an outbox that looks after its entries; see `Outbox`."""

    _database: Database

    def __init__(self) -> None:
        self._workers: set[Worker] = set()
        self._changed = asyncio.Event()
        self._is_closed = False

    @without_locals
    async def bind(self, key: str, promise_id: AnyPromiseId) -> None:
        """Say which promise a key stands for.

        What was accepted under the key and waits is delivered to the promise now; what comes
        later too. Binding the key again lets later completions go to the newer promise.

        Where the promise has been accepted already, the earlier entry stays, and the waiting one
        becomes dead.

        Args:
            key: The key, as text or as a `Key`.
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.

        Raises:
            ValueError: The key is not one; see `Key`.
            InvalidIdError: It is not an id.
            OutboxError: The database cannot be used; nothing was bound, unless its
                `may_have_completed` is true.
        """
        self._check_open()
        name, promise = str(Key(key)), str(PromiseId.parse(promise_id))

        dialect = self._database.dialect

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(binding(dialect, name, promise))
            await connection.execute(notifying(dialect, freeing(name, promise)))
            await connection.execute(refusing(name, promise))  # if it still waits

        await self._database.run(work)
        self._tell_workers()
        self._tell_waiters()

    @without_locals
    async def entry(self, promise_id: AnyPromiseId | Key) -> Entry | None:
        """Return the entry of a promise, or the newest one of a `Key`; None where there is none."""
        return await self._entry(self._which(promise_id))

    async def entries(self, *, state: State | str | None = None) -> AsyncIterator[Entry]:
        """Yield the entries, all of them or those of one state, the oldest first.

        They are read a few hundred at a time; what is accepted meanwhile may come too.

        Args:
            state: `waiting`, `pending`, `completed` or `dead`.

        Raises:
            ValueError: There is no such state.
        """
        self._check_open()
        query = select(*ENTRY_COLUMNS).order_by(_E.id).limit(_PAGE)
        if state is not None:
            if state not in (*State,):
                raise ValueError(f"state is one of {', '.join(State)}, and not {state!r}")
            query = query.where(_E.state == str(state))
        rows = await self._database.read(query)
        while rows:
            for row in rows:
                yield entry_of(row)
            if len(rows) < _PAGE:
                return
            rows = await self._database.read(query.where(_E.id > rows[-1]["id"]))

    @without_locals
    async def wait(self, promise_id: AnyPromiseId | Key, *, timeout: float | None = None) -> Entry:
        """Wait until an entry is completed or dead, whoever delivers it, and return it.

        Args:
            promise_id: The promise or `Key`; it may be accepted meanwhile.
            timeout: In seconds; None for no end.

        Raises:
            TimeoutError: It was neither by then.
        """
        which = self._which(promise_id)
        async with asyncio.timeout(timeout):
            while True:
                changed = self._changed
                entry = await self._entry(which)
                if entry is not None and entry.is_settled:
                    return entry
                # Python 3.11's wait_for swallows a cancellation that comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await changed.wait()

    @without_locals
    async def retry(self, promise_id: AnyPromiseId | Key) -> Entry | None:
        """Let an entry be sent now: a dead one is pending again, others need not wait.

        A dead one has `give_up_after` anew. Nothing changes where nothing is to be sent.

        Returns:
            The entry as it is now; None where there is none.
        """
        which = self._which(promise_id)
        await self._database.read(notifying(self._database.dialect, retrying(which), _E.id))
        self._tell_workers()
        return await self._entry(which)

    @without_locals
    async def discard(self, promise_id: AnyPromiseId | Key) -> Entry | None:
        """Delete an entry with its payload, whatever its state.

        A call that is under way is not stopped, and what was sent before stays sent. Accepting
        the promise again makes a new entry, which knows nothing of this one.

        Returns:
            The entry as it was; None where there was none.
        """
        deleted = delete(ENTRIES).where(self._which(promise_id)).returning(*ENTRY_COLUMNS)
        rows = await self._database.read(deleted)
        return entry_of(rows[0]) if rows else None

    @without_locals
    async def prune(self, *, older_than: float | timedelta) -> int:
        """Delete what has been completed or dead for longer, and keys that nobody uses.

        A redelivery of what is gone makes a new entry, which Golem answers `false`. What is to be
        sent a second time stays until it is. A key goes when it was bound that long ago and no
        entry has it.

        Args:
            older_than: The age, in seconds or as a timedelta.

        Returns:
            The number of entries deleted.
        """
        self._check_open()
        age = span("older_than", older_than, may_be_zero=True)
        before = Now() - int(age.total_seconds() * MICROSECONDS)
        is_over = _E.due_at.is_(None) & (_E.settled_at <= before)
        is_used = select(_E.id).where(_E.key == KEYS.c.key).exists()
        is_old = (KEYS.c.key != SCHEMA_KEY) & (KEYS.c.noted_at <= before) & ~is_used

        async def work(connection: AsyncConnection) -> int:
            deleted = await connection.execute(delete(ENTRIES).where(is_over))
            # PostgreSQL waits here for those who use such a key, and then sees their entries.
            locked = select(KEYS.c.key).where(is_old).with_for_update().cte()
            await connection.execute(select(func.count()).select_from(locked))
            await connection.execute(delete(KEYS).where(is_old))
            return deleted.rowcount

        return await self._database.run(work)

    @without_locals
    async def counts(self) -> Counts:
        """Return how many entries are in each state, and the age of the oldest pending one."""
        self._check_open()
        age = (Now() - func.min(_E.accepted_at)).label("age")
        query = select(_E.state, func.count().label("count"), age).group_by(_E.state)
        rows = await self._database.read(query)
        ages = [row["age"] for row in rows if row["state"] == State.PENDING]
        return Counts(
            **{row["state"]: row["count"] for row in rows},
            oldest_pending=timedelta(microseconds=max(ages[0], 0)) if ages else None,
        )

    async def _entry(self, which: Any) -> Entry | None:
        self._check_open()
        rows = await self._database.read(select(*ENTRY_COLUMNS).where(which))
        return entry_of(rows[0]) if rows else None

    def _tell_waiters(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _tell_workers(self) -> None:
        for worker in self._workers:
            worker.wake()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("this Outbox is closed: make a new one")

    def _which(self, promise_id: Any) -> Any:
        """Return the condition for the row of a promise, or for the newest one of a key."""
        self._check_open()
        if not isinstance(promise_id, Key):
            return _E.slot == promise_slot(str(PromiseId.parse(promise_id)))
        own, other = ENTRIES.alias("own"), ENTRIES.alias("other")
        newest = select(func.max(own.c.id)).where(own.c.key == str(promise_id))
        bound = select(promise_slot(KEYS.c.promise_id)).where(KEYS.c.key == str(promise_id))
        of_promise = select(other.c.id).where(other.c.slot == bound.scalar_subquery())
        return _E.id == func.coalesce(newest.scalar_subquery(), of_promise.scalar_subquery())
