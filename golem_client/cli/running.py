"""Run a coroutine so that Ctrl-C ends the command at once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from golem_client.cli.exit_codes import ExitCode
from golem_client.cli.screen import warn

T = TypeVar("T")


def run_to_the_end(work: Coroutine[Any, Any, T], *, interrupted: str) -> T:
    """Run a coroutine and return its result; on Ctrl-C say `interrupted`, and exit."""
    runner = asyncio.Runner()
    try:
        result = runner.run(work)
    except KeyboardInterrupt:
        warn(f"interrupted: {interrupted}")
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, AttributeError):  # None where it is closed from the start
                stream.flush()
        # An orderly end would wait for threads, and one that looks up a name can take a minute.
        os._exit(ExitCode.INTERRUPTED)
    except BaseException:
        runner.close()
        raise
    runner.close()
    return result
