"""What the client says of what Golem refuses, over all versions."""

from __future__ import annotations

import asyncio
import uuid

import attrs
import pytest

from golem_client import (
    AuthenticationError,
    BadRequestError,
    Completion,
    ComponentId,
    ComponentNotFoundError,
    GolemClient,
    NotFoundError,
    Outcome,
    PromiseId,
    PromiseNotFoundError,
    RetryPolicy,
    WorkerId,
    WorkerNotFoundError,
)
from golem_client.testing import FakeGolem
from tests.contract.golem import TheGolem
from tests.contract.test_wire import NEVER

SHORT = RetryPolicy(min_delay=0.01, max_delay=0.05)


async def test_a_promise_that_does_not_exist(client: GolemClient, promise_id: PromiseId) -> None:
    """It is asked for once; and again it is the same."""
    for _ in range(2):
        with pytest.raises(PromiseNotFoundError) as caught:
            await client.complete_bytes(attrs.evolve(promise_id, oplog_idx=NEVER), b"1")
        error = caught.value
        assert (error.status, error.attempts, error.worth_retrying) == (500, 1, False)


async def test_the_promise_beside_it_is_still_pending(
    client: GolemClient, promise_id: PromiseId
) -> None:
    with pytest.raises(PromiseNotFoundError):
        await client.complete_bytes(attrs.evolve(promise_id, oplog_idx=NEVER), b"1")
    assert (await client.complete_bytes(promise_id, b"1")).outcome is Outcome.FULFILLED


async def test_whether_a_missing_promise_may_have_completed_is_told_by_its_dialect(
    golem: TheGolem, client: GolemClient, promise_id: PromiseId
) -> None:
    """1.1 and 1.2, which have no `workerError`, store first."""
    missing = attrs.evolve(promise_id, oplog_idx=NEVER)
    with pytest.raises(PromiseNotFoundError) as caught:
        await client.complete_bytes(missing, b"1")
    answer = await golem.post(golem.path(missing), {"oplogIdx": NEVER, "data": [1]})
    assert caught.value.may_have_completed is ("golemError" in answer.text)


async def test_a_component_that_does_not_exist(golem: TheGolem, promise_id: PromiseId) -> None:
    """1.1 knows no components here; 1.3 cannot tell one from a bad token; from 1.4 on it is 404."""
    component = ComponentId(uuid.uuid4())
    stranger = PromiseId(WorkerId(component, promise_id.worker_id.worker_name), NEVER)
    async with golem.client(retry=SHORT) as client:
        with pytest.raises(
            (PromiseNotFoundError, AuthenticationError, ComponentNotFoundError)
        ) as caught:
            await client.complete_bytes(stranger, b"1")
    error = caught.value
    assert error.worth_retrying is isinstance(error, AuthenticationError)
    assert error.attempts == (3 if isinstance(error, AuthenticationError) else 1)


async def test_a_token_that_nobody_knows(golem: TheGolem, promise_id: PromiseId) -> None:
    """Either Golem asks for none, or nothing is stored."""
    stranger = golem.client(token=str(uuid.uuid4()), retry=SHORT)
    async with stranger, golem.client() as client:
        first = await asyncio.gather(
            stranger.complete_bytes(promise_id, b"1"), return_exceptions=True
        )
        second = (await client.complete_bytes(promise_id, b"1")).outcome
    told = first[0]
    if isinstance(told, AuthenticationError):
        assert (told.may_have_completed, second) == (False, Outcome.FULFILLED)
    else:
        assert isinstance(told, Completion)
        assert (told.outcome, second) == (Outcome.FULFILLED, Outcome.ALREADY_FULFILLED)


async def test_the_longest_worker_name_is_refused_or_unknown(
    client: GolemClient, promise_id: PromiseId
) -> None:
    """512 bytes are the most of any version; what is longer is no id to begin with."""
    name = "w" * 512
    worker_id = attrs.evolve(promise_id.worker_id, worker_name=name)
    with pytest.raises((BadRequestError, PromiseNotFoundError)) as caught:
        await client.complete_bytes(PromiseId(worker_id, NEVER), b"1")
    assert (caught.value.attempts, caught.value.worth_retrying) == (1, False)


async def test_a_base_url_that_is_not_golems(golem: TheGolem, promise_id: PromiseId) -> None:
    """With the `/v1` that we add ourselves: no such path, and nothing is stored."""
    async with GolemClient(f"{golem.url}/v1", token=golem.token) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.complete_bytes(promise_id, b"1")
    assert not caught.value.may_have_completed
    async with golem.client() as client:
        assert (await client.complete_bytes(promise_id, b"1")).outcome is Outcome.FULFILLED


@pytest.mark.fake_only("deleting a worker is not the completion's business, and destroys it")
async def test_a_deleted_worker(
    client: GolemClient, promise_id: PromiseId, fake: FakeGolem
) -> None:
    """The payload is stored, and the answer is 404: for the second call as for the first."""
    fake.delete_worker(promise_id)
    for _ in range(2):
        with pytest.raises(WorkerNotFoundError) as caught:
            await client.complete_bytes(promise_id, b"1")
        assert (caught.value.may_have_completed, caught.value.attempts) == (True, 1)
    assert fake.payload(promise_id) == b"1"
