"""What `golem-promise bulk` shows: the lines that fail, how far it is, and the table at the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from golem_client import ConnectionFailedError, DeadlineExceededError, GolemError
from golem_client.cli.bulk.results import BAD_LINE, COMPLETED, FAILED
from golem_client.cli.options import DOCTOR, in_options
from golem_client.cli.screen import show_status, warn

if TYPE_CHECKING:
    from golem_client.telemetry import AttemptEvent, CallEvent

REPEATED = "repeated_line"
"""A line whose promise and payload an earlier line of the file has: it needs nothing more."""

_NAMES = {kind: kind.replace("_", " ") for kind in (*COMPLETED, FAILED, BAD_LINE, REPEATED)}

_MOST_SHOWN = 20
"""Of the lines that failed, so many are shown where a results file has them all."""

_FIRST_QUIET, _LONGEST_QUIET, _TERMINAL_QUIET = 2.0, 60.0, 0.2
"""The seconds between two lines about the progress, at first, at last, and on a terminal."""

_SHORT_TROUBLE = 1.0
"""So many seconds without a success are not mentioned."""


@attrs.define
class Trouble:
    """Why nothing is completed, and since when: an observer of the client's attempts.

    Attributes:
        why: How the last attempt failed, in words; empty where Golem answered it.
        began: When the first one failed of those that have failed in a row.
        has_sent: Whether any request may have reached a server.
    """

    why: str = ""
    began: float = 0.0
    has_sent: bool = False

    def call(self, event: CallEvent, /) -> None:
        """Ignore calls: their attempts say more, and earlier."""

    @contextmanager
    def attempt(self, event: AttemptEvent, /) -> Iterator[None]:
        """Note how an attempt ends."""
        yield
        error = event.error
        self.has_sent |= not isinstance(error, ConnectionFailedError)
        if not isinstance(error, GolemError) or not error.worth_retrying:
            self.why = ""
            return
        if not self.why:
            self.began = time.monotonic()
        elif isinstance(error, DeadlineExceededError):
            return  # the failure before it says more
        self.why = f"{event.status}: {error.message}" if event.status else error.message


@attrs.define
class Report:
    """How many lines ended in which way, and what is shown of that.

    Attributes:
        results: The results file; None where nothing is recorded.
        total: The number of lines that are not empty; None where it is not known.
        all: The number of lines that ended in each way, in this run or an earlier one.
        errors: The classes of the errors of the lines that failed in this run.
        before: How many of these lines ended in an earlier run.
        to_retry: How many of those that failed can still succeed.
        began: When the run began, by the monotonic clock.
        trouble: Why nothing is completed; it is to observe the client.
    """

    results: Path | None = None
    total: int | None = None
    all: Counter[str] = attrs.Factory(Counter)
    errors: Counter[str] = attrs.Factory(Counter)
    before: int = 0
    to_retry: int = 0
    began: float = attrs.Factory(time.monotonic)
    trouble: Trouble = attrs.Factory(Trouble)
    _shown: int = attrs.field(default=0, init=False)

    @property
    def left(self) -> int:
        """The number of lines that have not ended yet; 0 where their number is not known."""
        return max((self.total or 0) - self.all.total(), 0)

    @property
    def is_complete(self) -> bool:
        """Whether the promise of every line is completed."""
        return not self.left and not self.all[FAILED] and not self.all[BAD_LINE]

    def bar(self) -> str:
        """Return a bar for a terminal; empty where the number of lines is not known."""
        done = 10 * (self.total - self.left) // self.total if self.total else 0
        return f"[{'#' * done:<10}] " if self.total else ""

    def progress(self) -> str:
        """Return how many lines ended, how many a second, and how long the rest will take."""
        sent = sum(self.all[kind] for kind in (*COMPLETED, FAILED)) - self.before
        speed = sent / max(time.monotonic() - self.began, 0.001)
        of = "lines" if self.total is None else f"of {self.total:,}"
        words = [f"{self.all.total():,} {of}", f"{speed:,.0f}/s"]
        if self.left and speed:
            minutes, seconds = divmod(round(self.left / speed), 60)
            words.append(f"{minutes}:{seconds:02} left")
        words += [f"{self.all[kind]:,} {name}" for kind, name in _NAMES.items() if self.all[kind]]
        return ", ".join(words)

    def table(self) -> str:
        """Return how the lines ended: plain text, at most 80 columns wide."""
        rows: list[tuple[str, int]] = []
        for kind, name in _NAMES.items():
            if kind in COMPLETED or self.all[kind]:
                rows.append((name, self.all[kind]))
            if kind == FAILED:
                rows += [(f"  {error}", n) for error, n in self.errors.most_common()]
        if self.left:
            rows.append(("not completed yet", self.left))
        rows.append(("lines", self.all.total() + self.left))
        if self.before:
            rows.append(("  of earlier runs", self.before))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}{n:>14,}" for name, n in rows)

    def show_failure(self, line: int, problem: str) -> None:
        """Show why a line failed; where a results file has all of them, only the first ones."""
        self._shown += 1
        if self.results is None or self._shown <= _MOST_SHOWN:
            _show(in_options(f"line {line}: {problem}"))
        elif self._shown == _MOST_SHOWN + 1:
            _show(f"more lines failed: {self.results} has all of them")

    async def show_progress(self) -> None:
        """Show one line on a terminal; elsewhere write one now and then, less and less often.

        Say once why the run waits for Golem.
        """
        is_on_a_terminal, is_explained, quiet = show_status(""), False, _FIRST_QUIET
        while True:
            await asyncio.sleep(_TERMINAL_QUIET if is_on_a_terminal else quiet)
            progress, trouble = self.progress(), self.trouble
            seconds = time.monotonic() - trouble.began if trouble.why else 0.0
            if seconds > _SHORT_TROUBLE:
                progress += f"; waiting for Golem for {seconds:.0f} s"
                if not is_explained:
                    is_explained = True
                    _show(in_options(f"waiting for Golem: {trouble.why}. {DOCTOR}"))
            if not show_status(self.bar() + progress):
                warn(progress)
            quiet = min(2 * quiet, _LONGEST_QUIET)


def _show(line: str) -> None:
    """Show a line that stays, in place of the progress on a terminal."""
    show_status("")
    warn(line)
