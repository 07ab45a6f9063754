"""The command `golem-promise`: complete promises from a terminal or a script.

    group        the commands and their names; each is imported when it is called
    options      what all commands have in common: where Golem is, and how to print
    exit_codes   what the exit codes mean
    screen       lines for people and for programs, and Ctrl-C
    strict_json  JSON as a worker reads it
    complete, parse, doctor, serve, bulk, outbox   one command each

It needs the extra `cli`: `pip install "golem-client[cli]"`.
"""

from __future__ import annotations

import importlib.util
import io
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command `golem-promise` with the arguments of the process, and exit."""
    if importlib.util.find_spec("click") is None:
        sys.exit('golem-promise needs click, which an extra has: pip install "golem-client[cli]"')
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal in ASCII gets \u escapes instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        # Not at the top: without the extra there is only the line above to say.
        from golem_client.cli.group import run  # noqa: PLC0415

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)
