"""A plain tree -> JSON, checked against what serde_json reads.

The checks look at the whole text at once. Only when one fails is the tree searched for the place.
"""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import Any

from golem_client.payload.refusals import RefusedError, TooDeepError, TooLargeError
from golem_client.payload.rules import MAX_DEPTH, WrittenJson, resolved

# A longer integer overflows in serde_json, whatever it is read into: "number out of range".
LARGEST_INT = 10**308 - 1
TOO_LONG = "is an integer of over 308 digits, which no Rust type reads"
NOT_FINITE = "is not a finite number; JSON has none such, so send None or text"
_SURROGATE = "holds a lone surrogate, which UTF-8 cannot carry; repair the text"

_OPTIONS: dict[str, Any] = {
    "separators": (",", ":"),
    "ensure_ascii": False,
    "allow_nan": False,
    "check_circular": False,
}
_JSON = json.JSONEncoder(**_OPTIONS)
_MARK = "\0golem-client\0"
_DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_LONG = b"0" * 309
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NO_STRUCTURE = bytes(set(_NO_BRACKETS) - set(b'"\\'))


def to_json(tree: Any, max_bytes: float) -> bytes:
    """Return the tree as JSON.

    Raises:
        RefusedError: serde_json would not read it, or it is longer than `max_bytes`.
    """
    try:
        encoded = _encoded(tree)
    except ValueError:  # not finite, an integer of thousands of digits, or not Unicode
        encoded = None
    if encoded is None or not _is_readable(encoded):
        fault = _fault(resolved(tree), [])
        if fault is not None or encoded is None:  # a text may hold as many digits as it likes
            raise fault or RefusedError("could not be written: it changed meanwhile; try again")
    if len(encoded) > max_bytes:
        raise TooLargeError(max_bytes)
    return encoded


def in_order(elements: list[Any]) -> list[Any]:
    """Return a set's elements in an order of their own: numbers by size, the rest by its JSON."""
    return sorted(elements, key=_place)


def _place(plain: Any) -> tuple[bool, float, str]:
    if type(plain) in (int, float):
        return False, plain, ""
    return True, 0, json.dumps(resolved(plain), ensure_ascii=False)


def _encoded(tree: Any) -> bytes:
    if type(tree) is WrittenJson:
        return tree.text
    try:
        return _JSON.encode(tree).encode()
    except TypeError:  # the only thing in the tree that json does not know is JSON already
        return _spliced(tree)


def _spliced(tree: Any) -> bytes:
    """Write a mark wherever there is JSON already, and put that JSON in the places of the marks."""
    written: list[bytes] = []

    def mark(node: WrittenJson) -> str:
        written.append(node.text)
        return _MARK

    parts = json.JSONEncoder(default=mark, **_OPTIONS).encode(tree).encode()
    between = parts.split(json.dumps(_MARK).encode())
    if len(between) != len(written) + 1:  # the payload holds the mark as a text of its own
        return _JSON.encode(resolved(tree)).encode()
    return b"".join(chain.from_iterable(zip(between, [*written, b""], strict=True)))


def _is_readable(encoded: bytes) -> bool:
    if len(encoded) <= 2 * MAX_DEPTH:
        return True
    return _LONG not in encoded.translate(_DIGITS) and _depth(encoded) <= MAX_DEPTH


def _depth(encoded: bytes) -> int:
    """Return how deep the JSON is nested, at most one more than is allowed."""
    brackets = encoded.translate(_BRACKETS, _NO_STRUCTURE).replace(b'""', b"")
    if b'"' in brackets or b"\\" in brackets:  # a text has brackets or escapes in it
        outside = encoded.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
        brackets = b"".join(outside).translate(_BRACKETS, _NO_BRACKETS)
    depth = 0
    while brackets and depth <= MAX_DEPTH:
        brackets = brackets.replace(b"[]", b"")
        depth += 1
    return depth


def _fault(tree: Any, path: list[Any]) -> RefusedError | None:
    """Return the first fault in the tree with its path, the innermost key first."""
    reason = _reason(tree)
    if reason or type(tree) not in (list, dict):
        return RefusedError(reason, *reversed(path)) if reason else None
    if len(path) >= MAX_DEPTH:
        return TooDeepError(*reversed(path))
    for key, each in tree.items() if type(tree) is dict else enumerate(tree):
        if type(key) is str and _reason(key):
            return RefusedError(f"has a key that {_reason(key)}", *reversed(path))
        if (fault := _fault(each, [*path, key])) is not None:
            return fault
    return None


def _reason(scalar: Any) -> str:
    if type(scalar) is float and not math.isfinite(scalar):
        return NOT_FINITE
    if type(scalar) is int and not -LARGEST_INT <= scalar <= LARGEST_INT:
        return TOO_LONG
    if type(scalar) is str and any("\ud800" <= letter <= "\udfff" for letter in scalar):
        return _SURROGATE
    return ""
