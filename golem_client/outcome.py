"""By whom a promise is completed, as far as it can be known."""

from __future__ import annotations

import enum

import attrs


class Outcome(enum.StrEnum):
    """By whom a promise is completed; the words are those of Golem's own metrics.

    Attributes:
        FULFILLED: Golem answered `true`: the payload of this call is the one stored. A Golem that
            stores in SQLite (the all-in-one on a developer's machine) may, up to 1.5.7, say so to
            two callers who race.
        ALREADY_FULFILLED: Golem answered `false` in less than a second, and no earlier attempt of
            this call may have stored its payload. A payload was stored before: another one, or
            an equal one of an earlier call. Rarely, it is Golem's own repetition of this call.
        FULFILLED_BY_UNKNOWN: Golem answered `false` after an attempt of this call whose fate is
            unknown, or after a second or more: then an executor may have failed, and Golem itself
            repeated the request. The payload that is stored may be the one of this call.
    """

    FULFILLED = "fulfilled"
    ALREADY_FULFILLED = "already_fulfilled"
    FULFILLED_BY_UNKNOWN = "fulfilled_by_unknown"

    @property
    def by_this_call(self) -> bool | None:
        """Whether this call completed the promise; None where it cannot be known."""
        return {"FULFILLED": True, "ALREADY_FULFILLED": False}.get(self.name)


@attrs.frozen
class Completion:
    """The promise is completed, because a call that returns at all means that. This says by whom.

    It has no truth value: an `if` on it would take "unknown" for "lost".

    A completed promise does not always mean a worker that is awake. Golem can store the payload
    and lose the wake-up, when its executor is killed right after the answer: completing again
    with the same payload wakes the worker. A worker that failed, exited or is idle takes no
    notice. On Golem 1.3.0 to 1.5.7 a waiting worker may get the bytes of a later duplicate.

    Attributes:
        outcome: By whom.
        attempts: The number of requests sent.
    """

    outcome: Outcome
    attempts: int

    @property
    def by_this_call(self) -> bool | None:
        """Whether this call completed the promise; None where it cannot be known."""
        return self.outcome.by_this_call

    def __bool__(self) -> bool:
        raise TypeError(
            "a Completion is neither true nor false: the promise is completed; "
            "ask .outcome (or .by_this_call) by whom"
        )


def combined(outcome: Outcome, *, may_have_stored: bool) -> Outcome:
    """Return what an outcome means together with the attempts before it.

    The one place that says so: within a call, and where several calls complete one promise
    (bulk, the command line, the outbox).

    Args:
        outcome: What the last attempt, or the last call, says by itself.
        may_have_stored: Whether any attempt before it, of this or an earlier process, may have
            stored the same payload. Golem's `false` can then be the echo of that one.
    """
    if outcome is Outcome.ALREADY_FULFILLED and may_have_stored:
        return Outcome.FULFILLED_BY_UNKNOWN
    return outcome
