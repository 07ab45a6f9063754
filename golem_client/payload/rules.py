"""Which rule writes which type."""

from __future__ import annotations

import typing
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.containers import container_rule
from golem_client.payload.fields import filled, has_fields, is_typed_dict
from golem_client.payload.models import Model, is_model
from golem_client.payload.records import Keys, Record
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.scalars import WRITERS, Exactly, Member, Scalar
from golem_client.payload.steps import Again, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from golem_client.payload.converter import PayloadConverter

# What stands around a type in a declaration, and says nothing about its JSON.
_QUALIFIERS = frozenset({"Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})
# Self, Never and their kind, and type variables that stand for nothing.
_VAGUE = (type(typing.Self), typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple)
_IDS = (ComponentId, WorkerId, PromiseId)


class Anything(Rule):
    """What is declared says nothing: the value's own class decides."""

    def fits(self, value: Any) -> bool:
        """Tell that it is."""
        del value
        return True

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Go on by the class."""
        del choose
        return Again(value)


class Alias(Anything):
    """Another name of a type: NewType, Annotated, a type statement."""

    def __init__(self, declared: Any, target: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        self._target = target

    def fits(self, value: Any) -> bool:
        """Tell whether the type takes it."""
        return self.converter.rule_for(self._target).fits(value)

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Go on by the type."""
        del choose
        return Again(value, self._target)


class Class(Rule):
    """A class without a rule. Its subclasses may have one."""

    def fits(self, value: Any) -> bool:
        """Tell whether it is an instance; where Python cannot tell, it is."""
        try:
            return super().fits(value)
        except TypeError:  # a protocol that is not runtime_checkable
            return True

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Refuse an instance of just this class."""
        del choose
        if type(value) is not self.declared:
            return Again(value)
        raise RefusedError(
            f"is of type {type_name(self.declared)}, for which there is no rule; convert it "
            "first, or register_unstructure_hook() on a converter of make_converter()"
        )


class Union(Rule):
    """A union that is not tagged: a value is written as the one member that it is of."""

    def __init__(self, declared: Any, converter: PayloadConverter) -> None:
        super().__init__(declared, converter)
        members = members_of(declared)
        self._named = _named_unions(declared)
        self._tagged = [each for each in converter.tagged if each.members <= set(members)]
        # A member of a tagged union is written by it, or not at all: a subclass is no variant.
        variants = frozenset[Any]().union(*(each.members for each in self._tagged))
        self._members = [each for each in members if each not in variants]

    def fits(self, value: Any) -> bool:
        """Tell whether any member takes it."""
        return bool(self._fitting(value))

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Go on as the tagged union that is part of this one, or as the closest member."""
        for each in self._named:
            hook = self.converter.hook_for(each)
            if not isinstance(hook, Rule) and self.converter.rule_for(each).fits(value):
                return Again(value, each)
        members = self._fitting(value)
        return Again(value, members[0] if len(members) == 1 else choose(self, value, members))

    def _fitting(self, value: Any) -> list[Any]:
        tagged = [each for each in self._tagged if each.fits(value)]
        if tagged:
            return tagged
        members = [each for each in self._members if self.converter.rule_for(each).fits(value)]
        return [each for each in members if _class_of(each) is type(value)] or members


class Mixed(Class):
    """A class that has fields and is a value or a container besides: one of them would be lost."""

    def open(self, value: Any, choose: Callable[..., Any]) -> Again:
        """Refuse."""
        del value, choose
        raise RefusedError(
            f"is of type {type_name(self.declared)}, which has fields and is a value of its own "
            "as well; register_unstructure_hook() on a converter of make_converter()"
        )


def rule_for(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a type.

    Raises:
        RefusedError: It is no type.
    """
    target = _target(declared)
    if target is not None:
        return Alias(declared, target, converter)
    if declared is Any or isinstance(declared, _VAGUE):
        return Anything(declared, converter)
    origin = get_origin(declared)
    if origin is typing.Literal:
        return Exactly(declared, converter)
    if _is_union(declared):
        return Union(declared, converter)
    return class_rule(declared, converter)


def class_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a class, or of a generic class with its arguments."""
    cls = NoneType if declared is None else get_origin(declared) or declared
    if not isinstance(cls, type):
        raise RefusedError(f"is declared as {type_name(declared)}, which is no type; name a type")
    if is_model(cls):
        return Model(cls, converter)
    if is_typed_dict(cls):
        return Keys(declared, converter)
    if issubclass(cls, Enum):
        return Member(cls, converter)
    if issubclass(cls, tuple(WRITERS)):
        mixed = has_fields(cls) and not issubclass(cls, _IDS)
        return Mixed(cls, converter) if mixed else Scalar(cls, converter)
    container = container_rule(declared, cls, converter)
    if has_fields(cls):
        return Mixed(cls, converter) if container else Record(declared, converter)
    return container or Class(declared, converter)


def members_of(declared: Any) -> tuple[Any, ...]:
    """Return the members of a union, and of the unions in it that have names of their own."""
    if _is_union(declared):
        found = [each for arg in get_args(declared) for each in members_of(arg)]
        return tuple(dict.fromkeys(found))
    target = _target(declared)
    inner = () if target is None else members_of(target)
    return inner if len(inner) > 1 else (declared,)


def _named_unions(declared: Any) -> list[Any]:
    """Return the unions in a union that have names of their own, the outer ones first."""
    found = []
    for each in get_args(declared):
        if not _is_union(each) and len(members_of(each)) > 1:
            found += [each, *_named_unions(_target(each))]
    return found


def _is_union(declared: Any) -> bool:
    return get_origin(declared) in (typing.Union, UnionType)


def _class_of(declared: Any) -> Any:
    return dict if is_typed_dict(declared) else get_origin(declared) or declared


def _target(declared: Any) -> Any:
    """Return the type that this is another name of; None where it is none."""
    origin, arguments = get_origin(declared), get_args(declared)
    if isinstance(declared, typing.NewType):
        return declared.__supertype__
    if declared is typing.LiteralString:
        return str
    # The type statement of Python 3.12, which typing_extensions has as well.
    if hasattr(origin, "__value__") and not isinstance(origin, type):
        return filled(origin.__value__, dict(zip(origin.__type_params__, arguments, strict=False)))
    if hasattr(declared, "__value__") and not isinstance(declared, type):
        return declared.__value__
    if getattr(origin, "__name__", getattr(origin, "_name", None)) in _QUALIFIERS:
        return declared.__origin__ if hasattr(declared, "__metadata__") else arguments[0]
    return None
