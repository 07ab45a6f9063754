"""By whom a promise is completed, as far as anybody can know."""

from __future__ import annotations

import enum

import attrs


class Outcome(enum.StrEnum):
    """By whom a promise is completed; the words are Golem's own."""

    FULFILLED = "fulfilled"
    """Golem answered `true`: the payload of this call is the one stored."""

    ALREADY_FULFILLED = "already_fulfilled"
    """Golem answered `false`, and no attempt of this call can have stored its payload.

    Golem's own routing may repeat a request inside, so that rarely this is an echo of this call.
    """

    FULFILLED_BY_UNKNOWN = "fulfilled_by_unknown"
    """Golem answered `false` after an attempt of this call whose fate is unknown."""

    @property
    def by_this_call(self) -> bool | None:
        """Whether this call completed the promise; None where nobody can know."""
        return {"FULFILLED": True, "ALREADY_FULFILLED": False}.get(self.name)


@attrs.frozen
class Completion:
    """The promise is completed: that a call returns at all means so. This says by whom.

    It has no truth value: an `if` on it would take "unknown" for "lost".

    A completed promise is not yet an awake worker: a worker that failed, exited or is idle takes
    no notice, and on Golem 1.3.0 to 1.5.7 a waiting one may be handed the bytes of a later
    duplicate.

    Attributes:
        outcome: By whom.
        attempts: The number of requests sent.
    """

    outcome: Outcome
    attempts: int

    @property
    def by_this_call(self) -> bool | None:
        """Whether this call completed the promise; None where nobody can know."""
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
