"""What is said of a value that cannot be a payload: where it is and why, and never the value."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from golem_client.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODULES = re.compile(r"(?:\w+\.|<locals>\.)+(?=\w)")


class RefusedError(Exception):
    """A rule refuses the value, for the reason that is the text; the walk adds the path."""


class MismatchError(RefusedError):
    """The value is not of the declared type."""


class TooLargeError(Exception):
    """The JSON is longer than allowed; where it passes the bound says nothing."""

    def __init__(self, max_bytes: float) -> None:
        super().__init__(
            f"is more than {max_bytes} bytes of JSON (max_payload_bytes); "
            "send a reference to it instead"
        )


class Refusal(PayloadError):  # noqa: N818  to users it is a PayloadError, and pickles as one
    """A refusal with its path: all that a walk raises."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[PayloadError], tuple[str]]:
        return PayloadError, (self.message,)


def explained(error: Exception, path: str) -> tuple[str, str]:
    """Return path and reason of what was raised at this path, without a text of its own."""
    if isinstance(error, TooLargeError):
        return "$", str(error)
    if isinstance(error, RefusedError):
        return path, str(error)
    if isinstance(error, Refusal):  # from a walk inside a user's hook: `..` is JSONPath's "below"
        inner = error.path.removeprefix("$").removeprefix(".")
        return f"{path}..{inner}" if inner else path, error.reason
    if isinstance(error, RecursionError):
        return path, "is nested too deep for the hooks of its types, or contains itself"
    return path, f"could not be read: {type_name(type(error))} was raised by a hook or a property"


def json_path(keys: Sequence[Any]) -> str:
    """Return the path of these keys and indexes; `...` is any element of a set."""
    steps = [_step(key) for key in keys]
    if len(steps) > 12:
        steps[8:-4] = ["…"]
    return "".join(["$", *steps])


def described(value: Any) -> str:
    """Return what kind of value it is, without the value."""
    return "None" if value is None else f"of type {type_name(type(value))}"


def type_name(declared: Any) -> str:
    """Return the type as its user writes it, at most 80 characters of it."""
    name = declared.__qualname__ if isinstance(declared, type) else str(declared)
    name = _MODULES.sub("", name)
    return name if len(name) <= 80 else f"{name[:79]}…"


def _step(key: Any) -> str:
    if key is ...:
        return "[*]"
    if isinstance(key, int):
        return f"[{key}]"
    shown = key if len(key) <= 40 else f"{key[:39]}…"
    return f".{shown}" if key.isascii() and key.isidentifier() else f"[{json.dumps(shown)}]"
