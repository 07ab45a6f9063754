"""Who sent what when, who was told what, and whether that is the truth: no network, no clock.

A `Story` is all that there is to know of one promise: the calls as their callers saw them, the
requests as Golem saw them, and what is stored. `broken_laws` holds the one against the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from enum import StrEnum

import attrs

from golem_client import (
    AuthenticationError,
    Completion,
    DeliveryError,
    GolemError,
    Outcome,
    PermissionDeniedError,
    PromiseId,
    ResponseError,
)
from golem_client.testing import ReceivedRequest


class Law(StrEnum):
    """What holds for every call, whatever the weather; each is broken once in test_storm.py."""

    ONE_PAYLOAD = "exactly one payload is stored, and it is one that was sent"
    MINE = "FULFILLED means that the payload stored is mine, or that Golem lied to two callers"
    ANOTHERS = "ALREADY_FULFILLED means a quick false, and no attempt that may have stored"
    UNKNOWN = "FULFILLED_BY_UNKNOWN is said only after an unknown fate, or of a slow false"
    COMPLETED = "any outcome means that the promise is completed"
    NOT_APPLIED = "may_have_completed=False means that this call has stored nothing"
    NOT_CRYING_WOLF = "may_have_completed=True is said only where something may be stored"
    WORTHLESS = "worth_retrying=False means that the same call would fail again"
    WORTH = "worth_retrying=True is said only where the same call can succeed later"
    ONCE = "what is permanent is not asked for twice"
    IDENTICAL = "every attempt of a call has identical bytes"
    COUNTED = "the attempts told are the requests that were sent"
    DEADLINE = "a call never outlives its deadline by more than a scheduling slack"
    CLOSED = "a call does not outlive the closing of its client"
    CANCELLED = "a call that is cancelled ends so, and at once; one that is not never does"
    OURS = "a call ends with an outcome, a GolemError, or what its caller did to it"
    TIDY = "nothing is left behind: no slot, no connection, no task, no unheard exception"


Told = Completion | BaseException


@attrs.frozen(kw_only=True)
class Call:
    """One call as its caller saw it.

    Attributes:
        promise_id: The promise.
        payload: Its payload; no two calls at the same time have the same.
        started: When it began, on the clock of the loop, in seconds.
        seconds: How long it took.
        timeout: Its deadline, in seconds from the start.
        attempt_timeout: The time of each attempt, in seconds.
        told: What the caller was told: a completion, or what was raised.
        closed: The seconds from the start to its client's closing; None if it was not closed.
        cancelled: The seconds from the start to its cancellation; None if there was none.
        again: What the same call came to once more, after one that is not worth retrying.
    """

    promise_id: PromiseId
    payload: bytes
    started: float
    seconds: float
    timeout: float
    attempt_timeout: float
    told: Told
    closed: float | None = None
    cancelled: float | None = None
    again: Told | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The outcome, where the call came to one."""
        return self.told.outcome if isinstance(self.told, Completion) else None

    @property
    def error(self) -> GolemError | None:
        """The error, where it is one of ours."""
        return self.told if isinstance(self.told, GolemError) else None

    def __str__(self) -> str:
        told = self.outcome or f"{type(self.told).__name__}: {self.told}"
        return f"{self.payload.decode()!r} for {self.promise_id} was told {told}"


@attrs.frozen(kw_only=True)
class Story:
    """All that there is to know of one promise, once nothing of it is under way any more.

    Attributes:
        calls: The calls, each as its caller saw it.
        requests: The requests, in the order in which they came.
        stored: The payload that is stored; None for none.
        by_worker: The payload by which its own worker completed it, as far as that was stored.
        disturbances: From when to when every connection was cut, on the clock of the loop: what
            Golem had just answered may not have been heard.
        slack: The seconds by which a busy loop may be late.
        lag: The seconds by which a client may see an answer later than it was sent.
        echo_seconds: From how many seconds on a `false` may be Golem's own repetition.
    """

    calls: Sequence[Call]
    requests: Sequence[ReceivedRequest]
    stored: bytes | None
    by_worker: bytes | None = None
    disturbances: Sequence[tuple[float, float]] = ()
    slack: float = 0.5
    lag: float = 0.5
    echo_seconds: float = 1.0

    def is_slow(self, requests: Sequence[ReceivedRequest], lag: float = 0.0) -> bool:
        """Whether the last answer is a `false` that took as long as Golem's own repetition."""
        last = requests[-1] if requests else None
        if last is None or last.answer != b"false" or last.answered_at is None:
            return False
        return last.answered_at - last.received_at >= self.echo_seconds - lag

    def was_heard(self, call: Call, requests: Sequence[ReceivedRequest], attempts: int) -> bool:
        """Whether the client has heard whatever Golem answered to these requests, its call's all.

        It has not where it gave one up, was closed, or lost its connection.
        """
        ended = call.started + call.seconds
        return (
            attempts == len(requests)
            and call.seconds < min(call.timeout, call.attempt_timeout)
            and call.closed is None
            and not any(call.started <= end and begin <= ended for begin, end in self.disturbances)
        )

    def requests_of(self, call: Call) -> list[ReceivedRequest]:
        """Return the requests of a call: those with its payload, until it is called once more."""
        until = min(
            (
                other.started
                for other in self.calls
                if other.payload == call.payload and other.started > call.started
            ),
            default=float("inf"),
        )
        return [
            request
            for request in self.requests
            if request.payload == call.payload and call.started <= request.received_at < until
        ]


Broken = tuple[Law, str]


def broken_laws(story: Story) -> Iterator[Broken]:
    """Yield each law that the story breaks, with the evidence."""
    yield from _of_promise(story)
    for call in story.calls:
        requests = story.requests_of(call)
        for law in _of_call(call, requests, story):
            evidence = "; ".join(map(str, requests)) or "no request"
            yield law, f"{call} [{evidence}]"


def echoes(story: Story) -> int:
    """Return how many calls were told that another was first, by Golem's own repetition."""
    return sum(
        call.outcome is Outcome.ALREADY_FULFILLED
        and any(request.applied for request in story.requests_of(call))
        for call in story.calls
    )


def slow_echoes(story: Story) -> int:
    """Return how many calls met such a repetition, and were told that nobody can know."""
    return sum(
        call.outcome is Outcome.FULFILLED_BY_UNKNOWN
        and call.told == Completion(Outcome.FULFILLED_BY_UNKNOWN, 1)
        for call in story.calls
    )


def lies(story: Story) -> int:
    """Return how many calls Golem told that their payload is stored, which is not."""
    return sum(
        call.outcome is Outcome.FULFILLED and story.stored != call.payload for call in story.calls
    )


def _of_promise(story: Story) -> Iterator[Broken]:
    sent = {call.payload for call in story.calls}
    for request in story.requests:
        if request.payload not in sent:
            yield Law.ONE_PAYLOAD, f"nobody asked for this: {request}"
    writers = [request for request in story.requests if request.applied]
    stored = [request.payload for request in writers]
    stored += [] if story.by_worker is None else [story.by_worker]
    if stored != ([] if story.stored is None else [story.stored]):
        yield Law.ONE_PAYLOAD, f"stored is {story.stored!r}, and written was {stored!r}"


def _of_call(call: Call, requests: list[ReceivedRequest], story: Story) -> Iterator[Law]:
    if len({(one.method, one.path, one.token, one.body) for one in requests}) > 1:
        yield Law.IDENTICAL
    if call.seconds > call.timeout + story.slack:
        yield Law.DEADLINE
    if call.closed is not None and call.seconds > call.closed + story.slack:
        yield Law.CLOSED
    if call.cancelled is not None and (
        call.seconds > call.cancelled + story.slack
        or not isinstance(call.told, asyncio.CancelledError)
    ):
        yield Law.CANCELLED
    if isinstance(call.told, Completion):
        yield from _of_completion(call, call.told, requests, story)
    elif isinstance(call.told, GolemError):
        yield from _of_error(call, call.told, requests, story)
    else:
        yield from _of_what_the_caller_did(call)


def _of_completion(
    call: Call, told: Completion, requests: list[ReceivedRequest], story: Story
) -> Iterator[Law]:
    applied = [request for request in requests if request.applied]
    word = b"true" if told.outcome is Outcome.FULFILLED else b"false"
    if story.stored is None or word not in [request.answer for request in requests]:
        yield Law.COMPLETED
    if told.attempts < max(len(requests), 1):
        yield Law.COUNTED
    match told.outcome:
        case Outcome.FULFILLED:
            is_lie = any(map(_is_true_to_a_second_caller, requests))
            if not is_lie and (story.stored != call.payload or not applied):
                yield Law.MINE
        case Outcome.ALREADY_FULFILLED:
            # A quick echo is Golem's, and no client can see it.
            own = [request for request in applied if request.answer != b"false"]
            if own or story.is_slow(requests) or not all(map(_has_refused, requests[:-1])):
                yield Law.ANOTHERS
        case Outcome.FULFILLED_BY_UNKNOWN:
            heard = story.was_heard(call, requests, told.attempts)
            is_known = told.attempts < 2 or (heard and all(map(_has_refused, requests[:-1])))
            if is_known and not story.is_slow(requests, story.lag):
                yield Law.UNKNOWN


def _of_error(
    call: Call, error: GolemError, requests: list[ReceivedRequest], story: Story
) -> Iterator[Law]:
    heard = story.was_heard(call, requests, error.attempts)
    if not error.may_have_completed and any(request.applied for request in requests):
        yield Law.NOT_APPLIED
    if not error.may_have_completed and not all(map(_has_refused, requests)):
        yield Law.NOT_APPLIED
    if error.may_have_completed and (
        error.attempts < 1 or (heard and all(map(_has_refused, requests)))
    ):
        yield Law.NOT_CRYING_WOLF
    if error.attempts < len(requests):
        yield Law.COUNTED
    if error.worth_retrying:
        if heard and any(_is_final(one) for one in requests):
            yield Law.WORTH
    elif _can_be_mended(error) or not isinstance(call.again, GolemError | None):
        yield Law.WORTHLESS
    alike = [one for one in requests if isinstance(error, ResponseError) and _tells(one, error)]
    if heard and len(alike) > 1 and _is_permanent(error):
        yield Law.ONCE


def _can_be_mended(error: GolemError) -> bool:
    """Whether people can let the same call through: a network, a token, a grant, a proxy."""
    if isinstance(error, ResponseError) and not error.from_golem:
        return True
    return isinstance(error, DeliveryError | AuthenticationError | PermissionDeniedError)


def _is_permanent(error: GolemError) -> bool:
    """Whether the same answer is certain as long as nobody mends anything."""
    if isinstance(error, AuthenticationError):
        return error.is_certain
    return isinstance(error, PermissionDeniedError) or not error.worth_retrying


def _of_what_the_caller_did(call: Call) -> Iterator[Law]:
    if isinstance(call.told, asyncio.CancelledError):
        if call.cancelled is None:
            yield Law.CANCELLED
    elif call.closed is None or not is_told_of_closing(call.told):
        yield Law.OURS


def is_told_of_closing(told: Told | None) -> bool:
    """Whether a call began after its client was closed, and was told so."""
    return isinstance(told, RuntimeError) and "this GolemClient is closed" in str(told)


_REFUSALS = (b"Promise not found: ", b"message length too large", b"size limit")


def _has_refused(request: ReceivedRequest) -> bool:
    """Whether the answer says that nothing was stored: the facts' own list, not the client's."""
    status, answer = request.status, request.answer or b""
    if status is None:
        return False
    if status == 404:
        # Golem looks for the worker after it has stored.
        return not answer.startswith((b'{"error":"Worker not', b'{"code":"AGENT_NOT_FOUND"'))
    if status == 500:
        return any(words in answer for words in _REFUSALS)
    return 300 <= status < 500 and status != 408


def _is_true_to_a_second_caller(request: ReceivedRequest) -> bool:
    """Whether Golem said `true` of a payload that it had not stored: SQLite, up to 1.5.7."""
    return request.fault == "true to both" and request.answer == b"true" and not request.applied


def _is_final(request: ReceivedRequest) -> bool:
    """Whether Golem itself said what it will say again: the facts' own list as well."""
    status, answer = request.status, request.answer or b""
    if request.fault is not None:
        return False
    if status == 500:
        return any(words in answer for words in (*_REFUSALS, b'"type":"PromiseNotFound"'))
    return status in (400, 404, 413, 415, 422)


def _tells(request: ReceivedRequest, error: ResponseError) -> bool:
    return request.status == error.status and request.fault is None
