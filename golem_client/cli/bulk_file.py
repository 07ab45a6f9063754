"""The file of `golem-promise bulk`: one line, one promise and the payload that it says.

A line is a JSON object with `id` in any spelling and exactly one of `json`, `text`, `base64` or
`"empty": true`. What is not exactly that is a bad line, and never sent; nothing is guessed at.
JSON is sent as it stands in the line, byte for byte. No message here shows any of a payload.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import attrs

from golem_client import InvalidIdError, PromiseId
from golem_client.cli.strict_json import JsonError, check_json

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import BinaryIO

_KEYS = ("id", "json", "text", "base64", "empty")
_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")
_SHOWN = 40

MAX_PAYLOAD_BYTES = 4_000_000
"""What every Golem takes, and the client's own limit."""

_LONGEST_LINE = 64 * 2**20
"""In bytes: far more than the largest payload needs; what is longer is not read into memory."""


@attrs.frozen
class Line:
    """A line that can be sent.

    Attributes:
        number: Its place in the file, from 1.
        promise_id: The promise.
        payload: What is sent.
        fingerprint: Tells the promise and the payload's bytes together from all others.
        digest: Tells the line as it stands in the file from all others.
        may_be_ours: Whether an earlier run may have stored the payload without a word of it.
    """

    number: int
    promise_id: PromiseId
    payload: bytes = attrs.field(repr=False)
    fingerprint: str
    digest: str
    may_be_ours: bool = False


@attrs.frozen
class BadLine:
    """A line that cannot be sent.

    Attributes:
        number: Its place in the file, from 1.
        problem: What is wrong with it, for people.
        digest: Tells the line as it stands in the file from all others.
    """

    number: int
    problem: str
    digest: str


class _ProblemError(Exception):
    """What is wrong with a line; its text is for people."""


def read_lines(path: Path) -> Generator[Line | BadLine | None, None, None]:
    """Yield each line of the file in its order; None for an empty one.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(raw) > _LONGEST_LINE:
                _skip_to_next_line(file, raw)
                problem = f"is longer than {_LONGEST_LINE // 2**20} MiB"
                yield BadLine(number, problem, _hash(raw[:4096]))
                continue
            stripped = raw.removeprefix(_BOM if number == 1 else b"").strip()
            yield read_line(number, stripped) if stripped else None


def count_lines(path: Path) -> int | None:
    """Return the number of lines; None where reading them would use them up: a pipe.

    Raises:
        OSError: The file cannot be read.
    """
    if not path.is_file():
        return None
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(2**20):
            count += piece.count(b"\n")
            last = piece[-1:]
    return count + (last != b"\n")


def read_line(number: int, raw: bytes) -> Line | BadLine:
    """Return what the line says, or what is wrong with it."""
    digest = _hash(raw)
    try:
        text = _text(raw)
        fields = _fields(text)
        promise_id = _promise_id(fields)
        payload = _payload(fields, text)
    except _ProblemError as problem:
        return BadLine(number, str(problem), digest)
    fingerprint = _hash(str(promise_id).encode() + b"\0" + payload)
    return Line(number, promise_id, payload, fingerprint, digest)


def _skip_to_next_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(2**20)


def _hash(what: bytes) -> str:
    return blake2b(what, digest_size=16).hexdigest()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        start = error.start
    raise _ProblemError(f"is not UTF-8 (byte {start + 1})")


def _fields(text: str) -> dict[str, Any]:
    try:
        fields = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} (character {error.pos + 1})"
    except (ValueError, RecursionError):
        problem = "has a number that is too long, or is nested too deep"
    else:
        if isinstance(fields, dict):
            return fields
        problem = "is not a JSON object"
    raise _ProblemError(problem)


def _promise_id(fields: dict[str, Any]) -> PromiseId:
    if unknown := [key for key in fields if key not in _KEYS]:
        raise _ProblemError(f"has the unknown key {_shown(unknown[0])}")
    if "id" not in fields:
        raise _ProblemError('has no "id"')
    try:
        return PromiseId.parse(fields["id"])
    except InvalidIdError as error:
        problem = error.message
    raise _ProblemError(f'has a bad "id": {problem}')


def _payload(fields: dict[str, Any], text: str) -> bytes:
    kinds = [key for key in fields if key != "id"]
    if len(kinds) != 1:
        says = " and ".join(f'"{key}"' for key in kinds) or "no payload"
        raise _ProblemError(
            f'says {says}: exactly one of "json", "text", "base64" or "empty": true is needed'
        )
    (kind,) = kinds
    if kind == "empty":
        if fields[kind] is not True:
            raise _ProblemError('"empty" can only be true')
        return b""
    payload = _json(text) if kind == "json" else _string(kind, fields[kind])
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _ProblemError(
            f'"{kind}" has {len(payload):,} bytes, and every Golem takes {MAX_PAYLOAD_BYTES:,}'
        )
    return payload


def _json(text: str) -> bytes:
    """Return the value of `"json"` as it stands in the line: written anew, it might change."""
    value = _value_as_it_stands(text, "json")
    try:
        check_json(value)
    except JsonError as error:
        problem = f'"json" is nothing that a worker reads: {error}'
    else:
        return value.encode()
    raise _ProblemError(problem)


def _value_as_it_stands(text: str, wanted: str) -> str:
    """Return the text of a member's value, in a JSON object that has been read and has it."""
    at = text.index("{") + 1
    while True:
        key, at = _DECODER.raw_decode(text, _skip_space(text, at))
        start = _skip_space(text, _skip_space(text, at) + len(":"))
        _, at = _DECODER.raw_decode(text, start)
        if key == wanted:
            return text[start:at]
        at = _skip_space(text, at) + len(",")


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _string(kind: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _ProblemError(f'"{kind}" must be a string')
    if not value:
        raise _ProblemError(f'"{kind}" is empty: say "empty": true if that is meant')
    return _text_bytes(value) if kind == "text" else _base64_bytes(value)


def _text_bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise _ProblemError('"text" holds a lone surrogate, which UTF-8 cannot carry')


def _base64_bytes(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if base64.b64encode(decoded).decode() == text:  # b64decode passes over stray bits and padding
        return decoded
    raise _ProblemError('"base64" is not standard base64 with its padding')


def _shown(key: str) -> str:
    return ascii(key if len(key) <= _SHOWN else f"{key[:_SHOWN]}...")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    # The object may be one in the payload, whose keys are nobody's business.
    twice = [key for key in _KEYS if sum(key == other for other, _ in pairs) > 1]
    raise _ProblemError(f'has "{twice[0]}" twice' if twice else "has a key twice in one object")


def _no_constant(name: str) -> Any:
    raise _ProblemError(f"is not JSON: {name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
