"""Unions: as serde writes a Rust enum by default, or as the one member that a value is of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from enum import Enum, Flag
from types import NoneType
from typing import TYPE_CHECKING, Any

from golem_client.payload import declarations, models, refusals
from golem_client.payload.classes import own_rule, part_of, record_rule
from golem_client.payload.declarations import class_of, members_of
from golem_client.payload.refusals import RefusedError, mismatch, type_name
from golem_client.payload.rules import LazyRule, Room, Rule, class_rule, resolved

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
        if found := [each.rule for each in tagged if each.rule.fits(value)]:
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

    is_direct = not hooked and not advice
    plains = frozenset[type]().union(*(rule.plains for rule in rules if is_direct))
    return Rule(lambda value: bool(fitting(value)), write, plains)


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
        except (refusals.TooDeepError, refusals.TooLargeError):
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


class Tagged:
    """A union whose values are written as a name, or as an object of the name and the content.

    Attributes:
        members: The types of its variants.
        forms: By the class of a variant its names, of which an enum has one for each member, and
            its form: "unit" is the name alone; "newtype" has the value of the only field as
            content, "tuple" an array of all, and "struct" what its type is written as.
    """

    def __init__(
        self, declared: Any, names: Mapping[Any, str], converter: PayloadConverter
    ) -> None:
        self._declared, self._names, self._converter = declared, names, converter
        members = [each for each in members_of(declared) if each not in (None, NoneType)]
        self.members = frozenset(members)
        self.forms: dict[Any, tuple[tuple[str, ...], str]] = {}
        for member in members:
            cls = class_of(member)
            is_class = isinstance(cls, type) and cls not in (Any, object)
            if not is_class or declarations.is_typed_dict(cls) or issubclass(cls, Flag):
                raise TypeError(f"{type_name(member)} cannot be a variant: it is not one class")
            if cls in self.forms:
                raise TypeError(f"{type_name(declared)} has several variants of one class")
            self.forms[cls] = self._form_of(member, cls)
        self._require_names()
        rules = [LazyRule(member, converter, self._variant_rule) for member in members]
        self._rules = dict(zip(self.forms, rules, strict=True))
        # A subclass does not fit: Rust has no name for it.
        self.rule = Rule(lambda value: type(value) in self._rules, self._write)

    def _write(self, value: Any, room: Room) -> Any:
        if type(value) not in self._rules:
            raise mismatch(value, self._declared)
        return self._rules[type(value)].write(value, room)

    def _variant_rule(self, member: Any) -> Rule:
        """Return the rule of a variant. A user's hook for it writes the content."""
        cls = class_of(member)
        (name, *_), form = self.forms[cls]
        field = ""
        if _is_enum(cls):
            return class_rule(cls, self._converter, lambda value, _: self._name_of(value))
        if self._converter.user_hook(member):
            content: Rule = self._converter.rule_for(member)
        elif form == "unit":
            return class_rule(cls, self._converter, lambda *_: name)
        elif form == "newtype" and (fields := self._fields_of(member)):
            ((field, declared),) = fields.items()
            content = self._converter.rule_for(declared)
        elif form == "tuple" and declarations.is_record(cls):
            content = record_rule(member, self._converter, as_array=True)
        else:
            content = own_rule(member, self._converter)

        def write(value: Any, room: Room) -> Any:
            room.take(1)
            return room.written([name], [part_of(value, field) if field else value], [content])

        return class_rule(cls, self._converter, write)

    def _fields_of(self, member: Any) -> dict[str, Any] | None:
        """Return the types of the fields of a class whose fields have an order; else None."""
        if declarations.is_named_tuple(class_of(member)):
            return declarations.named_fields_of(member)
        if not declarations.is_record(class_of(member)):
            return None
        fields = declarations.fields_of(member, self._converter.key_of)
        return {field.name: field.declared for field in fields}

    def _name_of(self, member: Enum) -> str:
        """Return the variant's name of an enum's member: its value where that is text."""
        by_default = member.value if isinstance(member.value, str) else member.name
        return str(self._names.get(member, by_default))

    def _form_of(self, member: Any, cls: Any) -> tuple[tuple[str, ...], str]:
        """Return the variant's names, and the form that they say, or that is natural to it."""
        if _is_enum(cls):
            return tuple(map(self._name_of, cls)), "unit"
        said = self._names.get(member, "")
        mark = said[-4:] if said.endswith((_POSITIONAL, _NAMED)) else ""
        name = said.removesuffix(mark).strip() or (cls.__name__ if has_own_name(member) else "")
        if not name:
            raise ValueError(
                f"variant {type_name(member)} needs a name: externally_tagged="
                f"{{{type_name(self._declared)}: {{{type_name(member)}: 'Name'}}}}"
            )
        fields, is_positional = self._fields_of(member), declarations.is_named_tuple(cls)
        if mark and (fields is None or (is_positional and mark == _NAMED)):
            raise ValueError(
                f"{name}{mark}: only attrs classes and dataclasses have a choice of form"
            )
        if fields is not None and (is_positional or mark == _POSITIONAL):
            return (name,), "newtype" if len(fields) == 1 else "tuple"
        has_content = models.has_fields(cls) if declarations.is_model(cls) else fields != {}
        return (name,), "struct" if has_content or mark else "unit"

    def _require_names(self) -> None:
        """Raise where there is no variant, or no variant of a name, or several."""
        if not self.members:
            raise TypeError(f"{type_name(self._declared)} has no variants")
        known = self.members.union(*(cls for cls in self.forms if _is_enum(cls)))
        if unknown := set(self._names) - known:
            raise ValueError(f"{type_name(self._declared)} has no variant {unknown}")
        times = Counter(name for names, _ in self.forms.values() for name in names)
        if repeated := [name for name in times if times[name] > 1]:
            raise ValueError(f"{type_name(self._declared)} has several variants named {repeated}")


def has_own_name(member: Any) -> bool:
    """Return whether it is a class that was made to be a variant, unlike str or list[int]."""
    is_made = (declarations.is_record, declarations.is_model, declarations.is_named_tuple, _is_enum)
    return any(is_so(class_of(member)) for is_so in is_made)


def _is_enum(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Enum)
