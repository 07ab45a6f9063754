"""A small storm, and the ledger that judges it: each of its laws is broken here once on purpose."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from golem_client import (
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    Completion,
    ConnectionLostError,
    GolemError,
    Outcome,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
)
from golem_client.testing import FakeGolem, ReceivedRequest
from tests.samples import PROMISE_ID, TOKEN
from tests.storm.__main__ import main
from tests.storm.calls import Caller
from tests.storm.ledger import Call, Law, Story, broken_laws, echoes, lies, slow_echoes
from tests.storm.storm import Storm

MINE, OTHERS = b"call 1", b"call 2"


def request(answer: bytes | None = b"true", status: int | None = 200, **more: Any) -> Any:
    """Return a request as the fake notes it: by default Golem has stored it and said so."""
    facts: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/components/c/workers/w1/complete",
        "headers": {},
        "token": TOKEN,
        "body": b"a body",
        "promise_id": PROMISE_ID,
        "payload": MINE,
        "applied": answer == b"true",
        "received_at": 1.5,
        "answered_at": 1.5 if status else None,
    }
    return ReceivedRequest(answer=answer, status=status, **facts | more)


def told(outcome: Outcome, attempts: int = 1) -> Completion:
    return Completion(outcome, attempts)


def failed(
    error: GolemError, *, attempts: int = 1, may: bool = False, worth: bool = False
) -> GolemError:
    error.attempts, error.may_have_completed, error.worth_retrying = attempts, may, worth
    return error


def story(call: Completion | BaseException, *requests: Any, **more: Any) -> Story:
    """Return the story of one call that began at 1 and took one second."""
    facts = {name: more.pop(name) for name in ("closed", "cancelled", "again") if name in more}
    seconds = more.pop("seconds", 1.0)
    one = Call(
        promise_id=PROMISE_ID,
        payload=MINE,
        started=1.0,
        seconds=seconds,
        timeout=10.0,
        attempt_timeout=5.0,
        told=call,
        **facts,
    )
    found: dict[str, Any] = {"stored": MINE, **more}
    return Story(calls=[one], requests=requests, **found)


FULFILLED = told(Outcome.FULFILLED)
ALREADY = told(Outcome.ALREADY_FULFILLED)
UNKNOWN = told(Outcome.FULFILLED_BY_UNKNOWN, 2)
FALSE = request(b"false")
LOST = request(None, None, fault="drop")
LOST_APPLIED = request(None, None, fault="drop", applied=True)
LIMITED = request(b"", 429)
REFUSED = request(b"", 400)
BY_ANOTHER: dict[str, Any] = {"stored": OTHERS, "by_worker": OTHERS}


SLOW_FALSE = request(b"false", answered_at=2.5)
SLOW_ECHO = request(b"false", answered_at=2.5, applied=True, fault="executor killed")
SLOW: dict[str, Any] = {"seconds": 1.2}
TRUE_TO_BOTH = request(fault="true to both", applied=False)
ONCE_UNKNOWN = told(Outcome.FULFILLED_BY_UNKNOWN)
DENIED = request(b"", 403)
UNKNOWN_TOKEN = request(b"", 401)


def refused() -> GolemError:
    return BadRequestError("no", 400)


def denied(attempts: int = 1, *, worth: bool = True) -> GolemError:
    return failed(PermissionDeniedError("no", 403), attempts=attempts, worth=worth)


def unknown_token(attempts: int = 1, *, worth: bool = True, certain: bool = True) -> GolemError:
    error = AuthenticationError("no", 401)
    error.is_certain = certain
    return failed(error, attempts=attempts, worth=worth)


def worded_by_a_proxy() -> GolemError:
    error = BadRequestError("no", 400)
    error.from_golem = False
    return failed(error)


@pytest.mark.parametrize(
    "honest",
    [
        story(FULFILLED, request()),
        story(told(Outcome.FULFILLED, 2), LIMITED, request()),
        story(told(Outcome.FULFILLED, 2), LOST, request()),
        story(ALREADY, FALSE, **BY_ANOTHER),
        story(told(Outcome.ALREADY_FULFILLED, 2), LIMITED, FALSE, **BY_ANOTHER),
        story(UNKNOWN, LOST_APPLIED, FALSE),
        story(UNKNOWN, LOST, FALSE, **BY_ANOTHER),
        story(failed(refused()), REFUSED, stored=None, again=refused()),
        story(failed(ConnectionLostError("x"), may=True, worth=True), LOST, stored=None),
        story(failed(ConnectionLostError("x"), may=True, worth=True), LOST_APPLIED),
        story(ONCE_UNKNOWN, SLOW_FALSE, **SLOW, **BY_ANOTHER),
        story(ONCE_UNKNOWN, SLOW_ECHO, **SLOW),
        story(FULFILLED, TRUE_TO_BOTH, **BY_ANOTHER),
        story(denied(), DENIED, stored=None),
        story(unknown_token(), UNKNOWN_TOKEN, stored=None),
        story(unknown_token(2, certain=False), UNKNOWN_TOKEN, UNKNOWN_TOKEN, stored=None),
        story(asyncio.CancelledError(), LOST_APPLIED, cancelled=1.0),
        story(RuntimeError("this GolemClient is closed"), stored=None, closed=0.0, seconds=0.0),
    ],
)
def test_an_honest_story_breaks_no_law(honest: Story) -> None:
    assert list(broken_laws(honest)) == []


ECHO = story(ALREADY, request(b"false", applied=True, fault="echo"))


def test_an_echo_is_golems_own_and_counted_apart() -> None:
    """Golem's routing repeated the request inside: no client can know that it was first."""
    assert (list(broken_laws(ECHO)), echoes(ECHO)) == ([], 1)


def test_slow_echoes_and_lies_of_golems_are_counted_apart() -> None:
    """The first kind a client can suspect, the second it cannot."""
    slow, lie = story(ONCE_UNKNOWN, SLOW_ECHO, **SLOW), story(FULFILLED, TRUE_TO_BOTH, **BY_ANOTHER)
    assert [slow_echoes(one) for one in (slow, lie, ECHO)] == [1, 0, 0]
    assert [lies(one) for one in (slow, lie, ECHO)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("law", "lie"),
    [
        (Law.ONE_PAYLOAD, story(FULFILLED, request(), stored=OTHERS)),
        (Law.ONE_PAYLOAD, story(FULFILLED, request(), request())),
        (Law.ONE_PAYLOAD, story(ALREADY, FALSE, request(payload=OTHERS), **BY_ANOTHER)),
        (Law.MINE, story(FULFILLED, request(applied=False), **BY_ANOTHER)),
        (Law.ANOTHERS, story(told(Outcome.ALREADY_FULFILLED, 2), LOST_APPLIED, FALSE)),
        (Law.ANOTHERS, story(told(Outcome.ALREADY_FULFILLED, 2), LOST, FALSE, **BY_ANOTHER)),
        (Law.MINE, story(FULFILLED, request(applied=False, fault="sleep on"), **BY_ANOTHER)),
        (Law.ANOTHERS, story(ALREADY, SLOW_FALSE, **SLOW, **BY_ANOTHER)),
        (Law.ANOTHERS, story(ALREADY, SLOW_ECHO, **SLOW)),
        (Law.UNKNOWN, story(told(Outcome.FULFILLED_BY_UNKNOWN), FALSE, **BY_ANOTHER)),
        (Law.UNKNOWN, story(ONCE_UNKNOWN, request(b"false", answered_at=1.9), **BY_ANOTHER)),
        (Law.UNKNOWN, story(UNKNOWN, LIMITED, FALSE, **BY_ANOTHER)),
        (Law.COMPLETED, story(UNKNOWN, LOST, FALSE, stored=None)),
        (Law.COMPLETED, story(ALREADY, LOST, **BY_ANOTHER)),
        (Law.NOT_APPLIED, story(failed(refused()), request(b"", 400, applied=True))),
        (Law.NOT_APPLIED, story(failed(refused(), attempts=2), LOST, REFUSED, stored=None)),
        (Law.NOT_CRYING_WOLF, story(failed(refused(), may=True), REFUSED, stored=None)),
        (Law.NOT_CRYING_WOLF, story(failed(refused(), attempts=0, may=True), stored=None)),
        (Law.WORTHLESS, story(failed(refused()), REFUSED, stored=None, again=FULFILLED)),
        (Law.WORTHLESS, story(failed(AttemptTimeoutError("x"), may=True), LOST, stored=None)),
        (Law.WORTHLESS, story(denied(worth=False), DENIED, stored=None)),
        (Law.WORTHLESS, story(unknown_token(worth=False), UNKNOWN_TOKEN, stored=None)),
        (Law.WORTHLESS, story(worded_by_a_proxy(), REFUSED, stored=None)),
        (Law.WORTH, story(failed(refused(), worth=True), REFUSED, stored=None)),
        (Law.ONCE, story(denied(2), DENIED, DENIED, stored=None)),
        (Law.ONCE, story(unknown_token(2), UNKNOWN_TOKEN, UNKNOWN_TOKEN, stored=None)),
        (Law.ONCE, story(failed(refused(), attempts=2), REFUSED, REFUSED, stored=None)),
        (Law.IDENTICAL, story(UNKNOWN, LOST_APPLIED, request(b"false", body=b"another"))),
        (Law.IDENTICAL, story(UNKNOWN, LOST_APPLIED, request(b"false", token="another"))),
        (Law.COUNTED, story(told(Outcome.FULFILLED), LOST, request())),
        (Law.COUNTED, story(failed(ServerError("x", 500), may=True, worth=True), LOST, LOST)),
        (Law.DEADLINE, story(FULFILLED, request(), seconds=10.6)),
        (Law.CLOSED, story(failed(ServerError("x", 500), may=True, worth=True), LOST_APPLIED,
                           closed=0.1)),
        (Law.CANCELLED, story(asyncio.CancelledError(), LOST_APPLIED)),
        (Law.CANCELLED, story(asyncio.CancelledError(), LOST_APPLIED, cancelled=0.1)),
        (Law.CANCELLED, story(FULFILLED, request(), cancelled=1.0)),
        (Law.OURS, story(TimeoutError(), LOST_APPLIED)),
        (Law.OURS, story(RuntimeError("this GolemClient is closed"), stored=None)),
    ],
)  # fmt: skip
def test_a_lie_breaks_its_law(law: Law, lie: Story) -> None:
    assert law in {broken for broken, _ in broken_laws(lie)}


def test_the_requests_of_a_call_end_where_it_is_made_again() -> None:
    """The same payload twice: each call is judged by what it sent itself."""
    first = story(UNKNOWN, LOST_APPLIED, FALSE).calls[0]
    later = attrs.evolve(first, started=3.0, told=ALREADY)
    both = Story(
        calls=[first, later],
        requests=[LOST_APPLIED, FALSE, attrs.evolve(FALSE, received_at=3.5)],
        stored=MINE,
    )
    assert [len(both.requests_of(call)) for call in both.calls] == [2, 1]
    assert list(broken_laws(both)) == []


@pytest.mark.parametrize(("dialect", "seed"), [("1.1", 1), ("1.2", 4), ("1.3", 2), ("1.5", 3)])
async def test_a_small_storm_breaks_no_law(
    dialect: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m tests.storm` for more of it, with the client's own second."""
    monkeypatch.setattr("golem_client.wire.verdict.ECHO_SECONDS", 0.3)
    async with FakeGolem(dialect=dialect) as golem:
        storm = Storm(golem, golem.url, seed=seed, rate=0.4, through_proxy=False, echo_seconds=0.3)
        await storm.rage(200)
    assert storm.report.evidence == []
    assert storm.report.calls == 200
    assert storm.report.is_clean()
    assert all(storm.report.endings[outcome] for outcome in Outcome)


def test_a_storm_through_an_nginx_that_is_not_there_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is one of its own."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["storm", "--nginx", "--calls", "1"])
    assert 3 == main()
    out, err = capsys.readouterr()
    assert "" == out
    assert "there is no nginx on this machine" in err


@pytest.mark.parametrize("order", [FakeGolem.html_next, FakeGolem.fail_next], ids=["page", "json"])
async def test_no_call_sleeps_on_after_its_client_is_closed(order: Callable[..., Any]) -> None:
    """Also when its answer came in the same moment, whichever came first."""
    patient = RetryPolicy(min_delay=0.5, max_delay=0.5)
    late = []
    async with FakeGolem() as golem:
        promise_id = golem.create_promise()
        order(golem, 503, times=10_000)
        for moments in range(12):
            golem.clear_requests()
            caller = Caller(golem.url, golem.token, retry=patient)
            call = asyncio.create_task(caller.call(promise_id, MINE))
            while not golem.requests:  # noqa: ASYNC110 - turns of the loop are what it counts
                await asyncio.sleep(0)
            for _ in range(moments):
                await asyncio.sleep(0)
            await caller.close()
            done = await call
            assert done.closed is not None
            if done.seconds > done.closed + 0.3:
                late.append(moments)
    assert late == []
