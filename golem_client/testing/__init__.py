"""A Golem for tests: no server to install, and every kind of failure on order.

async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
    promise_id = golem.create_promise()
    golem.drop_next(applied=True)
    done = await client.complete_json(promise_id, {"approved": True})
    assert done.by_this_call is None
    assert await golem.await_promise_json(promise_id) == {"approved": True}

`FakeGolem.in_thread()` is for tests that are not coroutines, `mock_golem()` for unit tests with
aioresponses, `golem_client.testing.strategies` for Hypothesis. The pytest plugin has the fixtures
`fake_golem`, `fake_golem_client`, `blocking_fake_golem` and `blocking_golem_client`.
"""

from golem_client.testing.fake import BlockingFakeGolem, FakeGolem
from golem_client.testing.faults import Fault, FaultOrder
from golem_client.testing.messages import Answer, Ending, ReceivedRequest
from golem_client.testing.mock import MockedResponse, MockGolem, mock_golem

__all__ = [
    "Answer",
    "BlockingFakeGolem",
    "Ending",
    "FakeGolem",
    "Fault",
    "FaultOrder",
    "MockGolem",
    "MockedResponse",
    "ReceivedRequest",
    "mock_golem",
]
