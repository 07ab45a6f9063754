"""Interleaved rounds: A B A B, so that a machine that slows down slows all of them."""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

Call = Callable[[int], Awaitable[object]]


async def cpu_per_call(call: Call, calls: int, concurrency: int) -> float:
    """Return the CPU seconds of this process for one call."""
    numbers = itertools.count()

    async def worker() -> None:
        while (n := next(numbers)) < calls:
            await call(n)

    gc.collect()
    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return (time.process_time() - started) / calls


async def compare(
    contestants: dict[str, Call], *, rounds: int, calls: int, concurrency: int
) -> dict[str, list[float]]:
    """Return the CPU seconds a call of each contestant took, round by round."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        await cpu_per_call(call, calls // 4, concurrency)
    for _ in range(rounds):
        for name, call in contestants.items():
            taken[name].append(await cpu_per_call(call, calls, concurrency))
    return taken


def table(taken: dict[str, list[float]], base: str) -> str:
    """Return the medians, and the ratios to the base round by round with their spread."""
    lines = [f"{'':34} {'µs a call':>10} {'ratio':>7}   spread of the ratio"]
    for name, times in taken.items():
        ratios = sorted(time / own for time, own in zip(times, taken[base], strict=True))
        lines.append(
            f"{name:34} {statistics.median(times) * 1e6:>10.1f} "
            f"{statistics.median(ratios):>7.2f}   {ratios[0]:.2f}-{ratios[-1]:.2f}"
        )
    return "\n".join(lines)


def run(
    measure: Callable[[int, int], object],
    description: str | None,
    *,
    package: str,
    concurrency: int,
) -> None:
    """Take the rounds and the calls from the command line, print the heading, and measure."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {package} {version(package)}, "
        f"{platform.machine()}, concurrency {concurrency}; CPU time, medians of "
        f"{options.rounds} interleaved rounds of {options.calls} calls\n"
    )
    measure(options.rounds, options.calls)
