"""How `golem-promise bulk` shows that it goes on: a bar on a terminal, plain lines elsewhere.

All of it goes to the standard error; the standard output is for the table at the end.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from golem_client.cli.screen import warn

if TYPE_CHECKING:
    from golem_client.cli.bulk.tally import Tally


_LONGEST_QUIET = 60.0
"""The longest time, in seconds, for which a log is told nothing of a run that is held."""


class Progress(Protocol):
    """What shows that a run goes on.

    Attributes:
        interval: The seconds after which it is to be refreshed.
    """

    interval: float

    def start(self) -> None:
        """Show it from now on."""

    def stop(self) -> None:
        """Leave it as it is."""

    def say(self, message: str) -> None:
        """Show a message."""

    def refresh(self, why_held: str) -> None:
        """Show how far the run is, and why nothing is sent, where that is so."""


def progress_for(tally: Tally) -> Progress:
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
        warn(_safe(message))

    def refresh(self, why_held: str) -> None:
        """Write how far the run is; less and less often while it stays where it is."""
        now, accounted = time.monotonic(), self._tally.accounted
        is_still = accounted == self._accounted
        speed = self._tally.speed_at(now)
        held = [why_held] if why_held else []
        words = [_done(self._tally), *_pace(self._tally, speed), *held]
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
        self._tally.speed_at(time.monotonic())
        self._live.start()
        self.refresh("")

    def stop(self) -> None:
        """Leave the bar as it is, and the cursor below it."""
        with suppress(OSError):  # the terminal may have gone
            self.refresh("")
            self._live.stop()

    def say(self, message: str) -> None:
        """Write the message above the bar, its further lines indented."""
        first, *more = Text(_safe(message)).wrap(self._console, self._console.width - 2)
        with suppress(OSError):
            self._console.print(first)
            for line in more:
                self._console.print(Padding(line, (0, 0, 0, 2)))

    def refresh(self, why_held: str) -> None:
        """Draw the bar anew."""
        with suppress(OSError):
            self._live.update(self._drawn(why_held), refresh=True)

    def _drawn(self, why_held: str) -> Group:
        tally = self._tally
        pace = [_done(tally), *_pace(tally, tally.speed_at(time.monotonic()))]
        row = Table.grid(expand=True, padding=(0, 2, 0, 0))
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        bar = ProgressBar(total=tally.total, completed=tally.accounted, pulse=tally.total is None)
        row.add_row(bar, Text("  ".join(pace)))
        held = [Text(why_held, style="yellow")] if why_held else []
        return Group(row, Text(tally.counts()), *held)


def _done(tally: Tally) -> str:
    if tally.total is None:
        return f"{tally.accounted:,} lines"
    return f"{tally.accounted:,} of {tally.total:,}"


def _pace(tally: Tally, speed: float) -> list[str]:
    seconds = tally.seconds_left(speed)
    left = [] if seconds is None else [f"{_clock(seconds)} left"]
    return [f"{speed:,.0f}/s", *left]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _safe(message: str) -> str:
    """Return the message with nothing in it that moves a cursor: a server may have worded it."""
    return "".join(letter if letter.isprintable() else " " for letter in message)
