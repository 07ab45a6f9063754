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

    def refresh(self, pause: float) -> None:
        """Show how far the run is; `pause` is the seconds for which a rate limit holds it."""


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

    def start(self) -> None:
        """Begin to measure the speed."""
        self._tally.speed_at(time.monotonic())

    def stop(self) -> None:
        """Do nothing: what is written is written."""

    def say(self, message: str) -> None:
        """Write the message."""
        warn(_safe(message))

    def refresh(self, pause: float) -> None:
        """Write how far the run is, unless it is where it was."""
        speed = self._tally.speed_at(time.monotonic())
        words = [_done(self._tally), *_pace(self._tally, speed), *_paused(pause)]
        shown = f"{', '.join(words)}: {self._tally.counts()}"
        if shown != self._shown:
            self.say(shown)
        self._shown = shown


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
        self.refresh(0)

    def stop(self) -> None:
        """Leave the bar as it is, and the cursor below it."""
        with suppress(OSError):  # the terminal may have gone
            self.refresh(0)
            self._live.stop()

    def say(self, message: str) -> None:
        """Write the message above the bar, its further lines indented."""
        first, *more = Text(_safe(message)).wrap(self._console, self._console.width - 2)
        with suppress(OSError):
            self._console.print(first)
            for line in more:
                self._console.print(Padding(line, (0, 0, 0, 2)))

    def refresh(self, pause: float) -> None:
        """Draw the bar anew."""
        with suppress(OSError):
            self._live.update(self._drawn(pause), refresh=True)

    def _drawn(self, pause: float) -> Group:
        tally = self._tally
        pace = [_done(tally), *_pace(tally, tally.speed_at(time.monotonic()))]
        row = Table.grid(expand=True, padding=(0, 2, 0, 0))
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        bar = ProgressBar(total=tally.total, completed=tally.accounted, pulse=tally.total is None)
        row.add_row(bar, Text("  ".join(pace)))
        paused = [Text(words, style="yellow") for words in _paused(pause)]
        return Group(row, Text(tally.counts()), *paused)


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


def _paused(pause: float) -> list[str]:
    return [f"rate limited, going on in {pause:.0f} s"] if pause else []


def _safe(message: str) -> str:
    """Return the message with nothing in it that moves a cursor: a server may have worded it."""
    return "".join(letter if letter.isprintable() else " " for letter in message)
