"""What it costs to parse a promise id, in multiples of `uuid.UUID(text)`.

python -m tests.benchmarks.ids
"""

from __future__ import annotations

import json
import statistics
import timeit
from collections.abc import Callable
from uuid import UUID

from golem_client import PromiseId

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
PROMISE = PromiseId.parse(f'{COMPONENT}/MyAgent("x")/42')
TEXT, REST = str(PROMISE), PROMISE.to_json()
JSON = json.dumps(REST)
HALVES = {"high-bits": UUID(COMPONENT).int >> 64, "low-bits": UUID(COMPONENT).int % 2**64}
WIT = {
    "worker-id": {"component-id": {"uuid": HALVES}, "worker-name": "w1"},
    "oplog-idx": 42,
}
ANSWER = {"result": {"typ": {"type": "Tuple"}, "value": [WIT]}}
PYTHON = repr(WIT)

CONTESTANTS: dict[str, Callable[[], object]] = {
    "uuid.UUID(text)": lambda: UUID(COMPONENT),
    "REST mapping": lambda: PromiseId.parse(REST),
    "text": lambda: PromiseId.parse(TEXT),
    "JSON text": lambda: PromiseId.parse(JSON),
    "answer of Golem 1.2": lambda: PromiseId.parse(ANSWER),
    "repr in Python": lambda: PromiseId.parse(PYTHON),
}


def main(rounds: int = 15, calls: int = 3000) -> None:
    taken: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, parse in CONTESTANTS.items():
            taken[name].append(timeit.timeit(parse, number=calls) / calls)
    for name, times in taken.items():
        ratios = [own / base for own, base in zip(times, taken["uuid.UUID(text)"], strict=True)]
        print(
            f"{name:20} {statistics.median(times) * 1e6:6.2f} µs {statistics.median(ratios):6.2f}"
        )


if __name__ == "__main__":
    main()
