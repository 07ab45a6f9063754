"""Models and dataclasses of pydantic 2, which pydantic itself writes. It is not imported here."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from golem_client.payload.json_text import WrittenJson, in_order
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.rules import Room, Rule, class_rule

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter

_UNORDERED = (
    "is a pydantic model with a set in it, which pydantic writes in another order in each "
    "process; declare a list, or sort it in a field_serializer"
)
_TWICE = "is a pydantic model that writes one key twice, of which one would be lost; rename one"

# The parts of pydantic-core's schemas whose JSON has neither sets nor keys that are not text.
_SIMPLE = frozenset(
    {"model", "model-fields", "model-field", "dataclass", "dataclass-args", "dataclass-field"}
    | {"computed-field", "definitions", "definition-ref", "default", "nullable", "union"}
    | {"tagged-union", "list", "tuple", "dict", "str", "int", "float", "bool", "none", "date"}
    | {"time", "datetime", "timedelta", "bytes", "uuid", "url", "multi-host-url", "decimal"}
    | {"enum", "literal", "function-after", "function-before", "function-wrap", "to-string"}
)
_NO_PARTS = ("metadata", "default", "function")
_LOOSE_SETTINGS = ("extra_fields_behavior", "serialize_as_any", "polymorphic_serialization")


def model_rule(cls: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a model, whose JSON is what its `model_dump_json()` returns.

    The JSON is used as it is if the class can have neither sets nor one key twice. Otherwise it is
    read back and checked.
    """

    def write(value: Any, _: Room) -> Any:
        encoded = _json_of(value)
        is_pydantics = not _has_own_dump(type(value))
        if is_pydantics and _is_simple(cls) and _has_numbers_only(encoded):
            return WrittenJson(encoded)
        return _looked_through(value, encoded)

    def write_many(values: list[Any]) -> WrittenJson | None:
        if set(map(type, values)) != {cls} or _has_own_dump(cls) or not _is_simple(cls):
            return None
        try:
            encoded = bytes(_list_of(cls).dump_json(values, warnings="error"))
        except Exception:  # noqa: BLE001  written one by one, to find which one it is
            return None
        return WrittenJson(encoded) if _has_numbers_only(encoded) else None

    return class_rule(cls, converter, write, write_many=write_many)


def has_fields(cls: Any) -> bool:
    """Return whether a model writes any field."""
    fields = getattr(cls, "__pydantic_fields__", None) or getattr(cls, "model_fields", None)
    return bool(fields or cls.__pydantic_decorators__.computed_fields)


def _json_of(model: Any) -> bytes:
    try:  # before pydantic 2.7, `warnings="error"` is an error
        if _has_own_dump(type(model)):
            return bytes(model.model_dump_json(warnings="error").encode())
        return bytes(type(model).__pydantic_serializer__.to_json(model, warnings="error"))
    except Exception as error:  # noqa: BLE001  serializers of the user may raise anything
        name = type_name(type(error))
    way = "call model_dump_json(warnings='error') to see why, with pydantic 2.7 or later"
    raise RefusedError(f"could not be written by pydantic: {name}; {way}")


def _has_own_dump(cls: Any) -> bool:
    """Return whether the class has a `model_dump_json` of its own, and so its own settings."""
    dump = getattr(cls, "model_dump_json", None)
    return dump is not None and dump.__module__ != "pydantic.main"


@cache
def _list_of(cls: Any) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415  imported by the class already

    declared: Any = list.__class_getitem__(cls)
    return TypeAdapter(declared)


def _has_numbers_only(encoded: bytes) -> bool:
    """Return whether it surely has no NaN, which `ser_json_inf_nan="constants"` writes."""
    return b"NaN" not in encoded and b"Infinity" not in encoded


@cache
def _is_simple(cls: Any) -> bool:
    """Return whether no value of the class can have a set in it, or one key twice."""
    return _is_simple_schema(cls.__pydantic_core_schema__)


def _is_simple_schema(schema: Any) -> bool:
    parts: Any = schema if isinstance(schema, list | tuple) else ()
    if isinstance(schema, dict):
        parts = schema.values()  # fields by name, or choices by tag
        if isinstance(schema.get("type"), str):
            if not _is_simple_part(schema):
                return False
            parts = [part for name, part in schema.items() if name not in _NO_PARTS]
    return all(map(_is_simple_schema, parts))


def _is_simple_part(schema: dict[str, Any]) -> bool:
    kind, config = schema["type"], schema.get("config", {})
    if kind not in _SIMPLE:
        return False
    if kind == "dict" and schema.get("keys_schema", {}).get("type") != "str":
        return False
    if any(config.get(name) not in (None, False, "ignore", "forbid") for name in _LOOSE_SETTINGS):
        return False
    fields = schema.get("fields", {})
    if isinstance(fields, list):  # those of "dataclass" are names, those of "dataclass-args" not
        fields = {each["name"]: each for each in fields if isinstance(each, dict)}
    keys = [field.get("serialization_alias", name) for name, field in fields.items()]
    keys += [each.get("alias", each["property_name"]) for each in schema.get("computed_fields", ())]
    return len(set(keys)) == len(keys)


def _looked_through(model: Any, encoded: bytes) -> Any:
    tree = json.loads(encoded, object_pairs_hook=_different)
    values = type(model).__pydantic_serializer__.to_python(model, warnings="none")
    return _sorted(tree, values)


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError(_TWICE)
    return found


def _has_set(values: Any) -> bool:
    if isinstance(values, dict | list | tuple):
        return any(map(_has_set, values.values() if isinstance(values, dict) else values))
    return isinstance(values, set | frozenset) and len(values) > 1


def _sorted(tree: Any, values: Any) -> Any:
    """Return the JSON with its sets in order; `values` is the same dump, where sets are sets."""
    if not _has_set(values):
        return tree
    if isinstance(values, dict) and type(tree) is dict and len(values) == len(tree):
        pairs = zip(tree.items(), values.values(), strict=True)
        return {key: _sorted(each, value) for (key, each), value in pairs}
    if type(tree) is list and len(values) == len(tree):
        if isinstance(values, list | tuple):
            return [_sorted(each, value) for each, value in zip(tree, values, strict=True)]
        if not any(isinstance(each, list | dict) for each in tree):
            return in_order(tree)
    raise RefusedError(_UNORDERED)
