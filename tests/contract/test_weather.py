"""What the client says when it cannot know: each fault, each before and after it is applied."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from golem_client import Outcome, PromiseId, RetryPolicy, ServerError
from golem_client.testing import Ending, Fault
from golem_client.testing.fake import FakeGolem
from tests.contract.golem import TheGolem
from tests.storm.calls import QUICK, Caller, is_quiet
from tests.storm.ledger import Story, Told, broken_laws
from tests.storm.weather import (
    ECHO,
    KILLED,
    LOST,
    PASSING,
    REFUSED,
    SLOW,
    TRUNCATED,
    WITHOUT_LENGTH,
    back_after,
)

UNKNOWN_FATE = (*LOST, *TRUNCATED, *SLOW, *WITHOUT_LENGTH, *KILLED)

pytestmark = pytest.mark.fake_only("nothing breaks a real Golem's connections to order")


async def told_after(
    golem: TheGolem, fake: FakeGolem, fault: Fault, by_worker: bytes | None, **options: Any
) -> Told:
    """Return what a call is told that meets the fault once; the ledger has no objection."""
    # A busy machine makes a short attempt late by itself: only what is to be late has one.
    if fault.delay > 0:
        fault = attrs.evolve(fault, delay=0.6)
    seconds = 0.4 if fault.delay > 0 else 0.6 if fault.ending is Ending.STALL else 2.0
    caller = Caller(golem.url, golem.token or "", attempt_timeout=seconds, **options)
    promise_id = golem.new_id()
    if by_worker is not None:
        fake.complete_promise(promise_id, by_worker)
    fake.fault_next(fault, promise_id=promise_id)
    call = await caller.call(promise_id, b"mine")
    await is_quiet(fake)
    await caller.close()
    story = Story(
        calls=[call],
        requests=fake.requests_for(promise_id),
        stored=fake.payload(promise_id),
        by_worker=by_worker,
        slack=1.0,
    )
    assert list(broken_laws(story)) == []
    return call.told


async def told_after_each(
    golem: TheGolem,
    fake: FakeGolem,
    faults: Sequence[Fault],
    by_worker: bytes | None = None,
    **options: Any,
) -> list[tuple[str, bool, Told]]:
    """Return what is told after each fault, with its name and whether it was applied."""
    told = await asyncio.gather(
        *(told_after(golem, fake, fault, by_worker, **options) for fault in faults)
    )
    return [(fault.name, fault.applied, one) for fault, one in zip(faults, told, strict=True)]


async def test_after_an_attempt_of_unknown_fate_false_is_by_unknown(
    golem: TheGolem, fake: FakeGolem
) -> None:
    """And `true` is mine all the same."""
    outcome = {True: Outcome.FULFILLED_BY_UNKNOWN, False: Outcome.FULFILLED}
    faults = [fault for fault in UNKNOWN_FATE if not fault.late]
    told = await told_after_each(golem, fake, faults)
    expected = [(name, applied, outcome[applied]) for name, applied, _ in told]
    assert [
        (name, applied, getattr(one, "outcome", one)) for name, applied, one in told
    ] == expected


async def test_without_a_second_attempt_it_may_have_completed(
    golem: TheGolem, fake: FakeGolem
) -> None:
    told = await told_after_each(golem, fake, UNKNOWN_FATE, retry=RetryPolicy.none())
    facts = [
        (name, getattr(one, "may_have_completed", one), getattr(one, "worth_retrying", one))
        for name, _, one in told
    ]
    assert facts == [(name, True, True) for name, _, _ in told]


async def test_after_a_refusal_true_is_mine(golem: TheGolem, fake: FakeGolem) -> None:
    told = await told_after_each(golem, fake, REFUSED)
    outcomes = [getattr(one, "outcome", one) for _, _, one in told]
    assert outcomes == [Outcome.FULFILLED] * len(REFUSED)


async def test_after_a_refusal_false_is_anothers(golem: TheGolem, fake: FakeGolem) -> None:
    """What is known not to have stored leaves no doubt."""
    told = await told_after_each(golem, fake, REFUSED, by_worker=b"own")
    outcomes = [getattr(one, "outcome", one) for _, _, one in told]
    assert outcomes == [Outcome.ALREADY_FULFILLED] * len(REFUSED)


async def test_after_an_unknown_fate_anothers_false_is_by_unknown(
    golem: TheGolem, fake: FakeGolem
) -> None:
    """It was not mine; but nobody can know."""
    told = await told_after_each(golem, fake, UNKNOWN_FATE, by_worker=b"own")
    outcomes = [(name, getattr(one, "outcome", one)) for name, _, one in told]
    assert outcomes == [(name, Outcome.FULFILLED_BY_UNKNOWN) for name, _, _ in told]


async def test_when_no_further_attempt_fits_in_the_time_the_call_ends_now(
    golem: TheGolem, fake: FakeGolem, promise_id: PromiseId
) -> None:
    """And sends nothing when it is too late."""
    caller = Caller(golem.url, golem.token or "", timeout=2.0)
    fake.fail_next(503, retry_after=60, promise_id=promise_id)
    call = await caller.call(promise_id, b"mine")
    await caller.close()
    fake.assert_requested(promise_id, times=1)
    assert call.error is not None
    assert call.error.worth_retrying
    assert call.seconds < 1.9


async def test_a_refusal_without_a_second_attempt_stored_nothing(
    golem: TheGolem, fake: FakeGolem
) -> None:
    faults = (*REFUSED, *PASSING)
    told = await told_after_each(golem, fake, faults, retry=RetryPolicy.none())
    facts = [
        (name, getattr(one, "may_have_completed", one), getattr(one, "worth_retrying", one))
        for name, _, one in told
    ]
    assert facts == [(name, False, True) for name, _, _ in told]


async def test_an_echo_looks_like_another(golem: TheGolem, fake: FakeGolem) -> None:
    """Golem's routing repeated the request inside: what no client can see is counted apart."""
    ((_, _, told),) = await told_after_each(golem, fake, ECHO)
    assert getattr(told, "outcome", told) is Outcome.ALREADY_FULFILLED


async def test_an_echo_that_took_a_second_is_by_unknown(
    golem: TheGolem, fake: FakeGolem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor died with the request, and Golem asked again when it was back."""
    monkeypatch.setattr("golem_client.wire.verdict.ECHO_SECONDS", 0.2)
    client = golem.client(retry=RetryPolicy.none(), attempt_timeout=5.0)
    told = []
    async with client:
        for fault in back_after(0.25):
            promise_id = golem.new_id()
            fake.fault_next(fault, promise_id=promise_id)
            told.append((fault.applied, (await client.complete_bytes(promise_id, b"x")).outcome))
            assert fake.payload(promise_id) == b"x"
    assert told == [(True, Outcome.FULFILLED_BY_UNKNOWN), (False, Outcome.FULFILLED)]


async def test_two_callers_may_both_be_told_true(golem: TheGolem, fake: FakeGolem) -> None:
    """A Golem on SQLite, up to 1.5.7: no client can see it, and the docs say so."""
    promise_id = golem.new_id()
    fake.true_to_both_next(promise_id=promise_id)
    async with golem.client() as client:
        outcomes = [
            (await client.complete_bytes(promise_id, payload)).outcome for payload in (b"1", b"2")
        ]
    assert outcomes == [Outcome.FULFILLED] * 2
    assert fake.payload(promise_id) == b"1"


@pytest.mark.parametrize("is_killed", [False, True])
async def test_the_same_payload_again_wakes_a_worker_that_sleeps_on(
    golem: TheGolem, fake: FakeGolem, *, is_killed: bool
) -> None:
    """Golem stored it, and lost the wake-up with its executor."""
    promise_id = golem.new_id()
    waiting = asyncio.create_task(fake.await_promise(promise_id))
    await asyncio.sleep(0)
    async with golem.client(retry=RetryPolicy.none()) as client:
        if is_killed:
            fake.kill_executor_next(applied=True, promise_id=promise_id)
            with pytest.raises(ServerError) as caught:
                await client.complete_bytes(promise_id, b"x")
            assert caught.value.may_have_completed
        else:
            fake.sleep_on_next(promise_id=promise_id)
            done = await client.complete_bytes(promise_id, b"x")
            assert done.outcome is Outcome.FULFILLED
        await asyncio.sleep(0.01)
        assert not waiting.done()
        again = await client.complete_bytes(promise_id, b"x")
    assert again.outcome is Outcome.ALREADY_FULFILLED
    assert await asyncio.wait_for(waiting, 1) == b"x"


async def test_an_outage_stores_nothing_and_is_lived_through(
    golem: TheGolem, fake: FakeGolem, promise_id: PromiseId
) -> None:
    caller = Caller(golem.url, golem.token or "", retry=QUICK)
    async with fake.outage():
        call = asyncio.create_task(caller.call(promise_id, b"mine"))
        await asyncio.sleep(0.01)
        assert fake.payload(promise_id) is None
    done = await call
    assert done.outcome is Outcome.FULFILLED
    await caller.close()
