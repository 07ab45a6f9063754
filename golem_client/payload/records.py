"""attrs classes, dataclasses and TypedDicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from golem_client.payload.fields import fields_of, typed_keys
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.steps import Again, Array, Object, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from golem_client.payload.converter import PayloadConverter

_UNSET: Any = object()


class Record(Rule):
    """An attrs class or a dataclass: all of its fields, by name."""

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        self.fields = fields_of(declared, converter.key_of)

    def open(self, value: Any, choose: Callable[..., Any]) -> Object | Array | Again:
        """Give each field its type. A subclass may have more fields: its own rule writes it."""
        del choose
        if type(value) is not self.cls:
            return Again(value)
        members = ((f.key, field_value(value, f.name), f.declared) for f in self.fields)
        return Object(members, lenient=False)


class Positional(Record):
    """A record as an array of its fields, which have no names there."""

    def open(self, value: Any, choose: Callable[..., Any]) -> Array:
        """Give each field its type, in the order of the class."""
        del choose
        return Array((field_value(value, f.name), f.declared) for f in self.fields)


class Keys(Rule):
    """A TypedDict: a dictionary with its keys, spelled as they are, and no others."""

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        self._types, self._required = typed_keys(declared)

    def fits(self, value: Any) -> bool:
        """Tell whether it is a dictionary."""
        return isinstance(value, dict)

    def open(self, value: Any, choose: Callable[..., Any]) -> Object:
        """Give each key its type."""
        del choose
        name = type_name(self.declared)
        for key in sorted(self._required - value.keys()):
            raise RefusedError(f"lacks the key {key!r} of {name}; add it")
        if not value.keys() <= self._types.keys():
            raise RefusedError(f"has a key that {name} lacks; remove it, or correct its spelling")
        return Object(self._members(value), lenient=False)

    def _members(self, value: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        return ((key, each, self._types[key]) for key, each in value.items())


def field_value(value: Any, name: str) -> Any:
    """Return the value of a field, which may never have been set."""
    found = getattr(value, name, _UNSET)
    if found is _UNSET:
        raise RefusedError(f"has no value in its field {name!r}; set it")
    return found
