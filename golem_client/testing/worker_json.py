"""JSON as a worker written in Rust reads and writes it: `await_promise_json` uses serde_json.

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
from cattrs.errors import StructureHandlerNotFoundError

_MAX_DEPTH = 127  # serde_json's limit is 128, and it refuses the level that reaches it
_UNUSUAL_INTEGER = re.compile(r"[0-9]{19}|-0")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def loads(data: bytes) -> Any:
    """Return the value of the JSON text, or raise a ValueError where serde_json would refuse it."""
    text = data.decode()
    # The hook costs a call for each number, and a request has one for each byte of the payload.
    parse_int = _int if _UNUSUAL_INTEGER.search(text) else int
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=parse_int)
    except json.JSONDecodeError as error:  # serde_json has other words for some, at other columns
        raise ValueError(f"expected value at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is an error
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
    """Return a float for a number that is not a 64-bit integer, and for `-0`."""
    is_long = len(text) > 20 or not -(2**63) <= int(text) < 2**64
    return _float(text) if is_long or text == "-0" else int(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def read(payload: bytes, type_: Any = None) -> Any:
    """Return what `await_promise_json` returns for the payload, or raise a ValueError.

    A type that cattrs does not know, such as a pydantic model, is a TypeError.
    """
    value = loads(payload)
    if type_ is None:
        return value
    try:
        return _CONVERTER.structure(value, type_)
    except StructureHandlerNotFoundError:
        unknown = f"cattrs cannot make a {_name(type_)} of JSON"
        raise TypeError(f"{unknown}: leave the type out, and make one of the result") from None
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
        first, second = (json.dumps(loads(payload), sort_keys=True) for payload in (one, other))
    except ValueError:
        return False
    return first == second


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", str(type_))


def _from_duration(value: dict[str, int]) -> timedelta:
    return timedelta(seconds=value["secs"], microseconds=value["nanos"] / 1000)


def _to_duration(value: timedelta) -> dict[str, int]:
    secs = value.days * 86_400 + value.seconds
    return {"secs": secs, "nanos": value.microseconds * 1000}


# For each type, the types of JSON that it is read from, and what reads it.
_READS: dict[type, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    bool: ((bool,), bool),
    int: ((int,), int),
    float: ((int, float), float),
    str: ((str,), str),
    bytes: ((list,), bytes),
    UUID: ((str,), UUID),
    Decimal: ((str,), Decimal),
    datetime: ((str,), datetime.fromisoformat),
    date: ((str,), date.fromisoformat),
    time: ((str,), time.fromisoformat),
    timedelta: ((dict,), _from_duration),
}

_WRITES: dict[type, Callable[[Any], Any]] = {
    bytes: list,
    UUID: str,
    Decimal: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _to_duration,
}


def _strict(accepted: tuple[type, ...], make: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def structure(value: Any, target: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"invalid type: {type(value).__name__}, expected {_name(target)}")
        return make(value)

    return structure


_CONVERTER = cattrs.Converter()
for _type, _how in _READS.items():
    _CONVERTER.register_structure_hook(_type, _strict(*_how))
for _type, _write in _WRITES.items():
    _CONVERTER.register_unstructure_hook(_type, _write)
