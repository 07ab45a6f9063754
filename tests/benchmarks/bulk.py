"""`golem-promise bulk` against a naive `gather` over bare aiohttp, in turns, same server.

python -m tests.benchmarks.bulk [LINES [ROUNDS]]
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import click

from golem_client.cli.group import golem_promise, run
from tests.benchmarks import server

WORKER = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w"
TOKEN = "5c832d93-ff85-4a8f-9803-513950fdfdb1"


def write(file: Path, count: int) -> None:
    with file.open("w") as lines:
        for n in range(count):
            line = {"id": f"{WORKER}{n % 100}/{n}", "json": {"approved": True, "order": n}}
            lines.write(json.dumps(line) + "\n")


async def gather(file: Path, base: str) -> None:
    """Complete every line as people paste it: no retries, no results, all in memory."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def complete(line: str) -> None:
            fields = json.loads(line)
            component, worker, index = fields["id"].split("/")
            url = f"{base}/v1/components/{component}/workers/{worker}/complete"
            payload = json.dumps(fields["json"]).encode()
            body = {"oplogIdx": int(index), "data": list(payload)}
            async with session.post(url, json=body) as response:
                assert await response.json() is True

        with file.open() as lines:
            await asyncio.gather(*map(complete, lines))


def ours(file: Path, base: str) -> None:
    results = file.with_name("done.jsonl")
    code = run(["bulk", str(file), "--url", base, "--results", str(results)])
    assert code == 0
    results.unlink()


def measured(work: Callable[[], None], lines: int) -> None:
    """Print the lines a second by the clock and by this process's time, and its peak memory."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([lines / wall, lines / cpu, peak]))


def in_a_process(*arguments: str) -> list[float]:
    command = [sys.executable, "-m", "tests.benchmarks.bulk", *arguments]
    environment = {**os.environ, "GOLEM_AUTH_TOKEN": TOKEN}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder, server.running() as base:
        file = Path(folder) / "lines.jsonl"
        write(file, count)
        for _ in range(rounds):
            naive = in_a_process("gather", str(file), base, str(count))
            own = in_a_process("ours", str(file), base, str(count))
            print(
                f"bulk {own[0]:6.0f}/s, {own[1]:6.0f} per CPU second, {own[2]:4.0f} MB; "
                f"gather {naive[0]:6.0f}/s, {naive[1]:6.0f} per CPU second, {naive[2]:4.0f} MB; "
                f"ratio {own[0] / naive[0]:.2f} by the clock, {own[1] / naive[1]:.2f} by CPU"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["gather"]:
        path, url = Path(sys.argv[2]), sys.argv[3]
        measured(lambda: asyncio.run(gather(path, url)), int(sys.argv[4]))
    elif sys.argv[1:2] == ["ours"]:
        golem_promise.get_command(click.Context(golem_promise), "bulk")  # imports it
        path, url = Path(sys.argv[2]), sys.argv[3]
        measured(lambda: ours(path, url), int(sys.argv[4]))
    else:
        main()
