"""One walk over a value: it converts, checks, and knows the JSON path of what it refuses.

The walk keeps its own stack, so that no value is too deep for it, and asks the converter for
one value at a time: a user's hook is called, and its result taken as it is; one of our rules
says what the next step is.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs

from golem_client.errors import PayloadError
from golem_client.payload.steps import (
    PLAIN,
    SCALARS,
    Again,
    Array,
    Flat,
    Object,
    RefusedError,
    Rule,
    described,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from golem_client.payload.converter import PayloadConverter

# serde_json 1.0.154 refuses the 128th open bracket, for Value, structs and enums alike.
MAX_DEPTH = 127
# A longer integer overflows in serde_json, whatever it is read into: "number out of range".
LARGEST_INT = 10**308 - 1

_MAX_CONVERSIONS = 32
_SMALLEST_SHARED = 32
_OPENED: Any = object()
_UNFINISHED: Any = object()


class Refusal(PayloadError):  # noqa: N818  to users it is a PayloadError, and pickles as one
    """A refusal with its path: all that a walk raises."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[PayloadError], tuple[str]]:
        return PayloadError, (self.message,)


class TooLargeError(Exception):
    """The JSON is longer than allowed; where it passes the bound says nothing."""

    def __init__(self, max_bytes: float) -> None:
        super().__init__(
            f"is more than {max_bytes} bytes of JSON (max_payload_bytes); "
            "send a reference to it instead"
        )


@attrs.define(eq=False)
class _Frame:
    """A container that is being written."""

    source: Any
    rule: Rule
    children: Iterator[tuple[Any, Any, Any]]
    plain: Any
    key_type: Any
    ordered: bool
    lenient: bool
    finished: bool
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
        self._choices: dict[tuple[int, int], tuple[Any, Any]] = {}

    def run(self, value: Any, declared: Any = Any) -> Any:
        """Return the plain tree: exact builtin types, which json writes as they are.

        Raises:
            Refusal: The value, or something in it, cannot be a payload. Nothing else is raised.
        """
        frames: list[_Frame] = []
        try:
            return self._unroll(value, declared, frames)
        except Exception as error:  # noqa: BLE001  hooks and properties may raise anything
            path, reason = _explained(error, frames)
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
        lenient = finished = False
        if frames:
            lenient, finished = frames[-1].lenient, frames[-1].finished
        kind = type(value)
        if kind in SCALARS and declared in (Any, kind) and (finished or kind in self._ours):
            return self._scalar(value)
        given = Again(value, declared, finished)
        step, rule, source = self._resolve(given, lenient=lenient)
        if type(step) in SCALARS:
            return self._scalar(step)
        if len(frames) >= MAX_DEPTH:
            raise RefusedError(_TOO_DEEP)
        if type(step) is Flat:
            return self._flat(step, frames)
        if isinstance(step, Object) and step.lenient is not None:
            lenient = step.lenient
        finished = given.finished and type(source) in PLAIN
        return self._open(_framed(step, source, rule, lenient, finished), frames)

    def _resolve(self, given: Again, *, lenient: bool) -> tuple[Any, Rule, Any]:
        """Follow hooks and rules to a scalar or a container; return it, its rule and source.

        What is `finished` on the way is noted in `given`.
        """
        step, by_our_rule = given, isinstance(given.declared, Rule)
        for _ in range(_MAX_CONVERSIONS):
            value, declared = step.value, step.declared
            given.finished = given.finished or step.finished
            hook = self._hook(step, by_our_rule=by_our_rule, finished=given.finished)
            if not isinstance(hook, Rule):
                self._check(value, declared, lenient=lenient)
                step = Again(hook(value), finished=True)
                by_our_rule = step.value is value
            elif lenient and declared is not Any and not hook.fits(value):
                step = Again(value)
            elif not hook.fits(value):
                raise hook.mismatch(value)
            else:
                step = hook.open(value, self._choose)
                if type(step) is not Again:
                    return step, hook, value
        raise RefusedError("is converted again and again, and never becomes plain; check its hook")

    def _hook(self, step: Again, *, by_our_rule: bool, finished: bool) -> Callable[[Any], Any]:
        """Return what converts the value: a user's hook where there is one, else our rule."""
        declared = step.declared
        if declared is Any:
            declared = self._converter.type_of(step.value)
        if isinstance(declared, Rule):
            return declared
        if step.declared is Any and (by_our_rule or (finished and declared in PLAIN)):
            return self._converter.rule_for(declared)
        try:
            hook = self._hooks.get(declared)
        except TypeError:  # Annotated, with metadata that does not hash
            return self._converter.hook_for(declared)
        if hook is None:
            hook = self._hooks[declared] = self._converter.hook_for(declared)
        return hook

    def _check(self, value: Any, declared: Any, *, lenient: bool) -> None:
        """Refuse a value that is not what a user's hook is for."""
        if declared is not Any and not lenient:
            rule = self._converter.rule_for(declared)
            if not rule.fits(value):
                raise rule.mismatch(value)

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
        if not frame.ordered:
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
        self._spend(2 + len(step.plain))
        _raise_to(frames, 1)
        return step.plain

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
        if frame.key_type is not None:
            key = self._key(frame, key)
        try:
            text = self._text(key)
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
        given = Again(key, frame.key_type, frame.finished)
        if self._converter.can_be_key(key):
            text, _, _ = self._resolve(given, lenient=frame.lenient)
            if type(text) is int:
                return str(self._scalar(text))
            if type(text) is str:
                return text
        raise RefusedError(
            f"has a key {described(key)}; keys are text, integers, enums of those, or UUIDs"
        )

    def _spend(self, size: float) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError(self._max_bytes)

    def _choose(self, rule: Rule, value: Any, members: list[Any]) -> Any:
        """Return the one member of a union that the whole value is of."""
        key = (id(rule), id(value))
        if key not in self._choices:
            written = {self._attempt(value, member): member for member in reversed(members)}
            written.pop(None, None)
            if not written:
                raise rule.mismatch(value)
            if len(written) > 1:
                raise RefusedError(
                    f"fits several members of {type_name(rule.declared)}, which are written "
                    "differently; declare the one that is meant"
                )
            # Kept with its value, so that the id stays the value's.
            self._choices[key] = (*written.values(), value)
        return self._choices[key][0]

    def _attempt(self, value: Any, declared: Any) -> str | None:
        left, frames = self._left, list[_Frame]()
        try:
            return json.dumps(self._unroll(value, declared, frames))
        except RefusedError:
            for frame in frames:
                del self._memo[frame.identity]
            return None
        finally:
            self._left = left


_TOO_DEEP = f"is nested deeper than the {MAX_DEPTH} levels that serde_json reads; flatten it"


def _framed(step: Array | Object, source: Any, rule: Rule, lenient: bool, finished: bool) -> _Frame:  # noqa: FBT001
    if isinstance(step, Object):
        members = iter(step.members)
        return _Frame(source, rule, members, {}, step.key_type, True, lenient, finished)  # noqa: FBT003
    elements = ((index, *element) for index, element in enumerate(step.elements))
    return _Frame(source, rule, elements, [], None, step.ordered, lenient, finished)


def _raise_to(frames: list[_Frame], height: int) -> None:
    if frames and frames[-1].height < height:
        frames[-1].height = height


def _order(plain: Any) -> tuple[bool, float, str]:
    """Return the place of a set's element: numbers by size, then everything by its JSON."""
    is_text = type(plain) not in (int, float)
    return is_text, 0 if is_text else plain, json.dumps(plain)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(error: Exception, frames: list[_Frame]) -> tuple[str, str]:
    """Return path and reason, without any text that may hold the value."""
    if isinstance(error, TooLargeError):
        return "$", str(error)
    path = _path(frames)
    if isinstance(error, RefusedError):
        return path, str(error)
    if isinstance(error, Refusal):  # from a walk inside a user's hook: `..` is JSONPath's "below"
        inner = error.path.removeprefix("$").removeprefix(".")
        return f"{path}..{inner}" if inner else path, error.reason
    if isinstance(error, RecursionError):
        return path, "is nested too deep for the hooks of its types, or contains itself"
    return path, f"could not be read: {type_name(type(error))} was raised by a hook or a property"


def _path(frames: list[_Frame]) -> str:
    steps = [_step(frame) for frame in frames if frame.key is not None]
    if len(steps) > 12:
        steps[8:-4] = ["…"]
    return "".join(["$", *steps])


def _step(frame: _Frame) -> str:
    if type(frame.key) is int:
        return f"[{frame.key}]" if frame.ordered else "[*]"
    key = frame.key if len(frame.key) <= 40 else f"{frame.key[:39]}…"
    return f".{key}" if key.isascii() and key.isidentifier() else f"[{json.dumps(key)}]"
