"""Refusals: where in the value the fault is, and why. They never show the value."""

from __future__ import annotations

import json
import re
from typing import Any

from golem_client.errors import PayloadError

_OF_TYPES = frozenset({"typing", "types", "typing_extensions", "collections.abc"})
_MODULES = re.compile(r"(?:\w+\.|<locals>\.)+(?=\w)")


class RefusedError(Exception):
    """A value that cannot be written.

    Attributes:
        reason: Why, and what to do.
        path: Keys and indexes, the innermost first. Each container adds its own on the way out.
    """

    def __init__(self, reason: str, *path: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = list(path)

    @property
    def message(self) -> str:
        """The path as text, and the reason."""
        steps = [_step(key) for key in reversed(self.path)]
        if len(steps) > 12:
            steps[8:-4] = ["…"]
        return f"${''.join(steps)}: {self.reason}"


class TooLargeError(RefusedError):
    """The JSON is longer than allowed. It has no path, because no single place is at fault."""

    def __init__(self, max_bytes: float) -> None:
        super().__init__(
            f"is more than {max_bytes} bytes of JSON (max_payload_bytes); "
            "send a reference to it instead"
        )


class TooDeepError(RefusedError):
    """The value is nested too deep, or contains itself: then the steps of its path repeat."""

    def __init__(self, *path: Any) -> None:
        super().__init__(
            "is nested deeper than the 127 levels that serde_json reads, or contains itself; "
            "flatten it, or send an id instead",
            *path,
        )


def refused(error: Exception, key: Any = None) -> RefusedError:
    """Return the refusal for any exception, with one more key. The exception's text is dropped."""
    if isinstance(error, PayloadError):  # of the converter, called by a hook
        error = RefusedError(f"in what a hook wrote, {error.message}")
    elif not isinstance(error, RefusedError):
        name = type_name(type(error))
        error = RefusedError(
            f"could not be read: {name} was raised by a hook, a property or a field that is not set"
        )
    if key is not None and not isinstance(error, TooLargeError):
        error.path.append(key)
    return error


def mismatch(value: Any, declared: Any) -> RefusedError:
    """Return the refusal of a value that is not of the declared type."""
    return RefusedError(
        f"is of type {type_name(type(value))}, where {type_name(declared)} is declared; "
        "pass a value of that type, or correct the declaration"
    )


def not_a_type(declared: Any) -> RefusedError:
    """Return the refusal of a declaration that is not a type."""
    return RefusedError(
        f"is declared as {type_name(declared)}, which is not a type; declare a type"
    )


def type_name(declared: Any) -> str:
    """Return the type as its user writes it, at most 80 characters of it.

    Of anything else only the class is named: it may be the value, if two arguments were swapped.
    """
    if isinstance(declared, type):
        name = declared.__qualname__
    elif declared is None or type(declared).__module__ in _OF_TYPES:
        name = str(declared)
    else:
        name = f"a value of class {type(declared).__qualname__}"
    name = _MODULES.sub("", name)
    return name if len(name) <= 80 else f"{name[:79]}…"


def _step(key: Any) -> str:
    if isinstance(key, tuple):  # an element of a set
        return "[*]"
    if isinstance(key, int):
        return f"[{key}]"
    shown = key if len(key) <= 40 else f"{key[:39]}…"
    return f".{shown}" if key.isascii() and key.isidentifier() else f"[{json.dumps(shown)}]"
