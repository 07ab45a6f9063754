"""JSON payloads as a worker written in Rust reads and writes them.

The converter is the fake's own: one shared with the client would agree with its mistakes. It is
as strict as serde, where cattrs by itself would make `1` of `1.9` and `True` of `"false"`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import cattrs
from cattrs import transform_error

from golem_client.testing import serde_json


def read(payload: bytes, type_: Any = None) -> Any:
    """Return what `await_promise_json` returns for the payload, or raise a ValueError."""
    value = serde_json.loads(payload)
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
    return json.dumps(serde_json.loads(payload), sort_keys=True)


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", str(type_))


def _exactly(*accepted: type) -> Callable[[Any, Any], Any]:
    """Return a hook that lets values of these types through, and coerces none."""

    def structure(value: Any, target: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"invalid type: {type(value).__name__}, expected {_name(target)}")
        return target(value)

    return structure


def _from_text(parse: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    def structure(value: Any, target: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"invalid type: {type(value).__name__}, expected {_name(target)}")
        return parse(value)

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


_EXACT: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
}
_TEXTUAL: dict[Any, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    UUID: (UUID, str),
    Decimal: (Decimal, str),
    datetime: (datetime.fromisoformat, datetime.isoformat),
    date: (date.fromisoformat, date.isoformat),
    time: (time.fromisoformat, time.isoformat),
}


def _plain_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for type_, accepted in _EXACT.items():
        converter.register_structure_hook(type_, _exactly(*accepted))
    for type_, (parse, show) in _TEXTUAL.items():
        converter.register_structure_hook(type_, _from_text(parse))
        converter.register_unstructure_hook(type_, show)
    converter.register_structure_hook(bytes, _bytes)
    converter.register_unstructure_hook(bytes, list)
    converter.register_structure_hook(timedelta, _duration)
    converter.register_unstructure_hook(timedelta, _to_duration)
    return converter


_CONVERTER = _plain_converter()
