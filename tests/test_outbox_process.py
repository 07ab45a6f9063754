"""What only a process that is killed can show."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from golem_client import GolemClient, Outcome
from golem_client.outbox import Outbox
from golem_client.testing import FakeGolem
from tests.databases import empty_database
from tests.interpreters import Child

ACCEPTING = """
import asyncio, sys
from golem_client.outbox import Outbox
async def main():
    outbox = await Outbox.open(sys.argv[1])
    for n in range(100_000):
        await outbox.complete_text(f"f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w1/{n}", "x")
        print(n, flush=True)
asyncio.run(main())
"""

DELIVERING = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from golem_client import GolemClient
from golem_client.outbox import Outbox
async def main():
    outbox = Outbox(create_async_engine(sys.argv[1]), nudge_after=None, lease=1)
    async with GolemClient(sys.argv[2], token=sys.argv[3]) as client:
        await outbox.deliver(client, concurrency=8)
asyncio.run(main())
"""


async def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    """Every acceptance that returned is there."""
    file = str(tmp_path / "golem.sqlite")
    process = Child("-c", ACCEPTING, file)
    assert process.stdout is not None
    accepted = [int(process.stdout.readline()) for _ in range(30)]
    process.kill()
    accepted += [int(line) for line in process.stdout if line.endswith(b"\n")]
    process.close()
    async with await Outbox.open(file) as outbox:
        there = {entry.promise_id.oplog_idx async for entry in outbox.entries() if entry.promise_id}
    assert set(accepted) <= there
    assert len(there) <= len(accepted) + 1


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
async def test_a_killed_workers_rows_are_taken_over(driver: str, tmp_path: Path) -> None:
    """Within its lease; none is lost, and none is told that another was first."""
    async with (
        FakeGolem() as golem,
        empty_database(driver, tmp_path) as engine,
        GolemClient(golem.url, token=golem.token) as client,
    ):
        outbox = Outbox(engine, nudge_after=None, lease=1)
        await outbox.create_tables()
        ids = [golem.create_promise() for _ in range(60)]
        await asyncio.gather(*(outbox.complete_text(id_, "x") for id_ in ids))
        golem.latency(0.05)
        url = engine.url.render_as_string(hide_password=False)
        process = Child("-c", DELIVERING, url, golem.url, golem.token)
        async with asyncio.timeout(60):
            while len(golem.requests) < 20:  # noqa: ASYNC110 - the fake does not tell
                await asyncio.sleep(0.002)
        process.close()
        golem.latency(0)
        async with outbox.delivering(client):
            entries = [await outbox.wait(id_, timeout=60) for id_ in ids]
    outcomes = {entry.outcome for entry in entries}
    assert Outcome.FULFILLED in outcomes
    assert outcomes <= {Outcome.FULFILLED, Outcome.FULFILLED_BY_UNKNOWN}


def test_a_killed_test_run_leaves_no_postgresql() -> None:
    """Here a `sleep` takes its place."""
    program = (
        "from tests import interpreters as i; i.start_server(); print(i.folder(), flush=1); input()"
    )
    run = Child("-c", program, env={"PATH": os.environ["PATH"]})
    assert run.stdout is not None
    folder = Path(run.stdout.readline().decode().rstrip())
    with subprocess.Popen(["sleep", "600"]) as server:
        (folder / "postgresql").mkdir()
        (folder / "postgresql" / "postmaster.pid").write_text(f"{server.pid}\n")
        run.kill()
        try:
            assert -signal.SIGQUIT == server.wait(30)
        finally:
            server.kill()
    run.close()
