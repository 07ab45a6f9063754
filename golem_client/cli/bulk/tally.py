"""What `golem-promise bulk` counts, and the table that it ends with."""

from __future__ import annotations

from collections import Counter, deque

import attrs

from golem_client import Outcome

BAD_LINE = "bad_line"
FAILED = "failed"

REPEATED = "repeated"
"""A line whose promise and payload an earlier line of the file has: it needs nothing more."""

COMPLETED = tuple(outcome.value for outcome in Outcome)

_NAMES = {
    Outcome.FULFILLED.value: "fulfilled",
    Outcome.ALREADY_FULFILLED.value: "already fulfilled",
    Outcome.FULFILLED_BY_UNKNOWN.value: "fulfilled by unknown",
    FAILED: "failed",
    BAD_LINE: "bad line",
    REPEATED: "repeated line",
}
_SPEED_SECONDS = 15.0


@attrs.define
class Tally:
    """How many lines came to what.

    Attributes:
        total: The lines of the file, empty ones too; None where nobody knows.
        recorded: The promises that the results file had at the start.
        now: What this run came to.
        before: What earlier runs came to, as far as this run has come across it.
        errors: The classes of the failures of this run.
        empty: The lines with nothing in them.
    """

    total: int | None = None
    recorded: int = 0
    now: Counter[str] = attrs.Factory(Counter)
    before: Counter[str] = attrs.Factory(Counter)
    errors: Counter[str] = attrs.Factory(Counter)
    empty: int = 0
    _samples: deque[tuple[float, int]] = attrs.field(factory=deque, repr=False)

    @property
    def accounted(self) -> int:
        """The lines of which it is known what they came to."""
        return self.now.total() + self.before.total() + self.empty

    @property
    def left(self) -> int | None:
        """The lines that have come to nothing yet."""
        return None if self.total is None else max(self.total - self.accounted, 0)

    @property
    def is_complete(self) -> bool:
        """Whether the promise of every line is completed."""
        both = self.now + self.before
        return not self.left and not both[FAILED] and not both[BAD_LINE]

    def speed_at(self, time: float) -> float:
        """Return the lines a second that this run sends, of late. Each call takes a sample."""
        sent = sum(self.now[name] for name in (*COMPLETED, FAILED))
        self._samples.append((time, sent))
        while len(self._samples) > 2 and time - self._samples[0][0] > _SPEED_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        return (sent - before) / (time - since) if time > since else 0.0

    def seconds_left(self, speed: float) -> float | None:
        """Return how long the rest takes at this speed; None where nobody can know."""
        if self.left is None or not speed:
            return None
        to_skip = max(self.recorded - self.before.total(), 0)
        return max(self.left - to_skip, 0) / speed

    def counts(self) -> str:
        """Return what has come so far in words, such as `12 fulfilled, 1 failed`."""
        words = [f"{self.now[key]:,} {name}" for key, name in _NAMES.items() if self.now[key]]
        if self.before:
            words.append(f"{self.before.total():,} recorded before")
        return ", ".join(words) or "nothing yet"

    def table(self) -> str:
        """Return what every line came to: plain text, at most 80 columns wide."""
        rows = [("", "this run", "before", "together")]
        for key, name in _NAMES.items():
            if key in COMPLETED or self.now[key] or self.before[key]:
                rows.append(_row(name, self.now[key], self.before[key]))
            if key == FAILED:
                rows += [_row(f"  {error}", n, None) for error, n in self.errors.most_common()]
        if self.left:
            rows.append(_row("not completed yet", self.left, None))
        rows.append(_row("lines", self.now.total() + (self.left or 0), self.before.total()))
        width = max(len(row[0]) for row in rows)
        lines = [
            f"{name:<{width}}{now:>14}{before:>14}{both:>14}" for name, now, before, both in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join(line.rstrip() for line in (lines[0], rule, *lines[1:-1], rule, lines[-1]))


def _row(name: str, now: int, before: int | None) -> tuple[str, str, str, str]:
    if before is None:
        return name, f"{now:,}", "", ""
    return name, f"{now:,}", f"{before:,}", f"{now + before:,}"
