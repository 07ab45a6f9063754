"""Lines for people and for programs, and Ctrl-C.

On a terminal, sentences are wrapped to its width; elsewhere each stays one line. A result that
cannot be written, because the reader of a pipe has left or a disk is full, does not change the
exit code: what was done is done.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Coroutine
from contextlib import suppress
from typing import IO, Any, NoReturn, TypeVar

import click

from golem_client.cli.exit_codes import ExitCode

T = TypeVar("T")


def say(line: str = "", *, indent: str | None = None) -> None:
    """Print a line of the result.

    Args:
        line: The line. Values that people copy from a terminal must not be wrapped by us.
        indent: The indent of the further lines of a wrapped sentence; None for no wrapping.
    """
    _print(line, indent, sys.stdout)


def warn(line: str, *, indent: str = "  ") -> None:
    """Print a line beside the result, to standard error."""
    _print(f"golem-promise: {printable(line)}", indent, sys.stderr)


def say_json(value: Any) -> None:
    """Print a result for programs: one line of JSON, in ASCII for whatever reads it."""
    _print(json.dumps(value), None, sys.stdout)


def show_status(line: str) -> bool:
    """Write a line over the last one, if people read it on a terminal; return whether they do."""
    stream = sys.stderr
    if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    width = max(shutil.get_terminal_size().columns - 1, 20)
    with suppress(OSError):  # the terminal may have gone
        stream.write(f"\r\x1b[K{printable(line)[:width]}")
        stream.flush()
    return True


def printable(text: str) -> str:
    """Return the text with nothing in it that moves a cursor: a server may have worded it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def leave_quietly(*streams: IO[str] | None) -> None:
    """Write nothing more to these streams, by default both standard ones."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in streams or (sys.stdout, sys.stderr):
        # Python flushes its streams once more when it ends, and would complain then.
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            os.dup2(sink, stream.fileno())
    os.close(sink)


def run_to_the_end(work: Coroutine[Any, Any, T], *, interrupted: str) -> T:
    """Run a coroutine and return its result; on Ctrl-C say `interrupted`, and exit at once."""
    runner = asyncio.Runner()
    try:
        result = runner.run(work)
    except KeyboardInterrupt:
        warn(f"interrupted: {interrupted}")
        exit_interrupted()
    except BaseException:
        runner.close()
        raise
    runner.close()
    return result


def exit_interrupted() -> NoReturn:
    """Exit at once: an orderly end waits for threads, and one that looks up a name takes long."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # None where it is closed from the start
            stream.flush()
    os._exit(ExitCode.INTERRUPTED)


def _print(line: str, indent: str | None, stream: IO[str] | None) -> None:
    if stream is None:  # closed from the start, as with >&-
        return
    if indent is not None and stream.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(
            line,
            # A line that fills a terminal to its last column is followed by an empty one on some.
            max(width - 1, 20),
            subsequent_indent=indent,
            replace_whitespace=False,
            drop_whitespace=True,
            break_on_hyphens=False,
        )
    try:
        click.echo(line, file=stream)
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        leave_quietly(stream)
        if stream is not sys.stderr:
            warn(f"this line could not be written ({error.strerror}): {line}")
