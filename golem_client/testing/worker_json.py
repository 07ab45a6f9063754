"""JSON as a worker written in Rust reads and writes it: `await_promise_json` uses serde_json.

The converter is the fake's own: one shared with the client would agree with its mistakes. It is
as strict as serde, where cattrs by itself would make `1` of `1.9` and `True` of `"false"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import cattrs
from cattrs import transform_error

_LONG_NUMBER = re.compile(r"[0-9]{19}")


def loads(data: bytes) -> Any:
    """Return the value of the JSON text, or raise a ValueError where serde_json would refuse it."""
    text = data.decode()
    # The hook costs a call for each number, and a request has one for each byte of the payload.
    parse_int = _int if _LONG_NUMBER.search(text) else int
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=parse_int)
    except json.JSONDecodeError as error:  # serde_json has other words for some, at other columns
        raise ValueError(f"expected value at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is an error
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _int(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


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
"""For each type, the types of JSON that it is read from, and what reads it."""

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
