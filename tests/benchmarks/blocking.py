"""A small completion, in CPU time, by eight tasks and, blocking, by eight threads.

python -m tests.benchmarks.blocking [--rounds 15] [--calls 2000]
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time

from golem_client import GolemClient
from golem_client.blocking import BlockingGolemClient
from tests.benchmarks import server
from tests.benchmarks.completions import PROMISE_ID, TOKEN, VALUE, ours
from tests.benchmarks.rounds import cpu_per_call, run

CONCURRENCY = 8


def blocking_cpu_per_call(client: BlockingGolemClient, calls: int) -> float:
    """Return the CPU seconds of this process for one call."""

    def work() -> None:
        for _ in range(calls // CONCURRENCY):
            client.complete_json(PROMISE_ID, VALUE)

    threads = [threading.Thread(target=work) for _ in range(CONCURRENCY)]
    gc.collect()
    started = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - started) / calls


async def asyncio_cpu_per_call(base: str, calls: int) -> float:
    async with GolemClient(base, token=TOKEN) as client:
        await cpu_per_call(ours(client), calls // 4, CONCURRENCY)
        return await cpu_per_call(ours(client), calls, CONCURRENCY)


def measure(rounds: int, calls: int) -> None:
    tasks, threads = [], []
    with server.running() as base, BlockingGolemClient(base, token=TOKEN) as client:
        blocking_cpu_per_call(client, calls // 4)
        for _ in range(rounds):
            tasks.append(asyncio.run(asyncio_cpu_per_call(base, calls)) * 1e6)
            threads.append(blocking_cpu_per_call(client, calls) * 1e6)
    more = sorted(thread - task for thread, task in zip(threads, tasks, strict=True))
    print(f"asyncio   {statistics.median(tasks):>7.1f} µs a call")
    print(f"blocking  {statistics.median(threads):>7.1f} µs a call")
    print(f"more      {statistics.median(more):>7.1f} µs, from {more[0]:.1f} to {more[-1]:.1f}")


if __name__ == "__main__":
    run(measure, __doc__, package="aiohttp", concurrency=CONCURRENCY)
