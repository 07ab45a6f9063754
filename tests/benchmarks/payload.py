"""Values to JSON, in CPU time, beside what the libraries they are made with cost by themselves.

python -m tests.benchmarks.payload
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import cattrs
import pydantic

from golem_client.payload import encode_json

ROWS, MODELS, SMALL = 20_000, 5_000, 2_000


@attrs.frozen
class Row:
    id: int
    name: str
    is_open: bool
    price: float
    parts: list[int]


@dataclass
class PlainRow:
    id: int
    name: str
    is_open: bool
    price: float
    parts: list[int]


class DictRow(TypedDict):
    id: int
    name: str
    is_open: bool
    price: float
    parts: list[int]


class ModelRow(pydantic.BaseModel):
    id: int
    name: str
    is_open: bool
    price: float
    parts: list[int]


class Table(pydantic.BaseModel):
    rows: list[ModelRow]


def rows_of(cls: Callable[..., Any], count: int) -> list[Any]:
    return [
        cls(id=n, name=f"row {n}", is_open=n % 2 == 0, price=n / 3, parts=[n, n + 1, n + 2])
        for n in range(count)
    ]


def cpu(call: Callable[[], object]) -> float:
    """Return the milliseconds of the quickest of seven calls."""
    taken = []
    for _ in range(7):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken) * 1e3


def report(name: str, ours: float, theirs: float, aim: str) -> None:
    print(f"{name:34} {ours:>8.2f} {theirs:>8.2f} {ours / theirs:>6.2f}  {aim}")


def main() -> None:
    plain_cattrs = cattrs.Converter()
    rows = rows_of(Row, ROWS)
    by_cattrs = cpu(lambda: json.dumps(plain_cattrs.unstructure(rows, list[Row])))
    table = Table(rows=rows_of(ModelRow, MODELS))
    by_pydantic = cpu(table.model_dump_json)
    small = {"approved": True, "by": "ada", "amount": 4200}
    by_json = cpu(lambda: [json.dumps(small).encode() for _ in range(SMALL)])

    print(f"{'':34} {'ours':>8} {'theirs':>8} {'ratio':>6}")
    print(f"{ROWS} rows, beside cattrs and json.dumps of the attrs class")
    plain_rows, dict_rows = rows_of(PlainRow, ROWS), rows_of(DictRow, ROWS)
    report("  attrs class", cpu(lambda: encode_json(rows)), by_cattrs, "at most 2")
    report("  dataclass", cpu(lambda: encode_json(plain_rows)), by_cattrs, "near it")
    as_rows = cpu(lambda: encode_json(dict_rows, list[DictRow]))
    report("  TypedDict", as_rows, by_cattrs, "near it")
    print(f"{ROWS} dictionaries of no declared type, beside json.dumps")
    by_dumps = cpu(lambda: json.dumps(dict_rows))
    report("  dictionaries", cpu(lambda: encode_json(dict_rows)), by_dumps, "near 1.3")
    print(f"{MODELS} rows, beside model_dump_json of one model of all")
    report("  one model", cpu(lambda: encode_json(table)), by_pydantic, "at most 2.5")
    report("  a list of models", cpu(lambda: encode_json(table.rows)), by_pydantic, "at most 3")
    print(f"{SMALL} small dictionaries, beside json.dumps")
    small_ones = cpu(lambda: [encode_json(small) for _ in range(SMALL)])
    report("  each by itself", small_ones, by_json, "")


if __name__ == "__main__":
    main()
