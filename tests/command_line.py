"""How the tests run `golem-promise`: in this process, or as a command of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import attrs

from golem_client.cli.group import run
from tests.interpreters import Child

COMMAND = (sys.executable, "-W", "error", "-m", "golem_client")


@attrs.frozen
class Ran:
    """What a command left behind."""

    code: int | None
    out: str
    err: str


async def golem_promise(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run the command in this process, in a thread: the fake has this event loop."""
    return await asyncio.to_thread(_run, arguments, stdin)


def _run(arguments: tuple[str, ...], stdin: bytes) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with _replaced_stdin(stdin), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return Ran(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _replaced_stdin(data: bytes) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing leads to a Golem."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # Unbuffered output would hide what Python does with a full disk when it ends.
        if not name.startswith("GOLEM_") and name != "PYTHONUNBUFFERED"
    }
    return {**kept, "HOME": str(home), "COLUMNS": "80", **more}


@asynccontextmanager
async def command(home: Path, *arguments: str, **more: Any) -> AsyncIterator[Child]:
    """Start the command as a process of its own, and end it afterwards."""
    environ = environment(home, **more.pop("environ", {}))
    process = Child("-m", "golem_client", *arguments, env=environ, **more)
    try:
        yield process
    finally:
        process.close()


async def first_line(stream: IO[bytes] | None) -> str:
    """Return the first line that a process writes to a stream."""
    assert stream is not None
    return (await asyncio.to_thread(stream.readline)).decode()


async def ran(process: Child, stdin: bytes = b"") -> Ran:
    """Wait for the end of a process."""
    out, err = await asyncio.to_thread(process.communicate, stdin)
    return Ran(process.returncode, out.decode(), err.decode())


def read_all(screen: int) -> str:
    """Return what a terminal shows until its last program has ended."""
    pieces = []
    try:
        while piece := os.read(screen, 65536):
            pieces.append(piece)
    except OSError:  # how Linux says that it is the end
        pass
    finally:
        os.close(screen)
    return b"".join(pieces).decode()
