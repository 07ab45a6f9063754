"""Unions: as serde writes a Rust enum by default, or as the one member that a value is of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, Flag
from types import NoneType
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.payload import declarations, models
from golem_client.payload.classes import own_rule, part_of, record_rule
from golem_client.payload.declarations import class_of, members_of
from golem_client.payload.refusals import (
    RefusedError,
    TooDeepError,
    TooLargeError,
    mismatch,
    type_name,
)
from golem_client.payload.rules import Room, Rule, resolved

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter

_POSITIONAL = "(..)"
_NAMED = "{..}"


def union_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a union that is not tagged as a whole.

    A value goes to the user's hook or to the tagged union that is for a part of this one, or else
    to the one member that it is of.
    """
    members = members_of(declared)
    parts = [each for each in declarations.unions_in(declared) if converter.user_hook(each)]
    hooked = [converter.rule_for(each) for each in parts]
    by_hooks = {member for each in parts for member in members_of(each)}
    tagged = [each for each in converter.tagged if each.members <= set(members)]
    # A member of a tagged union is written by it, or not at all: a subclass is no variant.
    rest = [each for each in members if not any(each in union.members for union in tagged)]
    rules = [converter.rule_for(each).made() for each in rest]
    advice = _advice(declared, [each for each in rest if each not in by_hooks], tagged, converter)

    def fitting(value: Any) -> list[Rule]:
        found: list[Rule] = [each.rule for each in tagged if each.rule.fits(value)]
        if found:
            return found
        fits = [rule for rule in rules if rule.fits(value)]
        return [rule for rule in fits if _kind(rule.declared) is type(value)] or [*fits]

    def write(value: Any, room: Room) -> Any:
        for rule in hooked:
            if rule.fits(value):
                return rule.write(value, room)
        if advice and value is not None:
            raise RefusedError(advice)
        found = fitting(value)
        if len(found) == 1:
            return found[0].write(value, room)
        return _the_one_writing(value, found, room, declared)

    plains = frozenset[type]().union(*(rule.plains for rule in rules))
    return Rule(
        lambda value: bool(fitting(value)), write, frozenset() if hooked or advice else plains
    )


def _kind(declared: Any) -> Any:
    return dict if declarations.is_typed_dict(class_of(declared)) else class_of(declared)


def _advice(
    declared: Any, untagged: list[Any], tagged: list[Tagged], converter: PayloadConverter
) -> str | None:
    """Return why a union of several classes is refused: a default Rust enum cannot read them."""
    classes = [each for each in untagged if has_own_name(each) and not converter.user_hook(each)]
    if len(classes) + len(tagged) < 2 or all(_is_enum(each) for each in classes):
        return None
    union = " | ".join(type_name(each) for each in members_of(declared) if each is not NoneType)
    return (
        f"is declared as {union}, and a Rust enum by default expects the variant's name around "
        "its content: use make_converter(externally_tagged=[that union]). If the Rust enum is "
        "#[serde(untagged)], or its tag is a field, say so on a converter from make_converter(): "
        "converter.register_unstructure_hook(that union, converter.unstructure)"
    )


def _the_one_writing(value: Any, rules: list[Rule], room: Room, declared: Any) -> Any:
    """Try each member on the whole value."""
    left, written = room.left, []
    left_at_least = left
    for rule in rules:
        try:
            written.append(rule.write(value, room))
            left_at_least = min(left_at_least, room.left)
        except (TooDeepError, TooLargeError):
            raise
        except RefusedError:
            pass
        room.left = left
    room.left = left_at_least
    if not written:
        raise mismatch(value, declared)
    if len(written) > 1 and len({json.dumps(resolved(each)) for each in written}) > 1:
        raise RefusedError(
            f"fits several members of {type_name(declared)}, which are written differently; "
            "declare the one that is meant"
        )
    return written[0]


@attrs.frozen
class Variant:
    """A variant of a tagged union.

    Attributes:
        name: Its name in Rust.
        form: "unit" is the name alone; "newtype" has one value as content, "tuple" an array, and
            "struct" what its type is written as.
        only_field: Of a newtype variant whose content is that field: its name and type.
    """

    name: str
    form: str
    only_field: tuple[str, Any] | None = None


class Tagged:
    """A union whose values are written as a name, or as an object of the name and the content."""

    def __init__(
        self, declared: Any, names: Mapping[Any, str], converter: PayloadConverter
    ) -> None:
        members = [each for each in members_of(declared) if each not in (None, NoneType)]
        self.declared = declared
        self.members = frozenset(members)
        self.rule = Rule(self._fits, self._write)
        self._names = dict(names)
        self._converter = converter
        self._by_class = _by_class(declared, members)
        self._variants = {
            cls: None if _is_enum(member) else self._variant(member)
            for cls, member in self._by_class.items()
        }
        self._require_names()

    @property
    def classes(self) -> Iterator[Any]:
        """The classes whose instances are variants wherever they are; a newtype's are not."""
        return (cls for cls, member in self._by_class.items() if has_own_name(member))

    def writing_of(self, cls: type) -> object:
        """Return what decides how an instance is written, to compare it with another union's."""
        return self._variants[cls] or [self._name_of(each) for each in self._by_class[cls]]

    def _fits(self, value: Any) -> bool:
        # A subclass does not fit: Rust has no name for it.
        return type(value) in self._by_class

    def _write(self, value: Any, room: Room) -> Any:
        if not self._fits(value):
            raise mismatch(value, self.declared)
        variant, member = self._variants[type(value)], self._by_class[type(value)]
        if variant is None:
            return self._name_of(value)
        content = value
        rule: Rule = self._converter.rule_for(member)
        if not self._converter.user_hook(member):
            if variant.form == "unit":
                return variant.name
            if variant.only_field:
                name, declared = variant.only_field
                rule, content = self._converter.rule_for(declared), part_of(value, name)
            else:
                rule = self._converter.content_rule_for(member, variant.form)
        room.take(1)
        return room.written([variant.name], [content], [rule])

    def _name_of(self, member: Enum) -> str:
        """Return the variant's name of an enum's member: its value where that is text."""
        by_default = member.value if isinstance(member.value, str) else member.name
        return str(self._names.get(member, by_default))

    def _variant(self, member: Any) -> Variant:
        """Return the variant in the form that its name says, or that is natural to its class."""
        cls, said = class_of(member), self._names.get(member, "")
        form = next((form for form in (_POSITIONAL, _NAMED) if said.endswith(form)), "")
        name = said.removesuffix(form).strip() or (cls.__name__ if has_own_name(member) else "")
        if not name:
            raise ValueError(
                f"variant {type_name(member)} needs a name: externally_tagged="
                f"{{{type_name(self.declared)}: {{{type_name(member)}: 'Name'}}}}"
            )
        fields: list[tuple[str, Any]] | None = None
        if declarations.is_named_tuple(cls):
            fields = [*declarations.named_fields_of(member).items()]
        elif declarations.is_record(cls):
            found = declarations.fields_of(member, self._converter.key_of)
            fields = [(each.name, each.declared) for each in found]
        if form and (fields is None or (declarations.is_named_tuple(cls) and form == _NAMED)):
            raise ValueError(
                f"{name}{form}: only attrs classes and dataclasses have a choice of form"
            )
        if fields is not None and (declarations.is_named_tuple(cls) or form == _POSITIONAL):
            is_newtype = len(fields) == 1
            return Variant(name, "newtype", fields[0]) if is_newtype else Variant(name, "tuple")
        has_content = (
            models.has_fields(cls) if declarations.is_model(cls) else fields is None or bool(fields)
        )
        return Variant(name, "struct" if has_content or form else "unit")

    def _require_names(self) -> None:
        named = [each for enum in self._by_class.values() if _is_enum(enum) for each in enum]
        if unknown := set(self._names) - self.members - set(named):
            raise ValueError(f"{type_name(self.declared)} has no variant {unknown}")
        names = [each.name for each in self._variants.values() if each]
        names += [self._name_of(each) for each in named]
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise ValueError(f"{type_name(self.declared)} has several variants named {repeated}")


def content_rule(member_and_form: tuple[Any, str], converter: PayloadConverter) -> Rule:
    """Return the rule for the content of a variant."""
    member, form = member_and_form
    if form == "tuple" and declarations.is_record(class_of(member)):
        return record_rule(member, converter, as_array=True)
    return own_rule(member, converter)


def has_own_name(member: Any) -> bool:
    """Return whether it is a class that was made to be a variant, unlike str or list[int]."""
    cls = class_of(member)
    return (
        declarations.is_record(cls)
        or declarations.is_model(cls)
        or declarations.is_named_tuple(cls)
        or _is_enum(cls)
    )


def _is_enum(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Enum)


def _by_class(declared: Any, members: Iterable[Any]) -> dict[Any, Any]:
    """Return the members by the class of their values, by which alone they are told apart."""
    found: dict[Any, Any] = {}
    for member in members:
        cls = class_of(member)
        is_class = (
            isinstance(cls, type)
            and cls not in (Any, object)
            and not declarations.is_typed_dict(cls)
        )
        if not is_class or issubclass(cls, Flag):
            raise TypeError(f"{type_name(member)} cannot be a variant: it is not one class")
        if cls in found:
            raise TypeError(f"{type_name(declared)} has several variants of one class")
        found[cls] = member
    if not found:
        raise TypeError(f"{type_name(declared)} has no variants")
    return found
