"""The cattrs converter with the payload rules. It finds the rule for a value: yours or ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import cattrs
from typing_extensions import TypeForm

from golem_client.errors import PayloadError
from golem_client.frames import made_without_locals
from golem_client.payload import classes, declarations, refusals
from golem_client.payload.declarations import KeyStyle
from golem_client.payload.json_text import resolved, to_json
from golem_client.payload.refusals import RefusedError, refused, type_name
from golem_client.payload.rules import SCALARS, LazyRule, Room, Rule, refusing_rule
from golem_client.payload.unions import Tagged, union_rule

TaggedUnions: TypeAlias = (
    TypeForm[Any] | Iterable[TypeForm[Any]] | Mapping[TypeForm[Any], Mapping[Any, str]]
)


def _forgetting(register: Any) -> Any:
    """Return cattrs' method to register hooks, so that it also drops the rules made before."""

    def registered(self: PayloadConverter, *args: Any, **options: Any) -> Any:
        returned = register(self, *args, **options)
        self.forget_rules()
        return returned

    # Not functools.wraps: with what it copies, get_type_hints fails on the method.
    registered.__name__, registered.__doc__ = register.__name__, register.__doc__
    return registered


class PayloadConverter(cattrs.Converter):
    """A converter whose hooks are the payload rules, and then what the user registers.

    Make one with `make_converter`. Threads may share it once its hooks are registered.
    """

    def __init__(
        self, *args: Any, tagged: Any = (), key_style: KeyStyle | None = None, **options: Any
    ) -> None:
        self.key_of = declarations.key_style_of(key_style)
        self.names_by_union = _names_by_union(tagged)
        self._of_predicates: set[type] = set()  # whose hooks were registered by a predicate
        self.forget_rules()
        super().__init__(*args, **options)
        super().register_unstructure_hook_factory(lambda _: True, _own_rule)
        # A hook for one of these must not be found for another: a datetime is also a date, and
        # many an enum is also text. cattrs itself has hooks for str, bytes and Path.
        for cls in (*classes.WRITERS, Path):
            self.register_unstructure_hook(cls, self.own_rule_for(cls))
        for id_class in classes.IDS:
            self.register_structure_hook(id_class, lambda value, cls: cls.parse(value))

    def copy(self, *args: Any, **options: Any) -> PayloadConverter:
        """Return a converter with the same hooks and rules."""
        copied = super().copy(*args, **options)
        copied.names_by_union, copied.key_of = self.names_by_union, self.key_of
        copied._of_predicates = self._of_predicates.copy()  # noqa: SLF001 - our own class
        copied.forget_rules()
        return copied

    register_unstructure_hook = _forgetting(cattrs.Converter.register_unstructure_hook)

    def register_unstructure_hook_func(self, check_func: Any, func: Any) -> None:
        """As in cattrs; the hook is for scalars too."""
        super().register_unstructure_hook_func(check_func, func)
        self._register_for_scalars(check_func, lambda _: func)

    def register_unstructure_hook_factory(self, predicate: Any, factory: Any = None) -> Any:
        """As in cattrs; the hooks are for scalars too."""
        if factory is None:  # it is used as a decorator
            return partial(self.register_unstructure_hook_factory, predicate)
        super().register_unstructure_hook_factory(predicate, factory)
        required = [
            each for each in signature(factory).parameters.values() if each.default is each.empty
        ]
        more = (self,) if len(required) == 2 else ()
        self._register_for_scalars(predicate, lambda cls: factory(cls, *more))
        return factory

    def _register_for_scalars(self, predicate: Any, hook_for: Callable[[type], Any]) -> None:
        """Register the hook for scalars: cattrs asks no predicate about a class that has a hook."""
        for cls in filter(partial(_holds, predicate), (*classes.WRITERS, Path)):
            if cls in self._of_predicates or self.user_hook(cls) is None:
                self.register_unstructure_hook(cls, hook_for(cls))
                self._of_predicates.add(cls)
        self.forget_rules()

    @made_without_locals
    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Return the value as plain types, by the payload rules; raise PayloadError for others."""
        try:
            tree = self.tree(obj, unstructure_as, math.inf)
            if not isinstance(unstructure_as, LazyRule):
                to_json(tree, math.inf)  # for its checks
            return resolved(tree)
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            message = refused(error).message
        raise PayloadError(message)  # out here, so that the error is not the context of it

    def tree(self, value: Any, declared: Any, max_bytes: float) -> Any:
        """Return the plain tree of a value, unchecked."""
        rule = self if declared is None else self._rule_as(declared, value)
        return rule.write(value, Room(max_bytes))

    def _rule_as(self, declared: Any, value: Any) -> Rule:
        """Return the rule for a value with `as_type`, or in a hook that calls the rule it wraps."""
        if isinstance(declared, str):
            raise RefusedError("has text as its type; pass the type itself")
        if not isinstance(declared, LazyRule):
            return self.rule_for(declared)
        # A subclass that inherits the hook: the rule of its class, which has all of its fields.
        hook, kind = self.user_hook(declared.declared), type(value)
        is_inherited = hook is not None and self.user_hook(kind) is hook
        return self.own_rule_for(kind if is_inherited else declared.declared)

    def write(self, value: Any, room: Room) -> Any:
        """Write a value that nothing is declared of: its own class decides."""
        rule = self._by_class.get(type(value)) or self.rule_of(type(value))
        return rule.write(value, room)

    def write_enum_member(self, member: Enum, room: Room) -> Any:
        """Write what the user's hook for every enum returns, or the member's value."""
        hook = self.user_hook(Enum)  # for an enum that is text, cattrs finds a hook for str first
        return self._write_returned(hook(member) if hook else member.value, room)

    def rule_of(self, cls: type) -> Rule:
        """Return the rule of a class where nothing is declared."""
        return self._by_class.setdefault(cls, self.rule_for(cls).made())

    def rule_for(self, declared: Any) -> LazyRule:
        """Return the rule of a type: the user's hook where there is one, else our rule."""
        try:
            found = self._rules.get(declared)
        except TypeError:  # it is not hashable, as Annotated[int, {}]; or it is not a type
            return LazyRule(declared, self, self._made_own_rule)
        return found or self._rules.setdefault(declared, LazyRule(declared, self, self._made_rule))

    def own_rule_for(self, declared: Any) -> LazyRule:
        """Return our rule of a type, whether or not the user has a hook for it."""
        found = self._own_rules.get(declared)
        return found or self._own_rules.setdefault(
            declared, LazyRule(declared, self, self._made_own_rule)
        )

    def user_hook(self, declared: Any) -> Callable[[Any], Any] | None:
        """Return the user's hook for a type, or None."""
        hook = self.get_unstructure_hook(declared)
        return None if isinstance(hook, LazyRule) else hook

    def without_hooks(self, kinds: Iterable[type]) -> frozenset[type]:
        """Return those of the classes that the user has no hook for."""
        return frozenset(kind for kind in kinds if self.user_hook(kind) is None)

    def _made_rule(self, declared: Any) -> Rule:
        hook = self.user_hook(declared)
        own = self.own_rule_for(declared).made()
        if hook is None:
            return own

        def write(value: Any, room: Room) -> Any:
            if not own.fits(value):
                raise refusals.mismatch(value, declared)
            returned = hook(value)
            if returned is value:  # the hook leaves it to our rule
                return own.write(value, room)
            return self._write_returned(returned, room)

        return Rule(own.fits, write)

    def _made_own_rule(self, declared: Any) -> Rule:
        if declarations.is_vague(declared):
            return Rule(lambda _: True, self.write, self.without_hooks(SCALARS))
        target = declarations.target_of(declared)
        if target is not None:
            return self.rule_for(target).made()
        for union in self.tagged:
            if union.members == (declared,):  # a union of one variant is that class itself
                return union.rule
        if declarations.is_union(declared):
            return union_rule(declared, self)
        return classes.own_rule(declared, self)

    def _write_returned(self, value: Any, room: Room) -> Any:
        """Write what a hook returned: plain values in it are final, others meet the rules."""
        kind = type(value)
        if kind in SCALARS:
            return value
        return self._returned.get(kind, self).write(value, room)

    def forget_rules(self) -> None:
        """Drop all rules that were made, because a new hook can change them."""
        self._rules: dict[Any, LazyRule] = {}
        self._own_rules: dict[Any, LazyRule] = {}
        # Declared as object, because what is declared as Any is written by the rule of its class.
        part = LazyRule(object, self, lambda _: Rule(lambda _: True, self._write_returned, SCALARS))
        self._returned: dict[Any, Rule] = {
            list: classes.array_rule(list, self, part),
            tuple: classes.array_rule(tuple, self, part),
            dict: classes.mapping_rule(dict, self, part, part),
        }
        self.tagged = tuple(Tagged(*each, self) for each in self.names_by_union.items())
        self._by_class: dict[type, Rule] = {}
        for union in self.tagged:
            for cls in union.names:
                ways = {each.names[cls] for each in self.tagged if cls in each.names}
                reason = (
                    f"is of type {type_name(cls)}, which several tagged unions name differently"
                )
                unclear = refusing_rule(cls, f"{reason}; say which with as_type=")
                self._by_class[cls] = union.rule if len(ways) == 1 else unclear


def make_converter(
    *, externally_tagged: TaggedUnions = (), key_style: KeyStyle | None = None
) -> cattrs.Converter:
    """Return a cattrs converter with the payload rules, to extend and to pass to the client.

    Your own hooks win over the rules, for a class and its subclasses, for plain types such as
    `str` too. What a hook returns is only checked; values in it that are not plain are written by
    the rules. Register hooks before several threads use the converter.

    A declared union of several classes must be tagged. Where the Rust enum is `untagged`, or its
    tag is a field of its own, say so: `converter.register_unstructure_hook(A | B,
    converter.unstructure)` writes each value as its own class.

    Args:
        externally_tagged: A union, or several, to write as serde writes a Rust enum by default,
            wherever a value is declared as the union or has no declared type. Variants have the
            names of their classes; a mapping gives others: `{Decision: {Rejected: "Denied"}}`.
            A class without fields is a unit variant, others are struct variants. NamedTuples are
            tuple variants, those of one field newtype variants, and members of enums are unit
            variants. Where a variant has a hook of yours, that writes the content.
        key_style: serde's `rename_all` for the fields of attrs classes and dataclasses:
            camelCase, PascalCase, kebab-case, SCREAMING_SNAKE_CASE or SCREAMING-KEBAB-CASE. Keys
            of dictionaries, TypedDicts among them, stay as they are, and so do pydantic models,
            which have alias generators.

    Raises:
        TypeError: A union has a member that cannot be a variant, or several of one class.
        ValueError: A name is unknown or repeated, or the key style is unknown.

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
    return PayloadConverter(tagged=externally_tagged, key_style=key_style)


def _names_by_union(tagged: Any) -> Mapping[Any, Mapping[Any, str]]:
    if isinstance(tagged, Mapping):
        return {union: dict(names) for union, names in tagged.items()}
    is_one = issubclass(type(tagged), type) or len(declarations.members_of(tagged)) > 1
    return {union: {} for union in ([tagged] if is_one else tagged)}


def _holds(predicate: Any, cls: type) -> bool:
    try:
        return bool(predicate(cls))
    except Exception:  # noqa: BLE001  in cattrs, too, such a predicate does not hold
        return False


def _own_rule(declared: Any, converter: Any) -> Any:
    return converter.own_rule_for(declared)  # not the method of one converter: copies use it too
