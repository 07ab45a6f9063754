"""What becomes of a row after a delivery, as a table; and how many rows are tried at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import pytest

from golem_client import (
    AuthenticationError,
    Completion,
    ConnectionFailedError,
    ConnectionLostError,
    GolemError,
    Outcome,
    PromiseNotFoundError,
    RateLimitedError,
)
from golem_client.outbox.entry import State
from golem_client.outbox.pace import Pace
from golem_client.outbox.settling import (
    Claimed,
    Rules,
    Settlement,
    delay_after,
    error_text,
    handed_back,
    settlement,
)

MINUTE = timedelta(minutes=1)
RULES = Rules(give_up_after=timedelta(days=14), nudge_after=MINUTE)
FRESH = Claimed(
    id=1,
    slot="p:x",
    promise_id="x",
    state=State.PENDING,
    payload=b"secret",
    is_encrypted=False,
    may_have_stored=False,
    failures=0,
    age=timedelta(0),
)
RESENT = attrs.evolve(FRESH, may_have_stored=True)
NUDGED = attrs.evolve(FRESH, state=State.COMPLETED, may_have_stored=True)
OLD = timedelta(days=15)


def settled(row: Claimed, ended: Any, rules: Rules = RULES) -> Settlement:
    return settlement(row, ended, rules, chance=0.0)


def refused(error: GolemError, **facts: Any) -> GolemError:
    for name, value in facts.items():
        setattr(error, name, value)
    return error


LOST = refused(ConnectionLostError("lost"), attempts=3)
UNSENT = refused(ConnectionFailedError("refused"), attempts=10)
NO_PROMISE = refused(PromiseNotFoundError("no", 500), attempts=1)


class TestSettlement:
    """The state machine's arrows."""

    @pytest.mark.parametrize(
        ("row", "said", "expected"),
        [
            (FRESH, Outcome.FULFILLED, Outcome.FULFILLED),
            (FRESH, Outcome.ALREADY_FULFILLED, Outcome.ALREADY_FULFILLED),
            (FRESH, Outcome.FULFILLED_BY_UNKNOWN, Outcome.FULFILLED_BY_UNKNOWN),
            (RESENT, Outcome.FULFILLED, Outcome.FULFILLED),
            (RESENT, Outcome.ALREADY_FULFILLED, Outcome.FULFILLED_BY_UNKNOWN),
        ],
    )
    def test_the_outcome_counts_earlier_claims(
        self, row: Claimed, said: Outcome, expected: Outcome
    ) -> None:
        """A `false` after a claim that may have sent is nobody's."""
        after = settled(row, Completion(said, 2))
        assert (State.COMPLETED, expected, 2) == (after.state, after.outcome, after.attempts)

    def test_what_may_be_ours_is_sent_once_more(self) -> None:
        """The payload is kept until then; after ALREADY_FULFILLED it is wiped at once."""
        for said, nudge in [
            (Outcome.FULFILLED, MINUTE),
            (Outcome.FULFILLED_BY_UNKNOWN, MINUTE),
            (Outcome.ALREADY_FULFILLED, None),
        ]:
            after = settled(FRESH, Completion(said, 1))
            assert nudge == after.due_in
        never = attrs.evolve(RULES, nudge_after=None)
        after = settled(FRESH, Completion(Outcome.FULFILLED, 1), never)
        assert after.due_in is None

    @pytest.mark.parametrize(
        ("row", "error", "may_have_stored"),
        [(FRESH, LOST, True), (FRESH, UNSENT, False), (RESENT, UNSENT, True)],
    )
    def test_a_failure_is_tried_again(
        self, row: Claimed, error: GolemError, may_have_stored: bool
    ) -> None:
        """What it may have stored is remembered, and what was known is not forgotten."""
        after = settled(row, error)
        assert (
            Settlement(
                state=State.PENDING,
                error=error_text(error),
                attempts=error.attempts,
                failures=1,
                may_have_stored=may_have_stored,
                due_in=timedelta(seconds=1),
            )
            == after
        )

    def test_what_cannot_succeed_is_dead(self) -> None:
        """With its payload, so that it can be retried."""
        after = settled(FRESH, NO_PROMISE)
        assert (State.DEAD, None) == (after.state, after.due_in)
        assert "PromiseNotFoundError" in (after.error or "")

    def test_in_the_end_it_is_given_up(self) -> None:
        """And says after which time."""
        after = settled(attrs.evolve(FRESH, age=OLD), UNSENT)
        assert State.DEAD == after.state
        assert "given up after 14 days" in (after.error or "")

    def test_a_token_that_is_refused_stops_nothing(self) -> None:
        """A mended one lets everything through."""
        error = refused(AuthenticationError("no", 401), attempts=2, worth_retrying=True)
        assert State.PENDING == settled(FRESH, error).state

    def test_a_call_that_was_cut_off_may_have_stored(self) -> None:
        """It is due at once, and is no failure."""
        after = settled(attrs.evolve(FRESH, failures=3), asyncio.CancelledError())
        assert (State.PENDING, True, timedelta(0), 3) == (
            after.state,
            after.may_have_stored,
            after.due_in,
            after.failures,
        )

    def test_what_was_never_sent_takes_its_mark_back(self) -> None:
        """`false` can then be told as it is."""
        assert not handed_back(FRESH).may_have_stored
        assert handed_back(RESENT).may_have_stored

    def test_the_token_callables_error_is_tried_again(self) -> None:
        """Its words are not kept: they may hold a secret."""
        after = settled(FRESH, RuntimeError("secret"))
        assert (State.PENDING, True) == (after.state, after.may_have_stored)
        assert "secret" not in repr(after) + repr(FRESH)
        assert "see the token's callable" in str(after.error)

    @pytest.mark.parametrize(
        ("row", "ended", "due_in"),
        [
            (NUDGED, Completion(Outcome.ALREADY_FULFILLED, 1), None),
            (NUDGED, NO_PROMISE, None),
            (NUDGED, LOST, timedelta(seconds=1)),
            (attrs.evolve(NUDGED, age=OLD), LOST, None),
            (NUDGED, asyncio.CancelledError(), timedelta(0)),
        ],
    )
    def test_a_second_sending_leaves_it_completed(
        self, row: Claimed, ended: Any, due_in: timedelta | None
    ) -> None:
        """Whatever it comes to. The table keeps the first outcome."""
        after = settled(row, ended)
        assert (State.COMPLETED, None, due_in) == (after.state, after.error, after.due_in)


class TestDelay:
    """From a second to a quarter of an hour."""

    def test_it_doubles_up_to_its_bound(self) -> None:
        """With a quarter of jitter at most."""
        delays = [delay_after(n, LOST, 0.0).total_seconds() for n in (0, 1, 2, 9, 10, 99)]
        assert [1, 2, 4, 512, 900, 900] == delays
        assert timedelta(minutes=18, seconds=45) == delay_after(99, LOST, 1.0)

    def test_retry_after_is_a_floor(self) -> None:
        """Within the same bound."""
        limited = [RateLimitedError("slow down", retry_after=n) for n in (30.0, 86_400.0)]
        assert [30, 900] == [delay_after(0, error, 0.0).total_seconds() for error in limited]


def test_an_error_fits_a_database() -> None:
    """No NUL, no lone surrogate, no end."""
    text = error_text(ConnectionLostError("\0\ud800" + "x" * 2000))
    assert text.startswith("ConnectionLostError: \ufffd?xxx")
    assert 1000 == len(text)


class TestPace:
    """All rows, or one while Golem is down."""

    def test_a_worker_begins_with_one_row(self) -> None:
        """And has its whole room with the first answer."""
        pace = Pace()
        assert 1 == pace.room(64, 0, 0.0)
        pace.note_begin(0.0)
        assert 0 == pace.room(63, 1, 1.0)
        pace.note_answer(1.0)
        assert 64 == pace.room(64, 0, 1.0)

    def test_a_first_row_that_hangs_does_not_hold_up_the_rest_for_long(self) -> None:
        """Its executor may be dead, and nobody else's."""
        pace = Pace()
        pace.note_begin(0.0)
        assert 1 == pace.room(63, 1, 6.0)

    def test_while_golem_is_down_one_row_is_tried(self) -> None:
        """With longer pauses; the answer of one ends it."""
        pace = Pace()
        pace.note_answer(0.0)
        pace.note_failure(UNSENT, 1.0, 2.0)
        assert (0, 1, 0) == (pace.room(64, 0, 2.1), pace.room(64, 0, 3.0), pace.room(63, 1, 60.0))
        for at in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0):
            pace.note_begin(at)
            pace.note_failure(UNSENT, at, at + 0.1)
        assert 0 == pace.room(64, 0, 75.0)
        assert 1 == pace.room(64, 0, 80.0)
        pace.note_answer(81.0)
        assert 64 == pace.room(64, 0, 81.0)

    def test_one_dead_executor_slows_nobody(self) -> None:
        """A failure whose call began before the last answer says nothing about Golem."""
        pace = Pace()
        pace.note_answer(10.0)
        pace.note_failure(UNSENT, 5.0, 35.0)
        assert 64 == pace.room(64, 0, 35.0)

    def test_retry_after_holds_all(self) -> None:
        """For a minute at most."""
        pace = Pace()
        pace.note_failure(RateLimitedError("slow down", retry_after=30.0), 1.0, 1.0)
        assert (0, 1) == (pace.room(64, 0, 30.0), pace.room(64, 0, 40.0))
