"""Unions written as Rust's serde writes an enum by default: externally tagged."""

from __future__ import annotations

from collections import Counter
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, get_origin

import attrs

from golem_client.payload.containers import Row
from golem_client.payload.fields import is_typed_dict
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
    """A variant that has a class: its type, its name in Rust, and its form where that is said."""

    member: Any
    name: str
    form: str = ""


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
            cls for cls, each in self._by_class.items() if _has_own_name(self._rule(each))
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
        content = self._content(value, variant)
        return variant.name if content is None else Object([(variant.name, *content)])

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
        if _is_enum(member):
            return Variant(member, "")
        rule = self._rule(member)
        said = self._names.get(member, "")
        form = next((form for form in (_POSITIONAL, _NAMED) if said.endswith(form)), "")
        has_fields = isinstance(rule, Record)
        if form and not has_fields and not (form == _POSITIONAL and isinstance(rule, Row)):
            raise ValueError(f"{said}: only attrs classes and dataclasses have a choice of form")
        name = said.removesuffix(form).strip()
        if not name and not _has_own_name(rule):
            raise ValueError(
                f"variant {type_name(member)} needs a name: externally_tagged="
                f"{{{type_name(self.declared)}: {{{type_name(member)}: 'Name'}}}}"
            )
        return Variant(member, name or (get_origin(member) or member).__name__, form)

    def _rule(self, member: Any) -> Rule:
        return self.converter.class_rule(member)

    def _content(self, value: Any, variant: Variant) -> tuple[Any, Any] | None:
        """Return the variant's content and its type; None for a unit variant."""
        if not isinstance(self.converter.hook_for(variant.member), Rule):
            return value, variant.member
        rule = self._rule(variant.member)
        if isinstance(rule, Row):
            return (value[0], rule.items[0]) if len(rule.items) == 1 else (value, rule)
        if isinstance(rule, Record) and variant.form == _POSITIONAL:
            return self._positional(value, variant, rule)
        is_unit = isinstance(rule, Record | Model) and not rule.fields and variant.form != _NAMED
        return None if is_unit else (value, rule)

    def _positional(self, value: Any, variant: Variant, rule: Record) -> tuple[Any, Any]:
        if len(rule.fields) == 1:
            return field_value(value, rule.fields[0].name), rule.fields[0].declared
        return value, Positional(variant.member, self.converter)


def _has_own_name(rule: Rule) -> bool:
    """Tell whether it is of a class that was made to be a variant, unlike str or list[int]."""
    return isinstance(rule, Record | Model | Member) or (
        isinstance(rule, Row) and hasattr(rule.cls, "_fields")
    )


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
