"""Arrays, mappings, and the classes and TypedDicts whose members have names."""

from __future__ import annotations

import typing
from collections import ChainMap, Counter, OrderedDict, UserString, abc, defaultdict, deque
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from golem_client.payload.declarations import (
    class_of,
    fields_of,
    filled,
    hints_of,
    type_arguments,
    typed_keys,
)
from golem_client.payload.json_text import LARGEST_INT, TOO_LONG, in_order
from golem_client.payload.refusals import (
    MismatchError,
    RefusedError,
    described,
    mismatch,
    refused,
    type_name,
)
from golem_client.payload.rules import Room, Rule

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
# How multidict, Starlette, werkzeug, Django and httpx give all values of a key.
_ALL_VALUES = ("getlist", "get_list", "getall", "get_all", "multi_items")
_KEYS = "keys are text, integers, enums of those, or UUIDs"
_TWICE = "is the text of two keys, of which one would be lost; rename one"


def container_rule(declared: Any, cls: type, converter: PayloadConverter) -> Rule | None:
    """Return the rule of a container; None for any other class."""
    arguments = get_args(declared)
    if issubclass(cls, abc.Mapping):
        key, value = _entry_types(cls, arguments)
        return mapping_rule(declared, converter, converter.rule_for(key), converter.rule_for(value))
    names = getattr(cls, "_fields", None)
    if issubclass(cls, tuple) and names is not None:
        hints, values = hints_of(cls), type_arguments(declared)
        items = [filled(hints.get(name, Any), values) for name in names]
        return _row_rule(declared, converter, items)
    # tuple[()] has arguments too: none.
    if cls is tuple and hasattr(declared, "__args__") and not _has_any_length(arguments):
        return _row_rule(declared, converter, arguments)
    if cls in _ARRAYS or (
        issubclass(cls, set | frozenset | abc.Sequence) and not issubclass(cls, _TEXTS)
    ):
        item = arguments[0] if cls in _ARRAYS and _is_uniform(arguments) else Any
        return array_rule(declared, converter, converter.rule_for(item))
    return None


def array_rule(declared: Any, converter: PayloadConverter, item: Rule) -> Rule:
    """Return the rule of a list, a set or any other sequence, of one type of elements."""
    cls = get_origin(declared) or declared

    def fits(value: Any) -> bool:
        is_array = isinstance(value, set | frozenset | abc.Sequence)
        return is_array and isinstance(value, cls) and not isinstance(value, _TEXTS)

    def write(value: Any, room: Room) -> Any:
        room.enter(len(value), value)
        if type(value) is list and item.plains.issuperset(map(type, value)):
            room.depth -= 1
            return list(value)
        is_set = isinstance(value, set | frozenset)
        plain = _elements(value, item, room, is_set=is_set)
        room.depth -= 1
        return in_order(plain) if is_set else plain

    return _rule(declared, converter, fits, write)


def _elements(value: Any, item: Rule, room: Room, *, is_set: bool) -> Any:
    elements = list(value)
    if item.plains.issuperset(map(type, elements)):
        return elements
    if item.write_many is not None and not is_set:
        written = item.write_many(elements, room)
        if written is not None:
            return written
    plain: list[Any] = []
    plains, write = item.plains, item.write
    try:
        for element in elements:
            plain.append(element if type(element) in plains else write(element, room))  # noqa: PERF401  its length is the place of a failure
    except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
        raise refused(error, ... if is_set else len(plain)) from None
    return plain


def _row_rule(declared: Any, converter: PayloadConverter, items: typing.Iterable[Any]) -> Rule:
    """Return the rule of a tuple of a fixed length, or of a NamedTuple: a type for each place."""
    cls = get_origin(declared) or declared
    rules = [converter.rule_for(each) for each in items]

    def fits(value: Any) -> bool:
        return isinstance(value, cls) and len(value) == len(rules)

    def write(value: Any, room: Room) -> Any:
        room.enter(len(rules), value)
        plain: list[Any] = []
        try:
            for rule, element in zip(rules, value, strict=True):
                plain.append(rule.write(element, room))
        except Exception as error:  # noqa: BLE001  as above
            raise refused(error, len(plain)) from None
        room.depth -= 1
        return plain

    return _rule(declared, converter, fits, write)


def mapping_rule(declared: Any, converter: PayloadConverter, key: Rule, item: Rule) -> Rule:
    """Return the rule of a mapping: keys become text, values have one type."""
    cls = get_origin(declared) or declared
    takes_text = str in key.plains
    plains, write_item = item.plains, item.write

    def fits(value: Any) -> bool:
        return isinstance(value, cls)

    def write(value: Any, room: Room) -> Any:
        if type(value) is not dict:
            _require_one_value_per_key(type(value))
        room.enter(len(value), value)
        plain: dict[str, Any] = {}
        name = None
        pairs = value.items() if type(value) is dict else list(value.items())
        try:
            for each, element in pairs:
                text = each if takes_text and type(each) is str else _text(each, key, room)
                name = text
                if text in plain:
                    raise RefusedError(_TWICE)  # noqa: TRY301  the path is added below
                plain[text] = element if type(element) in plains else write_item(element, room)
                name = None
        except Exception as error:  # noqa: BLE001  as above
            raise refused(error, name) from None
        room.depth -= 1
        return plain

    return _rule(declared, converter, fits, write)


def record_rule(declared: Any, converter: PayloadConverter, *, as_array: bool = False) -> Rule:
    """Return the rule of an attrs class or a dataclass: all of its fields, by name or in order."""
    cls = get_origin(declared) or declared
    fields = fields_of(declared, converter.key_of)
    rules = [converter.rule_for(field.declared) for field in fields]
    keys = [field.name if as_array else field.key for field in fields]
    members = [
        (key, attrgetter(field.name), rule.plains, rule)
        for key, field, rule in zip(keys, fields, rules, strict=True)
    ]
    twice = next((key for at, key in enumerate(keys) if key in keys[:at]), None)

    def write(value: Any, room: Room) -> Any:
        if type(value) is not cls:  # not by exact_rule: one call less for each row
            if not isinstance(value, cls):
                raise mismatch(value, declared)
            return converter.write(value, room)
        if twice is not None:
            raise RefusedError(_TWICE, twice)
        room.enter(len(members), value)
        plain: dict[str, Any] = {}
        try:
            for key, get, plains, rule in members:
                part = get(value)
                plain[key] = part if type(part) in plains else rule.write(part, room)
        except Exception as error:  # noqa: BLE001  as above
            _require_value(value, fields[len(plain)].name)
            raise refused(error, len(plain) if as_array else keys[len(plain)]) from None
        room.depth -= 1
        return list(plain.values()) if as_array else plain

    return Rule(declared, converter, lambda value: isinstance(value, cls), write)


def typed_dict_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a TypedDict: a dictionary with its keys and no others."""
    types, required = typed_keys(declared)
    rules = {key: converter.rule_for(each) for key, each in types.items()}
    members = {key: (key, rule.plains, rule) for key, rule in rules.items()}
    allowed, name = rules.keys(), type_name(declared)

    def fits(value: Any) -> bool:
        return isinstance(value, dict)

    def write(value: Any, room: Room) -> Any:
        if not fits(value):
            raise mismatch(value, declared)
        keys = value.keys()
        if keys != allowed:
            if not required <= keys:
                missing = min(required - keys)
                raise MismatchError(f"lacks the key {missing!r} of {name}; add it")
            if not keys <= allowed:
                raise MismatchError(
                    f"has a key that {name} lacks; remove it, or correct its spelling"
                )
        room.enter(len(value), value)
        plain: dict[str, Any] = {}
        key = None
        try:
            for each, element in value.items():
                key, plains, rule = members[each]
                plain[key] = element if type(element) in plains else rule.write(element, room)
        except Exception as error:  # noqa: BLE001  as above
            raise refused(error, key) from None
        room.depth -= 1
        return plain

    return Rule(declared, converter, fits, write)


def _text(key: Any, rule: Rule, room: Room) -> str:
    if rule.converter.can_be_key(key):
        try:
            text = rule.write(key, room)
        except RefusedError as error:
            raise RefusedError(f"has a key that {error.reason}") from None
        if type(text) is int and not -LARGEST_INT <= text <= LARGEST_INT:
            raise RefusedError(f"has a key that {TOO_LONG}")
        if type(text) in (int, str):
            return str(text)
    raise RefusedError(f"has a key that is {described(key)}; {_KEYS}")


def _rule(
    declared: Any,
    converter: PayloadConverter,
    fits: Callable[[Any], bool],
    write: Callable[[Any, Room], Any],
) -> Rule:
    """Return the rule of a container. A user's hook for the value's own class comes first."""
    cls = class_of(declared)
    exact = cls if cls in (list, dict) else None

    def checked(value: Any, room: Room) -> Any:
        kind = type(value)
        if kind is exact:
            return write(value, room)
        if not fits(value):
            raise mismatch(value, declared)
        is_known = kind is cls or kind in _ARRAYS or kind in _MAPPINGS
        if not is_known and converter.user_hook(kind):
            return converter.write(value, room)
        return write(value, room)

    return Rule(declared, converter, fits, checked)


def _require_one_value_per_key(cls: type) -> None:
    if any(hasattr(cls, name) for name in _ALL_VALUES):
        raise RefusedError(
            f"is of type {type_name(cls)}, which holds several values for a key, of which all but "
            "one would be lost; pass a dict with the values that are meant"
        )


def _require_value(value: Any, field: str) -> None:
    try:
        getattr(value, field)
    except AttributeError:
        pass
    else:
        return
    raise RefusedError(f"has no value in its field {field!r}; set it")


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
