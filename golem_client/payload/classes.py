"""The rule of each class: scalars, arrays, mappings, and classes with fields."""

from __future__ import annotations

from collections import Counter, UserString, abc
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from itertools import count, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

from typing_extensions import is_typeddict

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload import declarations
from golem_client.payload.declarations import class_of
from golem_client.payload.json_text import NOT_FINITE, in_order
from golem_client.payload.models import model_rule
from golem_client.payload.refusals import RefusedError, mismatch, not_a_type, type_name
from golem_client.payload.rules import (
    BUILTINS,
    SCALARS,
    TEXT,
    LazyRule,
    Room,
    Rule,
    class_rule,
    refusing_rule,
)

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter

IDS = (ComponentId, WorkerId, PromiseId)
# The type arguments of their classes are the types of what is in them.
_STANDARD = frozenset({"builtins", "collections", "collections.abc", "types"})
_TEXTS = (str, bytes, bytearray, memoryview, UserString)
# How multidict, Starlette, werkzeug, Django and httpx give all values of a key.
_ALL_VALUES = ("getlist", "get_list", "getall", "get_all", "multi_items")
_TWICE = "is the text of two keys, so one would be lost; rename one"
_HOOK = "register_unstructure_hook() on a converter of make_converter()"


def own_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return our rule for a class, for a generic class with its arguments, or for a Literal."""
    cls = class_of(declared)
    if cls is Literal:
        return _literal_rule(declared, converter)
    if not isinstance(cls, type):
        raise not_a_type(declared)
    if declarations.is_model(cls):
        return model_rule(cls, converter)
    if is_typeddict(cls):
        return _typed_dict_rule(declared, converter)
    if issubclass(cls, Enum):
        return class_rule(cls, converter, converter.write_enum_member)
    found = _scalar_rule(cls, converter) or _container_rule(declared, cls, converter)
    if not declarations.is_record(cls) or issubclass(cls, IDS):
        return found or _unknown_rule(declared, cls, converter)
    if found:
        reason = "which has fields and is also text, a number or a container"
        raise RefusedError(f"is of type {type_name(cls)}, {reason}; {_HOOK}")
    return _record_rule(declared, converter)


def _record_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of an attrs class or a dataclass: all of its fields."""
    fields = declarations.fields_of(declared, converter.key_of)
    names, keys = [name for name, _, _ in fields], [key for _, key, _ in fields]
    rules = [converter.rule_for(each) for _, _, each in fields]
    twice = next((key for at, key in enumerate(keys) if key in keys[:at]), None)
    get = attrgetter(*names, "__class__", "__class__")  # several names, so that it returns a tuple

    def write(value: Any, room: Room) -> Any:
        if twice is not None:
            raise RefusedError(_TWICE, twice)
        room.take(len(names))
        return room.written(keys, get(value), rules)

    return class_rule(declared, converter, write)


def array_rule(declared: Any, converter: PayloadConverter, item: LazyRule) -> Rule:
    """Return the rule of a list, a set or any other sequence, of one type of elements."""
    cls, is_open = class_of(declared), declarations.is_vague(item.declared)
    has_no_hooks = is_open and converter.without_hooks(BUILTINS) == BUILTINS

    def fits(value: Any) -> bool:
        is_array = isinstance(value, set | frozenset | abc.Sequence)
        return is_array and isinstance(value, cls) and not isinstance(value, _TEXTS)

    def write(value: Any, room: Room) -> Any:
        room.take(len(value))
        elements = value if type(value) is list else list(value)
        is_set = elements is not value and isinstance(value, set | frozenset)
        kinds = set(map(type, elements))
        is_plain = kinds <= item.made().plains
        if has_no_hooks and not is_plain:
            is_plain = room.are_plain(elements)
        if not is_plain:
            rule = converter.rule_of(*kinds) if is_open and len(kinds) == 1 else item
            if not is_set and rule.write_many and (written := rule.write_many(elements)):
                return written
            # A tuple is the path of an element of a set, which has no index.
            path: Iterable[Any] = zip(count()) if is_set else count()
            elements = [*room.written(path, elements, repeat(rule)).values()]
        return in_order(elements) if is_set else elements

    return class_rule(declared, converter, write, fits, takes_subclasses=True)


def mapping_rule(declared: Any, converter: PayloadConverter, key: LazyRule, item: Rule) -> Rule:
    """Return the rule of a mapping: keys become text, values have one type."""

    def write(value: Any, room: Room) -> Any:
        room.take(len(value))
        is_plain = type(value) is dict and TEXT.issuperset(map(type, value))
        named = value if is_plain and str in key.plains else _with_text_keys(value, key, room)
        if item.plains.issuperset(map(type, named.values())):
            return named
        return room.written(named, named.values(), repeat(item))

    return class_rule(declared, converter, write, takes_subclasses=True)


def _with_text_keys(value: Any, rule: LazyRule, room: Room) -> dict[str, Any]:
    if any(hasattr(type(value), name) for name in _ALL_VALUES):
        raise RefusedError(
            f"is of type {type_name(type(value))}, which holds several values for a key, of which "
            "all but one would be lost; pass a dict with the values that are meant"
        )
    named: dict[str, Any] = {}
    for key, element in list(value.items()):
        text = _text(key, rule, room)
        if text in named:
            raise RefusedError(_TWICE, text)
        named[text] = element
    return named


def _text(key: Any, rule: LazyRule, room: Room) -> str:
    reason = f"is of type {type_name(type(key))}; keys are text, integers, enums of those, or UUIDs"
    if isinstance(key, str | int | Enum | UUID) or rule.converter.user_hook(type(key)):
        try:
            text = rule.write(key, room)
        except RefusedError as error:
            reason, text = error.reason, None
        if type(text) in (int, str):
            return str(text)
    raise RefusedError(f"has a key that {reason}")


def _container_rule(declared: Any, cls: type, converter: PayloadConverter) -> Rule | None:
    is_standard, arguments = cls.__module__ in _STANDARD, get_args(declared)
    if cls is Counter and arguments:
        arguments = (*arguments, int)
    if issubclass(cls, abc.Mapping):
        key, value = arguments if is_standard and len(arguments) == 2 else (Any, Any)
        return mapping_rule(declared, converter, converter.rule_for(key), converter.rule_for(value))
    if declarations.is_named_tuple(cls):
        return _row_rule(declared, converter, declarations.named_fields_of(declared).values())
    # tuple[()] has arguments too: none.
    if cls is tuple and hasattr(declared, "__args__") and ... not in arguments:
        return _row_rule(declared, converter, arguments)
    is_abstract = (
        is_standard and cls is not object and (issubclass(list, cls) or issubclass(set, cls))
    )
    if is_abstract or (
        issubclass(cls, set | frozenset | abc.Sequence) and not issubclass(cls, _TEXTS)
    ):
        item = arguments[0] if is_standard and arguments else Any
        return array_rule(declared, converter, converter.rule_for(item))
    return None


def _row_rule(declared: Any, converter: PayloadConverter, items: Iterable[Any]) -> Rule:
    """Return the rule of a tuple of a fixed length, or of a NamedTuple: each place has a type."""
    cls, rules = class_of(declared), [converter.rule_for(each) for each in items]

    def fits(value: Any) -> bool:
        return isinstance(value, cls) and len(value) == len(rules)

    def write(value: Any, room: Room) -> Any:
        if len(value) != len(rules):
            raise mismatch(value, declared)
        room.take(len(rules))
        return [*room.written(count(), value, rules).values()]

    return class_rule(declared, converter, write, fits, takes_subclasses=True)


def _typed_dict_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a TypedDict: a dictionary with its keys and no others."""
    types, required = declarations.keys_of(declared)
    rules = {key: converter.rule_for(each) for key, each in types.items()}
    allowed, name = rules.keys(), type_name(declared)

    def write(value: Any, room: Room) -> Any:
        keys = value.keys()
        if not required <= keys:
            raise RefusedError(f"lacks the key {min(required - keys)!r} of {name}; add it")
        if not keys <= allowed:
            raise RefusedError(f"has a key that {name} lacks; remove it, or correct its spelling")
        room.take(len(value))
        return room.written(value, value.values(), map(rules.__getitem__, value))

    return class_rule(
        declared, converter, write, lambda value: isinstance(value, dict), takes_subclasses=True
    )


def _literal_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a Literal: 1 is neither True nor 1.0."""

    def fits(value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in get_args(declared))

    return class_rule(declared, converter, converter.write, fits)


def _unknown_rule(declared: Any, cls: type, converter: PayloadConverter) -> Rule:
    """Return the rule of a class that cannot be written. Its subclasses may have one."""
    reason = "which cannot be written as JSON; convert it first, or"
    refusing = refusing_rule(cls, f"is of type {type_name(cls)}, {reason} {_HOOK}")

    def fits(value: Any) -> bool:
        try:
            return isinstance(value, cls)
        except TypeError:  # a protocol that is not runtime_checkable
            return True

    return class_rule(declared, converter, refusing.write, fits)


def _scalar_rule(cls: type, converter: PayloadConverter) -> Rule | None:
    """Return the rule of a class of `WRITERS`, or of a subclass, which is written like it."""
    base = next((each for each in cls.__mro__ if each in WRITERS), None)
    if base is None:
        return None
    writer = WRITERS[base]
    accepted: Any = (int, float) if cls is float else (cls,)  # what reads a float reads an int
    others: Any = {int: bool, float: bool, date: datetime}.get(cls, ())

    def fits(value: Any) -> bool:
        return isinstance(value, accepted) and not isinstance(value, others)

    def write(value: Any, _: Room) -> Any:
        return writer(value)

    plains = SCALARS & converter.without_hooks(accepted)
    return class_rule(cls, converter, write, fits, plains=plains)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise RefusedError(NOT_FINITE)
    return Decimal.__str__(value)


def _datetime(value: datetime) -> str:
    if (value.utcoffset() or timedelta()) % timedelta(minutes=1):  # zones had them before 1900
        raise RefusedError("has an offset with seconds, which ISO 8601 lacks; convert it to UTC")
    return _iso(datetime, value)


def _time(value: time) -> str:
    if value.tzinfo is not None:
        raise RefusedError(
            "is a time with a time zone, which no type of chrono reads; "
            "send a datetime, or replace(tzinfo=None)"
        )
    return _iso(time, value)


def _iso(base: Any, value: Any) -> str:
    text: str = value.isoformat()
    try:  # a subclass may write what nobody reads: NaT of pandas is a datetime, and writes "NaT"
        if type(value) is base or base.fromisoformat(text):
            return text
    except (TypeError, ValueError):
        pass
    raise RefusedError(
        "has an isoformat() that is not ISO 8601; convert it to a plain datetime first"
    )


def _duration(value: timedelta) -> dict[str, int]:
    if type(value) is not timedelta:  # others count more than microseconds, or months
        raise RefusedError(f"is a {type_name(type(value))}; convert it to a plain timedelta first")
    if value < timedelta(0):
        raise RefusedError(
            "is a negative timedelta, which serde's Duration cannot be; send a number"
        )
    return {"secs": value.days * 86_400 + value.seconds, "nanos": value.microseconds * 1000}


WRITERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bool: bool,
    type(None): lambda value: value,
    UUID: UUID.__str__,
    Decimal: _decimal,
    bytes: list,
    bytearray: list,
    memoryview: lambda value: list(value.tobytes()),
    datetime: _datetime,
    date: partial(_iso, date),
    time: _time,
    timedelta: _duration,
    **dict.fromkeys(IDS, lambda id_: id_.to_json()),
}
