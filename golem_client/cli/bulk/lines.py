"""The file of `golem-promise bulk`: one line, one promise and the payload that it says.

A line is a JSON object with `id` in any spelling and exactly one of `json`, `text`, `base64` or
`"empty": true`. What is not exactly that is a bad line, and never sent; nothing is guessed at.
JSON is sent as it stands in the line, byte for byte. No message here shows any of a payload.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import attrs

from golem_client import InvalidIdError, PromiseId
from golem_client.cli.strict_json import JsonError, check_json

if TYPE_CHECKING:
    from pathlib import Path

_KEYS = ("id", "json", "text", "base64", "empty")
_BOM = b"\xef\xbb\xbf"
_CHUNK = 2**16
_BATCHES_AHEAD = 2
_KEY = os.urandom(32)
_SHOWN = 40

MAX_PAYLOAD_BYTES = 4_000_000
"""What every Golem takes, and the client's own limit."""

_LONGEST_LINE = 64 * 2**20
"""In bytes: far more than the largest payload needs; what is longer is not read into memory."""


@attrs.frozen
class Line:
    """A line that can be sent: its number in the file, from 1, its promise and its payload."""

    number: int
    promise_id: str
    payload: bytes = attrs.field(repr=False)

    @property
    def digest(self) -> bytes:
        """What tells the payload from others, within this run alone."""
        return digest_of(self.payload)


@attrs.frozen
class BadLine:
    """A line that cannot be sent, and why.

    Attributes:
        number: Its number in the file, from 1.
        problem: What is wrong with it, for people.
        is_file: Whether it speaks for the whole file, of which nothing more is read.
    """

    number: int
    problem: str
    is_file: bool = False


Lines = list[Line | BadLine | None]
"""Some lines of a file in their order; None for an empty one."""


class _ProblemError(Exception):
    """What is wrong with a line; its text is for people."""


def digest_of(what: bytes) -> bytes:
    """Return a short hash with a key that only this process has."""
    return blake2b(what, digest_size=16, key=_KEY).digest()


def read_lines(file: int) -> Iterator[Lines]:
    """Yield the lines of an open file, as many at a time as there are: a pipe may be slow.

    Raises:
        OSError: The file cannot be read.
    """
    number, is_first = 1, True
    for raws in _raw_lines(file):
        if is_first and (problem := _problem_of_file(raws)):
            yield [BadLine(1, problem, is_file=True)]
            return
        if number == 1:
            raws[0] = raws[0].removeprefix(_BOM)
        stripped = [raw.strip() for raw in raws]
        yield [read_line(n, raw) if raw else None for n, raw in enumerate(stripped, number)]
        is_first = is_first and not any(stripped)
        number += len(raws)


def count_lines(path: Path) -> int | None:
    """Return the number of lines; None where reading them would use them up: a pipe.

    Raises:
        OSError: The file cannot be read.
    """
    if not path.is_file():
        return None
    count, piece = 0, b"\n"
    with path.open("rb") as file:
        for piece in iter(partial(file.read, 2**20), b""):
            count += piece.count(b"\n")
    return count + (not piece.endswith(b"\n"))


def read_line(number: int, raw: bytes) -> Line | BadLine:
    """Return what the line says, or what is wrong with it."""
    if len(raw) > _LONGEST_LINE:
        return BadLine(number, f"is longer than {_LONGEST_LINE // 2**20} MiB")
    try:
        text = _text(raw)
        fields = _fields(text)
        promise_id = _promise_id(fields)
        payload = _payload(fields, text)
    except _ProblemError as problem:
        return BadLine(number, str(problem))
    return Line(number, str(promise_id), payload)


async def lines_of(file: int) -> AsyncIterator[Lines]:
    """Yield the lines of an open file, read in a thread: a pipe may be slow, and block.

    Raises:
        OSError: The file cannot be read.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Lines | OSError | None] = asyncio.Queue()
    room = threading.Semaphore(_BATCHES_AHEAD)

    def put(what: Lines | OSError | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(queue.put_nowait, what)

    def read() -> None:
        try:
            for lines in read_lines(file):
                room.acquire()
                put(lines)
        except OSError as error:
            put(error)
        put(None)

    threading.Thread(target=read, name="golem-promise bulk", daemon=True).start()
    while (lines := await queue.get()) is not None:
        if isinstance(lines, OSError):
            raise lines
        yield lines
        room.release()


def _problem_of_file(raws: list[bytes]) -> str:
    """Return what is wrong with a whole file, told once instead of for each of its lines."""
    first = next(filter(bytes.strip, raws), b"")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first[:4]:
        return "is UTF-16 or UTF-32, and so is the whole file: save it as UTF-8"
    if first.removeprefix(_BOM).lstrip().startswith(b"["):
        return "begins a JSON array: write one object a line (jq -c '.[]'); nothing of it is sent"
    return ""


def _raw_lines(file: int) -> Iterator[list[bytes]]:
    """Yield lines as they come, and of one that is too long no more than shows it."""
    rest: list[bytes] = []
    size = 0
    while data := os.read(file, _CHUNK):
        *whole, last = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*rest, whole[0]])
            rest, size = [], 0
            yield whole
        size += len(last)
        if size <= _LONGEST_LINE + _CHUNK:
            rest.append(last)
    if any(rest):
        yield [b"".join(rest)]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _ProblemError(f"is not UTF-8 (byte {error.start + 1})") from None


def _fields(text: str) -> dict[str, Any]:
    try:
        fields = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg} (character {error.pos + 1})"
        raise _ProblemError(f"is not JSON: {where}") from None
    except (ValueError, RecursionError):
        raise _ProblemError("has a number that is too long, or is nested too deep") from None
    if not isinstance(fields, dict):
        raise _ProblemError("is not a JSON object")
    return fields


def _promise_id(fields: dict[str, Any]) -> PromiseId:
    if unknown := [key for key in fields if key not in _KEYS]:
        shown = ascii(unknown[0] if len(unknown[0]) <= _SHOWN else f"{unknown[0][:_SHOWN]}...")
        raise _ProblemError(f"has the unknown key {shown}")
    if "id" not in fields:
        raise _ProblemError('has no "id"')
    try:
        return PromiseId.parse(fields["id"])
    except InvalidIdError as error:
        raise _ProblemError(f'has a bad "id": {error.message}') from None


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
    key, value, end = "", "", text.index("{")
    while key != "json":  # the whole has been read before: there is such a key
        key, at = _DECODER.raw_decode(text, _after_space(text, end + 1))
        start = _after_space(text, _after_space(text, at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        value, end = text[start:at], _after_space(text, at)
    try:
        check_json(value)
    except JsonError as error:
        raise _ProblemError(f'"json" is nothing that a worker reads: {error}') from None
    return value.encode()


def _after_space(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip(" \t\r\n")) if text[at] in " \t\r\n" else at


def _string(kind: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _ProblemError(f'"{kind}" must be a string')
    if not value:
        raise _ProblemError(f'"{kind}" is empty: say "empty": true if that is meant')
    if kind == "text":
        try:
            return value.encode()
        except UnicodeEncodeError:
            problem = '"text" holds a lone surrogate, which UTF-8 cannot carry'
            raise _ProblemError(problem) from None
    with suppress(ValueError):
        decoded = base64.b64decode(value, validate=True)
        if base64.b64encode(decoded).decode() == value:  # it passes over stray bits and padding
            return decoded
    raise _ProblemError('"base64" is not standard base64 with its padding')


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
