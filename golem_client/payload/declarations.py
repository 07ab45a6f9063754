"""What types and classes declare: aliases, unions, fields, keys."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from string import ascii_lowercase, ascii_uppercase
from types import NoneType, UnionType
from typing import Any, ForwardRef, Literal, NotRequired, Required, get_args, get_origin

import attrs
from cattrs import override
from typing_extensions import Format, get_annotations, get_original_bases

from golem_client.payload.refusals import RefusedError, type_name

KeyStyle = Literal[
    "camelCase", "PascalCase", "kebab-case", "SCREAMING_SNAKE_CASE", "SCREAMING-KEBAB-CASE"
]
_OVERRIDE = type(override())
# They stand around a type in a declaration, and do not change its JSON.
_QUALIFIERS = frozenset({"Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})
# Self, Never and their kind, type variables that stand for nothing, and names in quotes.
_VAGUE = (type(typing.Self), typing.TypeVar, ForwardRef, str)


def is_record(cls: Any) -> bool:
    """Return whether it is an attrs class or a dataclass."""
    return hasattr(cls, "__attrs_attrs__") or hasattr(cls, "__dataclass_fields__")


def is_named_tuple(cls: Any) -> bool:
    """Return whether it is a NamedTuple."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_model(cls: Any) -> bool:
    """Return whether it is a model or a dataclass of pydantic 2."""
    return hasattr(cls, "__pydantic_serializer__") and hasattr(cls, "__pydantic_decorators__")


def class_of(declared: Any) -> Any:
    """Return the class of a generic class with its arguments, and of None."""
    return NoneType if declared is None else get_origin(declared) or declared


def is_vague(declared: Any) -> bool:
    """Return whether it leaves the type open: the value's own class decides."""
    return declared is Any or isinstance(declared, _VAGUE)


def is_union(declared: Any) -> bool:
    """Return whether it is a union, without a name of its own."""
    return get_origin(declared) in (typing.Union, UnionType)


def members_of(declared: Any) -> tuple[Any, ...]:
    """Return the members of a union, and of the unions in it that have names of their own."""
    if is_union(declared):
        found = [each for arg in get_args(declared) for each in members_of(arg)]
        return tuple(each for at, each in enumerate(found) if each not in found[:at])
    target = target_of(declared)
    inner = () if target is None else members_of(target)
    return inner if len(inner) > 1 else (declared,)


def unions_in(declared: Any) -> list[Any]:
    """Return the unions that are part of a union: the one without None, and those with names."""
    arguments = get_args(declared)
    rest = tuple(each for each in arguments if each is not NoneType)
    found = [typing.Union[rest]] if 1 < len(rest) < len(arguments) else []  # noqa: UP007
    for each in arguments:
        if not is_union(each) and len(members_of(each)) > 1:
            found += [each, *unions_in(target_of(each))]
    return found


def target_of(declared: Any) -> Any:
    """Return the type that this is another name of; None where it is none."""
    origin, arguments = get_origin(declared), get_args(declared)
    if isinstance(declared, typing.NewType):
        return declared.__supertype__
    # The type statement of Python 3.12, which typing_extensions has as well.
    if hasattr(origin, "__value__") and not isinstance(origin, type):
        return _filled(origin.__value__, dict(zip(origin.__type_params__, arguments, strict=False)))
    if hasattr(declared, "__value__") and not isinstance(declared, type):
        return declared.__value__
    if getattr(origin, "__name__", getattr(origin, "_name", None)) in _QUALIFIERS:
        return declared.__origin__ if hasattr(declared, "__metadata__") else arguments[0]
    return None


def meant_by(declared: Any) -> Any:
    """Return the type behind an alias, a NewType or an Annotated; any other type as it is."""
    target = target_of(declared)
    return declared if target is None else meant_by(target)


def types_of(declared: Any) -> dict[str, Any]:
    """Return the types that a class declares, by name; Any where a name in one is not found.

    Imports for type checking alone, and classes inside functions, are such names. What is Any
    is written by its own class, as everything without a declaration is.
    """
    cls = class_of(declared)
    hints: dict[str, Any] = {}
    arguments = _arguments_of(declared)
    for base in reversed(cls.__mro__):
        parameters = {each.__name__: each for each in getattr(base, "__type_params__", ())}
        # As in get_type_hints, names of the module come first: `date: date | None = None`.
        names = vars(base) | vars(sys.modules.get(base.__module__, typing)) | parameters
        for name, said in get_annotations(base, format=Format.FORWARDREF).items():
            # One at a time, because one that fails would hide all others.
            one = type("", (), {"__annotations__": {name: said}, "__module__": base.__module__})
            try:
                hint = typing.get_type_hints(one, None, names, include_extras=True)[name]
            except Exception:  # noqa: BLE001  an annotation may be any expression
                hint = Any
            hints[name] = _filled(hint, arguments.get(base, {}))
    return hints


def _arguments_of(declared: Any) -> dict[Any, dict[Any, Any]]:
    """Return, for a class and each base, the types that its type variables stand for."""
    found: dict[Any, dict[Any, Any]] = {}
    rest: list[tuple[Any, dict[Any, Any]]] = [(declared, {})]
    for each, outside in rest:
        cls = class_of(each)
        if isinstance(cls, type) and cls not in found:
            arguments = [_filled(argument, outside) for argument in get_args(each)]
            found[cls] = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
            rest += [(base, found[cls]) for base in get_original_bases(cls)]
    return found


def fields_of(declared: Any, key_of: Callable[[str], str]) -> list[tuple[str, str, Any]]:
    """Return the name, the key and the type of each field, of those with init=False too."""
    cls, types = class_of(declared), types_of(declared)
    given: Any = attrs.fields(cls) if attrs.has(cls) else dataclass_fields(cls)
    if not vars(cls).keys() & {"__attrs_attrs__", "__dataclass_fields__"}:  # its base has them
        own = get_annotations(cls, format=Format.FORWARDREF).keys() - {each.name for each in given}
        if lost := [name for name in sorted(own) if "ClassVar" not in str(types[name])]:
            reason = f"whose {lost[0]!r} is not a field; decorate the class as its base class is"
            raise RefusedError(f"is of type {type_name(cls)}, {reason}")
    found = []
    for each in given:
        # attrs has None for a field without an annotation; the annotation None is NoneType.
        hint = types.get(each.name, Any if each.type is None else each.type)
        if any(type(mark) is _OVERRIDE for mark in getattr(hint, "__metadata__", ())):
            raise RefusedError(
                f"has an override in its field {each.name!r}; register a hook for its class, made "
                "with cattrs' make_dict_unstructure_fn"
            )
        found.append((each.name, key_of(each.name), hint))
    return found


def keys_of(declared: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the types of a TypedDict's keys, and the keys that are required."""
    types = types_of(declared)
    # Not __required_keys__ alone: where annotations are text it takes NotRequired for required.
    required = set(class_of(declared).__required_keys__)
    for name, hint in types.items():
        while get_origin(hint) is not None:
            required -= {name} if get_origin(hint) is NotRequired else set()
            required |= {name} if get_origin(hint) is Required else set()
            hint = next(iter(get_args(hint)), None)  # noqa: PLW2901  what it stands around
    return types, required


def named_fields_of(declared: Any) -> dict[str, Any]:
    """Return the types of a NamedTuple's fields, by name."""
    types = types_of(declared)
    return {name: types.get(name, Any) for name in class_of(declared)._fields}


def _filled(hint: Any, values: Mapping[Any, Any]) -> Any:
    """Return the type with its type variables replaced; those that stand for nothing by Any."""
    if isinstance(hint, typing.TypeVar):
        return values.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(values.get(each, Any) for each in parameters)]


def key_style_of(style: KeyStyle | None) -> Callable[[str], str]:
    """Return the function that makes a field's name a key, as serde's `rename_all` does."""
    if style not in _STYLES:
        raise ValueError(f"key_style={style!r} is not one of {', '.join(get_args(KeyStyle))}")
    return _STYLES[style]


# serde changes the case of ASCII letters alone.
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def _pascal(name: str) -> str:
    # Not str.capitalize(), which lowers the rest of a word.
    return "".join(word[:1].translate(_UPPER) + word[1:] for word in name.split("_"))


def _camel(name: str) -> str:
    pascal = _pascal(name)
    return pascal[:1].translate(_LOWER) + pascal[1:]


_STYLES: dict[str | None, Callable[[str], str]] = {
    None: str,
    "camelCase": _camel,
    "PascalCase": _pascal,
    "kebab-case": lambda name: name.replace("_", "-"),
    "SCREAMING_SNAKE_CASE": lambda name: name.translate(_UPPER),
    "SCREAMING-KEBAB-CASE": lambda name: name.translate(_UPPER).replace("_", "-"),
}
