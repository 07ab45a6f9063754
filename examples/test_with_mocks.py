"""How you test your own code: with aioresponses and no server, and with a fake Golem.

pytest examples/test_with_mocks.py
"""

import asyncio

from golem_client import Completion, GolemClient, Outcome, PromiseId
from golem_client.testing import FakeGolem, mock_golem

PROMISE_ID = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/order-17/42")


async def approve(client: GolemClient, promise_id: PromiseId) -> Completion:
    """Your own code: it takes the client, so that a test can give it another."""
    return await client.complete_json(promise_id, {"approved": True})


def test_with_aioresponses() -> None:
    """No socket: the answer is made up, and what was sent is looked at."""

    async def scenario() -> Completion:
        async with GolemClient("http://golem.test") as client:
            return await approve(client, PROMISE_ID)

    with mock_golem() as mock:
        mock.answers(PROMISE_ID, False)
        done = asyncio.run(scenario())
    assert done.outcome is Outcome.ALREADY_FULFILLED
    assert mock.json_payload(PROMISE_ID) == {"approved": True}


def test_with_a_fake_golem() -> None:
    """A real server on loopback, with the worker beside it, and faults on order."""

    async def scenario() -> None:
        async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
            promise_id = golem.create_promise()
            golem.drop_next(applied=True)
            done = await approve(client, promise_id)
            assert done.outcome is Outcome.FULFILLED_BY_UNKNOWN
            assert await golem.await_promise_json(promise_id) == {"approved": True}

    asyncio.run(scenario())
