"""The journal of `golem-promise bulk`: an outbox file, from which its lines are delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from sqlalchemy import text

from golem_client.cli.bulk.lines import digest_of
from golem_client.cli.bulk.plan import Index, Known
from golem_client.cli.bulk.results import ResultsError
from golem_client.cli.bulk.tally import COMPLETED
from golem_client.outbox import Outbox

_SERVER = "CREATE TABLE IF NOT EXISTS golem_bulk_server (url TEXT PRIMARY KEY)"

# What an earlier run left: only lines that are still in the file are sent, so that everything
# waits here until its line comes. Accepting it revives the row, with the payload that may be out.
_PARK = """
UPDATE golem_outbox_entries SET state = 'dead', due_at = NULL, lease = NULL,
  may_have_stored = may_have_stored OR is_claimed, is_claimed = false
WHERE state = 'pending'
"""


@asynccontextmanager
async def journal(path: Path, server: str, index: Index) -> AsyncIterator[Outbox]:
    """Open the journal, and note in the index what it knows and the results do not.

    Raises:
        ResultsError: It is another server's.
        OutboxError: It cannot be used.
    """
    async with await Outbox.open(path, nudge_after=None) as outbox:
        async with outbox.engine.begin() as connection:
            await connection.execute(text(_SERVER))
            name = "INSERT OR IGNORE INTO golem_bulk_server VALUES (:url)"
            await connection.execute(text(name), {"url": server})
            servers = (await connection.execute(text("SELECT url FROM golem_bulk_server"))).all()
            others = [url for (url,) in servers if url != server]
            if others:
                raise ResultsError(
                    f"{path} is the journal of a run against {others[0]}, and this one is against "
                    f"{server}: name another file for the results"
                )
            await connection.execute(text(_PARK))
        await _load(outbox, index)
        yield outbox


async def _load(outbox: Outbox, index: Index) -> None:
    query = (
        "SELECT promise_id, outcome, attempts, CASE WHEN outcome IS NULL THEN payload END"
        " FROM golem_outbox_entries WHERE state = 'completed' OR may_have_stored"
    )
    async with outbox.engine.connect() as connection:
        async for promise_id, outcome, attempts, payload in await connection.stream(text(query)):
            known = index.find(promise_id) or Known()
            if outcome is None:
                index.put(promise_id, attrs.evolve(known, digest=digest_of(payload)))
            elif known.outcome not in COMPLETED:
                index.put(promise_id, Known(outcome=outcome, attempts=attempts))
