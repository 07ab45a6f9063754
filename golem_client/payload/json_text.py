"""A plain tree -> JSON, checked against what serde_json reads.

The checks look at the whole text at once. Only when one fails is the tree searched for the place.
"""

from __future__ import annotations

import json
import math
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

import attrs

from golem_client.payload.refusals import RefusedError, TooDeepError, TooLargeError

# serde_json 1.0.154 refuses the 128th open bracket, for Value, structs and enums alike.
MAX_DEPTH = 127
# A longer integer overflows in serde_json, whatever it is read into: "number out of range".
LARGEST_INT = 10**308 - 1
TOO_LONG = "is an integer of over 308 digits, which no Rust type reads"
NOT_FINITE = "is not a finite number; JSON has no NaN or Infinity, so send None or text"
_SURROGATE = "holds a lone surrogate, which UTF-8 cannot carry; repair the text"
_UNKNOWN = "could not be written: it was changed meanwhile; try again"

_encoder = partial(
    json.JSONEncoder,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
)
_JSON = _encoder()
_MARK = str(uuid4())  # no payload contains this text
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 309
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NO_STRUCTURE = bytes(set(_NO_BRACKETS) - set(b'"\\'))


@attrs.define(eq=False)
class WrittenJson:
    """A part of the tree that is JSON already."""

    text: bytes


def resolved(tree: Any) -> Any:
    """Return a copy of the tree with what is JSON already read back."""
    if type(tree) is list:
        return [resolved(each) for each in tree]
    if type(tree) is dict:
        return {key: resolved(each) for key, each in tree.items()}
    return json.loads(tree.text) if type(tree) is WrittenJson else tree


def to_json(tree: Any, max_bytes: float) -> bytes:
    """Return the tree as JSON; raise RefusedError if it is longer, or serde_json cannot read it."""
    try:
        encoded = _encoded(tree)
    except ValueError:  # not finite, an integer of thousands of digits, or not Unicode
        encoded = None
    if encoded is None or not _is_readable(encoded):
        fault = _fault(resolved(tree), [])
        if fault is not None or encoded is None:  # a text may hold as many digits as it likes
            raise fault or RefusedError(_UNKNOWN)
    if len(encoded) > max_bytes:
        raise TooLargeError(max_bytes)
    return encoded


def in_order(elements: list[Any]) -> list[Any]:
    """Return a set's elements in a fixed order: numbers by size, the rest by their JSON."""
    return sorted(elements, key=_place)


def _place(plain: Any) -> tuple[bool, float, str]:
    is_number = type(plain) in (int, float)
    # For floats too: a set can hold 1.0 and a member of an enum whose value is 1.
    text = "" if type(plain) is int else json.dumps(resolved(plain), ensure_ascii=False)
    return not is_number, plain if is_number else 0, text


def _encoded(tree: Any) -> bytes:
    if type(tree) is WrittenJson:
        return tree.text
    try:
        return _JSON.encode(tree).encode()
    except TypeError:  # in a tree, json does not know WrittenJson
        return _spliced(tree)


def _spliced(tree: Any) -> bytes:
    """Write a mark wherever there is JSON already, and put that JSON in the places of the marks."""
    written: list[bytes] = []

    def mark(node: WrittenJson) -> str:
        written.append(node.text)
        return _MARK

    between = _encoder(default=mark).encode(tree).encode().split(f'"{_MARK}"'.encode())
    return b"".join(chain.from_iterable(zip(between, [*written, b""], strict=True)))


def _is_readable(encoded: bytes) -> bool:
    if len(encoded) <= 2 * MAX_DEPTH:
        return True
    return _LONG not in encoded.translate(_DIGITS) and _depth(encoded) <= MAX_DEPTH


def _depth(encoded: bytes) -> int:
    """Return how deep the JSON is nested, at most one level more than is allowed."""
    brackets = encoded.translate(_BRACKETS, _NO_STRUCTURE).replace(b'""', b"")
    if b'"' in brackets:  # a text has brackets or escapes in it
        outside = encoded.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
        brackets = b"".join(outside).translate(_BRACKETS, _NO_BRACKETS)
    depth = 0
    while brackets and depth <= MAX_DEPTH:
        brackets = brackets.replace(b"[]", b"")
        depth += 1
    return depth


def _fault(tree: Any, path: list[Any]) -> RefusedError | None:
    """Return the first fault in the tree with its path, the innermost key first."""
    if reason := _reason(tree):
        return RefusedError(reason, *reversed(path))
    if type(tree) not in (list, dict):
        return None
    if len(path) >= MAX_DEPTH:
        return TooDeepError(*reversed(path))
    for key, each in tree.items() if type(tree) is dict else enumerate(tree):
        if reason := _reason(key):
            return RefusedError(f"has a key that {reason}", *reversed(path))
        if fault := _fault(each, [*path, key]):
            return fault
    return None


def _reason(plain: Any) -> str:
    if type(plain) is float and not math.isfinite(plain):
        return NOT_FINITE
    if type(plain) is int and not -LARGEST_INT <= plain <= LARGEST_INT:
        return TOO_LONG
    if type(plain) is str and any("\ud800" <= letter <= "\udfff" for letter in plain):
        return _SURROGATE
    return ""
