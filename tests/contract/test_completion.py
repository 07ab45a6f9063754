"""What completing a promise means, over all versions of Golem."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import attrs
import pytest

from golem_client import BadRequestError, GolemClient, Outcome, PromiseId, RetryPolicy
from golem_client.testing import FakeGolem
from tests.contract.golem import TheGolem

PAYLOADS = {
    "empty": b"",
    "one byte": b"\x2a",
    "every byte": bytes(range(256)),
    "a hundred thousand": bytes(n * 7 % 256 for n in range(100_000)),
    "half a million": b"\0\x09\x63\xff" * 125_000,
}


async def test_the_first_completion_is_told_that_it_was(
    client: GolemClient, promise_id: PromiseId
) -> None:
    done = await client.complete_json(promise_id, {"approved": True})
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED, 1)


async def test_a_later_completion_is_told_that_it_was_not(
    client: GolemClient, promise_id: PromiseId
) -> None:
    """Whatever its payload is."""
    await client.complete_json(promise_id, "first")
    for value in ("first", "second", "first"):
        done = await client.complete_json(promise_id, value)
        assert (done.outcome, done.attempts) == (Outcome.ALREADY_FULFILLED, 1)


async def test_of_many_at_once_one_is_first(client: GolemClient, promise_id: PromiseId) -> None:
    """Exactly one payload is stored, and exactly one caller is told that it is theirs."""
    calls = [client.complete_bytes(promise_id, b"the same payload") for _ in range(20)]
    done = Counter(completion.outcome for completion in await asyncio.gather(*calls))
    assert done == {Outcome.FULFILLED: 1, Outcome.ALREADY_FULFILLED: 19}


async def test_two_clients_agree_on_who_was_first(golem: TheGolem, promise_id: PromiseId) -> None:
    async with golem.client() as one, golem.client() as other:
        first = await one.complete_bytes(promise_id, b"1")
        second = await other.complete_bytes(promise_id, b"1")
    assert (first.by_this_call, second.by_this_call) == (True, False)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_payloads_of_every_kind_are_taken(
    client: GolemClient, promise_id: PromiseId, payload: bytes
) -> None:
    done = await client.complete_bytes(promise_id, payload)
    assert done.outcome is Outcome.FULFILLED


async def test_one_attempt_is_enough(golem: TheGolem, promise_id: PromiseId) -> None:
    """Fair weather needs no retries."""
    async with golem.client(retry=RetryPolicy.none()) as client:
        assert (await client.complete_text(promise_id, "approved")).attempts == 1


async def test_every_spelling_of_an_id_is_the_same_promise(
    client: GolemClient, promise_id: PromiseId
) -> None:
    """The first is first; all the others come too late."""
    worker, component = promise_id.worker_id, promise_id.worker_id.component_id
    halves = {"high_bits": component.high_bits, "low_bits": component.low_bits}
    index = promise_id.oplog_idx
    rust = {
        "agent_id": {"component_id": {"uuid": halves}, "agent_id": worker.worker_name},
        "oplog_idx": str(index),
    }
    wit = {
        "worker-id": {"component-id": str(component), "worker-name": worker.worker_name},
        "oplog-idx": index,
    }
    typescript = {
        "agentId": {"componentId": str(component), "agentId": worker.worker_name},
        "oplogIdx": {"#bigint": str(index)},
    }
    spellings: list[Any] = [
        promise_id,
        str(promise_id),
        str(promise_id).encode(),
        promise_id.to_json(),
        json.dumps(promise_id.to_json()),
        f"{component}:{worker.worker_name}:{promise_id.oplog_idx}",
        rust,
        typescript,
        [wit],
        {"result": {"typ": {"type": "Record"}, "value": wit}},
    ]
    outcomes = [(await client.complete_bytes(each, b"1")).outcome for each in spellings]
    later = [Outcome.ALREADY_FULFILLED] * (len(spellings) - 1)
    assert outcomes == [Outcome.FULFILLED, *later]


@pytest.mark.fake_only("no endpoint of Golem's shows the payload of a promise")
async def test_the_worker_gets_the_first_payload_verbatim(
    client: GolemClient, promise_id: PromiseId, fake: FakeGolem
) -> None:
    waiting = asyncio.create_task(fake.await_promise(promise_id))
    await client.complete_bytes(promise_id, bytes(range(256)))
    await client.complete_bytes(promise_id, b"second")
    assert await waiting == bytes(range(256))
    assert await fake.await_promise(promise_id) == bytes(range(256))


@pytest.mark.fake_only("no endpoint of Golem's shows the payload of a promise")
async def test_the_worker_reads_the_json_that_was_sent(
    client: GolemClient, promise_id: PromiseId, fake: FakeGolem
) -> None:
    value = {"approved": True, "by": "Ada 🜁", "amount": 10**19, "notes": [None, 1.5]}
    await client.complete_json(promise_id, value)
    assert await fake.await_promise_json(promise_id) == value


@pytest.mark.fake_only("no endpoint of Golem's completes a promise as its own worker does")
async def test_after_the_worker_itself_everybody_is_late(
    client: GolemClient, promise_id: PromiseId, fake: FakeGolem
) -> None:
    fake.complete_promise(promise_id, b"own")
    done = await client.complete_bytes(promise_id, b"1")
    assert done.outcome is Outcome.ALREADY_FULFILLED


@pytest.mark.fake_only("the promises given have the names of their workers, not these")
@pytest.mark.parametrize("char", "_-éß中")
async def test_a_name_of_any_alphabet_arrives(
    client: GolemClient, fake: FakeGolem, char: str
) -> None:
    """These are the names that every version takes; test_fake_dialects.py has each one's own."""
    promise_id = fake.create_promise(worker_name=f"a{char}1")
    done = await client.complete_bytes(promise_id, b"1")
    assert done.outcome is Outcome.FULFILLED


@pytest.mark.fake_only("the promises given have the names of their workers, not these")
async def test_an_odd_name_arrives_as_it_is(golem: TheGolem, fake: FakeGolem) -> None:
    """Or, where the version has no such names, it is refused; never does it mean another."""
    name = 'Agent("%2F?#&+%é;=",[1])'
    async with golem.client() as client:
        if golem.name == "1.1":
            worker_id = attrs.evolve(golem.new_id().worker_id, worker_name=name)
            with pytest.raises(BadRequestError):
                await client.complete_bytes(PromiseId(worker_id, 4), b"1")
            return
        promise_id = fake.create_promise(worker_name=name)
        assert promise_id.worker_id.worker_name == name
        assert (await client.complete_bytes(promise_id, b"1")).outcome is Outcome.FULFILLED
    (request,) = fake.requests
    assert request.promise_id == promise_id
