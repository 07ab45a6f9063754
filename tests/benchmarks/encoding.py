"""Bytes to the JSON array of numbers in which they travel, in CPU time.

python -m tests.benchmarks.encoding
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable

import orjson

from golem_client.wire.request import Request, number_list

MEGABYTE = random.Random(1).randbytes(1_000_000)
TEXT = (b'{"status":"approved","reviewer":"ada","note":"as agreed by telephone"},' * 15_000)[
    :1_000_000
]


def ours(payload: bytes) -> bytes:
    return b"".join(Request("", {}, payload, b'{"oplogIdx":42,"data":[', "").pieces())


def compact(payload: bytes) -> bytes:
    """The same without the padding: one more pass, and a length that is not known before."""
    return b"[" + number_list(payload)[:-1].translate(None, b" ") + b"]"


def with_json(payload: bytes) -> bytes:
    return json.dumps(list(payload), separators=(",", ":")).encode()


CONTESTANTS: dict[str, Callable[[bytes], bytes]] = {
    "ours": ours,
    "ours, compact": compact,
    "json.dumps(list(data))": with_json,
    "orjson.dumps(list(data))": lambda payload: orjson.dumps(list(payload)),
}


def cpu(encode: Callable[[bytes], bytes], payload: bytes) -> float:
    started = time.process_time()
    encode(payload)
    return time.process_time() - started


def main() -> None:
    for name, payload in (("random bytes", MEGABYTE), ("JSON text", TEXT)):
        taken: dict[str, list[float]] = {encoder: [] for encoder in CONTESTANTS}
        for _ in range(15):
            for encoder, encode in CONTESTANTS.items():
                taken[encoder].append(cpu(encode, payload))
        print(f"1 MB of {name:18} {'ms':>7} {'to ours':>8} {'bytes a byte':>13}")
        for encoder, encode in CONTESTANTS.items():
            ratio = statistics.median(
                time / own for time, own in zip(taken[encoder], taken["ours"], strict=True)
            )
            milliseconds = statistics.median(taken[encoder]) * 1e3
            size = len(encode(payload)) / len(payload)
            print(f"  {encoder:26} {milliseconds:>7.2f} {ratio:>8.2f} {size:>13.2f}")


if __name__ == "__main__":
    main()
