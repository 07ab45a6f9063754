"""Lines for people and for programs.

On a terminal, sentences are wrapped to its width; elsewhere each stays one line. When the reader
of a pipe has left, what is left to say is dropped, and the command ends with the code that it has.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import IO, Any

import click


def say(line: str = "", *, indent: str | None = None) -> None:
    """Print a line of the result.

    Args:
        line: The line. Values that are copied from a terminal must not be wrapped by us.
        indent: That of the further lines of a sentence that is wrapped; None for no wrapping.
    """
    _print(line, indent, sys.stdout)


def warn(line: str, *, indent: str = "  ") -> None:
    """Print a line beside the result, to standard error."""
    _print(f"golem-promise: {line}", indent, sys.stderr)


def say_json(value: Any) -> None:
    """Print a result for programs: one line of JSON, in ASCII for whatever reads it."""
    _print(json.dumps(value), None, sys.stdout)


def _leave_quietly() -> None:
    """Write nothing more: the reader of the pipe has left."""
    # Python flushes its streams once more when it ends, and would complain then.
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.isatty():
            os.dup2(sink, stream.fileno())


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
        _leave_quietly()
