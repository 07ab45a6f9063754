"""10,000 completions at concurrency 1,000 on one client, against a bare aiohttp session.

python -m tests.benchmarks.crowd
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import time

import aiohttp

from golem_client import GolemClient
from tests.benchmarks import server
from tests.benchmarks.completions import TOKEN, bare, ours
from tests.benchmarks.rounds import Call

CALLS, CONCURRENCY = 10_000, 1_000


async def latencies(call: Call) -> list[float]:
    """Return the seconds of each call, sorted."""
    numbers = itertools.count()
    taken: list[float] = []

    async def worker() -> None:
        while (n := next(numbers)) < CALLS:
            started = time.perf_counter()
            await call(n)
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return sorted(taken)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main() -> None:
    with server.running() as base:
        connector = aiohttp.TCPConnector(limit=100)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            GolemClient(base, token=TOKEN) as client,
        ):
            ratios = []
            for _ in range(5):
                theirs, own = await latencies(bare(session, base)), await latencies(ours(client))
                p99 = int(0.99 * CALLS)
                ratios.append(own[p99] / theirs[p99])
                print(
                    f"p50 {own[CALLS // 2] * 1e3:6.1f} ms, p99 {own[p99] * 1e3:6.1f} ms; "
                    f"bare p99 {theirs[p99] * 1e3:6.1f} ms; peak {peak_megabytes():.0f} MB"
                )
            print(f"p99 to bare aiohttp's: {sorted(ratios)[2]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
