"""Unions: tagged as serde writes a Rust enum by default, or written as the member that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum, Flag
from types import NoneType
from typing import TYPE_CHECKING, Any

from typing_extensions import is_typeddict

from golem_client.payload import declarations, models, refusals
from golem_client.payload.classes import own_rule
from golem_client.payload.declarations import class_of, meant_by, members_of
from golem_client.payload.refusals import RefusedError, mismatch, type_name
from golem_client.payload.rules import LazyRule, Room, Rule, class_rule

if TYPE_CHECKING:
    from golem_client.payload.converter import PayloadConverter


def union_rule(declared: Any, converter: PayloadConverter) -> Rule:
    """Return the rule of a union that is not tagged as a whole.

    A value goes to the user's hook or to the tagged union that is for a part of this one, or else
    to the first member that can write it.
    """
    members = members_of(declared)
    parts = [each for each in declarations.unions_in(declared) if converter.user_hook(each)]
    hooked = [converter.rule_for(each) for each in parts]
    by_hooks = [member for each in parts for member in members_of(each)]
    meant = [meant_by(each) for each in members]
    tagged = [each for each in converter.tagged if all(one in meant for one in each.members)]
    # A member of a tagged union is written by it, or not at all: a subclass is not a variant.
    variants = [each for union in tagged for each in union.members]
    rest = [each for each, is_for in zip(members, meant, strict=True) if is_for not in variants]
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
        return _first_writing(value, found, room, declared)

    is_direct = not hooked and not advice
    plains = frozenset[type]().union(*(rule.plains for rule in rules if is_direct))
    return Rule(lambda value: bool(fitting(value)), write, plains)


def _first_writing(value: Any, rules: list[Rule], room: Room, declared: Any) -> Any:
    """Try each member on the whole value."""
    for rule in rules:
        left = room.left
        try:
            return rule.write(value, room)
        except (refusals.TooDeepError, refusals.TooLargeError):
            raise
        except RefusedError:
            room.left = left
    raise mismatch(value, declared)


def _kind(declared: Any) -> Any:
    cls = class_of(meant_by(declared))
    return dict if is_typeddict(cls) else cls


def _advice(
    declared: Any, untagged: list[Any], tagged: list[Tagged], converter: PayloadConverter
) -> str | None:
    """Return why a union of several classes is refused: no default Rust enum reads it untagged."""
    hook = converter.user_hook
    meant = [(each, meant_by(each)) for each in untagged]
    made = [pair for pair in meant if _can_be_variant(pair[1])]
    classes = {cls for each, cls in made if not (hook(cls) or hook(each))}
    if len(classes) + len(tagged) < 2 or all(_is_enum(each) for each in classes):
        return None
    union = " | ".join(type_name(each) for each in members_of(declared) if each is not NoneType)
    return (
        f"is declared as {union}, and a Rust enum by default expects the variant's name around "
        "its content: use make_converter(externally_tagged=[that union]). If the Rust enum is "
        "#[serde(untagged)], or its tag is a field, say so on a converter from make_converter(): "
        "converter.register_unstructure_hook(that union, converter.unstructure)"
    )


class Tagged:
    """A union whose values are written as a name, or as an object of the name and the content.

    Attributes:
        members: The types of its variants.
        names: By the class of a variant its name; an enum has one for each member.
    """

    def __init__(
        self, declared: Any, names: Mapping[Any, str], converter: PayloadConverter
    ) -> None:
        self._declared, self._converter = declared, converter
        members = dict.fromkeys(map(meant_by, members_of(declared)))
        self.members = tuple(each for each in members if each not in (None, NoneType))
        names = {meant_by(each): name for each, name in names.items()}
        self.names = {class_of(each): self._names_of(each, names) for each in self.members}
        self._require_difference(names)
        self._rules = {
            class_of(each): LazyRule(each, converter, self._variant_rule) for each in self.members
        }
        # A subclass does not fit: Rust has no name for it.
        self.rule = Rule(lambda value: type(value) in self._rules, self._write)

    def _write(self, value: Any, room: Room) -> Any:
        if type(value) not in self._rules:
            raise mismatch(value, self._declared)
        return self._rules[type(value)].write(value, room)

    def _variant_rule(self, member: Any) -> Rule:
        """Return the rule of a variant. A user's hook for it writes the content."""
        cls = class_of(member)
        if _is_enum(cls):
            return class_rule(cls, self._converter, lambda value, _: _variant_name(value))
        types = declarations.named_fields_of(member) if declarations.is_named_tuple(cls) else {}
        (name,), is_newtype = self.names[cls], False
        if self._converter.user_hook(member):
            content: Rule = self._converter.rule_for(member)
        elif self._is_unit(member, cls):
            return class_rule(cls, self._converter, lambda *_: name)
        elif is_newtype := len(types) == 1:
            content = self._converter.rule_for(*types.values())
        else:
            content = own_rule(member, self._converter)

        def write(value: Any, room: Room) -> Any:
            room.take(1)
            return room.written([name], [value[0] if is_newtype else value], [content])

        return class_rule(cls, self._converter, write)

    def _is_unit(self, member: Any, cls: Any) -> bool:
        if declarations.is_model(cls):
            return not models.has_fields(cls)
        is_record = declarations.is_record(cls)
        return is_record and not declarations.fields_of(member, self._converter.key_of)

    def _names_of(self, member: Any, names: Mapping[Any, str]) -> tuple[str, ...]:
        cls = class_of(member)
        if _is_enum(cls):
            return tuple(map(_variant_name, cls))
        if not _can_be_variant(member):
            kinds = "an attrs class, a dataclass, a NamedTuple, a pydantic model or an enum"
            raise TypeError(f"{type_name(member)} cannot be a variant; declare {kinds}")
        name = names.get(member, cls.__name__)
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"the name of the variant {type_name(member)} must be text, not {name!r}"
            )
        return (name,)

    def _require_difference(self, names: Mapping[Any, str]) -> None:
        """Raise where a name has no variant, or two variants have one class or one name."""
        if len(self.names) < len(self.members):
            raise TypeError(f"{type_name(self._declared)} has several variants of one class")
        if unknown := set(names).difference(self.members):
            raise ValueError(f"{type_name(self._declared)} has no variant {unknown}")
        times = Counter(name for each in self.names.values() for name in each)
        if repeated := [name for name in times if times[name] > 1]:
            raise ValueError(f"{type_name(self._declared)} has several variants named {repeated}")


def _can_be_variant(member: Any) -> bool:
    """Return whether it is a class that was made to be a variant, unlike str or list[int]."""
    is_made = (declarations.is_record, declarations.is_model, declarations.is_named_tuple, _is_enum)
    return any(is_so(class_of(member)) for is_so in is_made)


def _is_enum(member: Any) -> bool:
    """Return whether it is an enum that has a name for each value, unlike flags."""
    return isinstance(member, type) and issubclass(member, Enum) and not issubclass(member, Flag)


def _variant_name(member: Enum) -> str:
    """Return the name of the unit variant that an enum's member is: its value if that is text."""
    return str(member.value) if isinstance(member.value, str) else member.name
