"""Accepting, with one commit for all callers that wait at the same time."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import select

from golem_client import OutboxError
from golem_client.outbox.entry import Entry, entry_of
from golem_client.outbox.statements import (
    Acceptance,
    accepting,
    accepting_by_key,
    entry_columns,
    found_by_key,
    values_of,
)
from golem_client.outbox.tables import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from golem_client.outbox.database import Database

_MOST_AT_ONCE = 500


@attrs.frozen(eq=False)
class _Waiting:
    """A caller who waits for its acceptance."""

    accepted: Acceptance
    entry: asyncio.Future[Entry]


class Acceptor:
    """Writes what callers hand in, as many of them as there are in one transaction.

    Args:
        database: The database.
        on_new: Called after each transaction that accepted something new.
    """

    def __init__(self, database: Database, on_new: Callable[[], None]) -> None:
        self._database = database
        self._on_new = on_new
        self._queue: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._upsert = accepting(database.dialect).returning(*entry_columns())

    def hand_in(self, accepted: Acceptance) -> asyncio.Future[Entry]:
        """Return what will be the entry, once it is durable.

        A caller that is cancelled while it waits may have had its completion accepted.
        """
        waiting = _Waiting(accepted, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return waiting.entry

    async def drain(self) -> None:
        """Wait until everything that was handed in is written."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._queue:
                count = min(len(self._queue), _MOST_AT_ONCE)
                batch = [self._queue.popleft() for _ in range(count)]
                batch = [waiting for waiting in batch if not waiting.entry.done()]
                await self._write(batch)
        except BaseException as error:
            for waiting in (*batch, *self._queue):
                if isinstance(error, asyncio.CancelledError):
                    waiting.entry.cancel()
                elif not waiting.entry.done():
                    waiting.entry.set_exception(error)
            self._queue.clear()
            raise

    async def _write(self, batch: list[_Waiting]) -> None:
        problem = await self._try(batch)
        if problem is None:
            return
        # Two processes may lock rows that an order of keys and promises crosses, and PostgreSQL
        # ends one of them: alone, none can.
        is_crossed = "deadlock" in problem.message and len(batch) > 1
        for waiting in batch:
            alone = await self._try([waiting]) if is_crossed else problem
            if alone is not None and not waiting.entry.done():
                error = OutboxError(alone.message)  # each caller raises its own
                error.worth_retrying = alone.worth_retrying
                waiting.entry.set_exception(error)

    async def _try(self, batch: Sequence[_Waiting]) -> OutboxError | None:
        """Accept a batch in one transaction; return why it could not be."""
        accepted = [waiting.accepted for waiting in batch]
        try:
            entries = await self._database.run(partial(self._all_of, batch=accepted))
        except OutboxError as error:
            return error
        for waiting, entry in zip(batch, entries, strict=True):
            if not waiting.entry.done():
                waiting.entry.set_result(entry)
        if any(entry.is_new for entry in entries):
            self._on_new()
        return None

    async def _all_of(
        self, connection: AsyncConnection, batch: Sequence[Acceptance]
    ) -> Sequence[Entry]:
        by_key = {n: accepted for n, accepted in enumerate(batch) if accepted.promise_id is None}
        by_slot: dict[str, list[int]] = {}
        for n, accepted in enumerate(batch):
            if n not in by_key:
                by_slot.setdefault(accepted.slot, []).append(n)
        entries: dict[int, Entry] = {}
        for n in sorted(by_key, key=lambda n: by_key[n].key or ""):
            entries[n] = await self._one_by_key(connection, by_key[n])
        # Where many write at once, rows are locked in the order of their slots, so that no two
        # transactions wait in a circle; elsewhere they keep the order in which they came.
        slots = sorted(by_slot) if self._database.dialect == "postgresql" else by_slot
        firsts = [batch[by_slot[slot][0]] for slot in slots]
        new, old = await self._by_slot(connection, firsts)
        for slot, numbers in by_slot.items():
            for place, n in enumerate(numbers):
                is_new = place == 0 and slot in new
                entries[n] = entry_of(new[slot] if slot in new else old[slot], is_new=is_new)
        if any(entry.is_new for entry in entries.values()):
            await self._database.notify(connection)
        return [entries[n] for n in range(len(batch))]

    async def _by_slot(
        self, connection: AsyncConnection, accepted: Sequence[Acceptance]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the rows that are new, and those that were there before."""
        if not accepted:
            return {}, {}
        rows = await connection.execute(self._upsert, [values_of(one) for one in accepted])
        new = {row["slot"]: row for row in rows.mappings()}
        missing = [one.slot for one in accepted if one.slot not in new]
        if not missing:
            return new, {}
        query = select(*entry_columns()).where(ENTRIES.c.slot.in_(missing))
        return new, {row["slot"]: row for row in (await connection.execute(query)).mappings()}

    async def _one_by_key(self, connection: AsyncConnection, accepted: Acceptance) -> Entry:
        statement = accepting_by_key(self._database.dialect, accepted)
        result = await connection.execute(statement.returning(*entry_columns()))
        row: Any = result.mappings().first()
        if row is not None:
            return entry_of(row, is_new=True)
        found = await connection.execute(found_by_key(accepted.key or ""))
        old: Any = found.mappings().one()
        return entry_of(old, is_new=False)
