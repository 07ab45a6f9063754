"""Arrays and mappings."""

from __future__ import annotations

import typing
from collections import ChainMap, Counter, OrderedDict, UserString, abc, defaultdict, deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from golem_client.payload.fields import filled, hints_of, type_arguments
from golem_client.payload.steps import Again, Array, Object, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.payload.converter import PayloadConverter

# The classes whose type arguments are known to be those of what is in them.
_ARRAYS = frozenset(
    {list, tuple, set, frozenset, deque, abc.Iterable, abc.Collection, abc.Container}
    | {abc.Reversible, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet}
)
_MAPPINGS = frozenset(
    {dict, defaultdict, OrderedDict, ChainMap, MappingProxyType, abc.Mapping, abc.MutableMapping}
)
_TEXTS = (str, bytes, bytearray, memoryview, UserString)


def is_array(value: Any) -> bool:
    """Tell whether it is written as an array; text is a sequence, and is not."""
    return isinstance(value, set | frozenset | abc.Sequence) and not isinstance(value, _TEXTS)


def container_rule(declared: Any, cls: type, converter: PayloadConverter) -> Rule | None:
    """Return the rule of a container; None for any other class."""
    arguments = get_args(declared)
    if issubclass(cls, abc.Mapping):
        return Entries(declared, converter, *_entry_types(cls, arguments))
    names = getattr(cls, "_fields", None)
    if issubclass(cls, tuple) and names is not None:
        hints, values = hints_of(cls), type_arguments(declared)
        items = tuple(filled(hints.get(name, Any), values) for name in names)
        return Row(declared, converter, items)
    # tuple[()] has arguments too: none.
    if cls is tuple and hasattr(declared, "__args__") and not _has_any_length(arguments):
        return Row(declared, converter, arguments)
    if cls in _ARRAYS or (
        issubclass(cls, set | frozenset | abc.Sequence) and not issubclass(cls, _TEXTS)
    ):
        item = arguments[0] if arguments and cls in _ARRAYS else Any
        return Elements(declared, converter, item if _is_uniform(arguments) else Any)
    return None


class _Container(Rule):
    def _has_hook(self, value: Any) -> bool:
        """Tell whether the user has a hook for the value's class, which is not the declared one."""
        kind = type(value)
        if kind is self.cls or kind in _ARRAYS or kind in _MAPPINGS:
            return False
        return not isinstance(self.converter.hook_for(kind), Rule)


class Elements(_Container):
    """A list, a set or any other sequence, of one type of elements."""

    def __init__(self, declared: Any, converter: PayloadConverter, item: Any) -> None:
        super().__init__(declared, converter)
        self._item = item

    def fits(self, value: Any) -> bool:
        """Tell whether it is such a container."""
        return isinstance(value, self.cls) and is_array(value)

    def open(self, value: Any, choose: Callable[..., Any]) -> Array | Again:
        """Give each element the type."""
        del choose
        if self._has_hook(value):
            return Again(value)
        item = self._item
        elements = ((element, item) for element in value)
        return Array(elements, isinstance(value, set | frozenset), len(value))


class Row(_Container):
    """A tuple of a fixed length, or a NamedTuple: a type for each place."""

    def __init__(self, declared: Any, converter: PayloadConverter, items: tuple[Any, ...]) -> None:
        super().__init__(declared, converter)
        self.items = items

    def fits(self, value: Any) -> bool:
        """Tell whether it is such a tuple, of this length."""
        return isinstance(value, self.cls) and len(value) == len(self.items)

    def open(self, value: Any, choose: Callable[..., Any]) -> Array | Again:
        """Give each place its type."""
        del choose
        if self._has_hook(value):
            return Again(value)
        return Array(zip(value, self.items, strict=True))


class Entries(_Container):
    """A mapping: keys become text, values have one type."""

    def __init__(self, declared: Any, converter: PayloadConverter, key: Any, item: Any) -> None:
        super().__init__(declared, converter)
        self._key = key
        self._item = item

    def open(self, value: Any, choose: Callable[..., Any]) -> Object | Again:
        """Give each key and value its type."""
        del choose
        if self._has_hook(value):
            return Again(value)
        item = self._item
        return Object(((key, each, item) for key, each in value.items()), key_type=self._key)


def _entry_types(cls: type, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    if cls is Counter and arguments:
        return arguments[0], int
    if cls in _MAPPINGS and len(arguments) == 2:
        return arguments[0], arguments[1]
    return Any, Any


def _has_any_length(arguments: tuple[Any, ...]) -> bool:
    return ... in arguments or any(_is_unpacked(each) for each in arguments)


def _is_unpacked(argument: Any) -> bool:
    is_starred = getattr(argument, "__unpacked__", False)
    return bool(is_starred) or typing.get_origin(argument) is typing.Unpack


def _is_uniform(arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is ...)
