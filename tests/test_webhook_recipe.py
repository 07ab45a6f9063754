"""The webhook recipe is what people will copy: each of its rules, against a real fake."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from aiohttp import web

from golem_client import GolemClient, RetryPolicy
from golem_client.testing import FakeGolem

SECRET = b"shared"
EVENT = {"id": "evt-1", "order": "order-17", "amount": 4200, "status": "settled"}


def load_recipe() -> ModuleType:
    path = Path(__file__).parent.parent / "examples" / "webhook_handler.py"
    spec = importlib.util.spec_from_file_location("webhook_handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = load_recipe()


class Shop:
    """The handler on a real port, with a fake Golem behind it."""

    def __init__(self, golem: FakeGolem, app: web.Application, url: str) -> None:
        self.golem = golem
        self.app = app
        self.url = url
        self.promise_id = golem.create_promise()
        app[recipe.PROMISES]["order-17"] = str(self.promise_id)

    async def deliver(self, event: object = EVENT, signature: str | None = None) -> int:
        body = json.dumps(event).encode()
        headers = {"Signature": recipe.sign(body, SECRET) if signature is None else signature}
        async with (
            aiohttp.ClientSession() as sender,
            sender.post(self.url, data=body, headers=headers) as response,
        ):
            return response.status


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with (
        FakeGolem() as golem,
        GolemClient(golem.url, token=golem.token, retry=policy) as client,
    ):
        app = recipe.make_app(client, SECRET, {})
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/payment"
        yield Shop(golem, app, url)
        await runner.cleanup()


async def test_all_three_outcomes_answer_2xx(shop: Shop) -> None:
    """Fulfilled, by unknown (the answer was lost), already fulfilled."""
    shop.golem.drop_next(applied=True)
    assert [await shop.deliver(), await shop.deliver()] == [204, 204]
    expected = {"event": "evt-1", "amount": 4200, "status": "settled"}
    assert await shop.golem.await_promise_json(shop.promise_id) == expected


async def test_a_redelivery_sends_identical_bytes_and_is_not_swallowed(shop: Shop) -> None:
    """The repeat reaches Golem, where it wakes a worker whose wake-up was lost."""
    for _ in range(3):
        await shop.deliver()
    payloads = [request.payload for request in shop.golem.requests]
    assert len(payloads) == 3
    assert len(set(payloads)) == 1


@pytest.mark.parametrize("signature", ["", "00", "ü"], ids=["none", "wrong", "not ASCII"])
async def test_a_bad_signature_completes_nothing(shop: Shop, signature: str) -> None:
    """Nobody but the sender completes a promise."""
    assert await shop.deliver(signature=signature) == 401
    assert not shop.golem.requests


async def test_a_failure_that_a_later_call_can_mend_is_503(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender comes again, and then it works."""
    shop.golem.fail_next(503, times=2)
    assert await shop.deliver() == 503
    assert [record.levelname for record in caplog.records if record.name == "payments"] == ["ERROR"]
    assert await shop.deliver() == 204


@pytest.mark.parametrize("status", [401, 403])
async def test_our_own_bad_token_is_503(
    shop: Shop, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is kept with the sender until we have mended our token."""
    shop.golem.fail_next(status)
    assert await shop.deliver() == 503
    assert [record.levelname for record in caplog.records if record.name == "payments"] == ["ERROR"]


async def test_an_unknown_promise_is_recorded_and_final(shop: Shop) -> None:
    """What no call can mend is answered 2xx, never 410, and kept for a person."""
    shop.golem.delete_promise(shop.promise_id)
    assert await shop.deliver() == 204
    assert shop.app[recipe.UNDELIVERABLE] == ["evt-1"]


async def test_an_unknown_order_is_recorded_and_final(shop: Shop) -> None:
    """Nobody waits for it."""
    assert await shop.deliver({**EVENT, "order": "order-99"}) == 204
    assert shop.app[recipe.UNDELIVERABLE] == ["evt-1"]
    assert not shop.golem.requests


def test_the_recipes_timeout_is_below_the_senders() -> None:
    """We answer before the sender gives up."""
    assert "timeout=0.8 * SENDER_TIMEOUT" in Path(str(recipe.__file__)).read_text()
