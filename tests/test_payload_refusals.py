"""What is refused before anything is sent: where it is, why, and never the value."""

from __future__ import annotations

import copy
import json
import math
import pickle
import time
from collections import UserString
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from traceback import walk_tb
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import cattrs
import pytest
from multidict import MultiDict

from golem_client.errors import PayloadError
from golem_client.payload import encode_bytes, encode_json, encode_text, make_converter

SECRET = "hunter2"
ID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")


@attrs.define(slots=False)
class Card:
    number: str
    limit: Any = None


@attrs.define
class Unset:
    number: str
    total: int = attrs.field(init=False)


@attrs.define(repr=False)
class Node:
    number: str
    next: Any = None


class Forgotten(Card):
    label: str = SECRET


@attrs.define(repr=False)
class Both:
    left: Any
    right: Any


@dataclass
class Note:
    text: str


class Half(Enum):
    NAN = float("nan")


class Odd(Enum):
    HALF = 0.5
    YES = True
    NOTHING = None


class Word(StrEnum):
    ONE = "1"


@attrs.define(eq=False)
class Labelled(str):  # noqa: SLOT000 - attrs gives it slots
    extra: str = SECRET


@attrs.define(eq=False)
class Stack(list[str]):
    extra: str = SECRET


class Unknown:
    def __init__(self) -> None:
        self.secret = SECRET

    def __repr__(self) -> str:
        return SECRET


class Duck:
    """As a mock with a spec: its `__class__` is Card."""

    @property
    def __class__(self) -> Any:
        return Card

    @__class__.setter
    def __class__(self, cls: Any) -> None: ...


class Raises(Mapping[str, str]):
    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        yield "first"
        raise KeyError(SECRET)

    def __getitem__(self, key: str) -> str:
        return SECRET


class NoText(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return f"NaT{sep}{SECRET}{timespec}"


class NoDay(date):
    def isoformat(self) -> str:
        return SECRET


class NoClock(clock):
    def isoformat(self, timespec: str = "auto") -> Any:
        return [timespec]


class Form(dict[str, str]):
    """As werkzeug's and Django's: a dict that keeps all values of a key."""

    def getlist(self, key: str) -> list[str]:
        return [self[key]]


class Query(dict[str, str]):
    """As Starlette's and httpx's."""

    def multi_items(self) -> list[tuple[str, str]]:
        return [*self.items()]


def _many(name: str) -> Any:
    """Return a mapping that gives all values of a key by a method of this name."""
    return type("Many", (dict,), {name: lambda self, key: [self[key]]})(a=SECRET)


@attrs.define(slots=False)
class Expired:
    """As a mapped class of SQLAlchemy whose session is gone: its field is a descriptor."""

    total: Any = None


def _raise(_: object) -> None:
    raise LookupError(SECRET)


EXPIRED = Expired()
Expired.total = property(_raise)


def _cycle() -> Any:
    inner: list[Any] = [SECRET]
    inner.append({"back": inner})
    return {"a": inner}


def _cyclic_class() -> Node:
    node = Node(SECRET)
    node.next = [node]
    return node


def _deep(levels: int, wrap: Any = lambda inner: [inner]) -> Any:
    value: Any = SECRET
    for _ in range(levels):
        value = wrap(value)
    return value


def _wide() -> Any:
    value: Any = [SECRET] * 1_000
    for _ in range(5):
        value = [value] * 1_000
    return value


def _bomb(wrap: Any) -> Any:
    value = wrap(SECRET, SECRET)
    for _ in range(100):
        value = wrap(value, value)
    return value


@attrs.frozen
class Refused:
    name: str
    value: Any = attrs.field(repr=False)  # that of a bomb has no end
    message: str
    as_type: Any = None


_NOT_FINITE = "is not a finite number; JSON has no NaN or Infinity, so send None or text."
_SURROGATE = "holds a lone surrogate, which UTF-8 cannot carry; repair the text."
_TOO_DEEP = (
    "is nested deeper than the 127 levels that serde_json reads, or contains itself; flatten it, "
    "or send an id instead."
)
_TOO_LONG = "is more than 100000 bytes of JSON (max_payload_bytes); send a reference to it instead."
_KEYS = "keys are text, integers, enums of those, or UUIDs."
_HOOK = "register_unstructure_hook() on a converter of make_converter()."
_NO_RULE = f"which cannot be written as JSON; convert it first, or {_HOOK}"
_MIXED = f"which has fields and is also text, a number or a container; {_HOOK}"
_TWICE = "is the text of two keys, so one would be lost; rename one."

_LONG = "is an integer of over 308 digits, which no Rust type reads."


class Weeks(timedelta):
    """As pandas has: it counts nanoseconds, too."""


REFUSED = [
    Refused("NaN", {"items": [1, 2, {"price": float("nan")}]}, f"$.items[2].price: {_NOT_FINITE}"),
    Refused("infinity", [float("-inf")], f"$[0]: {_NOT_FINITE}"),
    Refused("decimal NaN", [Decimal("sNaN")], f"$[0]: {_NOT_FINITE}"),
    Refused("decimal infinity", Decimal("Infinity"), f"$: {_NOT_FINITE}"),
    Refused("NaN of an enum", Half.NAN, f"$: {_NOT_FINITE}"),
    Refused("lone surrogate", Card(SECRET, [f"{SECRET}\ud800"]), f"$.limit[0]: {_SURROGATE}"),
    Refused("lone surrogate in plain values", {"a": [f"{SECRET}\ud800"]}, f"$.a[0]: {_SURROGATE}"),
    Refused(
        "lone surrogate in a key",
        {"a": {f"{SECRET}\ud800": 1}},
        f"$.a: has a key that {_SURROGATE}",
    ),
    Refused("long integer", [10**308], f"$[0]: {_LONG}"),
    Refused("very long integer", {1: 10**5000}, f'$["1"]: {_LONG}'),
    Refused(
        "a duration of its own",
        [Weeks(1)],
        "$[0]: is a Weeks; convert it to a plain timedelta first.",
    ),
    Refused(
        "negative duration",
        [timedelta(microseconds=-1)],
        "$[0]: is a negative timedelta, which serde's Duration cannot be; send a number.",
    ),
    Refused(
        "odd offset",
        [datetime.min.replace(tzinfo=ZoneInfo("Europe/Berlin"))],
        "$[0]: has an offset with seconds, which ISO 8601 lacks; convert it to UTC.",
    ),
    *(
        Refused(
            f"time with {name}",
            [clock(1, tzinfo=zone)],
            "$[0]: is a time with a time zone, which no type of chrono reads; send a datetime, "
            "or replace(tzinfo=None).",
        )
        for name, zone in [
            ("an offset", timezone(timedelta(hours=1))),
            ("UTC", UTC),
            ("a zone", ZoneInfo("Europe/Berlin")),
        ]
    ),
    *(
        Refused(
            f"several values for a key, {type(value).__module__.partition('.')[0]}",
            {"form": value},
            f"$.form: is of type {type(value).__name__}, which holds several values for a key, of "
            "which all but one would be lost; pass a dict with the values that are meant.",
        )
        for value in (
            *(MultiDict(a=SECRET), Form(a=SECRET), Query(a=SECRET)),
            *map(_many, ("get_list", "getall", "get_all")),
        )
    ),
    *(
        Refused(
            f"{type(value).__name__} writes none",
            value,
            "$: has an isoformat() that is not ISO 8601; convert it to a plain datetime first.",
        )
        for value in (NoText(2026, 1, 1, tzinfo=UTC), NoDay(2026, 1, 1), NoClock(1))
    ),
    *(
        Refused(
            f"key {name}",
            {"a": {key: SECRET}},
            f"$.a: has a key that is {said}; {_KEYS}",
        )
        for name, key, said in [
            ("bool", True, "of type bool"),
            ("None", None, "of type NoneType"),
            ("float", 1.5, "of type float"),
            ("tuple", (SECRET,), "of type tuple"),
            ("bytes", SECRET.encode(), "of type bytes"),
            ("datetime", datetime(2026, 1, 1, tzinfo=UTC), "of type datetime"),
            ("enum of a float", Odd.HALF, "of type Odd"),
            ("enum of a bool", Odd.YES, "of type Odd"),
            ("enum of None", Odd.NOTHING, "of type Odd"),
        ]
    ),
    *(
        Refused(
            f"colliding keys, {name}",
            {"a": value},
            f"$.a{step}: {_TWICE}",
        )
        for name, value, step in [
            ("integer", {1: SECRET, "1": SECRET}, '["1"]'),
            ("UUID", {ID: SECRET, str(ID): SECRET}, f'["{ID}"]'),
            ("enum", {Word.ONE: SECRET, 1: SECRET}, '["1"]'),
        ]
    ),
    Refused(
        "field that raises",
        [EXPIRED],
        "$[0]: could not be read: LookupError was raised by a hook, a property or a field that",
    ),
    Refused(
        "12 steps and 40 letters",
        {"a" * 40: json.loads(f"{'[' * 11}NaN{']' * 11}")},
        f"$.{'a' * 40}{'[0]' * 11}: {_NOT_FINITE}",
    ),
    Refused(
        "13 steps and 41 letters",
        {"a" * 41: json.loads(f"{'[' * 12}NaN{']' * 12}")},
        f"$.{'a' * 39}…{'[0]' * 7}…{'[0]' * 4}: {_NOT_FINITE}",
    ),
    Refused(
        "key with dots", {f"..{'x' * 50}": math.nan}, f'$["..{"x" * 37}\\u2026"]: {_NOT_FINITE}'
    ),
    Refused("bomb in a long list", _wide(), f"$: {_TOO_LONG}"),
    Refused("second key", {"a": 1, 1.5: 2}, f"$: has a key that is of type float; {_KEYS}"),
    Refused("cycle", _cycle(), f"$.a{'[1].back' * 3}[1]…[1].back[1].back: {_TOO_DEEP}"),
    Refused(
        "cycle of classes", _cyclic_class(), f"${'.next[0]' * 4}…[0].next[0].next: {_TOO_DEEP}"
    ),
    Refused("128 levels", _deep(128), f"${'[0]' * 8}…{'[0]' * 4}: {_TOO_DEEP}"),
    Refused("10000 levels", _deep(10_000), f"${'[0]' * 8}…{'[0]' * 4}: {_TOO_DEEP}"),
    Refused(
        "10000 classes",
        _deep(10_000, lambda inner: Node("", inner)),
        f"${'.next' * 8}…{'.next' * 4}: {_TOO_DEEP}",
    ),
    Refused(
        "127 levels and bytes",
        _deep(127, lambda inner: [b"" if inner == SECRET else inner]),
        f"${'[0]' * 8}…{'[0]' * 4}: {_TOO_DEEP}",
    ),
    Refused("bomb", _bomb(lambda a, b: [a, b]), f"$: {_TOO_LONG}"),
    Refused("bomb of classes", _bomb(Both), f"$: {_TOO_LONG}"),
    Refused("bomb of dictionaries", _bomb(lambda a, b: {"a": a, "b": b}), f"$: {_TOO_LONG}"),
    Refused("bomb of sets", _bomb(lambda a, b: (a, frozenset({b}))), f"$: {_TOO_LONG}"),
    Refused("bomb of text", [SECRET * 1_000] * 1_000, f"$: {_TOO_LONG}"),
    Refused("bomb of integers", [10**300] * 1_000, f"$: {_TOO_LONG}"),
    Refused("endless range", range(10**12), f"$: {_TOO_LONG}"),
    *(
        Refused(
            f"no rule: {name}",
            {"a": value},
            f"$.a: is of type {said}, {_NO_RULE}",
        )
        for name, value, said in [
            ("class", Unknown(), "Unknown"),
            ("object", object(), "object"),
            ("mock", Duck(), "Duck"),
            ("path", Path(SECRET), type(Path()).__name__),
            ("complex", 1j, "complex"),
            ("generator", (x for x in SECRET), "generator"),
            ("views", {SECRET: 1}.keys(), "dict_keys"),
            ("user string", UserString(SECRET), "UserString"),
            ("type", Card, "type"),
            ("function", len, "builtin_function_or_method"),
            ("exception", ValueError(SECRET), "ValueError"),
        ]
    ),
    Refused(
        "class that is text",
        [Labelled()],
        f"$[0]: is of type Labelled, {_MIXED}",
    ),
    Refused(
        "class that is a list",
        [Stack()],
        f"$[0]: is of type Stack, {_MIXED}",
    ),
    Refused(
        "field that was never set",
        [Unset(SECRET)],
        "$[0]: could not be read: AttributeError was raised by a hook, a property or a field that",
    ),
    Refused(
        "subclass without its decorator",
        [Forgotten(SECRET)],
        "$[0]: is of type Forgotten, whose 'label' is not a field; decorate the class as its base",
    ),
    Refused(
        "raises while it is read",
        {"a": Raises()},
        "$.a: could not be read: KeyError was raised by a hook, a property or a field that is",
    ),
    *(
        Refused(
            f"{type(value).__name__} as the value",
            value,
            "$: is bytes, not JSON; use complete_bytes, or pass as_type=bytes.",
            as_type,
        )
        for value, as_type in [
            (SECRET.encode(), None),
            (bytearray(SECRET.encode()), Any),
            (memoryview(SECRET.encode()), object),
        ]
    ),
    Refused(
        "field of another type",
        Note(5),  # type: ignore[arg-type]
        "$.text: is of type int, where str is declared; pass a value of that type, or correct ",
    ),
    Refused("name for a type", 1, "$: has text as its type; pass the type itself.", "Card"),
    Refused("text in place of the type", str, "$: has text as its type; pass the type", SECRET),
    Refused(
        "value in place of the type",
        Card,
        "$: is declared as a value of class Card, which is not a type; declare a type.",
        Card(SECRET),
    ),
    Refused(
        "types in a list",
        [SECRET],
        "$: is declared as a value of class list, which is not a type; declare a type.",
        [str],
    ),
    Refused(
        "odd key in the path",
        {"a b": {"é": {"x" * 50: float("nan")}}},
        f'$["a b"]["\\u00e9"].{"x" * 39}…: {_NOT_FINITE}',
    ),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_a_refusal_says_where_and_why_and_never_shows_the_value(refused: Refused) -> None:
    """The message is the path, the reason, and what to do; it comes at once.

    Neither the error nor what hangs on it holds the value; it pickles and copies.
    """
    started = time.process_time()
    error = _error(refused.value, refused.as_type)
    assert time.process_time() - started < 1
    assert str(error).startswith(refused.message)
    assert type(error) is PayloadError
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [str(error), repr(error), repr(error.args), repr(vars(error))]
    assert not [text for text in shown if SECRET in text]
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(error), str(error)) == (type(again), str(again))


def test_no_local_variable_of_a_traceback_holds_the_value() -> None:
    """Error reporters send the local variables of every frame by default."""
    holder = {"a": [Card(SECRET, [float("nan")])]}
    converter = make_converter()
    wrapping = make_converter()
    rule: Any = wrapping.get_unstructure_hook(Card)
    calls: list[Callable[[], object]] = [
        lambda: encode_json(holder),
        lambda: converter.unstructure(holder),
        lambda: rule(Card(SECRET, object())),
        lambda: encode_text(f"{SECRET}\ud800"),
        lambda: encode_text(SECRET, max_bytes=1),
        lambda: encode_text(SECRET.encode()),  # type: ignore[arg-type]
        lambda: encode_bytes(SECRET.encode(), max_bytes=1),
        lambda: encode_bytes(SECRET),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(PayloadError) as caught:
            call()
        frames = [
            frame for frame, _ in walk_tb(caught.tb) if "golem_client" in frame.f_code.co_filename
        ]
        assert frames
        assert not [frame for frame in frames if SECRET in repr(frame.f_locals)]


# Only a payload has a length, and bytes are fine inside one.
_OF_A_TREE = [
    each for each in REFUSED if _TOO_LONG not in each.message and "is bytes" not in each.message
]


def test_a_converter_refuses_the_same() -> None:
    """A converter of its own, used by itself, raises PayloadError too."""
    converter = make_converter()
    for refused in _OF_A_TREE:
        with pytest.raises(PayloadError) as caught:
            converter.unstructure(refused.value, refused.as_type)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (refused.name, None, None) == (
            refused.name,
            caught.value.__cause__,
            caught.value.__context__,
        )
        assert (refused.name, True) == (
            refused.name,
            str(caught.value).startswith(refused.message),
        )
        assert (PayloadError, str(caught.value)) == (type(again), str(again))


def _error(value: Any, as_type: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        encode_json(value, as_type, max_bytes=100_000)
    return caught.value


@pytest.mark.parametrize(
    "wrap",
    [lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: Card("", x)],
    ids=["list", "tuple", "dict", "class"],
)
def test_the_127th_level_is_written(wrap: Any) -> None:
    """serde_json reads 127 levels: one more is refused, one less is not."""
    assert encode_json(_deep(127, wrap))
    with pytest.raises(PayloadError):
        encode_json(_deep(128, wrap))


def test_a_shared_value_is_not_a_cycle() -> None:
    """The same value twice is written twice, at whatever depth it is met."""
    shared = {"tags": ["a" * 40, {"b": ID}]}
    text = f'{{"tags":["{"a" * 40}",{{"b":"{ID}"}}]}}'
    value = {"x": shared, "y": [shared, (shared,)]}
    assert encode_json(value).decode() == f'{{"x":{text},"y":[{text},[{text}]]}}'


def test_a_shared_value_counts_with_its_depth() -> None:
    """It may be written at one depth and be too deep at another."""
    shared = _deep(100, lambda inner: [inner, ID])
    assert encode_json([shared, [shared]])
    box = [shared]
    with pytest.raises(PayloadError, match="nested deeper"):
        encode_json([shared, box, _deep(27, lambda inner: [box if inner == SECRET else inner])])
    with pytest.raises(PayloadError, match="nested deeper"):
        encode_json([shared, _deep(28, lambda inner: [shared if inner == SECRET else inner])])


def test_the_length_is_that_of_the_json() -> None:
    """Escapes and UTF-8 count: exactly max_bytes is allowed."""
    values: list[Any] = ["é" * 10, {"\x00": [ID, 1.5]}, [1] * 1_000, [[]] * 1_000, {"": 1}]
    for value in values:
        length = len(encode_json(value))
        assert encode_json(value, max_bytes=length)
        with pytest.raises(PayloadError, match="max_payload_bytes"):
            encode_json(value, max_bytes=length - 1)


def test_a_full_stack_is_a_payload_error() -> None:
    """Even a caller without stack left gets nothing but a PayloadError."""
    seen: list[type] = []

    def descend() -> None:
        try:
            encode_json({"a": [ID]})
        except PayloadError:
            seen.append(PayloadError)
        except RecursionError:
            raise AssertionError from None
        descend()

    with pytest.raises((RecursionError, AssertionError)) as caught:
        descend()
    assert caught.type is RecursionError or seen


def test_another_converter_is_refused() -> None:
    """Only make_converter() makes one with the payload rules."""
    with pytest.raises(PayloadError, match=r"not from make_converter\(\)"):
        encode_json(1, converter=cattrs.Converter())
