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
    """How many lines came to what, in this run (`now`) and in earlier ones (`before`).

    Attributes:
        total: The lines of the file, empty ones too; None where nobody knows.
        recorded: The promises that the results file had at the start.
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

    def pace(self, time: float) -> list[str]:
        """Return how far, how fast and for how long still, in words. Each call takes a sample."""
        done, speed = f"{self.accounted:,}", self.speed_at(time)
        words = [f"{done} lines" if self.total is None else f"{done} of {self.total:,}"]
        words.append(f"{speed:,.0f}/s")
        if (seconds := self.seconds_left(speed)) is not None:
            minutes, rest = divmod(round(seconds), 60)
            hours, minutes = divmod(minutes, 60)
            clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
            words.append(f"{clock}:{rest:02} left")
        return words

    def counts(self) -> str:
        """Return what has come so far in words, such as `12 fulfilled, 1 failed`."""
        words = [f"{self.now[key]:,} {name}" for key, name in _NAMES.items() if self.now[key]]
        if self.before:
            words.append(f"{self.before.total():,} recorded before")
        return ", ".join(words) or "nothing yet"

    def table(self) -> str:
        """Return what every line came to: plain text, at most 80 columns wide."""
        now, before = self.now, self.before
        rows: list[tuple[str, int, int | None]] = []
        for key, name in _NAMES.items():
            if key in COMPLETED or now[key] or before[key]:
                rows.append((name, now[key], before[key]))
            if key == FAILED:
                rows += [(f"  {error}", n, None) for error, n in self.errors.most_common()]
        if self.left:
            rows.append(("not completed yet", self.left, None))
        rows.append(("lines", now.total() + (self.left or 0), before.total()))
        width = max(len(row[0]) for row in rows)
        head = f"{'':<{width}}{'this run':>14}{'before':>14}{'together':>14}"
        *lines, last = [
            f"{name:<{width}}{n:>14,}" + ("" if old is None else f"{old:>14,}{n + old:>14,}")
            for name, n, old in rows
        ]
        rule = "-" * len(head)
        return "\n".join((head, rule, *lines, rule, last))
