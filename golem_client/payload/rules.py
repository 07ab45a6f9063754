"""A rule writes the values of one type as a plain tree, which `json` then writes as text.

Rules check the declared types while they write, and call each other directly. To cattrs they are
unstructure hooks like any other.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.payload.refusals import (
    TOO_DEEP,
    RefusedError,
    TooDeepError,
    TooLargeError,
    UnstructureError,
    json_path,
    mismatch,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.payload.converter import PayloadConverter

# serde_json 1.0.154 refuses the 128th open bracket, for Value, structs and enums alike.
MAX_DEPTH = 127
SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})


class Room:
    """How much may still be written, and how deep the writing is.

    Attributes:
        has_written_json: Whether the tree holds `WrittenJson`.
    """

    __slots__ = ("_left", "_max_bytes", "_open", "depth", "has_written_json")

    def __init__(self, max_bytes: float = math.inf, *, finds_cycles: bool = False) -> None:
        self._max_bytes = max_bytes
        # Each element takes at least two bytes. This bounds what is small in memory, because its
        # parts are shared, and huge when written.
        self._left = max_bytes / 2
        self._open: list[int] | None = [] if finds_cycles else None
        self.depth = 0
        self.has_written_json = False

    def enter(self, length: int, container: Any = None) -> None:
        """Go one level down, into a container; whoever leaves it takes one from `depth`."""
        self._left -= length
        self.depth += 1
        if self._left < 0 or self.depth > MAX_DEPTH or self._open is not None:
            self._refuse(container)

    def mark(self) -> tuple[float, int]:
        """Return where the writing is, for `reset` after an attempt."""
        return self._left, self.depth

    def reset(self, mark: tuple[float, int]) -> None:
        """Go back to a mark."""
        self._left, self.depth = mark

    def _refuse(self, container: Any) -> None:
        if self._left < 0:
            raise TooLargeError(self._max_bytes)
        if self._open is not None:
            del self._open[self.depth - 1 :]
            if container is not None and id(container) in self._open:
                raise RefusedError("contains itself; JSON has no references, so send an id instead")
            self._open.append(id(container))
        if self.depth > MAX_DEPTH:
            raise TooDeepError(TOO_DEEP)


@attrs.define(eq=False)
class Rule:
    """How values of one type are written.

    Attributes:
        declared: The type.
        converter: The converter that it belongs to.
        fits: Whether a value is of the type, without looking inside.
        write: Returns the plain tree of a value; raises RefusedError.
        plains: The classes whose values are written as they are, without calling `write`.
        write_many: Returns the JSON of a whole array at once, or None where it cannot.
    """

    declared: Any
    converter: PayloadConverter
    fits: Callable[[Any], bool]
    write: Callable[[Any, Room], Any]
    plains: frozenset[type] = frozenset()
    write_many: Callable[[list[Any], Room], WrittenJson | None] | None = None

    def __call__(self, value: Any) -> Any:
        """Return the plain tree of the value, as a hook of cattrs does. The caller checks it.

        cattrs keeps hooks, so the rule is looked up anew: the user may have registered others.
        """
        try:
            rule = self.converter.rule_below_hook(self.declared, value)
            return resolved(rule.write(value, Room()))
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            refusal = refused(error)
            path, reason = json_path(refusal), refusal.reason
        # Raised out here, so that no traceback holds the value: not by the error above, which would
        # be the context of this one, nor by a local variable.
        del value
        raise UnstructureError(path, reason)


def exact_rule(
    cls: Any,
    converter: PayloadConverter,
    write: Callable[[Any, Room], Any],
    fits: Callable[[Any], bool] | None = None,
    *,
    declared: Any = None,
    plains: frozenset[type] = frozenset(),
) -> Rule:
    """Return a rule whose `write` gets values of exactly this class.

    Values of a subclass are written by the rule of their own class.
    """
    declared = cls if declared is None else declared
    takes = fits or partial(_is_instance, cls)

    def checked(value: Any, room: Room) -> Any:
        if type(value) is cls:
            return write(value, room)
        if not takes(value):
            raise mismatch(value, declared)
        return converter.write(value, room)

    return Rule(declared, converter, takes, checked, plains)


def _is_instance(cls: Any, value: Any) -> bool:
    return isinstance(value, cls)


@attrs.define(eq=False)
class WrittenJson:
    """A part of the tree that is JSON already."""

    text: bytes


def resolved(tree: Any) -> Any:
    """Return the tree with what is JSON already read back."""
    if type(tree) is list:
        return [resolved(each) for each in tree]
    if type(tree) is dict:
        return {key: resolved(each) for key, each in tree.items()}
    return json.loads(tree.text) if type(tree) is WrittenJson else tree
