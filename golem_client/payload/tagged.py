"""Unions written as Rust's serde writes an enum by default: externally tagged."""

from __future__ import annotations

from collections import Counter
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, TypeGuard, get_origin

import attrs

from golem_client.payload.containers import Row
from golem_client.payload.fields import Field, is_typed_dict
from golem_client.payload.models import Model
from golem_client.payload.records import Positional, Record, field_value
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.scalars import Member
from golem_client.payload.steps import Object, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from golem_client.payload.converter import PayloadConverter

_POSITIONAL = "(..)"
_NAMED = "{..}"


@attrs.frozen
class Variant:
    """A variant: its type, its name in Rust, and how its content is written.

    Attributes:
        has_content: False for a unit variant, which is its name alone.
        only_field: Of a newtype variant, whose content is that field.
    """

    member: Any
    name: str
    rule: Rule = attrs.field(eq=False)
    has_content: bool = True
    only_field: Field | None = None


class Tagged(Rule):
    """A tagged union: the variant's name alone, or an object of the name and the content."""

    def __init__(
        self,
        declared: Any,
        members: tuple[Any, ...],
        names: Mapping[Any, str],
        converter: PayloadConverter,
    ) -> None:
        super().__init__(declared, converter)
        self.members = frozenset(members)
        self._names = dict(names)
        self._by_class = _by_class(declared, members)
        self.variants = {each: self._variant(each) for each in members}
        _require_names(self)

    @property
    def classes(self) -> frozenset[type]:
        """The classes whose instances are variants wherever they are; a newtype's are not."""
        return frozenset(
            cls
            for cls, member in self._by_class.items()
            if _has_own_name(self.variants[member].rule)
        )

    def fits(self, value: Any) -> bool:
        """Tell whether its class is a variant's. A subclass is none: Rust has no name for it."""
        return type(value) in self._by_class

    def open(self, value: Any, choose: Callable[..., Any]) -> str | Object:
        """Write the name alone where there is no content."""
        del choose
        if isinstance(value, Enum):
            return self.name_of(value)
        variant = self.variants[self._by_class[type(value)]]
        if not isinstance(self.converter.hook_for(variant.member), Rule):
            return Object([(variant.name, value, variant.member)])
        if not variant.has_content:
            return variant.name
        if variant.only_field:
            value, rule = field_value(value, variant.only_field.name), variant.only_field.declared
            return Object([(variant.name, value, rule)])
        return Object([(variant.name, value, variant.rule)])

    def name_of(self, member: Enum) -> str:
        """Return the variant's name of an enum's member: its value where that is text."""
        by_default = member.value if isinstance(member.value, str) else member.name
        return str(self._names.get(member, by_default))

    def writing_of(self, cls: type) -> object:
        """Return what decides how an instance is written."""
        member = self._by_class[cls]
        if _is_enum(member):
            return [self.name_of(each) for each in member]
        return self.variants[member]

    def texts(self) -> Iterator[str]:
        """Return the names of all variants."""
        for member, variant in self.variants.items():
            if _is_enum(member):
                yield from map(self.name_of, member)
            else:
                yield variant.name

    def named(self) -> set[Any]:
        """Return what was given a name."""
        return set(self._names)

    def _variant(self, member: Any) -> Variant:
        rule = self.converter.class_rule(member)
        if isinstance(rule, Member):
            return Variant(member, "", rule)
        said = self._names.get(member, "")
        form = next((form for form in (_POSITIONAL, _NAMED) if said.endswith(form)), "")
        name = said.removesuffix(form).strip()
        if not name and not _has_own_name(rule):
            raise ValueError(
                f"variant {type_name(member)} needs a name: externally_tagged="
                f"{{{type_name(self.declared)}: {{{type_name(member)}: 'Name'}}}}"
            )
        return _formed(member, name or rule.cls.__name__, form, rule)


def _formed(member: Any, name: str, form: str, rule: Rule) -> Variant:
    """Return the variant in the form that is said, or that is natural to its class."""
    if _is_named_tuple(rule) and form != _NAMED:
        names = rule.cls._fields
        only = Field(names[0], names[0], rule.items[0]) if len(names) == 1 else None
        return Variant(member, name, rule, only_field=only)
    if form and not isinstance(rule, Record):
        raise ValueError(f"{name}{form}: only attrs classes and dataclasses have a choice of form")
    if isinstance(rule, Record) and form == _POSITIONAL:
        only = rule.fields[0] if len(rule.fields) == 1 else None
        return Variant(member, name, Positional(member, rule.converter), only_field=only)
    is_unit = isinstance(rule, Record | Model) and not rule.fields and not form
    return Variant(member, name, rule, has_content=not is_unit)


def _has_own_name(rule: Rule) -> bool:
    """Tell whether it is of a class that was made to be a variant, unlike str or list[int]."""
    return isinstance(rule, Record | Model | Member) or _is_named_tuple(rule)


def _is_named_tuple(rule: Rule) -> TypeGuard[Row]:
    return isinstance(rule, Row) and hasattr(rule.cls, "_fields")


def _is_enum(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Enum)


def _by_class(declared: Any, members: tuple[Any, ...]) -> dict[type, Any]:
    """Return the members by the class of their values, by which alone they are told apart."""
    found: dict[type, Any] = {}
    for member in members:
        cls = get_origin(member) or member
        is_class = isinstance(cls, type) and cls not in (Any, object) and not is_typed_dict(cls)
        if not is_class or issubclass(cls, Flag):
            raise TypeError(f"{type_name(member)} cannot be a variant: it is not one class")
        if cls in found:
            raise TypeError(f"{type_name(declared)} has several variants of one class")
        found[cls] = member
    if not found:
        raise TypeError(f"{type_name(declared)} has no variants")
    return found


def _require_names(union: Tagged) -> None:
    members = union.variants
    known = set(members) | {each for member in members if _is_enum(member) for each in member}
    if unknown := union.named() - known:
        raise ValueError(f"{type_name(union.declared)} has no variant {unknown}")
    repeated = [name for name, times in Counter(union.texts()).items() if times > 1]
    if repeated:
        raise ValueError(f"{type_name(union.declared)} has several variants named {repeated}")


class Unclear(Rule):
    """A class that several tagged unions write differently, where none of them is declared."""

    def open(self, value: Any, choose: Callable[..., Any]) -> Any:
        """Refuse."""
        del value, choose
        raise RefusedError(
            f"is of type {type_name(self.declared)}, which several tagged unions write "
            "differently; say which with as_type="
        )

    @classmethod
    def unless_one(cls, variant: type, unions: list[Tagged]) -> Rule:
        """Return the union of the class, where all of its unions write it alike."""
        if all(each.writing_of(variant) == unions[0].writing_of(variant) for each in unions):
            return unions[0]
        return cls(variant, unions[0].converter)
