"""How you test your own code: with aioresponses and no server, and with a fake Golem.

pytest examples/test_with_mocks.py
"""

import asyncio
import inspect
import json
from typing import Any
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses

from golem_client import Completion, GolemClient, Outcome, PromiseId
from golem_client.testing import FakeGolem

PROMISE_ID = PromiseId.parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/order-17/42")
URL = (
    "http://golem.test/v1/components/f81d4fae-7dec-11d0-a765-00a0c91e6bf6/workers/order-17/complete"
)


async def approve(client: GolemClient, promise_id: PromiseId) -> Completion:
    """Your own code: it takes the client, so that a test can give it another."""
    return await client.complete_json(promise_id, {"approved": True})


class MockedResponse(aiohttp.ClientResponse):
    """What aioresponses 0.7.9 lacks for aiohttp 3.14: that wants a `stream_writer`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


def test_with_aioresponses() -> None:
    """No socket: the answer is made up, and what was sent is looked at."""

    async def scenario() -> Completion:
        async with GolemClient("http://golem.test") as client:
            return await approve(client, PROMISE_ID)

    with aioresponses() as mocked:
        mocked.post(URL, payload=False, response_class=MockedResponse)
        done = asyncio.run(scenario())
    ((sent,),) = mocked.requests.values()
    body = json.loads(sent.kwargs["data"].decode())
    assert done.outcome is Outcome.ALREADY_FULFILLED
    assert body["oplogIdx"] == 42
    assert json.loads(bytes(body["data"])) == {"approved": True}


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
