"""What `golem-promise bulk` counts: for the lines on the way, and for the table at the end."""

from __future__ import annotations

import time
from collections import Counter

import attrs

from golem_client.cli.bulk.results import BAD_LINE, COMPLETED, FAILED

REPEATED = "repeated_line"
"""A line whose promise and payload an earlier line of the file has: it needs nothing more."""

_KINDS = (*COMPLETED, FAILED, BAD_LINE, REPEATED)


@attrs.define
class Tally:
    """How many lines ended in which way.

    Attributes:
        total: The number of lines in the file, empty ones too; None where it is not known.
        all: The number of lines that ended in each way, in this run or an earlier one.
        errors: The classes of the errors of the lines that failed in this run.
        before: How many of these lines ended in an earlier run.
        empty: The number of empty lines.
        to_retry: How many of those that failed can still succeed.
        began: When the run began, by the monotonic clock.
    """

    total: int | None = None
    all: Counter[str] = attrs.Factory(Counter)
    errors: Counter[str] = attrs.Factory(Counter)
    before: int = 0
    empty: int = 0
    to_retry: int = 0
    began: float = attrs.Factory(time.monotonic)

    @property
    def left(self) -> int:
        """The number of lines that have not ended yet; 0 where their number is not known."""
        return max((self.total or 0) - self.all.total() - self.empty, 0)

    @property
    def is_complete(self) -> bool:
        """Whether the promise of every line is completed."""
        return not self.left and not self.all[FAILED] and not self.all[BAD_LINE]

    def bar(self) -> str:
        """Return a bar for a terminal; empty where the number of lines is not known."""
        if not self.total:
            return ""
        return f"[{'#' * (10 * (self.total - self.left) // self.total):<10}] "

    def progress(self) -> str:
        """Return how many lines ended, how many a second, and how long the rest will take."""
        accounted = self.all.total() + self.empty
        sent = sum(self.all[name] for name in (*COMPLETED, FAILED)) - self.before
        speed = sent / max(time.monotonic() - self.began, 0.001)
        of = "lines" if self.total is None else f"of {self.total:,}"
        words = [f"{accounted:,} {of}", f"{speed:,.0f}/s"]
        if self.left and speed:
            minutes, seconds = divmod(round(self.left / speed), 60)
            words.append(f"{minutes}:{seconds:02} left")
        words += [f"{self.all[kind]:,} {_named(kind)}" for kind in _KINDS if self.all[kind]]
        return ", ".join(words)

    def table(self) -> str:
        """Return how the lines ended: plain text, at most 80 columns wide."""
        rows: list[tuple[str, int]] = []
        for kind in _KINDS:
            if kind in COMPLETED or self.all[kind]:
                rows.append((_named(kind), self.all[kind]))
            if kind == FAILED:
                rows += [(f"  {error}", n) for error, n in self.errors.most_common()]
        if self.left:
            rows.append(("not completed yet", self.left))
        rows.append(("lines", self.all.total() + self.left))
        if self.before:
            rows.append(("  of earlier runs", self.before))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}{n:>14,}" for name, n in rows)


def _named(kind: str) -> str:
    return kind.replace("_", " ")
