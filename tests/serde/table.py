"""The table of payloads: a Python value, its bytes, and the Rust type that reads them.

`tests/test_payload.py` checks the bytes; `cargo run` here checks that real serde_json reads each
row into its type, and writes the same JSON from it:

    python -m tests.serde.table > /tmp/rows.jsonl
    cp -r tests/serde /tmp/serde && cd /tmp/serde && cargo run -- /tmp/rows.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from types import MappingProxyType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import pydantic
from pydantic.alias_generators import to_camel

from golem_client.ids import PromiseId
from golem_client.payload import encode_json, make_converter

T = TypeVar("T")

UUID_TEXT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
ID = UUID(UUID_TEXT)
PROMISE = PromiseId.parse(f"{UUID_TEXT}/w1/42")


class Status(Enum):
    """By value, as serde's unit variants with rename."""

    PENDING = "Pending"
    DONE = "Done"


class Colour(StrEnum):
    """An enum that is text."""

    RED = "red"


class Level(IntEnum):
    """An enum that is a number."""

    LOW = 1


class Access(IntFlag):
    """A set of bits."""

    READ = 1
    WRITE = 2


class Nested(Enum):
    """An enum whose values have rules of their own."""

    PRICE = Decimal("1.10")
    PAIR = (1, 2)


class Name(str):
    """Text by inheritance."""

    __slots__ = ()


@attrs.frozen
class Item:
    """An attrs class."""

    name: str
    price: Decimal
    tags: tuple[str, ...] = ()


@dataclass
class Order:
    """A dataclass around attrs classes."""

    id: UUID
    items: list[Item]
    at: datetime
    took: timedelta | None = None
    total: Decimal = field(init=False, default=Decimal("2.20"))


@attrs.define
class Base:
    """What is declared."""

    a: int


@attrs.define
class Derived(Base):
    """What is there."""

    b: int = 2


@attrs.define
class Holder:
    """Declares the base."""

    held: Base


@attrs.define
class Slotted:
    """A private attribute, and one that the constructor does not take."""

    _private: int
    count: int = attrs.field(init=False, default=3)


@attrs.frozen
class Box(Generic[T]):
    """A generic class."""

    content: T


class Point(NamedTuple):
    """A NamedTuple."""

    x: int
    y: float


class Settings(TypedDict):
    """A TypedDict."""

    max_items: int
    note: NotRequired[str]


class Address(pydantic.BaseModel):
    """A pydantic model."""

    street: str
    since: date
    stay: Annotated[float, pydantic.Field(ge=0)]
    key: UUID
    fee: Decimal
    parts: set[int] = set()


@attrs.frozen
class Approved:
    """A unit variant."""


@attrs.frozen
class Rejected:
    """A struct variant."""

    reason: str


class Shifted(NamedTuple):
    """A tuple variant."""

    x: int
    y: int


class Noted(NamedTuple):
    """A newtype variant."""

    note: str


Decision = Approved | Rejected
Movement = Shifted | Noted | Status | Colour | Decision
Millis = NewType("Millis", int)

PLAIN = make_converter()
TAGGED = make_converter(
    externally_tagged={
        Decision: {Rejected: "Denied"},
        Movement: {},
    }
)


@attrs.frozen
class Report:
    """Tagged unions inside others."""

    decision: Decision
    earlier: list[Decision]
    by_name: dict[str, Decision | None]


DECIDED = make_converter(externally_tagged=[Decision])
CAMEL = make_converter(key_style="camelCase")


@attrs.frozen
class Keyed:
    """A class whose keys have a style."""

    first_name: str
    last_seen_at: int | None
    free_form: dict[str, int]


class CamelModel(pydantic.BaseModel):
    """A model whose keys have a style, by pydantic's own alias generator."""

    model_config = pydantic.ConfigDict(serialize_by_alias=True, alias_generator=to_camel)

    first_name: str
    last_seen_at: int | None
    free_form: dict[str, int]


@attrs.frozen
class Row:
    """One row of the table.

    Attributes:
        name: What it shows.
        value: The value.
        json: Its bytes, as text.
        rust: The Rust type that reads it; the program in this folder knows it.
        as_type: The type it is written as.
        converter: Its converter.
    """

    name: str
    value: Any
    json: str
    rust: str
    as_type: Any = None
    converter: Any = PLAIN


class Reading(Sequence[int]):
    """A sequence of the user's own."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return (7, 8)[index]


class Lookup(Mapping[str, int]):
    """A mapping of the user's own."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter(["a"])

    def __getitem__(self, key: str) -> int:
        return 1


DEEP: list[Any] = []
for _ in range(126):
    DEEP = [DEEP]

AT = datetime(2026, 8, 21, 12, 30, 15, 250_000, tzinfo=UTC)
UTC_PLUS = timezone(timedelta(hours=5, minutes=30))
REST = f'{{"workerId":{{"componentId":"{UUID_TEXT}","workerName":"w1"}},"oplogIdx":42}}'

ROWS = [
    Row("none", None, "null", "Option<i64>"),
    Row("none for unit", None, "null", "()", type(None)),
    Row("true", True, "true", "bool"),
    Row("integer", -5, "-5", "i64"),
    Row("largest u64", 2**64 - 1, "18446744073709551615", "u64"),
    Row("largest u128", 2**128 - 1, str(2**128 - 1), "u128"),
    Row("int for a float", 3, "3", "f64", float),
    Row("float", 1.5, "1.5", "f64"),
    Row("small float", 5e-324, "5e-324", "f64"),
    Row("large float", 1e16, "1e+16", "f64"),
    Row("largest float", 1.7976931348623157e308, "1.7976931348623157e+308", "f64"),
    Row("negative zero", -0.0, "-0.0", "f64"),
    Row("text", "héé \U0001f600", '"héé \U0001f600"', "String"),
    Row("escapes", 'a"\\\n\x00\x7f\u2028', '"a\\"\\\\\\n\\u0000\x7f\u2028"', "String"),
    Row("one letter", "é", '"é"', "char"),
    Row("text by inheritance", Name("ann"), '"ann"', "String"),
    Row("list", [1, None, 3], "[1,null,3]", "Vec<Option<i64>>"),
    Row("empty list", [], "[]", "Vec<Option<i64>>"),
    Row("tuple", (1, "a"), '[1,"a"]', "(i64, String)"),
    Row("deque", deque([1, 2]), "[1,2]", "Vec<i64>"),
    Row("range", range(3), "[0,1,2]", "Vec<i64>"),
    Row("other sequence", Reading(), "[7,8]", "Vec<i64>"),
    Row("set of numbers", {10, 9, 1}, "[1,9,10]", "BTreeSet<i64>"),
    Row("set of two", {8, 1}, "[1,8]", "BTreeSet<i64>"),
    Row("many digits", "7" * 400, f'"{"7" * 400}"', "String"),
    Row("many brackets", ["[" * 300], f'["{"[" * 300}"]', "Vec<String>"),
    Row("quotes among brackets", ['"[\\"' * 99], json.dumps(['"[\\"' * 99]), "Vec<String>"),
    Row("set of texts", frozenset({"b", "a", "c"}), '["a","b","c"]', "BTreeSet<String>"),
    Row(
        "set of UUIDs",
        {UUID(int=2), UUID(int=1)},
        json.dumps([str(UUID(int=1)), str(UUID(int=2))], separators=(",", ":")),
        "BTreeSet<Uuid>",
    ),
    Row("set of tuples", {(2, 1), (1, 2)}, "[[1,2],[2,1]]", "BTreeSet<(i64, i64)>"),
    Row("dictionary", {"b": 1, "a": 2}, '{"b":1,"a":2}', "HashMap<String, i64>"),
    Row("integer keys", {1: "a", -2: "b"}, '{"1":"a","-2":"b"}', "HashMap<i64, String>"),
    Row("enum keys", {Colour.RED: 1}, '{"red":1}', "HashMap<Colour, i64>"),
    Row("integer enum keys", {Level.LOW: 1}, '{"1":1}', "HashMap<i64, i64>"),
    Row("UUID keys", {ID: 1}, f'{{"{UUID_TEXT}":1}}', "HashMap<Uuid, i64>"),
    Row("counter", Counter("aab"), '{"a":2,"b":1}', "HashMap<String, i64>"),
    Row("default dictionary", defaultdict(int, a=1), '{"a":1}', "HashMap<String, i64>"),
    Row("ordered dictionary", OrderedDict(b=1, a=2), '{"b":1,"a":2}', "HashMap<String, i64>"),
    Row("mapping proxy", MappingProxyType({"a": 1}), '{"a":1}', "HashMap<String, i64>"),
    Row("other mapping", Lookup(), '{"a":1}', "HashMap<String, i64>"),
    Row("enum", Status.PENDING, '"Pending"', "Status"),
    Row("text enum", Colour.RED, '"red"', "Colour"),
    Row("integer enum", Level.LOW, "1", "u8"),
    Row("flag", Access.READ | Access.WRITE, "3", "u8"),
    Row("enum of decimals", Nested.PRICE, '"1.10"', "Decimal"),
    Row("enum of tuples", Nested.PAIR, "[1,2]", "(i64, i64)"),
    Row("UUID", ID, f'"{UUID_TEXT}"', "Uuid"),
    Row("datetime with zone", AT, '"2026-08-21T12:30:15.250000+00:00"', "DateTime<FixedOffset>"),
    Row(
        "datetime elsewhere",
        AT.astimezone(UTC_PLUS),
        '"2026-08-21T18:00:15.250000+05:30"',
        "DateTime<FixedOffset>",
    ),
    Row(
        "datetime without zone",
        AT.replace(tzinfo=None, microsecond=0),
        '"2026-08-21T12:30:15"',
        "NaiveDateTime",
    ),
    Row("date", date(2026, 8, 21), '"2026-08-21"', "NaiveDate"),
    Row("time", time(1, 2, 3, 4), '"01:02:03.000004"', "NaiveTime"),
    Row("decimal", Decimal("1.10"), '"1.10"', "Decimal"),
    Row("decimal with exponent", Decimal("1E+2"), '"1E+2"', "Decimal (read only)"),
    Row("small decimal", Decimal("1E-7"), '"1E-7"', "Decimal (read only)"),
    Row(
        "duration",
        timedelta(days=1, seconds=2, microseconds=3),
        '{"secs":86402,"nanos":3000}',
        "Duration",
    ),
    Row("no duration", timedelta(0), '{"secs":0,"nanos":0}', "Duration"),
    Row("bytes inside", {"key": b"\x00\xff"}, '{"key":[0,255]}', "HashMap<String, Vec<u8>>"),
    Row("bytes as bytes", b"ab", "[97,98]", "Vec<u8>", bytes),
    Row("bytearray inside", [bytearray(b"a"), memoryview(b"b")], "[[97],[98]]", "Vec<Vec<u8>>"),
    Row("component id", PROMISE.worker_id.component_id, f'"{UUID_TEXT}"', "Uuid"),
    Row(
        "worker id",
        PROMISE.worker_id,
        f'{{"componentId":"{UUID_TEXT}","workerName":"w1"}}',
        "WorkerId",
    ),
    Row("promise id", PROMISE, REST, "PromiseId"),
    Row(
        "promise id with a key style",
        {"id": PROMISE},
        f'{{"id":{REST}}}',
        "HashMap<String, PromiseId>",
        None,
        CAMEL,
    ),
    Row(
        "attrs class",
        Item("a", Decimal("1.10"), ("x",)),
        '{"name":"a","price":"1.10","tags":["x"]}',
        "Item",
    ),
    Row(
        "dataclass",
        Order(ID, [Item("a", Decimal(1))], AT, timedelta(seconds=1)),
        f'{{"id":"{UUID_TEXT}","items":[{{"name":"a","price":"1","tags":[]}}],'
        '"at":"2026-08-21T12:30:15.250000+00:00","took":{"secs":1,"nanos":0},"total":"2.20"}',
        "Order",
    ),
    Row(
        "subclass where its base is declared",
        Holder(Derived(1)),
        '{"held":{"a":1,"b":2}}',
        "Holder",
    ),
    Row("private and init=False fields", Slotted(1), '{"_private":1,"count":3}', "Slotted"),
    Row("generic class", Box([1, 2]), '{"content":[1,2]}', "Box<Vec<i64>>", Box[list[int]]),
    Row("NamedTuple", Point(1, 2.5), "[1,2.5]", "Point"),
    Row("TypedDict", Settings(max_items=1), '{"max_items":1}', "Settings", Settings),
    Row(
        "pydantic model",
        Address(
            street="s",
            since=date(2026, 1, 1),
            stay=1.5,
            key=ID,
            fee=Decimal("1.0"),
            parts={300, 1, 20},
        ),
        f'{{"street":"s","since":"2026-01-01","stay":1.5,"key":"{UUID_TEXT}","fee":"1.0","parts":[1,20,300]}}',
        "Address",
    ),
    Row("Annotated and NewType", [Millis(5)], "[5]", "Vec<i64>", list[Annotated[Millis, "ms"]]),
    Row("Literal", "a", '"a"', "String", Literal["a", "b"]),
    Row("union of lists", ["a"], '["a"]', "Vec<String>", list[int] | list[str]),
    Row("deepest", DEEP, "[" * 127 + "]" * 127, "Value"),
    Row("unit variant", Approved(), '"Approved"', "Decision", Decision, DECIDED),
    Row(
        "struct variant",
        Rejected("no"),
        '{"Rejected":{"reason":"no"}}',
        "Decision",
        Decision,
        DECIDED,
    ),
    Row(
        "variant without a declaration",
        [Rejected("no")],
        '[{"Rejected":{"reason":"no"}}]',
        "Vec<Decision>",
        None,
        DECIDED,
    ),
    Row(
        "variants inside",
        Report(Approved(), [Rejected("no")], {"a": None, "b": Approved()}),
        '{"decision":"Approved","earlier":[{"Rejected":{"reason":"no"}}],"by_name":{"a":null,"b":"Approved"}}',
        "Report",
        None,
        DECIDED,
    ),
    Row("optional variant", None, "null", "Option<Decision>", Decision | None, DECIDED),
    Row("variant alone", Rejected("no"), '{"reason":"no"}', "Rejected", Rejected, DECIDED),
    Row(
        "renamed variant", Rejected("no"), '{"Denied":{"reason":"no"}}', "Renamed", Decision, TAGGED
    ),
    Row("NamedTuple variant", Shifted(1, 2), '{"Shifted":[1,2]}', "Movement", Movement, TAGGED),
    Row("NamedTuple newtype variant", Noted("a"), '{"Noted":"a"}', "Movement", Movement, TAGGED),
    Row("enum as unit variants", Status.DONE, '"Done"', "Movement", Movement, TAGGED),
    Row("text enum as unit variants", Colour.RED, '"red"', "Movement", Movement, TAGGED),
    Row(
        "camelCase",
        Keyed("a", None, {"some_key": 1}),
        '{"firstName":"a","lastSeenAt":null,"freeForm":{"some_key":1}}',
        "Keyed camelCase",
        None,
        CAMEL,
    ),
    *(
        Row(
            style,
            Keyed("a", 1, {"some_key": 1}),
            f'{{"{first}":"a","{seen}":1,"{free}":{{"some_key":1}}}}',
            f"Keyed {style}",
            None,
            make_converter(key_style=style),  # type: ignore[arg-type]
        )
        for style, first, seen, free in [
            ("PascalCase", "FirstName", "LastSeenAt", "FreeForm"),
            ("kebab-case", "first-name", "last-seen-at", "free-form"),
            ("SCREAMING_SNAKE_CASE", "FIRST_NAME", "LAST_SEEN_AT", "FREE_FORM"),
            ("SCREAMING-KEBAB-CASE", "FIRST-NAME", "LAST-SEEN-AT", "FREE-FORM"),
        ]
    ),
    Row(
        "pydantic model with an alias generator",
        CamelModel(firstName="a", lastSeenAt=None, freeForm={"some_key": 1}),  # type: ignore[call-arg]
        '{"firstName":"a","lastSeenAt":null,"freeForm":{"some_key":1}}',
        "Keyed camelCase",
        None,
        make_converter(key_style="PascalCase"),
    ),
]


def main() -> None:
    """Write the rows for the Rust program, as they are encoded now."""
    for row in ROWS:
        encoded = encode_json(row.value, row.as_type, row.converter)
        line = {"name": row.name, "rust": row.rust, "json": encoded.decode()}
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
