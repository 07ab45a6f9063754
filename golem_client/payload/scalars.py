"""Values that are written as one text or number: the standard library's, enums, literals, ids."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.json_text import NOT_FINITE
from golem_client.payload.refusals import RefusedError, mismatch, type_name
from golem_client.payload.rules import SCALARS, Room, Rule, exact_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.payload.converter import PayloadConverter


def scalar_rule(cls: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a class of `WRITERS`, or of a subclass, which inherits how it is written.

    An int is a float, because what reads a float reads it. A bool is no int and a datetime no date.
    """
    writer = next(WRITERS[base] for base in cls.__mro__ if base in WRITERS)
    accepted: Any = (int, float) if cls is float else cls
    refused = _NOT_WRITTEN_ALIKE.get(cls, ())

    def fits(value: Any) -> bool:
        return isinstance(value, accepted) and not isinstance(value, refused)

    def write(value: Any, _: Room) -> Any:
        return writer(value)

    plains = SCALARS & converter.without_hooks([cls, *([int] if cls is float else [])])
    return exact_rule(cls, converter, write, fits, plains=plains)


def enum_rule(cls: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of an enum: a member is written as its value.

    For an enum that is text, cattrs finds a hook for str before one for Enum.
    """
    return exact_rule(cls, converter, converter.write_enum_member)


def literal_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a Literal: 1 is neither True nor 1.0."""
    values = declared.__args__

    def fits(value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in values)

    def write(value: Any, room: Room) -> Any:
        if not fits(value):
            raise mismatch(value, declared)
        return converter.write(value, room)

    return Rule(declared, converter, fits, write)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise RefusedError(NOT_FINITE)
    return Decimal.__str__(value)


def _date(value: date) -> str:
    return _iso(value, date)


def _datetime(value: datetime) -> str:
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        raise RefusedError("has an offset with seconds, which ISO 8601 lacks; convert it to UTC")
    return _iso(value, datetime)


def _time(value: time) -> str:
    if value.tzinfo is not None:
        raise RefusedError(
            "is a time with a time zone, which nothing of chrono reads; "
            "send a datetime, or replace(tzinfo=None)"
        )
    return _iso(value, time)


def _iso(value: Any, base: Any) -> str:
    text: str = value.isoformat()
    if type(value) is base:
        return text
    # A subclass may write what nobody reads: NaT of pandas is a datetime, and writes "NaT".
    try:
        base.fromisoformat(text)
    except (TypeError, ValueError):
        pass
    else:
        return text
    raise RefusedError("does not write itself as ISO 8601; convert it to a plain datetime first")


def _duration(value: timedelta) -> dict[str, int]:
    if type(value) is not timedelta:  # others count more than microseconds, or months
        raise RefusedError(f"is a {type_name(type(value))}; convert it to a plain timedelta first")
    if value < timedelta(0):
        raise RefusedError(
            "is a negative timedelta, which serde's Duration cannot be; send a number"
        )
    return {"secs": value.days * 86_400 + value.seconds, "nanos": value.microseconds * 1000}


def _id(value: Any) -> Any:
    return value.to_json()


WRITERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bool: bool,
    type(None): lambda value: value,
    bytes: list,
    bytearray: list,
    memoryview: lambda value: list(value.tobytes()),
    UUID: UUID.__str__,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _duration,
    ComponentId: _id,
    WorkerId: _id,
    PromiseId: _id,
}

# Instances by inheritance that a reader of the declared class does not read.
_NOT_WRITTEN_ALIKE: dict[type, tuple[type, ...]] = {int: (bool,), float: (bool,), date: (datetime,)}
