"""The capability URLs of Golem 1.5."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import unquote
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from golem_client.testing import FakeGolem

Told = tuple[int, str | None, str]
Post = Callable[..., Awaitable[Told]]

OTHER = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as fake:
        yield fake


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with aiohttp.ClientSession() as session:

        async def send(url: str, data: bytes = b"", method: str = "POST", **headers: str) -> Told:
            target = URL(url, encoded=True)
            async with session.request(
                method, target, data=data, headers=headers, skip_auto_headers=["Content-Type"]
            ) as told:
                return told.status, told.headers.get("Content-Type"), await told.text()

        yield send


JSON = "application/json; charset=utf-8"
NO_ROUTE = (
    404,
    JSON,
    '{"code":"ROUTE_NOT_FOUND","error":"Resolving route failed: No matching route for request"}',
)


async def test_the_raw_body_is_the_payload_and_duplicates_are_204_too(
    golem: FakeGolem, post: Post
) -> None:
    """No token, no content type, no envelope."""
    promise_id = golem.create_promise()
    url = golem.webhook_url(promise_id)
    assert await post(url, b"\x00 raw") == (204, None, "")
    assert await post(url, b"other") == (204, None, "")
    assert await golem.await_promise(promise_id) == b"\x00 raw"
    assert [(each.promise_id, each.payload, each.applied) for each in golem.requests] == [
        (promise_id, b"\x00 raw", True),
        (promise_id, b"other", False),
    ]


async def test_a_trailing_slash_and_percent_encoding_are_accepted(
    golem: FakeGolem, post: Post
) -> None:
    promise_id = golem.create_promise()
    head, _, webhook_id = golem.webhook_url(promise_id).rpartition("/")
    encoded = "".join(f"%{ord(char):02X}" for char in webhook_id)
    assert (await post(f"{head}/{webhook_id}/", b"x"))[0] == 204
    assert (await post(f"{head}/{encoded}", b"y"))[0] == 204
    golem.assert_completed(promise_id, b"x")


async def test_bytes_are_taken_verbatim(golem: FakeGolem, post: Post) -> None:
    """Whatever the headers say about them, and wherever they come from."""
    promise_id = golem.create_promise()
    headers = {"Content-Encoding": "gzip", "Origin": "https://example.org"}
    assert (await post(golem.webhook_url(promise_id), b"\x1f\x8b", **headers))[0] == 204
    golem.assert_completed(promise_id, b"\x1f\x8b")


def test_a_webhook_has_no_url_before_the_fake_listens() -> None:
    golem = FakeGolem()
    with pytest.raises(RuntimeError, match="async with"):
        golem.webhook_url(golem.create_promise())


async def test_an_empty_body_is_an_empty_payload(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise()
    assert (await post(golem.webhook_url(promise_id)))[0] == 204
    assert golem.payload(promise_id) == b""


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ('ApprovalAgent("a/b ü")', "approval-agent"),
        ("HTTPAgent()", "http-agent"),
        ("counter(1)", "counter"),
    ],
)
async def test_the_url_has_the_kebab_case_of_the_agents_type(
    golem: FakeGolem, post: Post, name: str, suffix: str
) -> None:
    url = golem.webhook_url(golem.create_promise(worker_name=name, component_id=OTHER))
    assert url.startswith(f"{golem.url}/webhooks/{suffix}/")
    assert (await post(url))[0] == 204


async def test_a_forged_id_and_one_of_another_golem_are_404_without_a_body(
    golem: FakeGolem, post: Post
) -> None:
    head, _, webhook_id = golem.webhook_url(golem.create_promise()).rpartition("/")
    forged = ("B" if webhook_id[0] == "A" else "A") + webhook_id[1:]
    assert await post(f"{head}/{forged}", b"x") == (404, None, "")
    async with FakeGolem() as other:
        elsewhere = other.webhook_url(other.create_promise()).rpartition("/")[2]
    assert await post(f"{head}/{elsewhere}", b"x") == (404, None, "")


async def test_a_promise_has_one_url(golem: FakeGolem) -> None:
    one, other = golem.create_promise(), golem.create_promise()
    assert golem.webhook_url(one) == golem.webhook_url(one) != golem.webhook_url(other)


@pytest.mark.parametrize("webhook_id", ["nonsense", "A", "%21", "AAAA=", "_" * 64])
async def test_an_undecodable_id_is_400(golem: FakeGolem, post: Post, webhook_id: str) -> None:
    status, content_type, body = await post(f"{golem.url}/webhooks/approval-agent/{webhook_id}")
    error = f"Failed parsing value; Provided: {unquote(webhook_id)}; Expected type: AgentWebhookId"
    assert (status, content_type) == (400, JSON)
    assert json.loads(body) == {"code": "REQUEST_VALUE_PARSING_FAILED", "errors": [error]}


async def test_another_method_or_path_is_no_route(golem: FakeGolem, post: Post) -> None:
    url = golem.webhook_url(golem.create_promise())
    assert await post(url, method="GET") == NO_ROUTE
    assert await post(f"{url}/more") == NO_ROUTE
    assert await post(f"{golem.url}/webhooks/approval-agent") == NO_ROUTE


async def test_whatever_else_fails_is_500(golem: FakeGolem, post: Post) -> None:
    """Promise gone, agent deleted (stored all the same), component gone."""
    gone, orphan, unreachable = (golem.create_promise() for _ in range(3))
    urls = [golem.webhook_url(each) for each in (gone, orphan, unreachable)]
    golem.delete_promise(gone)
    first = json.loads((await post(urls[0], b"x"))[2])
    golem.delete_worker(orphan)
    second = json.loads((await post(urls[1], b"x"))[2])
    golem.forget_component()
    third = json.loads((await post(urls[2], b"x"))[2])
    assert [each["error"] for each in (first, second, third)] == [
        f"Invocation failed: Promise not found: {gone}",
        f"Invocation failed: Worker not found: {orphan.worker_id}",
        "Invocation failed: Component not found",
    ]
    assert first == {
        "code": "INTERNAL_AGENT_EXECUTION_FAILED",
        "error": first["error"],
        "workerError": None,
    }
    assert [golem.payload(each) for each in (gone, orphan, unreachable)] == [None, b"x", None]
    assert [each.status for each in golem.requests] == [500] * 3


async def test_faults_meet_webhooks_too(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise()
    golem.fail_next(503, applied=True, promise_id=promise_id)
    assert (await post(golem.webhook_url(promise_id), b"x"))[0] == 503
    golem.assert_completed(promise_id, b"x")


async def test_a_worker_sleeps_on_after_a_webhook_too(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise()
    golem.sleep_on_next()
    assert (await post(golem.webhook_url(promise_id), b"x"))[0] == 204
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(golem.await_promise(promise_id), 0.01)
    assert (await post(golem.webhook_url(promise_id), b"y"))[0] == 204
    assert await golem.await_promise(promise_id) == b"x"


@pytest.mark.parametrize("dialect", ["1.1", "1.2", "1.3"])
async def test_older_generations_have_no_webhooks(post: Post, dialect: str) -> None:
    async with FakeGolem(dialect=dialect) as golem:
        promise_id = golem.create_promise()
        with pytest.raises(ValueError, match=r"they came with 1\.5"):
            golem.webhook_url(promise_id)
        assert await post(f"{golem.url}/webhooks/a/b") == (
            404,
            "text/plain; charset=utf-8",
            "not found",
        )


async def test_a_worker_that_is_no_agent_has_no_webhook(golem: FakeGolem) -> None:
    with pytest.raises(ValueError, match="webhooks are for agents"):
        golem.webhook_url(golem.create_promise(worker_name="plain"))
