"""JSON as serde_json reads it, and payloads as a worker reads and writes them."""

import contextlib
import enum
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golem_client.testing import worker_json

REFUSED = [
    b"", b"\n ", b"nul", b"nulx", b"True", b"NaN", b"Infinity", b"-Infinity", b"'a'", b"// a\n1",
    b"1 2", b"[", b"[1 2]", b"[1,]", b"[,1]", b"{1:2}", b'{"a" 1}', b'{"a":1,}', b'"a', b'"a\nb"',
    b'"\\x"', b'"\\u12G4"', b'"\\ud800"', b'["\\ud800\\n"]', b'{"\\uDC00":1}', b'"\xff"', b"\xff",
    b"\xef\xbb\xbf1", b"01", b"-", b"1.", b"1e", b"[1e400]", b"1" * 5000,
    b"[" * 128 + b"]" * 128, b'{"a":' * 128 + b"1" + b"}" * 128, b'["]",' * 128 + b"1" + b"]" * 128,
    b"[" * 200_000,
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_what_serde_json_refuses_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        worker_json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b' \t\r\n{"a" : [1 , 2.5e1, true, null]} ', {"a": [1, 25.0, True, None]}),
        (b'"\\ud83d\\ude00 \\\\ud800 \\u0000"', "\N{GRINNING FACE} \\ud800 \0"),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", float(2**64)),
        (b"-9223372036854775809", -float(2**63)),
        (b"18446744073709551616000000", 18446744073709551616e6),
        (b"-9223372036854775808", -(2**63)),
        (b"-0", -0.0),
        (b"1e-400", 0.0),
        (b'"' + b"[" * 300 + b'"', "[" * 300),
    ],
)
def test_what_serde_json_accepts_is_read(text: bytes, value: Any) -> None:
    read = worker_json.loads(text)
    assert (read, type(read)) == (value, type(value))


@given(st.binary(max_size=12))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        worker_json.loads(data)


WHO = UUID(int=1)


class Verdict(enum.Enum):
    YES = "yes"


@attrs.frozen
class Decision:
    approved: bool
    verdict: Verdict = Verdict.YES
    amount: Decimal = Decimal("1.50")
    who: UUID = WHO
    when: datetime = datetime(2026, 8, 1, 12, tzinfo=UTC)
    day: date = date(2026, 8, 1)
    took: timedelta = timedelta(seconds=1, microseconds=5)
    blob: bytes = b"\x00\xff"
    tags: tuple[str, ...] = ("a",)
    ratio: float = 1.5


WRITTEN = (
    '{"approved":true,"verdict":"yes","amount":"1.50",'
    '"who":"00000000-0000-0000-0000-000000000001","when":"2026-08-01T12:00:00+00:00",'
    '"day":"2026-08-01","took":{"secs":1,"nanos":5000},"blob":[0,255],"tags":["a"],"ratio":1.5}'
)


def test_a_worker_writes_json_as_serde_does() -> None:
    assert worker_json.write(Decision(True)).decode() == WRITTEN


def test_a_worker_reads_what_it_writes() -> None:
    assert worker_json.read(WRITTEN.encode(), Decision) == Decision(True)


@pytest.mark.parametrize(
    ("payload", "type_"),
    [
        (b"1.0", int),
        (b'"1"', int),
        (b"true", int),
        (b"1", bool),
        (b'"false"', bool),
        (b"1", str),
        (b'"1.5"', float),
        (b"1", UUID),
        (b'"x"', UUID),
        (b"[256]", bytes),
        (b'"AP8="', bytes),
        (b"1", timedelta),
        (b'{"approved":"yes"}', Decision),
        (b"{}", Decision),
        (b'"no"', Verdict),
        (b'["1"]', list[int]),
    ],
)
def test_a_worker_coerces_nothing(payload: bytes, type_: Any) -> None:
    """What serde refuses for the type is a ValueError."""
    with pytest.raises(ValueError, match="not a "):
        worker_json.read(payload, type_)


def test_a_type_that_cattrs_does_not_know_is_not_the_payloads_fault() -> None:
    """A pydantic model, say: the message says what to do instead."""
    with pytest.raises(TypeError, match="cattrs cannot make a Row of JSON: leave the type out"):
        worker_json.read(b"{}", type("Row", (pydantic.BaseModel,), {}))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (b'{"a":1,"b":2}', b' {"b": 2, "a": 1}', True),
        (b"true", b"1", False),
        (b"1", b"1.0", False),
        (b"not json", b"not json", False),
    ],
)
def test_payloads_are_equal_when_their_json_is(one: bytes, other: bytes, equal: bool) -> None:
    assert worker_json.equal(one, other) is equal


def test_reading_a_large_body_takes_no_call_for_each_number() -> None:
    """A payload of a megabyte is read in a fraction of a second."""
    body = json.dumps({"data": [255] * 1_000_000}).encode()
    assert len(worker_json.loads(body)["data"]) == 1_000_000
