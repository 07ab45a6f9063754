"""Values that are written as one text or number: the standard library's, enums, and ids."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.steps import Again, Flat, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.payload.converter import PayloadConverter


class Scalar(Rule):
    """A class of `WRITERS`, or a subclass that inherits how it is written."""

    def __init__(self, declared: type, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        self._write = next(WRITERS[base] for base in declared.__mro__ if base in WRITERS)
        self._accepted = (int, float) if declared is float else (declared,)
        self._refused = _NOT_WRITTEN_ALIKE.get(declared, ())

    def fits(self, value: Any) -> bool:
        """Tell whether it is an instance, and what reads the class reads it: an int is a float."""
        return isinstance(value, self._accepted) and not isinstance(value, self._refused)

    def open(self, value: Any, choose: Callable[..., Any]) -> Any:
        """Write an instance of exactly this class; leave others to the rule of theirs."""
        del choose
        return self._write(value) if type(value) is self.declared else Again(value)


class Member(Rule):
    """A member of an enum: its value."""

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Go on with the member's value, unless the user has a hook for every enum."""
        del choose
        if type(value) is not self.declared:
            return Again(value)
        # cattrs finds a hook for str before one for Enum where an enum is both.
        hook = self.converter.hook_for(Enum)
        if isinstance(hook, Rule):
            return Again(value.value, finished=True)
        return Again(hook(value), finished=True)


class Exactly(Rule):
    """A Literal: a value that equals one of its own, and is of the same type."""

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        self._values: tuple[Any, ...] = declared.__args__

    def fits(self, value: Any) -> bool:
        """Tell whether it is one of the values: 1 is not True, nor 1.0."""
        return any(type(value) is type(each) and value == each for each in self._values)

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Go on by the value's own class."""
        del choose
        return Again(value)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise RefusedError("is not a finite number; JSON has none such, so send None or text")
    return Decimal.__str__(value)


def _date(value: date) -> str:
    return _iso(value, date)


def _datetime(value: datetime) -> str:
    _require_minutes(value.utcoffset())
    return _iso(value, datetime)


def _time(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise RefusedError(
            "has a time zone without an offset, which would be lost; send a datetime"
        )
    _require_minutes(value.utcoffset())
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


def _require_minutes(offset: timedelta | None) -> None:
    if offset is not None and offset % timedelta(minutes=1):
        raise RefusedError("has an offset with seconds, which ISO 8601 lacks; convert it to UTC")


def _duration(value: timedelta) -> Flat:
    if type(value) is not timedelta:  # others count more than microseconds, or months
        raise RefusedError(f"is a {type_name(type(value))}; convert it to a plain timedelta first")
    if value < timedelta(0):
        raise RefusedError(
            "is a negative timedelta, which serde's Duration cannot be; send a number"
        )
    seconds = value.days * 86_400 + value.seconds
    return Flat({"secs": seconds, "nanos": value.microseconds * 1000})


def _finished(write: Callable[[Any], Any]) -> Callable[[Any], Again]:
    return lambda value: Again(write(value), finished=True)


WRITERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bool: bool,
    type(None): lambda value: value,
    bytes: lambda value: Flat(bytes(value)),
    bytearray: lambda value: Flat(bytes(value)),
    memoryview: lambda value: Flat(value.tobytes()),
    UUID: UUID.__str__,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _duration,
    ComponentId: _finished(lambda value: value.to_json()),
    WorkerId: _finished(lambda value: value.to_json()),
    PromiseId: _finished(lambda value: value.to_json()),
}

# Instances by inheritance that a reader of the declared class does not read.
_NOT_WRITTEN_ALIKE: dict[type, tuple[type, ...]] = {int: (bool,), float: (bool,), date: (datetime,)}
