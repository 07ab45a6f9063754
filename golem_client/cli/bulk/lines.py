"""The file of `golem-promise bulk`: each line has a promise and its payload.

A line is a JSON object with `id` in any spelling and exactly one of `json`, `text`, `base64` or
`"empty": true`. Anything else is a bad line and is never sent. JSON is sent as it stands in the
line, byte for byte. No message shows any of a payload.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import attrs

from golem_client import InvalidIdError, PromiseId
from golem_client.cli.options import MAX_PAYLOAD_BYTES
from golem_client.cli.strict_json import MAX_DEPTH, JsonError, read_json

_KINDS = ("json", "text", "base64", "empty")
_CHUNK = 2**18
_LONGEST_LINE = 64 * 2**20
_SHOWN = 40


@attrs.frozen
class Line:
    """A line that can be sent: its number in the file, from 1, its promise and its payload."""

    number: int
    promise_id: str
    payload: bytes = attrs.field(repr=False)


@attrs.frozen
class BadLine:
    """A line that cannot be sent: its number in the file, from 1, and why, for people."""

    number: int
    problem: str


Lines = list[Line | BadLine]
"""Some lines of a file in their order, without the empty ones."""


class _ProblemError(Exception):
    """What is wrong with a line, for people."""


def count_lines(file: Path | None) -> int | None:
    """Return how many lines are not empty; None where counting uses them up, as of a pipe."""
    if file is None or not file.is_file():
        return None
    with file.open("rb") as reader:
        return sum(1 for raw in reader if raw.strip())


async def lines_of(file: Path | None) -> AsyncIterator[Lines]:
    """Yield the lines of a file, or of the standard input, as many at a time as there are."""
    batches = read_lines(file)
    while True:
        batch: Future[Lines | None] = Future()
        batch.set_running_or_notify_cancel()
        # A pipe may be silent for long: a daemon's thread does not keep the command from ending.
        threading.Thread(target=_read_next, args=(batches, batch), daemon=True).start()
        lines = await asyncio.wrap_future(batch)
        if lines is None:
            return
        yield lines


def _read_next(batches: Iterator[Lines], batch: Future[Lines | None]) -> None:
    try:
        batch.set_result(next(batches, None))
    except BaseException as error:  # noqa: BLE001 - it is raised where the batch is awaited
        batch.set_exception(error)


def read_lines(file: Path | None) -> Iterator[Lines]:
    """Yield the lines of a file, or of the standard input, as many at a time as there are."""
    number, rest = 1, b""
    with open(file or 0, "rb", buffering=0, closefd=file is not None) as reader:
        data = reader.read(_CHUNK)
        if problem := _problem_of_file(data):
            yield [BadLine(number, problem)]
            return
        while data:
            *raws, rest = (rest + data).split(b"\n")
            yield [read_line(n, raw) for n, raw in enumerate(raws, number) if raw.strip()]
            number += len(raws)
            if len(rest) > _LONGEST_LINE:
                yield [BadLine(number, "is longer than 64 MiB: neither it nor the rest is read")]
                return
            data = reader.read(_CHUNK)
    if rest.strip():
        yield [read_line(number, rest)]


def _problem_of_file(beginning: bytes) -> str:
    """Return what is wrong with a whole file, whose last line might be a good one all the same."""
    if b"\0" in beginning[:4]:
        return "is UTF-16, and so is the whole file: nothing of it is sent; save it as UTF-8"
    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return "begins a JSON array: nothing of it is sent; write one object a line (jq -c '.[]')"
    return ""


def read_line(number: int, raw: bytes) -> Line | BadLine:
    """Return what the line says, or what is wrong with it."""
    try:
        text = raw.strip().decode("utf-8-sig")
        fields = read_json(text, max_depth=MAX_DEPTH + 1)
        return Line(number, _promise_id(fields), _payload(fields, text))
    except UnicodeDecodeError:
        problem = "is not UTF-8: save the file as UTF-8"
    except JsonError as error:
        problem = f"is not JSON that a worker reads: {error}".replace(" at line 1,", " at")
    except _ProblemError as error:
        problem = str(error)
    return BadLine(number, problem)


def _promise_id(fields: Any) -> str:
    if not isinstance(fields, dict):
        raise _ProblemError("is not a JSON object: write one object a line")
    if unknown := [key for key in fields if key not in ("id", *_KINDS)]:
        shown = ascii(unknown[0] if len(unknown[0]) <= _SHOWN else f"{unknown[0][:_SHOWN]}...")
        raise _ProblemError(f"has the unknown key {shown}")
    if "id" not in fields:
        raise _ProblemError('has no "id"')
    try:
        return str(PromiseId.parse(fields["id"]))
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
    value = fields[kind]
    if kind == "empty":
        if value is not True:
            raise _ProblemError('"empty" can only be true')
        return b""
    payload = _json(text).encode() if kind == "json" else _string(kind, value)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _ProblemError(
            f'"{kind}" has {len(payload):,} bytes, and every Golem takes {MAX_PAYLOAD_BYTES:,}'
        )
    return payload


def _json(text: str) -> str:
    """Return the value of "json" as it stands: written anew, its numbers might change."""
    read = json.JSONDecoder().raw_decode
    at = text.index("{")
    while True:
        key, at = read(text, _after_space(text, at + 1))
        begin = _after_space(text, _after_space(text, at) + 1)
        _, end = read(text, begin)
        if key == "json":
            return text[begin:end]
        at = _after_space(text, end)


def _after_space(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip(" \t\r\n"))


def _string(kind: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _ProblemError(f'"{kind}" must be a string')
    if not value:
        raise _ProblemError(f'"{kind}" is empty: say "empty": true if that is meant')
    if kind == "text":
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise _ProblemError('"base64" is not standard base64 with its padding') from None
