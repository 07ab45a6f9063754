"""Accepting, with one commit for all callers that wait at the same time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import select

from golem_client import OutboxError
from golem_client.outbox.entry import Entry, entry_of
from golem_client.outbox.statements import (
    ENTRY_COLUMNS,
    Acceptance,
    accepting,
    accepting_by_key,
    found_by_key,
    notifying,
    values_of,
)
from golem_client.outbox.tables import ENTRIES

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from golem_client.outbox.database import Database

_MOST_AT_ONCE = 500

Waiting = tuple[Acceptance, asyncio.Future[Entry]]
"""A caller who waits for its acceptance."""


class Acceptor:
    """Writes what callers hand in, as many of them as there are in one transaction."""

    def __init__(self, database: Database, on_new: Callable[[], None]) -> None:
        self._database = database
        self._on_new = on_new
        self._queue: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        dialect = database.dialect
        self._upsert = notifying(dialect, accepting(dialect), *ENTRY_COLUMNS)

    def hand_in(self, accepted: Acceptance) -> asyncio.Future[Entry]:
        """Return what will be the entry, once it is durable.

        A caller that is cancelled while it waits may have had its completion accepted.
        """
        entry: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._queue.append((accepted, entry))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return entry

    async def drain(self) -> None:
        """Wait until everything that was handed in is written."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:_MOST_AT_ONCE], self._queue[_MOST_AT_ONCE:]
            callers = [(accepted, entry) for accepted, entry in batch if not entry.done()]
            try:
                await self._write(callers)
            except OutboxError as error:
                for _, entry in callers:
                    if not entry.done():
                        entry.set_exception(copy.copy(error))  # each caller raises its own
            except BaseException as error:
                for _, entry in (*callers, *self._queue):
                    if not entry.done():
                        entry.set_exception(error)
                self._queue = []
                raise

    async def _write(self, callers: Sequence[Waiting]) -> None:
        """Accept in one transaction; where several have one slot, the first one's payload."""
        of_slot: dict[str, list[asyncio.Future[Entry]]] = {}
        firsts: dict[str, Acceptance] = {}
        for accepted, future in callers:
            firsts.setdefault(accepted.slot, accepted)
            of_slot.setdefault(accepted.slot, []).append(future)
        entries = await self._database.run(partial(self._accept, firsts=firsts))
        for slot, entry in entries.items():
            for n, future in enumerate(of_slot[slot]):
                if not future.done():
                    future.set_result(entry if n == 0 else attrs.evolve(entry, is_new=False))
        if any(entry.is_new for entry in entries.values()):
            self._on_new()

    async def _accept(
        self, connection: AsyncConnection, firsts: dict[str, Acceptance]
    ) -> dict[str, Entry]:
        """Return the entries by their slots."""
        entries: dict[str, Entry] = {}
        values = []
        # Where many write at once, rows are locked in the order of their slots, so that fewer wait
        # in a circle; elsewhere they keep the order in which they came.
        for slot in sorted(firsts) if self._database.dialect == "postgresql" else firsts:
            if firsts[slot].promise_id is None:
                entries[slot] = await self._accept_by_key(connection, firsts[slot])
            else:
                values.append(values_of(firsts[slot]))
        if values:
            rows: Any = (await connection.execute(self._upsert, values)).mappings()
            entries |= {row["slot"]: entry_of(row, is_new=True) for row in rows}
        if missing := firsts.keys() - entries.keys():
            old = select(*ENTRY_COLUMNS).where(ENTRIES.c.slot.in_(missing))
            rows = (await connection.execute(old)).mappings()
            entries |= {row["slot"]: entry_of(row, is_new=False) for row in rows}
        return entries

    async def _accept_by_key(self, connection: AsyncConnection, accepted: Acceptance) -> Entry:
        dialect = self._database.dialect
        upsert = notifying(dialect, accepting_by_key(dialect, accepted), *ENTRY_COLUMNS)
        row: Any = (await connection.execute(upsert)).mappings().first()
        if row is not None:
            return entry_of(row, is_new=True)
        found: Any = (await connection.execute(found_by_key(accepted))).mappings().one()
        return entry_of(found, is_new=False)
