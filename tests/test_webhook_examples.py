"""The examples that receive webhooks: a signed payment reaches the workflow that waits for it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import runpy
import time
from collections.abc import AsyncIterator
from hmac import new as hmac
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from aiohttp import web

from golem_client import PromiseId
from golem_client.testing import FakeGolem

EXAMPLES = Path(__file__).parent.parent / "examples"
SECRET = "whsec_shared"
EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_17", "amount": 4200}},
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def golem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as golem:
        monkeypatch.setenv("GOLEM_URL", golem.url)
        monkeypatch.setenv("GOLEM_AUTH_TOKEN", golem.token)
        monkeypatch.setenv("STRIPE_SECRET", SECRET)
        monkeypatch.setenv("OUTBOX", str(tmp_path / "golem.sqlite"))
        yield golem


async def pay(person: httpx.AsyncClient, secret: str = SECRET) -> int:
    """Deliver the payment as Stripe does."""
    body = json.dumps(EVENT).encode()
    stamp = int(time.time())
    signature = hmac(secret.encode(), b"%d.%s" % (stamp, body), "sha256").hexdigest()
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}"}
    return (await person.post("/hooks/stripe", content=body, headers=headers)).status_code


async def check(golem: FakeGolem, service: httpx.AsyncClient, bound: dict[str, Any]) -> None:
    """Deliver before the promise is known, and twice; then bind it."""
    assert await pay(service, "whsec_other") == 401
    assert [await pay(service), await pay(service)] == [204, 204]
    promise_id = PromiseId.parse(bound.pop("promise_id"))
    assert (await service.put("/promises/pi_17", **bound)).status_code == 204
    assert await golem.await_promise_json(promise_id) == {"id": "pi_17", "amount": 4200}
    assert await pay(service) == 204
    assert len(golem.requests) == 1


async def test_the_aiohttp_example(golem: FakeGolem) -> None:
    """Over a real connection."""
    runner = web.AppRunner(await load("webhook_handler").make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    promise_id = str(golem.create_promise())
    async with httpx.AsyncClient(base_url=url) as service:
        await check(golem, service, {"promise_id": promise_id, "content": promise_id})
    await runner.cleanup()


def test_the_aiohttp_example_names_the_variables_that_are_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line, before anything is opened."""
    for name in ("GOLEM_URL", "OUTBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRIPE_SECRET", SECRET)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / "webhook_handler.py"), run_name="__main__")
    assert ended.value.code == "Set these variables first: GOLEM_URL, OUTBOX"


async def test_the_fastapi_example(golem: FakeGolem) -> None:
    """What is no promise id is answered with 422."""
    app = load("fastapi_handler").app
    promise_id = str(golem.create_promise())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as service,
    ):
        assert (await service.put("/promises/pi_17", json="oops")).status_code == 422
        await check(golem, service, {"promise_id": promise_id, "json": promise_id})


async def test_the_approvals_example_brings_its_own_golem(monkeypatch: pytest.MonkeyPatch) -> None:
    """One command: three workers ask, a link decides, and a worker goes on."""
    monkeypatch.delenv("GOLEM_URL", raising=False)
    app = load("approvals/app").app
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as person,
        asyncio.timeout(10),
    ):
        asked = await page_with(person, ">Reject<", 3)
        link = re.findall(r'(/decide/[^"]+)">Reject', asked)[0]
        assert "is recorded" in (await person.post(link)).text
        shown = await page_with(person, "the worker received: rejected")
        assert shown.count(">Reject<") == 2


async def page_with(person: httpx.AsyncClient, words: str, times: int = 1) -> str:
    """Wait until the list shows these words so often."""
    shown = ""
    while shown.count(words) < times:
        await asyncio.sleep(0.01)
        shown = (await person.get("/")).text
    return shown


def test_the_approvals_example_is_short() -> None:
    """What a user has to read."""
    folder = EXAMPLES / "approvals"
    assert len((folder / "app.py").read_text().splitlines()) <= 200
    assert len((folder / "page.html").read_text().splitlines()) <= 80


@pytest.mark.parametrize("name", ["webhook_handler", "fastapi_handler"])
def test_an_example_is_short(name: str) -> None:
    """What a user has to copy."""
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 40
