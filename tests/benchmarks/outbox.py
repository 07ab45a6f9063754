"""The outbox, by hand: accepting, delivering, a killed worker, an outage.

python -m tests.benchmarks.outbox accept|deliver|crash|down [--rows 10000]

Databases: a temporary file with `synchronous=FULL`, and a PostgreSQL in a temporary folder. The
quick server is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from golem_client import GolemClient, Outcome, PromiseId
from golem_client.outbox import Outbox
from golem_client.testing import FakeGolem
from tests.benchmarks import server
from tests.benchmarks.completions import PROMISE_ID, TOKEN, VALUE
from tests.databases import empty_database, postgresql_url

WORKER = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from golem_client import GolemClient
from golem_client.outbox import Outbox
async def main():
    outbox = Outbox(create_async_engine(sys.argv[1]), nudge_after=None, lease=10)
    async with GolemClient(sys.argv[2], token=sys.argv[3]) as client:
        await outbox.deliver(client)
asyncio.run(main())
"""


@asynccontextmanager
async def opened(database: str, folder: str) -> AsyncIterator[Outbox]:
    if database == "SQLite":
        async with await Outbox.open(Path(folder) / "x.sqlite", nudge_after=None) as outbox:
            yield outbox
        return
    async with (
        empty_database("asyncpg", Path(folder)) as engine,
        Outbox(engine, nudge_after=None) as outbox,
    ):
        await outbox.create_tables()
        yield outbox


def promise(n: int) -> PromiseId:
    return PromiseId(PROMISE_ID.worker_id, n)


async def filled(outbox: Outbox, ids: list[PromiseId]) -> None:
    for start in range(0, len(ids), 2000):
        some = ids[start : start + 2000]
        await outbox._accept_all([(str(id_), b'{"approved":true}') for id_ in some])


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def accept(rows: int) -> None:
    for database in ("SQLite", "PostgreSQL"):
        for callers in (1, 16, 200):
            with tempfile.TemporaryDirectory() as folder:
                async with opened(database, folder) as outbox:
                    numbers = itertools.count()
                    count = rows if callers > 1 else rows // 10
                    taken: list[float] = []

                    async def caller() -> None:
                        while (n := next(numbers)) < count:  # noqa: B023
                            began = time.perf_counter()
                            await outbox.complete_json(promise(n), VALUE)
                            taken.append(time.perf_counter() - began)  # noqa: B023

                    began = time.perf_counter()
                    await asyncio.gather(*(caller() for _ in range(callers)))
                    rate = count / (time.perf_counter() - began)
                    p99 = sorted(taken)[int(0.99 * count)] * 1e3
                    print(f"{database:<10} {callers:>4} callers {rate:>8,.0f}/s  p99 {p99:6.1f} ms")


async def deliver(rows: int) -> None:
    with server.running() as base, tempfile.TemporaryDirectory() as folder:
        async with opened("SQLite", folder) as outbox:
            await filled(outbox, [promise(n) for n in range(rows)])
            began = time.perf_counter()
            async with GolemClient(base, token=TOKEN) as client, outbox.delivering(client):
                await until_delivered(outbox)
            rate = rows / (time.perf_counter() - began)
            print(f"SQLite, one worker: {rate:,.0f}/s, peak {megabytes():.0f} MB")
        async with opened("PostgreSQL", folder) as outbox:
            await filled(outbox, [promise(n) for n in range(rows)])
            began = time.perf_counter()
            workers = [started(postgresql_url(), base, TOKEN) for _ in range(2)]
            await until_delivered(outbox)
            rate = rows / (time.perf_counter() - began)
            for worker in workers:
                worker.terminate()
            print(f"PostgreSQL, two workers, their start included: {rate:,.0f}/s")


def started(url: str, base: str, token: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url, base, token])


async def until_delivered(outbox: Outbox) -> None:
    while (await outbox.counts()).pending:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def crash(rows: int) -> None:
    """One of two workers (SQLite: the only one, which is started again) is killed in the middle."""
    for database in ("SQLite", "PostgreSQL"):
        for _ in range(3 if database == "PostgreSQL" else 1):
            with tempfile.TemporaryDirectory() as folder:
                async with FakeGolem() as golem, opened(database, folder) as outbox:
                    await crash_once(outbox, golem, rows, workers=1 + (database == "PostgreSQL"))


async def crash_once(outbox: Outbox, golem: FakeGolem, rows: int, workers: int) -> None:
    ids = [golem.create_promise() for _ in range(rows)]
    await filled(outbox, ids)
    url = outbox.engine.url.render_as_string(hide_password=False)
    running = [started(url, golem.url, golem.token) for _ in range(workers)]
    while len(golem.requests) < rows // 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    running[0].kill()
    killed_at = time.perf_counter()
    if workers == 1:
        running.append(started(url, golem.url, golem.token))
    await until_delivered(outbox)
    seconds = time.perf_counter() - killed_at
    for process in running:
        process.terminate()
        process.wait()
    outcomes = Counter([entry.outcome async for entry in outbox.entries()])
    lost = sum(golem.payload(id_) is None for id_ in ids)
    wrong = outcomes[Outcome.ALREADY_FULFILLED] + outcomes[None]
    unknown = outcomes[Outcome.FULFILLED_BY_UNKNOWN]
    print(
        f"{outbox.engine.dialect.name}: lost {lost}, wrong outcomes {wrong}, unknown {unknown}, "
        f"sent twice {len(golem.requests) - rows}, done {seconds:.1f} s after the kill (lease 10 s)"
    )


async def down(rows: int, seconds: float = 60) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with opened("SQLite", folder) as outbox, FakeGolem() as golem:
            await filled(outbox, [promise(n) for n in range(rows)])
            before = megabytes()
            golem.fail_next(503, times=10**9)
            cpu = time.process_time()
            async with GolemClient(golem.url, token=golem.token) as client:
                worker = asyncio.create_task(outbox.deliver(client))
                await asyncio.sleep(seconds)
                cpu = time.process_time() - cpu
                worker.cancel()
                await asyncio.wait([worker])
            async with outbox.engine.connect() as connection:
                query = "SELECT count(*) FROM golem_outbox_entries WHERE attempts > 0"
                tried = (await connection.execute(text(query))).scalar()
            print(
                f"{rows:,} rows, Golem down for {seconds:.0f} s: {len(golem.requests)} requests, "
                f"{tried} rows tried, {cpu:.1f} CPU s (the fake's included), "
                f"{megabytes() - before:.0f} MB more"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    works = {"accept": accept, "deliver": deliver, "crash": crash, "down": down}
    parser.add_argument("what", choices=works)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    asyncio.run(works[arguments.what](arguments.rows))


if __name__ == "__main__":
    main()
