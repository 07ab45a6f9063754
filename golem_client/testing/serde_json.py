"""JSON as Rust's serde_json reads it: what it accepts, and its words for the rest.

Golem reads request bodies with it, and so does a worker's `await_promise_json` (facts 1.3, 7).
The standard library reads what is right, quickly; what it refuses, or reads too kindly, is read
again by a scanner that knows serde_json's errors with their line and column.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 127
"""serde_json's limit is 128, and it refuses the level that reaches it."""

_SPACE = b" \t\n\r"
_DIGITS = b"0123456789"
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_CONTROL = "control character (\\u0000-\\u001F) found while parsing a string"
_LONG_NUMBER = re.compile(r"[0-9]{19}")
_DOUBTFUL = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """serde_json does not accept the text; the message is its own."""


def loads(data: bytes) -> Any:
    """Return the value of the JSON text, or raise a JsonError."""
    try:
        text = data.decode()
        if _DOUBTFUL.search(text):
            scan(data)
        # The hook costs a call for each number, and a payload has one for each byte.
        parse_int = _int if _LONG_NUMBER.search(text) else int
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=parse_int)
    except (ValueError, RecursionError):
        scan(data)
        raise AssertionError(f"serde_json accepts what json refuses: {data[:80]!r}") from None
    if _deeper_than(MAX_DEPTH, data):
        scan(data)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _int(text: str) -> int | float:
    """Numbers beyond 64 bits become floats, as they do without `arbitrary_precision`."""
    if len(text) < 19:
        return int(text)
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        return _float(text)
    return int(text)


def _deeper_than(limit: int, data: bytes) -> bool:
    # A cheap upper bound first: most texts have fewer brackets than levels are allowed.
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", outside):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest > limit


def scan(data: bytes) -> None:
    """Raise serde_json's error for the text; return if it finds none."""
    scanner = _Scanner(data)
    scanner.value(MAX_DEPTH)
    if scanner.peek() is not None:
        scanner.fail_at_next("trailing characters")


class _Scanner:
    """serde_json's parser, which only looks for errors.

    `fail` names the last byte taken, `fail_at_next` the one that comes, as serde_json does.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fail(self, message: str) -> NoReturn:
        before = self.data[: self.at]
        line = before.count(b"\n") + 1
        column = self.at - (before.rfind(b"\n") + 1)
        raise JsonError(f"{message} at line {line} column {column}")

    def fail_at_next(self, message: str) -> NoReturn:
        self.at = min(len(self.data), self.at + 1)
        self.fail(message)

    def byte(self) -> int | None:
        return self.data[self.at] if self.at < len(self.data) else None

    def peek(self) -> int | None:
        while self.at < len(self.data) and self.data[self.at] in _SPACE:
            self.at += 1
        return self.byte()

    def take(self, eof: str) -> int:
        byte = self.byte()
        if byte is None:
            self.fail(eof)
        self.at += 1
        return byte

    def value(self, depth: int) -> None:
        match self.peek():
            case None:
                self.fail_at_next("EOF while parsing a value")
            case 0x6E:
                self.ident(b"null")
            case 0x74:
                self.ident(b"true")
            case 0x66:
                self.ident(b"false")
            case 0x22:
                self.at += 1
                self.string()
            case 0x5B:
                self.array(self.deeper(depth))
            case 0x7B:
                self.object(self.deeper(depth))
            case byte if byte == 0x2D or byte in _DIGITS:
                self.number()
            case _:
                self.fail_at_next("expected value")

    def deeper(self, depth: int) -> int:
        if depth == 0:
            self.fail_at_next("recursion limit exceeded")
        self.at += 1
        return depth - 1

    def ident(self, ident: bytes) -> None:
        self.at += 1
        for expected in ident[1:]:
            if self.take("EOF while parsing a value") != expected:
                self.fail("expected ident")

    def array(self, depth: int) -> None:
        first = True
        while (byte := self.peek()) != 0x5D:
            if byte is None:
                self.fail_at_next("EOF while parsing a list")
            if not first:
                self.comma(byte, "expected `,` or `]`", 0x5D)
            self.value(depth)
            first = False
        self.at += 1

    def object(self, depth: int) -> None:
        first = True
        while (byte := self.peek()) != 0x7D:
            if byte is None:
                self.fail_at_next("EOF while parsing an object")
            if not first:
                self.comma(byte, "expected `,` or `}`", 0x7D)
            self.key()
            self.value(depth)
            first = False
        self.at += 1

    def comma(self, byte: int, message: str, end: int) -> None:
        if byte != 0x2C:
            self.fail_at_next(message)
        self.at += 1
        match self.peek():
            case None:
                self.fail_at_next("EOF while parsing a value")
            case byte if byte == end:
                self.fail_at_next("trailing comma")

    def key(self) -> None:
        if self.peek() != 0x22:
            self.fail_at_next("key must be a string")
        self.at += 1
        self.string()
        match self.peek():
            case None:
                self.fail_at_next("EOF while parsing an object")
            case 0x3A:
                self.at += 1
            case _:
                self.fail_at_next("expected `:`")

    def string(self) -> None:
        valid = True
        while True:
            plain = _PLAIN.match(self.data, self.at)
            piece = plain[0] if plain else b""
            valid = valid and _is_utf8(piece)
            self.at += len(piece)
            match self.take("EOF while parsing a string"):
                case 0x22:
                    break
                case 0x5C:
                    self.escape()
                case _:
                    self.fail(_CONTROL)
        if not valid:
            self.fail("invalid unicode code point")

    def escape(self) -> None:
        byte = self.take("EOF while parsing a string")
        if byte == 0x75:
            self.unicode_escape()
        elif byte not in b'"\\/bfnrt':
            self.fail("invalid escape")

    def unicode_escape(self) -> None:
        unit = self.hex()
        if 0xDC00 <= unit <= 0xDFFF:
            self.fail("lone leading surrogate in hex escape")
        if 0xD800 <= unit <= 0xDBFF:
            for expected in b"\\u":
                if self.take("EOF while parsing a string") != expected:
                    self.fail("unexpected end of hex escape")
            if not 0xDC00 <= self.hex() <= 0xDFFF:
                self.fail("lone leading surrogate in hex escape")

    def hex(self) -> int:
        digits = self.data[self.at : self.at + 4]
        if len(digits) < 4:
            self.at = len(self.data)
            self.fail("EOF while parsing a string")
        if not _HEX.fullmatch(digits):
            good = re.match(rb"[0-9a-fA-F]*", digits)
            self.at += (len(good[0]) if good else 0) + 1
            self.fail("invalid escape")
        self.at += 4
        return int(digits, 16)

    def number(self) -> None:
        start = self.at
        if self.byte() == 0x2D:
            self.at += 1
        first = self.take("EOF while parsing a value")
        if first not in _DIGITS:
            self.fail("invalid number")
        if first != 0x30:
            self.digits()
        elif (byte := self.byte()) is not None and byte in _DIGITS:
            self.fail_at_next("invalid number")
        self.fraction()
        self.exponent()
        # Only the magnitude is asked for: more digits than these change nothing.
        if math.isinf(float(self.data[start : self.at])):
            self.fail("number out of range")

    def digits(self) -> int:
        start = self.at
        while (byte := self.byte()) is not None and byte in _DIGITS:
            self.at += 1
        return self.at - start

    def fraction(self) -> None:
        if self.byte() != 0x2E:
            return
        self.at += 1
        if not self.digits():
            eof = self.byte() is None
            self.fail_at_next("EOF while parsing a value" if eof else "invalid number")

    def exponent(self) -> None:
        if self.byte() not in (0x45, 0x65):
            return
        self.at += 1
        if self.byte() in (0x2B, 0x2D):
            self.at += 1
        if self.take("EOF while parsing a value") not in _DIGITS:
            self.fail("invalid number")
        self.digits()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
