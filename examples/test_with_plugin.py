"""How you test your own code with the pytest plugin: the fixtures come with golem-client.

pip install golem-client pytest-asyncio
pytest examples/test_with_plugin.py
"""

import pytest

from golem_client import Completion, GolemClient, PromiseId
from golem_client.testing import FakeGolem

pytestmark = pytest.mark.asyncio  # not needed with asyncio_mode = "auto"


async def approve(client: GolemClient, promise_id: PromiseId) -> Completion:
    """Your own code: it takes the client, so that a test can give it another."""
    return await client.complete_json(promise_id, {"approved": True})


async def test_the_worker_gets_the_decision(
    fake_golem: FakeGolem, fake_golem_client: GolemClient
) -> None:
    promise_id = fake_golem.create_promise(worker_name="order-17")
    done = await approve(fake_golem_client, promise_id)
    assert done.by_this_call
    fake_golem.assert_completed_json(promise_id, {"approved": True})


async def test_a_lost_answer_is_no_lost_decision(
    fake_golem: FakeGolem, fake_golem_client: GolemClient
) -> None:
    promise_id = fake_golem.create_promise()
    fake_golem.drop_next(applied=True)  # Golem stores the payload, and its answer is lost
    done = await approve(fake_golem_client, promise_id)
    assert done.by_this_call is None  # completed, and nobody can know by whom
    fake_golem.assert_completed_json(promise_id, {"approved": True})


@pytest.mark.golem_dialect("1.1", "1.2", "1.3", "1.5")
async def test_every_golem_understands(
    fake_golem: FakeGolem, fake_golem_client: GolemClient
) -> None:
    promise_id = fake_golem.create_promise()
    await approve(fake_golem_client, promise_id)
    fake_golem.assert_requested(promise_id, times=1)
