"""One walk over a value: it converts, checks, and knows the JSON path of what it refuses.

The walk keeps its own stack, so that no value is too deep for it, and asks the converter for
one value at a time: a user's hook is called, and its result taken as it is; one of our rules
says what the next step is.
"""

from __future__ import annotations

import json
import math
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.payload.refusals import (
    MismatchError,
    Refusal,
    RefusedError,
    TooLargeError,
    described,
    explained,
    json_path,
    type_name,
)
from golem_client.payload.steps import (
    PLAIN,
    SCALARS,
    Again,
    Array,
    Flat,
    Object,
    Rule,
    is_hashable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from golem_client.payload.converter import PayloadConverter

# serde_json 1.0.154 refuses the 128th open bracket, for Value, structs and enums alike.
MAX_DEPTH = 127
# A longer integer overflows in serde_json, whatever it is read into: "number out of range".
LARGEST_INT = 10**308 - 1

_TOO_DEEP = f"is nested deeper than the {MAX_DEPTH} levels that serde_json reads; flatten it"
_MAX_CONVERSIONS = 32
_SMALLEST_SHARED = 32
_OPENED: Any = object()
_UNFINISHED: Any = object()


@attrs.define(eq=False)
class _Frame:
    """A container that is being written."""

    source: Any
    rule: Rule
    children: Iterator[tuple[Any, Any, Any]]
    plain: Any
    finished: bool
    lenient: bool
    key_type: Any = None
    is_set: bool = False
    left: float = 0
    height: int = 0
    key: Any = None

    @property
    def identity(self) -> tuple[object, ...]:
        return id(self.source), id(self.rule), self.lenient, self.finished

    def put(self, plain: Any) -> None:
        if type(self.plain) is list:
            self.plain.append(plain)
        else:
            self.plain[self.key] = plain
        self.key = None  # what fails before the next child is not the last one's fault


@attrs.define
class _Shared:
    """A finished container; source and rule are kept, so that their ids stay theirs."""

    source: Any
    rule: Rule
    plain: Any
    size: float
    height: int


class Walk:
    """One value on its way to a plain tree of at most `max_bytes` of JSON.

    The bound also ends values that are small in memory and huge when written; a container that
    is shared is converted once.
    """

    def __init__(self, converter: PayloadConverter, max_bytes: float = math.inf) -> None:
        self._converter = converter
        self._max_bytes = max_bytes
        self._left = max_bytes
        self._ours = converter.plain_by_our_rules()
        self._hooks: dict[Any, Callable[[Any], Any]] = {}
        self._memo: dict[tuple[object, ...], _Shared] = {}
        self._choices: dict[tuple[int, int], tuple[Any, Any, Rule]] = {}

    def run(self, value: Any, declared: Any = Any) -> Any:
        """Return the plain tree: exact builtin types, which json writes as they are.

        Raises:
            Refusal: The value, or something in it, cannot be a payload. Nothing else is raised.
        """
        frames: list[_Frame] = []
        try:
            return self._unroll(value, declared, frames)
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            keys = [frame.key for frame in frames if frame.key is not None]
            path, reason = explained(error, json_path(keys))
        # Raised out here, so that the error above, which may hold the value, is no context of it.
        raise Refusal(path, reason)

    def _unroll(self, root: Any, declared: Any, frames: list[_Frame]) -> Any:
        plain = self._enter(root, declared, frames)
        while frames:
            plain = self._fill(frames[-1], frames)
            if plain is not _OPENED and frames:
                frames[-1].put(plain)
        return plain

    def _fill(self, frame: _Frame, frames: list[_Frame]) -> Any:
        """Write children until one opens a container, or all are written."""
        is_object = type(frame.plain) is dict
        for key, child, declared in frame.children:
            frame.key = self._name(frame, key) if is_object else key
            plain = self._enter(child, declared, frames)
            if plain is _OPENED:
                return plain
            frame.put(plain)
        return self._close(frames)

    def _enter(self, value: Any, declared: Any, frames: list[_Frame]) -> Any:
        """Return the value where it is plain; else put its container on the stack."""
        finished = lenient = False
        if frames:
            finished, lenient = frames[-1].finished, frames[-1].lenient
        kind = type(value)
        is_as_declared = declared is Any or declared is kind
        if is_as_declared and kind in SCALARS and (finished or kind in self._ours):
            return self._scalar(value)
        given = Again(value, declared, finished, lenient)
        step, rule = self._resolve(given)
        if type(step) in SCALARS:
            return self._scalar(step)
        if len(frames) >= MAX_DEPTH:
            raise RefusedError(_TOO_DEEP)
        if type(step) is Flat:
            return self._flat(step, frames)
        return self._open(self._framed(step, rule, given), frames)

    def _resolve(self, given: Again) -> tuple[Any, Rule]:
        """Follow hooks and rules to a scalar or a container, and return it and its rule.

        Where they lead is noted in `given`: the value whose scalar or container it is.
        """
        step, by_our_rule = given, isinstance(given.declared, Rule)
        for _ in range(_MAX_CONVERSIONS):
            given.value, given.declared = step.value, step.declared
            given.finished = given.finished or step.finished
            given.lenient = given.lenient or step.lenient
            hook = self._hook(given, by_our_rule=by_our_rule)
            if not isinstance(hook, Rule):
                self._check(given)
                step = Again(hook(given.value), finished=True)
                by_our_rule = step.value is given.value
            else:
                step = self._opened(hook, given)
                if type(step) is not Again:
                    return step, hook
        raise RefusedError("is converted again and again, and never becomes plain; check its hook")

    def _opened(self, rule: Rule, given: Again) -> Any:
        """Return the rule's step for a value of its type; where it is lenient, for any value."""
        try:
            if not rule.fits(given.value):
                raise rule.mismatch(given.value)
            return rule.open(given.value, self._choose)
        except MismatchError:
            if not given.lenient or given.declared is Any:
                raise
            return Again(given.value)

    def _hook(self, given: Again, *, by_our_rule: bool) -> Callable[[Any], Any]:
        """Return what converts the value: a user's hook where there is one, else our rule."""
        declared = given.declared
        if declared is Any:
            declared = self._converter.type_of(given.value)
        if isinstance(declared, Rule):
            return declared
        if given.declared is Any and (by_our_rule or (given.finished and declared in PLAIN)):
            return self._converter.rule_for(declared)
        if not is_hashable(declared):
            return self._converter.hook_for(declared)
        hook = self._hooks.get(declared)
        if hook is None:
            hook = self._hooks[declared] = self._converter.hook_for(declared)
        return hook

    def _check(self, given: Again) -> None:
        """Refuse a value that is not what a user's hook is for."""
        if given.declared is not Any and not given.lenient:
            rule = self._converter.rule_for(given.declared)
            if not rule.fits(given.value):
                raise rule.mismatch(given.value)

    def _framed(self, step: Array | Object, rule: Rule, given: Again) -> _Frame:
        source, lenient = given.value, given.lenient
        finished = given.finished and type(source) in PLAIN
        if isinstance(step, Object):
            lenient = lenient if step.lenient is None else step.lenient
            members = iter(step.members)
            return _Frame(source, rule, members, {}, finished, lenient, step.key_type)
        if step.length > self._left:
            raise TooLargeError(self._max_bytes)
        indexes = repeat(...) if step.is_set else count()
        elements = ((index, *each) for index, each in zip(indexes, step.elements, strict=False))
        return _Frame(source, rule, elements, [], finished, lenient, is_set=step.is_set)

    def _open(self, frame: _Frame, frames: list[_Frame]) -> Any:
        shared = self._memo.get(frame.identity)
        if shared is _UNFINISHED:
            raise RefusedError("contains itself; JSON has no references, so send an id instead")
        if shared is not None:
            return self._repeat(shared, frames)
        self._memo[frame.identity] = _UNFINISHED
        frame.left = self._left
        self._spend(2)
        frames.append(frame)
        return _OPENED

    def _repeat(self, shared: _Shared, frames: list[_Frame]) -> Any:
        if len(frames) + shared.height > MAX_DEPTH:
            raise RefusedError(_TOO_DEEP)
        self._spend(shared.size)
        _raise_to(frames, shared.height)
        return shared.plain

    def _close(self, frames: list[_Frame]) -> Any:
        frame = frames.pop()
        if frame.is_set:
            frame.plain.sort(key=_order)
        size, height = frame.left - self._left, frame.height + 1
        _raise_to(frames, height)
        if size >= _SMALLEST_SHARED:
            shared = _Shared(frame.source, frame.rule, frame.plain, size, height)
            self._memo[frame.identity] = shared
        else:
            del self._memo[frame.identity]
        return frame.plain

    def _flat(self, step: Flat, frames: list[_Frame]) -> Any:
        self._spend(2 + len(step.numbers))
        _raise_to(frames, 1)
        return list(step.numbers) if isinstance(step.numbers, bytes) else step.numbers

    def _scalar(self, value: Any) -> Any:
        if type(value) is str:
            return self._text(value)
        self._spend(1)
        if type(value) is float and not math.isfinite(value):
            raise RefusedError("is not a finite number; JSON has none such, so send None or text")
        if type(value) is int and not -LARGEST_INT <= value <= LARGEST_INT:
            raise RefusedError("is an integer of over 308 digits, which no Rust type reads")
        return value

    def _text(self, text: str) -> str:
        self._spend(2 + len(text))
        if not text.isascii() and not _is_unicode(text):
            raise RefusedError("holds a lone surrogate, which UTF-8 cannot carry; repair the text")
        return text

    def _name(self, frame: _Frame, key: Any) -> str:
        """Return the key as text, which must be the object's only one."""
        frame.key = None
        try:
            text = self._text(key if frame.key_type is None else self._key(frame, key))
        except RefusedError as error:
            reason = f"has a key that {error}"
        else:
            frame.key = text
            if text not in frame.plain:
                return text
            reason = "is the text of two keys, of which one would be lost; rename one"
        raise RefusedError(reason)

    def _key(self, frame: _Frame, key: Any) -> Any:
        if type(key) is str and frame.key_type is Any and (frame.finished or str in self._ours):
            return key
        if self._converter.can_be_key(key):
            text, _ = self._resolve(Again(key, frame.key_type, frame.finished, frame.lenient))
            if type(text) is int:
                return str(self._scalar(text))
            if type(text) is str:
                return text
        raise RefusedError(
            f"is {described(key)}; keys are text, integers, enums of those, or UUIDs"
        )

    def _spend(self, size: float) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError(self._max_bytes)

    def _choose(self, rule: Rule, value: Any, members: list[Any]) -> Any:
        """Return the one member of a union that the whole value is of."""
        key = (id(rule), id(value))
        if key not in self._choices:
            tried = [(member, self._attempt(value, member)) for member in members]
            fitting = [(member, plain) for member, plain in tried if plain is not _UNFINISHED]
            if not fitting:
                raise rule.mismatch(value)
            if len(fitting) > 1 and len({json.dumps(plain) for _, plain in fitting}) > 1:
                raise RefusedError(
                    f"fits several members of {type_name(rule.declared)}, which are written "
                    "differently; declare the one that is meant"
                )
            # Kept with its value and rule, so that the ids stay theirs.
            self._choices[key] = (fitting[0][0], value, rule)
        return self._choices[key][0]

    def _attempt(self, value: Any, declared: Any) -> Any:
        """Return the plain value; _UNFINISHED where it is not of the type."""
        left, frames = self._left, list[_Frame]()
        try:
            return self._unroll(value, declared, frames)
        except RefusedError:
            for frame in frames:
                del self._memo[frame.identity]
            return _UNFINISHED
        finally:
            self._left = left


def _raise_to(frames: list[_Frame], height: int) -> None:
    if frames and frames[-1].height < height:
        frames[-1].height = height


def _order(plain: Any) -> tuple[bool, float, str]:
    """Return the place of a set's element: numbers by size, then everything by its JSON."""
    is_text = type(plain) not in (int, float)
    return is_text, 0 if is_text else plain, json.dumps(plain, ensure_ascii=False)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
