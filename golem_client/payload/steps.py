"""What a rule answers: the next step of one value on its way to JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_origin

import attrs

from golem_client.payload.refusals import MismatchError, described, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from golem_client.payload.converter import PayloadConverter

SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
PLAIN: frozenset[type] = SCALARS | {list, tuple, dict}


@attrs.define
class Again:
    """Carry on with this value, as the declared type.

    Attributes:
        finished: It comes from a hook: what is plain in it is not converted once more.
        lenient: Something else validates it: it may be of another type than declared.
    """

    value: Any
    declared: Any = Any
    finished: bool = False
    lenient: bool = False


@attrs.define
class Array:
    """The elements, each with its declared type, become an array.

    Attributes:
        is_set: They have no order of their own, and get one.
        length: Their number, where it is known before they are: a range can be endless.
    """

    elements: Iterable[tuple[Any, Any]]
    is_set: bool = False
    length: int = 0


@attrs.define
class Object:
    """The members (key, value, declared type) become an object, in their order.

    Attributes:
        key_type: The declared type of keys that are values themselves; None where keys are names.
        lenient: As in `Again`, for the values; None leaves that as it is around the object.
    """

    members: Iterable[tuple[Any, Any, Any]]
    key_type: Any = None
    lenient: bool | None = None


@attrs.define
class Flat:
    """Numbers in one container, which need no walk."""

    numbers: bytes | dict[str, int]


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

    def mismatch(self, value: Any) -> MismatchError:
        """Return what to say of a value that does not fit."""
        return MismatchError(
            f"is {described(value)}, where {type_name(self.declared)} is declared; "
            "pass a value of that type, or correct the declaration"
        )


def is_hashable(declared: Any) -> bool:
    """Tell whether a type can be looked up; an Annotated may have metadata that cannot."""
    try:
        hash(declared)
    except TypeError:
        return False
    return True
