"""`call_webhook`: the promise behind a URL that an agent handed out (Golem 1.5)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from golem_client import (
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    GolemError,
    NotFoundError,
    Outcome,
    PayloadError,
    RetryPolicy,
    UnexpectedResponseError,
)
from golem_client.testing import FakeGolem
from tests.samples import QUICK, TOKEN, client_of
from tests.scripted_server import CLOSE, ScriptedServer, Step, answer, raw

SECRET = "c2VjcmV0LXdlYmhvb2staWQ"
DONE = raw(b"HTTP/1.1 204 No Content\r\n\r\n")
URL = f"http://localhost/workers/my-agent/{SECRET}"


def client_for(golem: FakeGolem, **options: Any) -> GolemClient:
    usual: dict[str, Any] = {"token": golem.token, "retry": QUICK}
    return GolemClient(golem.url, **(usual | options))


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (b"\x00 raw", b"\x00 raw"),
        (bytearray(b"raw"), b"raw"),
        (memoryview(b"raw"), b"raw"),
        (b"", b""),
        ({"approved": True}, b'{"approved":true}'),
        (None, b"null"),
        (["a", 1], b'["a",1]'),
    ],
)
async def test_bytes_go_as_they_are_and_values_as_json(payload: object, stored: bytes) -> None:
    """Golem hides whether one was stored before: the outcome says so."""
    async with FakeGolem() as golem, client_for(golem) as client:
        promise_id = golem.create_promise()
        done = await client.call_webhook(golem.webhook_url(promise_id), payload)
        assert golem.payload(promise_id) == stored
        assert (done.outcome, done.by_this_call, done.attempts) == (
            Outcome.FULFILLED_BY_UNKNOWN,
            None,
            1,
        )


async def test_a_second_payload_changes_nothing_and_looks_the_same() -> None:
    async with FakeGolem() as golem, client_for(golem) as client:
        promise_id = golem.create_promise()
        url = golem.webhook_url(promise_id)
        done = [await client.call_webhook(url, payload) for payload in (b"first", b"second")]
        assert golem.payload(promise_id) == b"first"
    assert {one.outcome for one in done} == {Outcome.FULFILLED_BY_UNKNOWN}


async def test_neither_the_token_nor_headers_of_the_client_are_sent() -> None:
    """The URL is all that it takes, and its host may be anybody's."""

    async def never() -> str:
        raise AssertionError("nobody needs a token here")

    for token in (TOKEN, never):
        async with (
            ScriptedServer(DONE) as server,
            client_of(server, token=token, headers={"X-Api-Key": "k-1"}) as client,
        ):
            await client.call_webhook(f"{server.url}/workers/x/{SECRET}", b"raw")
        (request,) = server.requests
        assert {"authorization", "x-api-key", "cookie"}.isdisjoint(request.headers)
        assert (request.target, request.body) == (f"/workers/x/{SECRET}", b"raw")


async def test_it_is_repeated_inside_the_deadline() -> None:
    """With the same bytes, like every completion."""
    async with FakeGolem() as golem, client_for(golem) as client:
        promise_id = golem.create_promise()
        url = golem.webhook_url(promise_id)
        golem.drop_next(applied=True)
        golem.fail_next(503)
        done = await client.call_webhook(url, {"n": 1})
        assert golem.payload(promise_id) == b'{"n":1}'
        assert len({request.body for request in golem.requests}) == 1
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED_BY_UNKNOWN, 3)


async def test_a_forged_url_is_not_found_and_stored_nothing() -> None:
    async with FakeGolem() as golem, client_for(golem) as client:
        url = golem.webhook_url(golem.create_promise())
        async with FakeGolem() as other:
            foreign = other.url + url.removeprefix(golem.url)
            with pytest.raises(NotFoundError, match="does not know this webhook") as caught:
                await client.call_webhook(foreign, b"x")
    assert (caught.value.may_have_completed, caught.value.promise_id) == (False, None)
    assert url.rpartition("/")[2] not in str(caught.value)


async def test_the_advice_is_about_the_url_of_the_webhook() -> None:
    """And not about `base_url`, which has nothing to do with it."""
    advice = "Check the URL of the webhook, which its agent hands out."
    async with GolemClient("https://golem.example", retry=RetryPolicy.none()) as client:
        async with ScriptedServer(answer(404, b"")) as server:
            url = f"{server.url}/webhooks/x/y"
            with pytest.raises(NotFoundError, match=advice):
                await client.call_webhook(url, b"x")
        with pytest.raises(ConnectionFailedError, match=advice):
            await client.call_webhook(url, b"x")


async def test_what_golem_says_of_the_promise_is_read_through_the_webhooks_words() -> None:
    """A completion that fails is told as a failed invocation."""
    async with FakeGolem() as golem, client_for(golem) as client:
        promise_id = golem.create_promise()
        url = golem.webhook_url(promise_id)
        golem.delete_promise(promise_id)
        with pytest.raises(GolemError) as caught:
            await client.call_webhook(url, b"x")
    assert type(caught.value).__name__ == "PromiseNotFoundError"
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "url",
    [
        f"http://golem.example/{SECRET}",
        f"http://10.0.0.1/{SECRET}",
        f"ftp://localhost/{SECRET}",
        f"https://user:{SECRET}@golem.example/x",
        f"https://golem.example/x?{SECRET}",
        f"https://golem.example/x#{SECRET}",
        f"/workers/x/{SECRET}",
        f"https:///{SECRET}",
        f"https://{SECRET}.example",
        f"https://golem.example:{SECRET}/x",
        f"https://golem.example/ {SECRET}",
    ],
)
async def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    async with GolemClient("http://localhost") as client:
        with pytest.raises(ValueError, match=r"^url ") as caught:
            await client.call_webhook(url, b"x")
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, GolemError)


async def test_an_address_that_is_no_text_is_a_type_error() -> None:
    async with GolemClient("http://localhost") as client:
        with pytest.raises(TypeError, match="url must be a string"):
            await client.call_webhook(b"http://localhost/x", b"x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        ("text", r"text\.encode\(\).*encode_json"),
        (object(), "object"),
        (b"x" * 101, "max_payload_bytes|bytes"),
        ({"x": "y" * 100}, "bytes"),
    ],
)
async def test_a_payload_that_is_refused(payload: object, advice: str) -> None:
    """Text could mean two things; the advice names both."""
    async with ScriptedServer(DONE) as server, client_of(server, max_payload_bytes=100) as client:
        with pytest.raises(PayloadError, match=advice):
            await client.call_webhook(f"{server.url}/x", payload)
    assert server.connections == 0


ECHO = answer(500, f'{{"error":"Invocation failed: bad {SECRET}"}}'.encode())


@pytest.mark.parametrize(
    "step",
    [
        CLOSE,
        ECHO,
        answer(302, b"", "", Location=f"/{SECRET}"),
        answer(404, f"<html>/{SECRET}</html>".encode(), "text/html"),
        answer(400, f'{{"errors":["Provided: {SECRET}"]}}'.encode()),
        answer(200, b"true"),
    ],
    ids=["closed", "500", "redirect", "page", "400", "200"],
)
async def test_the_secret_of_the_url_is_in_nothing_that_is_shown(
    step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "golem_client")
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with ScriptedServer(step) as server, client_of(server, retry=policy) as client:
        with pytest.raises(GolemError) as caught:
            await client.call_webhook(f"{server.url}/workers/x/{SECRET}", b"x")
    error = caught.value
    for text in (str(error), repr(error), repr(error.args), repr(vars(error)), caplog.text):
        assert SECRET not in text
    assert caplog.records


async def test_nothing_of_a_redirect_is_shown() -> None:
    """Whoever redirects may have put the secret anywhere, cut in pieces."""
    step = answer(307, b"", "", Location="/elsewhere/c2Vjcm/V0LXdl/YmhvbL")
    async with ScriptedServer(step) as server, client_of(server) as client:
        with pytest.raises(UnexpectedResponseError, match="a redirect, which is not") as caught:
            await client.call_webhook(f"{server.url}/workers/x/{SECRET}", b"x")
    assert "elsewhere" not in str(caught.value)


async def test_no_answer_of_golems_is_taken_for_a_completion() -> None:
    """204 alone means that it is completed: 200 with `true` is another's."""
    async with ScriptedServer(answer(200, b"true")) as server, client_of(server) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.call_webhook(f"{server.url}/x", b"x")
    assert caught.value.may_have_completed


async def test_a_lost_answer_may_have_completed() -> None:
    async with (
        ScriptedServer(CLOSE) as server,
        client_of(server, retry=RetryPolicy.none()) as client,
    ):
        with pytest.raises(ConnectionLostError) as caught:
            await client.call_webhook(f"{server.url}/x", b"x")
    assert (caught.value.may_have_completed, caught.value.promise_id) == (True, None)
