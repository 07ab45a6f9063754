"""Completing 4 MB: memory, how long the loop is blocked, and time over a slow link.

python -m tests.benchmarks.large
"""

from __future__ import annotations

import asyncio
import io
import random
import statistics
import time
import tracemalloc

import aiohttp

from golem_client import GolemClient
from golem_client.wire.request import Request
from tests.benchmarks import server
from tests.benchmarks.completions import PROMISE_ID, TOKEN, url_of
from tests.benchmarks.encoding import compact

PAYLOAD = random.Random(1).randbytes(4_000_000)
TEXT = "0123456789abcdef" * 250_000
GIGABIT = 125_000_000


async def longest_block(client: GolemClient, payload: bytes | str) -> float:
    """Return the longest time, in seconds, for which nothing else could run."""
    longest, done = 0.0, False

    async def watch() -> None:
        nonlocal longest
        before = time.perf_counter()
        while not done:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    if isinstance(payload, str):
        await client.complete_text(PROMISE_ID, payload)
    else:
        await client.complete_bytes(PROMISE_ID, payload)
    done = True
    await watcher
    return longest


async def peak_memory(client: GolemClient) -> float:
    """Return the peak of Python's memory over its baseline, in payloads."""
    tracemalloc.start()
    baseline, _ = tracemalloc.get_traced_memory()
    await client.complete_bytes(PROMISE_ID, PAYLOAD)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - baseline) / len(PAYLOAD)


async def seconds_of(client: GolemClient, base: str) -> tuple[float, float]:
    """Return the seconds of a completion of 4 MB as it is, and of one in the compact form."""
    started = time.perf_counter()
    await client.complete_bytes(PROMISE_ID, PAYLOAD)
    ours = time.perf_counter() - started
    async with aiohttp.ClientSession() as session:
        started = time.perf_counter()
        body = b'{"oplogIdx":42,"data":' + compact(PAYLOAD) + b"}"
        async with session.post(url_of(base), data=io.BytesIO(body)) as answer:
            await answer.read()
        return ours, time.perf_counter() - started


async def measure() -> None:
    with server.running() as base:
        async with GolemClient(base, token=TOKEN) as client:
            await client.complete_bytes(PROMISE_ID, b"warm")
            print(f"peak memory over baseline: {await peak_memory(client):.2f} payloads")
            for name, payload in (("bytes", PAYLOAD), ("text", TEXT)):
                blocks = [await longest_block(client, payload) for _ in range(9)]
                milliseconds = statistics.median(blocks) * 1e3
                print(f"longest block of the loop, 4 MB of {name}: {milliseconds:.1f} ms")
    for name, rate in (("loopback", 0), ("1 Gbit/s", GIGABIT)):
        with server.running(rate) as base:
            async with GolemClient(base, token=TOKEN) as client:
                times = [await seconds_of(client, base) for _ in range(9)]
        ours, compacted = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        print(f"4 MB over {name}: {ours:.0f} ms padded, {compacted:.0f} ms compact")


def main() -> None:
    size = Request("", {}, PAYLOAD, b'{"oplogIdx":42,"data":[', "").size / len(PAYLOAD)
    print(f"bytes on the wire per payload byte: {size:.3f}")
    asyncio.run(measure())


if __name__ == "__main__":
    main()
