"""The cattrs converter that carries the payload rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import cattrs

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.keys import KeyStyle, key_style_of
from golem_client.payload.refusals import RefusedError, type_name
from golem_client.payload.rules import class_rule, members_of, rule_for
from golem_client.payload.scalars import WRITERS
from golem_client.payload.steps import PLAIN, Rule, is_hashable
from golem_client.payload.tagged import Tagged, Unclear
from golem_client.payload.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm

    TaggedUnions = Iterable[TypeForm[Any]] | Mapping[TypeForm[Any], Mapping[Any, str]]


class PayloadConverter(cattrs.Converter):
    """A converter whose hooks are the payload rules, and then what the user registers.

    Attributes:
        tagged: The unions that are externally tagged.
        key_of: Makes the name of a field its key.
    """

    tagged: tuple[Tagged, ...] = ()
    key_of: Callable[[str], str] = str

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rules: dict[Any, Rule] = {}
        self._variants: dict[type, Rule] = {}
        self.register_unstructure_hook_factory(lambda _: True, _factory)
        # A hook for one of these must not be found for another: a datetime is also a date, and
        # many an enum is also text. cattrs itself has hooks for str, bytes and Path.
        for cls in (*WRITERS, Path):
            self.register_unstructure_hook(cls, class_rule(cls, self))
        for id_class in (ComponentId, WorkerId, PromiseId):
            self.register_structure_hook(id_class, _parsed)

    def set_up(self, tagged: TaggedUnions, key_style: KeyStyle | None) -> None:
        """Take the options of `make_converter`."""
        self.key_of = key_style_of(key_style)
        names = tagged if isinstance(tagged, Mapping) else {each: {} for each in tagged}
        self._options = (names, key_style)
        self.tagged = tuple(self._tagged_union(union, names[union]) for union in names)
        self._variants = {
            cls: Unclear.unless_one(cls, [each for each in self.tagged if cls in each.classes])
            for union in self.tagged
            for cls in union.classes
        }

    def copy(self, *args: Any, **options: Any) -> PayloadConverter:
        """Return a converter with the same hooks and rules."""
        copied = super().copy(*args, **options)
        copied.set_up(*self._options)
        return copied

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Return the value as a tree of plain types, by the payload rules.

        Raises:
            PayloadError: The value, or something in it, cannot be a payload.
        """
        return Walk(self).run(obj, Any if unstructure_as is None else unstructure_as)

    def hook_for(self, declared: Any) -> Callable[[Any], Any]:
        """Return the user's hook for the type where there is one, else our rule."""
        if not is_hashable(declared):  # cattrs has no hooks for Annotated with such metadata
            return self.rule_for(declared)
        hook = self.get_unstructure_hook(declared)
        # cattrs finds the hook of a base class; our rule is that of the very class.
        return self.rule_for(declared) if isinstance(hook, Rule) else hook

    def rule_for(self, declared: Any) -> Rule:
        """Return our rule for the type, whether or not the user has a hook for it."""
        if not is_hashable(declared):
            return rule_for(declared, self)
        rule = self._rules.get(declared)
        if rule is None:
            alone = [each for each in self.tagged if each.members == {declared}]
            rule = self._rules[declared] = alone[0] if alone else rule_for(declared, self)
        return rule

    def class_rule(self, declared: Any) -> Rule:
        """Return our rule for a class, also where it is a tagged union of one."""
        return class_rule(declared, self)

    def type_of(self, value: Any) -> Any:
        """Return the type of a value that is not declared: its class, or its tagged union."""
        return self._variants.get(type(value), type(value))

    def can_be_key(self, value: Any) -> bool:
        """Tell whether the value may become the key of an object."""
        if isinstance(value, str | int | Enum | UUID):
            return True
        return not isinstance(self.hook_for(type(value)), Rule)

    def plain_by_our_rules(self) -> frozenset[type]:
        """Return the plain types that the user has no hook for."""
        return frozenset(cls for cls in PLAIN if isinstance(self.get_unstructure_hook(cls), Rule))

    def _tagged_union(self, union: Any, names: Mapping[Any, str]) -> Tagged:
        members = tuple(each for each in members_of(union) if each not in (None, NoneType))
        try:
            return Tagged(union, members, names, self)
        except RefusedError as error:
            reason = f"{type_name(union)} cannot be externally tagged: a variant {error}"
        raise TypeError(reason)


def make_converter(
    *, externally_tagged: TaggedUnions = (), key_style: KeyStyle | None = None
) -> cattrs.Converter:
    """Return a cattrs converter with the payload rules, to extend and to pass to the client.

    Your own hooks win over the rules, for plain types such as `str` too; what a hook returns is
    taken as it is, and only checked.

    Args:
        externally_tagged: Unions to write as serde writes a Rust enum by default, wherever a
            value is declared as the union, or is not declared. Variants are named after their
            classes; a mapping gives other names: `{Decision: {Rejected: "Denied"}}`. A class
            without fields is a unit variant, others are struct variants; a name in Rust's own
            notation says otherwise: `"Moved(..)"` is a newtype or tuple variant, `"Empty{..}"`
            a struct variant although it has no fields. NamedTuples are tuple variants, members
            of enums unit variants, and other types, once named, newtype variants.
        key_style: serde's `rename_all` for the fields of attrs classes, dataclasses and pydantic
            models: camelCase, PascalCase, kebab-case, SCREAMING_SNAKE_CASE or
            SCREAMING-KEBAB-CASE. Keys of dictionaries, TypedDicts among them, stay as they are.

    Raises:
        TypeError: A union to tag is none, or has members that cannot be told apart.
        ValueError: A name is missing, unknown or repeated, or there is no such key style.

    Examples:
        >>> import attrs
        >>> @attrs.frozen
        ... class Approved: ...
        >>> @attrs.frozen
        ... class Rejected:
        ...     reason: str
        >>> converter = make_converter(externally_tagged=[Approved | Rejected])
        >>> converter.unstructure(Rejected("too late"))
        {'Rejected': {'reason': 'too late'}}
        >>> converter.unstructure(Approved())
        'Approved'
    """
    converter = PayloadConverter()
    converter.set_up(externally_tagged, key_style)
    return converter


def _factory(declared: Any, converter: Any) -> Rule:
    rule: Rule = converter.rule_for(declared)
    return rule


def _parsed(value: Any, id_class: Any) -> Any:
    return id_class.parse(value)
