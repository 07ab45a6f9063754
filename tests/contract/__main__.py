"""A FakeGolem in a process of its own, to stand for a real Golem.

    python -m tests.contract --dialect 1.3 --ids ids.txt
    pytest tests/contract --golem-url URL --golem-token TOKEN --promise-ids ids.txt

It writes pending promises to the file, each in another spelling, then prints its URL and its
token, and runs until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from golem_client import PromiseId
from tests.contract.golem import DIALECTS, a_fake


def spelled(number: int, promise_id: PromiseId) -> str:
    """Return the id as a line of JSON, each number in another spelling."""
    component = promise_id.worker_id.component_id
    halves = {"high-bits": component.high_bits, "low-bits": component.low_bits}
    name, index = promise_id.worker_id.worker_name, promise_id.oplog_idx
    spellings = [
        str(promise_id),
        promise_id.to_json(),
        {"worker-id": {"component-id": {"uuid": halves}, "worker-name": name}, "oplog-idx": index},
        {"agentId": {"componentId": str(component), "agentId": name}, "oplogIdx": str(index)},
    ]
    return json.dumps(spellings[number % len(spellings)])


async def _serve(dialect: str, ids: str, number: int) -> None:
    async with a_fake(dialect) as (golem, _):
        lines = [spelled(n, golem.new_id()) for n in range(number)]
        await asyncio.to_thread(Path(ids).write_text, "\n".join(lines) + "\n", "utf-8")
        sys.stdout.write(f"{golem.url} {golem.token}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="1.5")
    parser.add_argument("--ids", metavar="FILE", required=True, help="where to write promises")
    parser.add_argument("--number", type=int, default=60, help="how many promises")
    options = parser.parse_args()
    asyncio.run(_serve(options.dialect, options.ids, options.number))


if __name__ == "__main__":
    main()
