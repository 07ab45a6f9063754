"""Python values -> payload bytes: the table, and what holds for every value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from typing import Any
from uuid import UUID

import attrs
import cattrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golem_client.errors import PayloadError
from golem_client.payload import encode_bytes, encode_json, encode_text, make_converter
from tests.serde.table import ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_table(row: Row) -> None:
    """Each row of tests/serde/table.py is written as its JSON."""
    assert row.json.encode() == encode_json(row.value, row.as_type, row.converter)


def test_a_converter_unstructures_what_is_encoded() -> None:
    """`converter.unstructure` is the tree of exactly the builtin types that json writes."""
    trees = {row.name: row.converter.unstructure(row.value, row.as_type) for row in ROWS}
    assert {row.name: json.loads(row.json) for row in ROWS} == {
        name: json.loads(json.dumps(tree)) for name, tree in trees.items()
    }
    assert _types([*trees.values()]) <= {dict, list, str, int, float, bool, type(None)}


def _types(tree: Any) -> set[type]:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return {type(tree)}.union(
        *map(_types, inner), map(type, tree if isinstance(tree, dict) else ())
    )


def test_no_two_rows_share_a_name() -> None:
    """The names are the ids of the tests, here and in Rust."""
    assert len({row.name for row in ROWS}) == len(ROWS)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**308) + 1, 10**308 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)


def _as_json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    return value


@settings(deadline=None)
@given(_VALUES)
def test_plain_values_round_trip(value: Any) -> None:
    """What is written reads back as the same value, whichever way it was written."""
    encoded = encode_json(value)
    assert _as_json(value) == json.loads(encoded)
    assert encoded == encode_json(value, object), "the walk writes what json writes at once"


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "last",
    [
        *({}, [], [[1, None]], {"a": {"b": [1.5, "x", True]}}, (1, [2]), {"a": ({"b": 1},)}),
        *({1: 2}, {"a": {1, 2}}, {"a": Level.LOW}, OrderedDict(a=1), [Decimal(1)], "text", None),
    ],
    ids=repr,
)
def test_long_lists_are_written_as_short_ones(last: Any) -> None:
    """A list of nothing but plain values is checked at once, without rules."""
    rows = [{"a": 1, "b": [1, {"c": None}]}] * 50
    written = b",".join(map(encode_json, [*rows, last]))
    assert encode_json([*rows, last]) == b"[" + written + b"]"
    tree = make_converter().unstructure([*rows, last])
    assert tree == json.loads(b"[" + written + b"]")
    assert _types(tree) <= {dict, list, str, int, float, bool, type(None)}


def test_what_is_wrong_in_a_long_list_has_its_path() -> None:
    """Also NaN, which is only found in the text, and what is too large or too deep."""
    rows: list[Any] = [{"a": [1]}] * 50
    cycle: list[Any] = [1]
    cycle.append(cycle)
    deep: Any = 1
    for _ in range(126):
        deep = [deep]
    assert encode_json([*rows, deep])
    for last, refusal in [
        ({"a": [1.5, float("nan")]}, "$[50].a[1]: is not a finite"),
        ({"a": {1: 1, "1": 2}}, '$[50].a["1"]: is the text of two keys'),
        ({"a": [object()]}, "$[50].a[0]: is of type object"),
        ([cycle], f"$[50][0]{'[1]' * 6}…[1]"),
        ([deep], f"$[50]{'[0]' * 7}…[0]"),
        ({"a": [[1] * 500]}, "$: is more than 1000 bytes"),
    ]:
        with pytest.raises(PayloadError) as caught:
            encode_json([*rows, last], max_bytes=1000)
        assert caught.value.message.startswith(refusal)


def test_a_hook_is_used_in_long_lists() -> None:
    """A hook for a plain type, or for a container."""
    for cls, expected in [(int, '{"a":"<1>"}'), (dict, "\"<{'a': 1}>\"")]:
        converter = make_converter()
        converter.register_unstructure_hook(cls, lambda value: f"<{value}>")
        encoded = encode_json([{"a": 1}] * 50, converter=converter)
        assert json.loads(encoded) == [json.loads(expected)] * 50


@attrs.frozen
class Approved:
    by: UUID


@attrs.frozen
class Rejected:
    reasons: tuple[str, ...]


@attrs.frozen
class Case:
    at: datetime
    took: timedelta
    price: Decimal
    raw: bytes
    tags: frozenset[str]
    by_number: dict[int, date | None]
    decision: Approved | Rejected


def _duration(value: dict[str, int]) -> timedelta:
    return timedelta(seconds=value["secs"], microseconds=value["nanos"] // 1000)


def _read(read: Any, value: Any, _: object) -> Any:
    return read(value)


def _reader() -> cattrs.Converter:
    """Return what reads the JSON back without any code of ours, as a worker does."""
    reader = cattrs.Converter()
    readers: list[tuple[Any, Any]] = [
        (datetime, datetime.fromisoformat),
        (date, date.fromisoformat),
        (timedelta, _duration),
        (Decimal, Decimal),
        (bytes, bytes),
        (UUID, UUID),
    ]
    for cls, read in readers:
        reader.register_structure_hook(cls, partial(_read, read))
    variants = {"Approved": Approved, "Rejected": Rejected}

    def read_decision(tagged: dict[str, Any], _: object) -> Any:
        ((name, content),) = tagged.items()
        return reader.structure(content, variants[name])

    reader.register_structure_hook(Approved | Rejected, read_decision)
    reader.register_structure_hook(
        date | None, lambda day, _: None if day is None else date.fromisoformat(day)
    )
    return reader


_READER = _reader()
_TAGGED = make_converter(externally_tagged=[Approved | Rejected])


_CASES = st.builds(
    Case,
    at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(minutes=-90))])),
    took=st.timedeltas(min_value=timedelta(0)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    raw=st.binary(),
    tags=st.frozensets(st.text()),
    by_number=st.dictionaries(st.integers(), st.none() | st.dates()),
    decision=st.builds(Approved, st.uuids()) | st.builds(Rejected, st.lists(st.text()).map(tuple)),
)


@settings(deadline=None)
@given(_CASES)
def test_typed_values_round_trip(case: Case) -> None:
    """What a worker reads is what was sent, to the last digit."""
    assert _READER.structure(json.loads(encode_json(case, converter=_TAGGED)), Case) == case


_KEYS = st.one_of(st.text(), st.integers(), st.uuids(), st.floats(), st.none(), st.booleans())
_LEAVES = st.one_of(
    *(st.none(), st.text(), st.integers(), st.floats(), st.decimals(), st.binary()),
    *(st.dates(), st.datetimes(), st.timedeltas(), st.uuids(), st.complex_numbers()),
)


@settings(deadline=None)
@given(
    st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner)),
)
def test_any_value_is_written_or_refused(value: Any) -> None:
    """Nothing but a PayloadError is raised, and what is written is JSON."""
    encoded = refusal = None
    try:
        encoded = encode_json(value)
    except PayloadError as error:
        refusal = error.message
    if encoded is None:
        assert str(refusal).startswith("$")
    else:
        json.loads(encoded, parse_constant=pytest.fail)


_PROGRAM = """
import sys
from typing import Any
from uuid import UUID
import attrs
from golem_client.payload import encode_json

assert "pydantic" not in sys.modules, "whoever has no pydantic pays nothing for it"
import pydantic

@attrs.frozen
class Tag:
    name: str

class Tags(pydantic.BaseModel):
    tags: set[str]
    any: Any
    by_name: dict[str, frozenset[int]] = {}

class Odd(pydantic.BaseModel):
    metadata: set[str]
    default: list[set[str]]
    type: str = "x"

words = {"a", "b", "cc", "é", ""}
tags = Tags(tags=words, any=[{"x": words}], by_name={"n": frozenset({3, 10, 1})})
value = {
    "texts": words,
    "mixed": {1, 2.5, "x", None, (1, 2), frozenset({"p", "q", "r"})},
    "objects": {Tag("a"), Tag("b"), Tag("c")},
    "ids": {UUID(int=n) for n in range(9)},
    "models": [tags, {"t": tags}, Odd(metadata=words, default=[words])],
}
print(encode_json(value).hex())
"""


def test_bytes_are_the_same_in_every_process() -> None:
    """Sets have a fixed order, whatever their hashes; in models also where a field is Any."""
    written = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    (encoded,) = written
    words = ["", "a", "b", "cc", "é"]
    tags = {"tags": words, "any": [{"x": words}], "by_name": {"n": [1, 3, 10]}}
    assert json.loads(bytes.fromhex(encoded)) == {
        "texts": words,
        "mixed": [1, 2.5, "x", ["p", "q", "r"], [1, 2], None],
        "objects": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        "ids": [str(UUID(int=number)) for number in range(9)],
        "models": [tags, {"t": tags}, {"metadata": words, "default": [words], "type": "x"}],
    }


@pytest.mark.parametrize("place", [0, 2])
def test_equal_numbers_in_a_set_have_a_fixed_order(place: int) -> None:
    """An enum's member may have the value 1 beside 1.0, and its hash differs in each process."""

    class Rank(Enum):
        FIRST = 1

        def __hash__(self) -> int:
            return place

    assert encode_json({Rank.FIRST, 1.0}) == b"[1,1.0]"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_sent_as_they_are(kind: Any) -> None:
    """bytes, bytearray and memoryview are sent unchanged."""
    encoded = encode_bytes(kind(b"\x00\xff"))
    assert (bytes, b"\x00\xff") == (type(encoded), encoded)


def test_bytes_are_a_copy() -> None:
    """Changing a bytearray later changes nothing."""
    given_bytes = bytearray(b"ab")
    encoded = encode_bytes(given_bytes)
    given_bytes[0] = 0
    assert encoded == b"ab"


@pytest.mark.parametrize("value", ["hunter2", None, 5, [104], {"a": 1}], ids=repr)
def test_only_bytes_are_bytes(value: Any) -> None:
    """Anything else is refused, with what to call instead."""
    with pytest.raises(PayloadError, match=r"not bytes; use complete_text .* complete_json"):
        encode_bytes(value)


def test_text_is_utf8() -> None:
    """Text is sent as UTF-8, without a byte order mark or quotes."""
    assert encode_text("é\U0001f600") == "é\U0001f600".encode()


@pytest.mark.parametrize("value", [b"hunter2", None, 5], ids=repr)
def test_only_text_is_text(value: Any) -> None:
    """Anything else is refused, with what to call instead."""
    with pytest.raises(PayloadError, match=r"not text; use complete_bytes .* complete_json"):
        encode_text(value)


def test_text_with_a_lone_surrogate_is_refused() -> None:
    """UTF-8 cannot carry it; the message does not show the text."""
    with pytest.raises(PayloadError, match="lone surrogate at index 7") as caught:
        encode_text("hunter2\ud800")
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("encode", "payload"),
    [(encode_bytes, b"hunter"), (encode_text, "hunt\u00e9")],
    ids=["bytes", "text"],
)
def test_bytes_and_text_have_a_largest_size(encode: Any, payload: Any) -> None:
    """Bytes are counted, not letters; the message names the client's option and not the payload."""
    assert len(encode(payload, max_bytes=6)) == 6
    with pytest.raises(PayloadError) as caught:
        encode(payload, max_bytes=5)
    assert caught.value.message == "the payload has 6 bytes, and max_payload_bytes is 5"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_equal_decimals_of_different_digits_differ() -> None:
    """A Decimal keeps its zeros."""
    assert [encode_json(Decimal(text)) for text in ("1.10", "1.1")] == [b'"1.10"', b'"1.1"']
