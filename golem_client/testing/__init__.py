"""A Golem for tests: no server to install, and every kind of bad weather on order.

async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
    promise_id = golem.create_promise()
    golem.drop_next(applied=True)
    done = await client.complete_json(promise_id, {"approved": True})
    assert done.by_this_call is None
    assert await golem.await_promise_json(promise_id) == {"approved": True}

`mock_golem()` is for unit tests with aioresponses, `golem_client.testing.strategies` for
Hypothesis; the fixtures `fake_golem` and `golem_client` come with the package's pytest plugin.
"""

from golem_client.testing.fake import FakeGolem
from golem_client.testing.faults import Fault, FaultOrder
from golem_client.testing.messages import Answer, Ending
from golem_client.testing.mock import MockedResponse, MockGolem, mock_golem
from golem_client.testing.received import ReceivedRequest

__all__ = [
    "Answer",
    "Ending",
    "FakeGolem",
    "Fault",
    "FaultOrder",
    "MockGolem",
    "MockedResponse",
    "ReceivedRequest",
    "mock_golem",
]
