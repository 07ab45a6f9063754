"""How `golem-promise bulk` shows that it goes on: a bar on a terminal, plain lines elsewhere.

All of it goes to the standard error; the standard output is for the table at the end.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from golem_client.cli.screen import printable, warn

if TYPE_CHECKING:
    from golem_client.cli.bulk.tally import Tally


_LONGEST_QUIET = 60.0
"""The longest time, in seconds, for which a log is told nothing of a run that is held."""


def progress_for(tally: Tally) -> Bar | Lines:
    """Return what fits where the standard error goes."""
    if sys.stderr is not None and sys.stderr.isatty():
        console = Console(stderr=True, highlight=False)
        if not console.is_dumb_terminal:
            return Bar(tally, console)
    return Lines(tally)


class Lines:
    """A line now and then, for a log."""

    interval = 5.0

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._shown = ""
        self._accounted = -1
        self._quiet = 0.0
        self._quiet_until = 0.0

    def start(self) -> None:
        """Begin to measure the speed."""
        self._tally.speed_at(time.monotonic())

    def stop(self) -> None:
        """Do nothing: what is written is written."""

    def say(self, message: str) -> None:
        """Write the message."""
        warn(printable(message))

    def refresh(self, why_held: str = "") -> None:
        """Write how far the run is; less and less often while it stays where it is."""
        now, accounted = time.monotonic(), self._tally.accounted
        is_still = accounted == self._accounted
        words = [*self._tally.pace(now), *([why_held] if why_held else [])]
        shown = f"{', '.join(words)}: {self._tally.counts()}"
        if is_still and (now < self._quiet_until or shown == self._shown):
            return
        self.say(shown)
        self._shown, self._accounted = shown, accounted
        self._quiet = min(2 * self._quiet, _LONGEST_QUIET) if is_still else self.interval
        self._quiet_until = now + self._quiet


class Bar:
    """A bar that stays at the bottom of a terminal."""

    interval = 0.2

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def start(self) -> None:
        """Show the bar."""
        self._live.start()
        self.refresh()

    def stop(self) -> None:
        """Leave the bar as it is, and the cursor below it."""
        with suppress(OSError):  # the terminal may have gone
            self.refresh()
            self._live.stop()

    def say(self, message: str) -> None:
        """Write the message above the bar, its further lines indented."""
        first, *more = Text(printable(message)).wrap(self._console, self._console.width - 2)
        with suppress(OSError):
            self._console.print(first, *(Padding(line, (0, 0, 0, 2)) for line in more), sep="\n")

    def refresh(self, why_held: str = "") -> None:
        """Draw the bar, and why nothing is sent, where that is so."""
        tally = self._tally
        row = Table.grid(expand=True, padding=(0, 2, 0, 0))
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        bar = ProgressBar(total=tally.total, completed=tally.accounted, pulse=tally.total is None)
        row.add_row(bar, "  ".join(tally.pace(time.monotonic())))
        held = [Text(why_held, style="yellow")] if why_held else []
        with suppress(OSError):
            self._live.update(Group(row, Text(tally.counts()), *held), refresh=True)
