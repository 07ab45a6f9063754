"""What a rule answers: the next step of one value on its way to JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_origin

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from golem_client.payload.converter import PayloadConverter

SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
PLAIN: frozenset[type] = SCALARS | {list, tuple, dict}

_MODULES = re.compile(r"(?:\w+\.|<locals>\.)+(?=\w)")


class RefusedError(Exception):
    """A rule refuses the value, for the reason that is the text; the walk adds the path."""


@attrs.define
class Again:
    """Carry on with this value, as the declared type.

    `finished` values come from a hook: what is plain in them is not converted once more.
    """

    value: Any
    declared: Any = Any
    finished: bool = False


@attrs.define
class Array:
    """The elements, each with its declared type, become an array."""

    elements: Iterable[tuple[Any, Any]]
    ordered: bool = True


@attrs.define
class Object:
    """The members (key, value, declared type) become an object, in their order.

    Attributes:
        key_type: The declared type of keys that are values themselves; None where keys are names.
        lenient: Whether a value may be of another type than declared, because something else
            validates it; None leaves that as it is around the object.
    """

    members: Iterable[tuple[Any, Any, Any]]
    key_type: Any = None
    lenient: bool | None = None


@attrs.define
class Flat:
    """Numbers in one plain container, which need no walk."""

    plain: list[int] | dict[str, int]


class Rule:
    """How values of one type are written: any hook of ours.

    To cattrs it is a hook like others: called, it converts the whole value.
    """

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        self.declared = declared
        self.cls = get_origin(declared) or declared
        self.converter = converter

    def __call__(self, value: Any) -> Any:
        """Return the plain tree of the value; the path of a PayloadError starts at it."""
        return self.converter.unstructure(value, self)

    def fits(self, value: Any) -> bool:
        """Tell whether the value is of the type, without looking inside."""
        return isinstance(value, self.cls)

    def open(self, value: Any, choose: Callable[..., Any]) -> Any:
        """Return the next step for a value that fits: a plain scalar, or one of the steps.

        `choose(rule, value, types)` finds the one type that the whole value is of.
        """
        raise NotImplementedError

    def mismatch(self, value: Any) -> RefusedError:
        """Return what to say of a value that does not fit."""
        return RefusedError(
            f"is {described(value)}, where {type_name(self.declared)} is declared; "
            "pass a value of that type, or correct the declaration"
        )


def described(value: Any) -> str:
    """Return what kind of value it is, without the value."""
    return "None" if value is None else f"of type {type_name(type(value))}"


def type_name(declared: Any) -> str:
    """Return the type as its user writes it, at most 80 characters of it."""
    name = declared.__qualname__ if type(declared) is type else str(declared)
    name = _MODULES.sub("", name)
    return name if len(name) <= 80 else f"{name[:79]}…"
