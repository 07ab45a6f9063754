"""What a class declares: its fields, their keys and their types."""

from __future__ import annotations

import sys
import typing
from dataclasses import fields as dataclass_fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NotRequired, Required, get_args, get_origin

import attrs
from cattrs import override

from golem_client.payload.refusals import RefusedError, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Override = type(override())


@attrs.frozen
class Field:
    """A field of an attrs class or a dataclass: attribute, key in the object, type."""

    name: str
    key: str
    declared: Any


def has_fields(cls: Any) -> bool:
    """Tell whether it is an attrs class or a dataclass."""
    return hasattr(cls, "__attrs_attrs__") or hasattr(cls, "__dataclass_fields__")


def fields_of(declared: Any, key_of: Callable[[str], str]) -> tuple[Field, ...]:
    """Return all fields, those with init=False too: a payload loses nothing silently."""
    cls = get_origin(declared) or declared
    hints, values = hints_of(cls), type_arguments(declared)
    found = []
    for each in _raw_fields(cls):
        # attrs has None for a field without an annotation; one of None is NoneType.
        hint = hints.get(each.name, Any if each.type is None else each.type)
        said = _override(each.name, hint)
        if said is None:
            found.append(Field(each.name, key_of(each.name), filled(hint, values)))
        elif not said.omit:
            key = said.rename or key_of(each.name)
            found.append(Field(each.name, key, filled(hint, values)))
    _require_decorator(cls, {field.name for field in _raw_fields(cls)})
    return tuple(found)


def is_typed_dict(cls: Any) -> bool:
    """Tell whether it is a TypedDict, of typing or of typing_extensions."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def typed_keys(declared: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a TypedDict's keys, and the keys that are required."""
    cls = get_origin(declared) or declared
    hints, values = hints_of(cls), type_arguments(declared)
    # Not __required_keys__ alone: where annotations are text it takes NotRequired for required.
    required = set(cls.__required_keys__)
    for name, hint in hints.items():
        qualifiers = _qualifiers(hint)
        if NotRequired in qualifiers:
            required.discard(name)
        elif Required in qualifiers:
            required.add(name)
    keys = cls.__required_keys__ | cls.__optional_keys__
    return {key: filled(hints.get(key, Any), values) for key in keys}, frozenset(required)


def hints_of(cls: Any) -> dict[str, Any]:
    """Return the types by name; Any where a name in one cannot be resolved.

    Imports for type checking alone, and classes inside functions, are such names. What is Any
    is written by its own class, as everything without a declaration is.
    """
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation may be any expression
        return _hints_one_by_one(cls)


def _hints_one_by_one(cls: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        module = vars(sys.modules.get(base.__module__, typing))
        for name, said in vars(base).get("__annotations__", {}).items():
            one = SimpleNamespace(__annotations__={name: said})
            try:
                found |= typing.get_type_hints(one, module, dict(vars(base)), include_extras=True)
            except Exception:  # noqa: BLE001  as above
                found[name] = Any
    return found


def type_arguments(declared: Any) -> dict[Any, Any]:
    """Return what each type variable of a generic class stands for in `declared`."""
    parameters = getattr(get_origin(declared), "__parameters__", ())
    return dict(zip(parameters, get_args(declared), strict=False))


def filled(hint: Any, values: Mapping[Any, Any]) -> Any:
    """Return the type with its type variables replaced; those that stand for nothing by Any."""
    if isinstance(hint, typing.TypeVar):
        return values.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    try:
        return hint[tuple(values.get(each, Any) for each in parameters)]
    except TypeError:  # ParamSpec and TypeVarTuple, which no payload tells apart
        return Any


def _require_decorator(cls: Any, names: set[str]) -> None:
    """Refuse a subclass that was forgotten to be decorated, and whose fields would be lost."""
    own = vars(cls)
    if "__attrs_attrs__" in own or "__dataclass_fields__" in own:
        return
    annotated = own.get("__annotations__", {})
    forgotten = {name for name in annotated if "ClassVar" not in str(annotated[name])} - names
    for name in sorted(forgotten):
        raise RefusedError(
            f"is of type {type_name(cls)}, whose {name!r} is no field; decorate it as its base is"
        )


def _raw_fields(cls: Any) -> Any:
    return attrs.fields(cls) if hasattr(cls, "__attrs_attrs__") else dataclass_fields(cls)


def _override(name: str, hint: Any) -> Any:
    """Return what cattrs' `Annotated[T, override(...)]` says; refuse what is not done here."""
    said = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, _Override)]
    if not said:
        return None
    if said[0].omit_if_default or said[0].unstruct_hook:
        raise RefusedError(
            f"has a field {name!r} whose override does more than rename or omit; "
            "register a hook that make_dict_unstructure_fn makes"
        )
    return said[0]


def _qualifiers(hint: Any) -> set[Any]:
    found = set()
    while (origin := get_origin(hint)) is not None:
        found.add(origin)
        # Annotated is its own origin, and its first argument is the type.
        hint = get_args(hint)[0] if get_args(hint) else None
    return found
