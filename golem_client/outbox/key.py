"""The name under which a completion and its promise find each other. Imports no SQLAlchemy."""

from __future__ import annotations

from typing import Self

_MOST_BYTES = 512


class Key(str):
    """A name that a completion is accepted under while its promise is not known yet.

        await outbox.complete_json(Key("order-17"), {"paid": True})
        await outbox.bind("order-17", promise_id)

    In either order: what arrives before its promise waits for it. A Key is text, and equal to it.

    Raises:
        TypeError: The name is not text.
        ValueError: It is empty, longer than 512 bytes of UTF-8, or holds control characters or
            lone surrogates.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:  # noqa: D102 - the class says it
        if not isinstance(name, str):
            raise TypeError(f"a key is text, not of type {type(name).__name__}")
        if problem := _problem(name):
            raise ValueError(f"not a key: {problem}")
        return super().__new__(cls, name)

    def __repr__(self) -> str:
        return f"Key({super().__repr__()})"


def _problem(name: str) -> str:
    if not name:
        return "it is empty"
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        return "it holds a control character"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it holds a lone surrogate"
    return f"it has {size} bytes, and {_MOST_BYTES} are allowed" if size > _MOST_BYTES else ""
