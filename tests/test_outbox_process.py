"""What only a process that is killed can show."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golem_client import GolemClient, Outcome
from golem_client.outbox import Outbox
from golem_client.testing import FakeGolem
from tests.databases import empty_database

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
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ACCEPTING, file, stdout=pipe
    )
    assert process.stdout is not None
    accepted = [int(await process.stdout.readline()) for _ in range(30)]
    process.kill()
    accepted += [int(line) async for line in process.stdout if line.endswith(b"\n")]
    await process.wait()
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
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DELIVERING),
            *(engine.url.render_as_string(hide_password=False), golem.url, golem.token),
        )
        async with asyncio.timeout(60):
            while len(golem.requests) < 20:  # noqa: ASYNC110 - the fake does not tell
                await asyncio.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        golem.latency(0)
        async with outbox.delivering(client):
            entries = [await outbox.wait(id_, timeout=60) for id_ in ids]
    outcomes = {entry.outcome for entry in entries}
    assert Outcome.FULFILLED in outcomes
    assert outcomes <= {Outcome.FULFILLED, Outcome.FULFILLED_BY_UNKNOWN}


def test_a_killed_test_run_leaves_no_postgresql(tmp_path: Path) -> None:
    """Here a `sleep` takes its place."""
    data = tmp_path / "data"
    data.mkdir()
    program = f"from tests.databases import _watch; _watch({str(data)!r}); print(flush=1); input()"
    with subprocess.Popen(["sleep", "600"]) as server:
        (data / "postmaster.pid").write_text(f"{server.pid}\n")
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", program], **pipes) as tests:
            assert tests.stdout is not None
            tests.stdout.readline()
            assert server.poll() is None
            os.kill(tests.pid, signal.SIGTERM)
        assert -signal.SIGQUIT == server.wait(120)
