"""JSON as a worker written in Rust reads and writes it.

Golem reads request bodies with serde_json, and so does a worker's `await_promise_json`. Here the
standard library reads; what serde_json refuses is refused too, mostly in other words.

The converter is the fake's own: one shared with the client would agree with its mistakes. It is
as strict as serde, where cattrs by itself would make `1` of `1.9` and `True` of `"false"`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import cattrs
from cattrs import transform_error

_MAX_DEPTH = 127  # serde_json's limit is 128, and it refuses the level that reaches it
_NEEDS_A_LOOK = re.compile(r"[0-9]{19}|-0")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def loads(data: bytes) -> Any:
    """Return the value of the JSON text, or raise a ValueError where serde_json would refuse it."""
    text = data.decode()
    # The hook costs a call for each number, and a payload has one for each byte.
    parse_int = _int if _NEEDS_A_LOOK.search(text) else int
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=parse_int)
    except json.JSONDecodeError as error:  # serde_json has other words for some, at other columns
        raise ValueError(f"expected value at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    if text.count("[") + text.count("{") > _MAX_DEPTH and _depth(text) > _MAX_DEPTH:
        raise ValueError("recursion limit exceeded")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _int(text: str) -> int | float:
    """Return a float for what is no 64-bit integer, and for `-0`."""
    if text == "-0" or len(text) > 20:
        return _float(text)
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _float(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def read(payload: bytes, type_: Any = None) -> Any:
    """Return what `await_promise_json` returns for the payload, or raise a ValueError."""
    value = loads(payload)
    if type_ is None:
        return value
    try:
        return _CONVERTER.structure(value, type_)
    except Exception as error:
        complaint = "; ".join(transform_error(error))
        raise ValueError(f"not a {_name(type_)}: {complaint}") from error


def write(value: Any) -> bytes:
    """Return what `complete_promise_json` stores for the value."""
    plain = _CONVERTER.unstructure(value)
    text = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def equal(one: bytes, other: bytes) -> bool:
    """Return whether two payloads are the same JSON; `true`, `1` and `1.0` differ."""
    try:
        return _canonical(one) == _canonical(other)
    except ValueError:
        return False


def _canonical(payload: bytes) -> str:
    return json.dumps(loads(payload), sort_keys=True)


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", str(type_))


def _exactly(
    *accepted: type, make: Callable[[Any], Any] | None = None
) -> Callable[[Any, Any], Any]:
    """Return a hook that takes values of these types and coerces none."""

    def structure(value: Any, target: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"invalid type: {type(value).__name__}, expected {_name(target)}")
        return (make or target)(value)

    return structure


def _bytes(value: Any, _: Any) -> bytes:
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise TypeError("expected an array of bytes")
    return bytes(value)


def _duration(value: Any, _: Any) -> timedelta:
    if not isinstance(value, dict) or set(value) != {"secs", "nanos"}:
        raise TypeError('expected a duration, {"secs": n, "nanos": n}')
    return timedelta(seconds=value["secs"], microseconds=value["nanos"] / 1000)


def _to_duration(value: timedelta) -> dict[str, int]:
    secs = value.days * 86_400 + value.seconds
    return {"secs": secs, "nanos": value.microseconds * 1000}


_PLAIN = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
_TEXTUAL: dict[Any, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    UUID: (UUID, str),
    Decimal: (Decimal, str),
    datetime: (datetime.fromisoformat, datetime.isoformat),
    date: (date.fromisoformat, date.isoformat),
    time: (time.fromisoformat, time.isoformat),
}


def _plain_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for type_, accepted in _PLAIN.items():
        converter.register_structure_hook(type_, _exactly(*accepted))
    for type_, (parse, show) in _TEXTUAL.items():
        converter.register_structure_hook(type_, _exactly(str, make=parse))
        converter.register_unstructure_hook(type_, show)
    converter.register_structure_hook(bytes, _bytes)
    converter.register_unstructure_hook(bytes, list)
    converter.register_structure_hook(timedelta, _duration)
    converter.register_unstructure_hook(timedelta, _to_duration)
    return converter


_CONVERTER = _plain_converter()
