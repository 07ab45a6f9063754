"""The cattrs converter that carries the payload rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, TypeAlias
from uuid import UUID

import cattrs
from typing_extensions import TypeForm

from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.payload.classes import class_rule, refusing_rule
from golem_client.payload.containers import array_rule, mapping_rule, record_rule
from golem_client.payload.declarations import (
    class_of,
    is_model,
    is_record,
    is_union,
    is_vague,
    target_of,
)
from golem_client.payload.json_text import to_json
from golem_client.payload.keys import KeyStyle, key_style_of
from golem_client.payload.refusals import (
    RefusedError,
    TooDeepError,
    UnstructureError,
    json_path,
    mismatch,
    refused,
    refused_by_hook,
    type_name,
)
from golem_client.payload.rules import SCALARS, Room, Rule, WrittenJson, resolved
from golem_client.payload.scalars import WRITERS
from golem_client.payload.unions import Tagged, unclear_rule, union_rule

TaggedUnions: TypeAlias = (
    TypeForm[Any] | Iterable[TypeForm[Any]] | Mapping[TypeForm[Any], Mapping[Any, str]]
)

_IDS = (ComponentId, WorkerId, PromiseId)
_MAX_CONVERSIONS = 32


class PayloadConverter(cattrs.Converter):
    """A converter whose hooks are the payload rules, and then what the user registers.

    Make one with `make_converter`. Threads may share it once its hooks are registered.
    """

    tagged: tuple[Tagged, ...] = ()
    key_of: Callable[[str], str] = str

    def __init__(self, *args: Any, **options: Any) -> None:
        self._lock = RLock()
        self._options: tuple[TaggedUnions, KeyStyle | None] = ((), None)
        self._variants: dict[type, Rule] = {}
        self._forget_rules()
        super().__init__(*args, **options)
        self.register_unstructure_hook_factory(lambda _: True, _own_rule)
        # A hook for one of these must not be found for another: a datetime is also a date, and
        # many an enum is also text. cattrs itself has hooks for str, bytes and Path.
        for cls in (*WRITERS, Path):
            self.register_unstructure_hook(cls, self.own_rule_for(cls))
        for id_class in _IDS:
            self.register_structure_hook(id_class, _parsed)

    def set_up(self, tagged: TaggedUnions, key_style: KeyStyle | None) -> None:
        """Take the options of `make_converter`."""
        self.key_of = key_style_of(key_style)
        self._options = (tagged, key_style)
        names = _names_by_union(tagged)
        self.tagged = tuple(self._tagged(union, names[union]) for union in names)
        for cls in {cls for union in self.tagged for cls in union.classes}:
            unions = [each for each in self.tagged if cls in each.classes]
            first = unions[0].writing_of(cls)
            is_clear = all(each.writing_of(cls) == first for each in unions)
            self._variants[cls] = unions[0].rule if is_clear else unclear_rule(cls, self)
        self._forget_rules()

    def copy(self, *args: Any, **options: Any) -> PayloadConverter:
        """Return a converter with the same hooks and rules."""
        copied = super().copy(*args, **options)
        copied.set_up(*self._options)
        return copied

    def register_unstructure_hook(self, *args: Any, **options: Any) -> Any:
        """Register a hook for a class or a union, as cattrs does."""
        returned = super().register_unstructure_hook(*args, **options)
        self._forget_rules()
        return returned

    def register_unstructure_hook_func(self, *args: Any, **options: Any) -> Any:
        """Register a hook for the types that a predicate accepts, as cattrs does."""
        super().register_unstructure_hook_func(*args, **options)
        self._forget_rules()

    def register_unstructure_hook_factory(self, predicate: Any, factory: Any = None) -> Any:
        """Register a factory of hooks, as cattrs does."""
        if factory is None:  # used as a decorator
            return partial(self.register_unstructure_hook_factory, predicate)
        returned = super().register_unstructure_hook_factory(predicate, factory)
        self._forget_rules()
        return returned

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Return the value as a tree of plain types, by the payload rules.

        Args:
            obj: The value.
            unstructure_as: The type to write it as; by default its own class decides.

        Raises:
            PayloadError: The value, or something in it, cannot be a payload.
        """
        try:
            return self._checked_tree(obj, unstructure_as)
        except RefusedError as refusal:
            path, reason = json_path(refusal), refusal.reason
        # Raised out here, so that no traceback holds the value: not by the error above, which would
        # be the context of this one, nor by a local variable.
        del obj
        raise UnstructureError(path, reason)

    def tree(self, value: Any, declared: Any, max_bytes: float) -> tuple[Any, bool]:
        """Return the tree of a value, and whether it holds JSON that is written already.

        Raises:
            RefusedError: The value cannot be a payload. Nothing else is raised.
        """
        try:
            try:
                return self._tree(value, declared, Room(max_bytes))
            except TooDeepError:
                return self._tree(value, declared, Room(max_bytes, finds_cycles=True))
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            raise refused(error) from None

    def _checked_tree(self, value: Any, declared: Any) -> Any:
        tree, has_written_json = self.tree(value, declared, math.inf)
        to_json(tree, math.inf, has_written_json=has_written_json)  # for its checks
        return resolved(tree)

    def _tree(self, value: Any, declared: Any, room: Room) -> tuple[Any, bool]:
        if isinstance(declared, str):
            raise RefusedError(f"is declared as {declared}, which is no type; name a type")
        write = self.write if declared is None else self.rule_for(declared).write
        return write(value, room), room.has_written_json

    def write(self, value: Any, room: Room) -> Any:
        """Write a value that nothing is declared of: its own class decides."""
        kind = type(value)
        write = self._by_class.get(kind)
        if write is None:
            rule = self._variants.get(kind) or self.rule_for(kind)
            write = self._by_class[kind] = rule.write
        return write(value, room)

    def _write_many(self, values: list[Any], room: Room) -> WrittenJson | None:
        """Write an array of values of one class at once, if their class can do that."""
        kinds = set(map(type, values))
        if len(kinds) != 1 or not is_model(kind := kinds.pop()) or kind in self._variants:
            return None
        write_many = self.rule_for(kind).write_many
        return write_many(values, room) if write_many else None

    def rule_for(self, declared: Any) -> Rule:
        """Return the rule of a type: the user's hook where there is one, else our rule."""
        return self._cached(declared, self._rules, self._rule)

    def own_rule_for(self, declared: Any) -> Rule:
        """Return our rule of a type, whether or not the user has a hook for it."""
        return self._cached(declared, self._own_rules, self._own_rule)

    def user_hook(self, declared: Any) -> Callable[[Any], Any] | None:
        """Return the user's hook for a type, or None."""
        if not _is_hashable(declared):  # cattrs has no hooks for Annotated with such metadata
            return None
        hook = self.get_unstructure_hook(declared)
        return None if isinstance(hook, Rule) else hook

    def without_hooks(self, classes: Iterable[type]) -> frozenset[type]:
        """Return those of the classes that the user has no hook for."""
        return frozenset(cls for cls in classes if self.user_hook(cls) is None)

    def can_be_key(self, value: Any) -> bool:
        """Return whether the value may become the key of an object."""
        return isinstance(value, str | int | Enum | UUID) or bool(self.user_hook(type(value)))

    def write_enum_member(self, member: Enum, room: Room) -> Any:
        """Write what the user's hook for every enum returns, or the member's value."""
        hook = self.user_hook(Enum)
        return self._write_returned(hook(member) if hook else member.value, room)

    def variant_rule(self, member: Any, form: str) -> Rule:
        """Return the rule for the content of a variant of a tagged union."""
        return self._cached((member, form), self._rules, self._variant_rule)

    def _variant_rule(self, member_and_form: tuple[Any, str]) -> Rule:
        member, form = member_and_form
        if self.user_hook(member):
            return self.rule_for(member)
        is_array = form == "tuple" and is_record(class_of(member))
        return record_rule(member, self, as_array=True) if is_array else class_rule(member, self)

    def _rule(self, declared: Any) -> Rule:
        hook = self.user_hook(declared)
        own = self.own_rule_for(declared)
        if hook is None:
            return own

        def write(value: Any, room: Room) -> Any:
            if not own.fits(value):
                raise mismatch(value, declared)
            try:
                returned = hook(value)
            except Exception as error:  # noqa: BLE001  a hook may raise anything
                raise refused_by_hook(error) from None
            if returned is value:
                return self.rule_below_hook(declared, value).write(value, room)
            return self._write_returned(returned, room)

        return Rule(declared, self, own.fits, write)

    def rule_below_hook(self, declared: Any, value: Any) -> Rule:
        """Return our rule for a value that the user's hook for the type has passed on to it."""
        hook, kind = self.user_hook(declared), type(value)
        is_inherited = hook is not None and self.user_hook(kind) is hook
        return self.own_rule_for(kind if is_inherited else declared)

    def _own_rule(self, declared: Any) -> Rule:
        if is_vague(declared):
            plains = self.without_hooks(SCALARS)
            return Rule(declared, self, lambda _: True, self.write, plains, self._write_many)
        alone = [each for each in self.tagged if each.members == {declared}]
        if alone:
            return alone[0].rule
        target = target_of(declared)
        if target is not None:
            return self.rule_for(target)
        if is_union(declared):
            return union_rule(declared, self)
        return class_rule(declared, self)

    def _write_returned(self, value: Any, room: Room) -> Any:
        """Write what a hook returned: plain values in it are final, others meet the rules."""
        for _ in range(_MAX_CONVERSIONS):
            kind = type(value)
            if kind in SCALARS:
                return value
            if kind is dict:
                return self._returned_object.write(value, room)
            if kind in (list, tuple):
                return self._returned_array.write(value, room)
            if kind in self._variants or (hook := self.user_hook(kind)) is None:
                return self.write(value, room)
            returned = hook(value)
            if returned is value:
                return self.own_rule_for(kind).write(value, room)
            value = returned
        raise RefusedError("is converted again and again, and never becomes plain; check its hook")

    def _cached(self, declared: Any, rules: dict[Any, Rule], make: Callable[[Any], Rule]) -> Rule:
        if not _is_hashable(declared):
            return make(declared)
        rule = rules.get(declared)
        if rule is not None:
            return rule
        with self._lock:
            return rules.get(declared) or self._made(declared, rules, make)

    def _made(self, declared: Any, rules: dict[Any, Rule], make: Callable[[Any], Rule]) -> Rule:
        """Make a rule. A type that names itself finds a stand-in for it meanwhile."""
        under_way: dict[Any, Rule] = self._under_way.setdefault(id(rules), {})
        if declared in under_way:
            return under_way[declared]
        made: list[Rule] = []
        under_way[declared] = Rule(
            declared,
            self,
            lambda value: made[0].fits(value),  # noqa: PLW0108  it is not made yet
            lambda value, room: made[0].write(value, room),  # noqa: PLW0108  as above
        )
        try:
            made.append(make(declared))
        except Exception as error:  # noqa: BLE001  annotations and factories may raise anything
            made.append(refusing_rule(declared, refused(error).reason, self))
        finally:
            del under_way[declared]
        rules[declared] = made[0]
        return made[0]

    def _forget_rules(self) -> None:
        """Forget the rules, which a new hook may change."""
        self._rules: dict[Any, Rule] = {}
        self._own_rules: dict[Any, Rule] = {}
        self._under_way: dict[int, dict[Any, Rule]] = {}
        self._by_class: dict[type, Callable[[Any, Room], Any]] = {}
        returned = Rule(Any, self, lambda _: True, self._write_returned, SCALARS)
        self._returned_array = array_rule(Sequence, self, returned)
        self._returned_object = mapping_rule(dict, self, returned, returned)

    def _tagged(self, union: Any, names: Mapping[Any, str]) -> Tagged:
        try:
            return Tagged(union, names, self)
        except RefusedError as error:
            reason = f"{type_name(union)} cannot be externally tagged: a variant {error.reason}"
        raise TypeError(reason)


def make_converter(
    *, externally_tagged: TaggedUnions = (), key_style: KeyStyle | None = None
) -> cattrs.Converter:
    """Return a cattrs converter with the payload rules, to extend and to pass to the client.

    Your own hooks win over the rules, for plain types such as `str` too; what a hook returns is
    taken as it is, and only checked. Register hooks before the converter is used by several
    threads.

    A declared union of several classes must be tagged. Where the Rust enum is `untagged`, or its
    tag is a field of its own, say so: `converter.register_unstructure_hook(A | B,
    converter.unstructure)` writes each value as its own class.

    Args:
        externally_tagged: A union, or several, to write as serde writes a Rust enum by default,
            wherever a value is declared as the union, or is not declared. Variants are named
            after their classes; a mapping gives other names: `{Decision: {Rejected: "Denied"}}`.
            A class without fields is a unit variant, others are struct variants; a name in Rust's
            own notation says otherwise: `"Moved(..)"` is a newtype or tuple variant, `"Empty{..}"`
            a struct variant although it has no fields. NamedTuples are tuple variants, members
            of enums unit variants, and other types, once named, newtype variants.
        key_style: serde's `rename_all` for the fields of attrs classes and dataclasses:
            camelCase, PascalCase, kebab-case, SCREAMING_SNAKE_CASE or SCREAMING-KEBAB-CASE. Keys
            of dictionaries, TypedDicts among them, stay as they are, and so do pydantic models,
            which have alias generators.

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
        >>> converter = make_converter(externally_tagged=Approved | Rejected)
        >>> converter.unstructure(Rejected("too late"))
        {'Rejected': {'reason': 'too late'}}
        >>> converter.unstructure(Approved())
        'Approved'
    """
    converter = PayloadConverter()
    converter.set_up(externally_tagged, key_style)
    return converter


def _names_by_union(tagged: Any) -> Mapping[Any, Mapping[Any, str]]:
    if isinstance(tagged, Mapping):
        return tagged
    is_one = issubclass(type(tagged), type) or is_union(tagged) or target_of(tagged) is not None
    return {union: {} for union in ([tagged] if is_one else tagged)}


def _own_rule(declared: Any, converter: Any) -> Rule:
    rule: Rule = converter.own_rule_for(declared)
    return rule


def _parsed(value: Any, id_class: Any) -> Any:
    return id_class.parse(value)


def _is_hashable(declared: Any) -> bool:
    """Return whether a type can be looked up; an Annotated may have metadata that cannot."""
    try:
        hash(declared)
    except TypeError:
        return False
    return True
