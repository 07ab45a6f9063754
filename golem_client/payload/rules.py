"""Rules: they turn values into a plain tree that `json` can write, and check their types.

No rule knows where in the value it is. A refusal collects its path on its way out through the
containers, so that a good payload pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.frames import made_without_locals
from golem_client.payload import refusals
from golem_client.payload.declarations import class_of
from golem_client.payload.json_text import MAX_DEPTH, WrittenJson
from golem_client.payload.refusals import RefusedError, mismatch, refused

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter

SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
BUILTINS = SCALARS | {dict, list}
TEXT: frozenset[type] = frozenset({str})


@attrs.define(eq=False)
class Rule:
    """How values of one type are written.

    Attributes:
        fits: Returns whether a value is of the type, without looking inside.
        write: Returns the plain tree of a value; raises RefusedError.
        plains: The classes whose values are plain: `write` need not be called.
        write_many: Returns the JSON of a whole list at once, or None where it cannot.
    """

    fits: Callable[[Any], bool]
    write: Callable[[Any, Room], Any]
    plains: frozenset[type] = frozenset()
    write_many: Callable[[list[Any]], WrittenJson | None] | None = None


class LazyRule(Rule):
    """The rule of a declared type. It is made at its first use, because a type may contain itself.

    cattrs treats it as an unstructure hook.
    """

    def __init__(
        self, declared: Any, converter: PayloadConverter, make: Callable[[Any], Rule]
    ) -> None:
        super().__init__(
            lambda value: self.made().fits(value),
            lambda value, room: self.made().write(value, room),
        )
        self.declared, self.converter = declared, converter
        self._make: Callable[[Any], Rule] | None = make

    def made(self) -> LazyRule:
        """Return this rule once it is made."""
        make = self._make
        if make is not None:  # several threads may make it, with equal results
            try:
                rule = make(self.declared)
            except Exception as error:  # noqa: BLE001  annotations may be anything
                rule = refusing_rule(self.declared, refused(error).reason)
            self.fits, self.write = rule.fits, rule.write
            self.plains, self.write_many = rule.plains, rule.write_many
            self._make = None
        return self

    @made_without_locals
    def __call__(self, value: Any) -> Any:
        """Return the plain tree of the value, as a hook of cattrs does. The caller checks it."""
        return self.converter.unstructure(value, self)


def class_rule(
    declared: Any,
    converter: PayloadConverter,
    write: Callable[[Any, Room], Any],
    fits: Callable[[Any], bool] | None = None,
    *,
    takes_subclasses: bool = False,
    **more: Any,
) -> Rule:
    """Return the rule of a class.

    `write` gets the values of exactly this class, and with `takes_subclasses` those of subclasses
    without a hook of the user's. Other values that fit are written by the rules of their classes.
    """
    cls = class_of(declared)
    fits = fits or (lambda value: isinstance(value, cls))

    def checked(value: Any, room: Room) -> Any:
        kind = type(value)
        if kind is cls:
            return write(value, room)
        if not fits(value):
            raise mismatch(value, declared)
        is_taken = takes_subclasses and not converter.user_hook(kind)
        return write(value, room) if is_taken else converter.write(value, room)

    return Rule(fits, checked, **more)


def refusing_rule(declared: Any, reason: str) -> Rule:
    """Return the rule of a type whose values cannot be written."""

    def write(_value: Any, _room: Room) -> Any:
        raise RefusedError(reason)

    cls = class_of(declared)
    return Rule(lambda value: isinstance(cls, type) and isinstance(value, cls), write)


class Room:
    """How much may still be written, and how deep the writing is."""

    __slots__ = ("_depth", "_max_bytes", "left")

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        # Each element takes at least two bytes. This bounds what is small in memory, because its
        # parts are shared, and huge when written.
        self.left = max_bytes / 2
        self._depth = 0

    def take(self, length: int) -> None:
        """Count the elements of a container, before they are written."""
        self.left -= length
        if self.left < 0:
            raise refusals.TooLargeError(self._max_bytes)
        if self._depth >= MAX_DEPTH:
            raise refusals.TooDeepError

    def are_plain(self, elements: list[Any]) -> bool:
        """Return whether everything is plain and needs no rules, and count it, level by level."""
        left, level = self.left, elements
        for _ in range(8):
            kinds = set(map(type, level))
            if not kinds <= BUILTINS:
                return False
            if kinds <= SCALARS:
                self.left = left
                return True
            level = [each for each in level if type(each) not in SCALARS]
            left -= sum(map(len, level))
            keys = chain.from_iterable(each for each in level if type(each) is dict)
            if left < 0 or not TEXT.issuperset(map(type, keys)):
                return False
            parts = (each.values() if type(each) is dict else each for each in level)
            level = [*chain.from_iterable(parts)]
        return False

    def written(
        self, keys: Iterable[Any], elements: Iterable[Any], rules: Iterable[Rule]
    ) -> dict[Any, Any]:
        """Return the elements of a container, by key, each written by its rule."""
        plain: dict[Any, Any] = {}
        key = None
        self._depth += 1
        try:
            for key, element, rule in zip(keys, elements, rules):  # noqa: B905  some have no end
                plain[key] = element if type(element) in rule.plains else rule.write(element, self)
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            raise refused(error, key) from None
        finally:
            self._depth -= 1
        return plain
