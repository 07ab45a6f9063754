"""mock_golem: answers made up, sent requests decoded, and calls that nobody expects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aioresponses import aioresponses
from hypothesis import given, settings
from yarl import URL

from golem_client import (
    AuthenticationError,
    BadRequestError,
    ComponentNotFoundError,
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    InvalidIdError,
    Outcome,
    PromiseId,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    WorkerId,
)
from golem_client.testing import MockedResponse, MockGolem, mock_golem
from golem_client.testing.strategies import promise_ids

BASE = "http://golem.test"
WORKER = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/order-17"
PROMISE_ID = PromiseId.parse(f"{WORKER}/42")
OTHER_INDEX = PromiseId.parse(f"{WORKER}/43")
OTHER_WORKER = PromiseId.parse(f"{WORKER}0/42")
PATH = f"/v1/components/{WORKER.replace('/', '/workers/')}/complete"
SLOW = RetryPolicy(min_delay=60, max_delay=60)  # whoever repeats a call runs into the time limit
QUICK = RetryPolicy(min_delay=0.001, max_delay=0.004)


async def complete(
    promise_id: Any = PROMISE_ID,
    value: Any = None,
    *,
    base_url: str = BASE,
    retry: RetryPolicy = QUICK,
    token: str | None = None,
) -> Outcome:
    async with GolemClient(base_url, retry=retry, timeout=2, token=token) as client:
        return (await client.complete_json(promise_id, value)).outcome


@pytest.mark.parametrize(
    ("answer", "expected"), [(True, Outcome.FULFILLED), (False, Outcome.ALREADY_FULFILLED)]
)
async def test_golems_booleans_are_answers(answer: bool, expected: Outcome) -> None:
    """As the client reads them from a real Golem, again and again."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, answer)
        assert [expected] * 3 == [await complete() for _ in range(3)]


def test_it_needs_no_running_loop() -> None:
    """In a plain test, the code under test brings its own."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        assert Outcome.FULFILLED is asyncio.run(complete())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (404, ComponentNotFoundError),
        (429, RateLimitedError),
        (500, ServerError),
        (502, ServerError),
    ],
)
async def test_a_status_is_the_error_that_it_is(status: int, error: type[Exception]) -> None:
    """Golem's own with its own body, another's with a proxy's page."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, status)
        with pytest.raises(error) as caught:
            await complete(retry=RetryPolicy.none())
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("body", "expected"),
    [("slow", b"slow"), (b"slow", b"slow"), ({"error": "slow"}, b'{"error":"slow"}')],
    ids=["text", "bytes", "JSON"],
)
async def test_a_status_has_the_body_and_headers_that_it_is_given(
    body: Any, expected: bytes
) -> None:
    """Of any kind that FakeGolem's faults take."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, 429, body=body, headers={"Retry-After": "7"})
        with pytest.raises(RateLimitedError) as caught:
            await complete(retry=RetryPolicy.none())
    assert 7 == caught.value.retry_after
    assert [expected] == [request.answer for request in mock.requests]


@pytest.mark.parametrize("size", [131_072, 131_073, 1_000_000])
async def test_a_body_can_be_large(size: int) -> None:
    """aiohttp pauses a connection at 128 KiB, and a mock has none."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, 503, body=b"a" * size)
        with pytest.raises(ServerError):
            await complete(retry=RetryPolicy.none())
    assert mock.requests[0].answer == b"a" * size


async def test_a_large_body_of_another_service_is_read_whole() -> None:
    with aioresponses() as others, mock_golem(others):
        others.get("http://else.test/x", body=b"a" * 300_000, response_class=MockedResponse)
        async with aiohttp.ClientSession() as session, session.get("http://else.test/x") as answer:
            assert await answer.content.read(10) == b"a" * 10
            assert len(await answer.read()) == 299_990


async def test_a_payload_can_be_large() -> None:
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        await complete(value="a" * 200_000)
    assert mock.json_payload(PROMISE_ID) == "a" * 200_000


@pytest.mark.parametrize(
    ("exception", "error"),
    [
        (aiohttp.ServerDisconnectedError(), ConnectionLostError),
        (aiohttp.ServerDisconnectedError, ConnectionLostError),
        (ConnectionResetError("by peer"), ConnectionLostError),
        (aiohttp.ConnectionTimeoutError(), ConnectionFailedError),
        (ZeroDivisionError("a bug"), ZeroDivisionError),
    ],
    ids=["instance", "class", "OSError", "never sent", "not the network's"],
)
async def test_an_exception_is_raised_in_place_of_an_answer(exception: Any, error: Any) -> None:
    """Where aiohttp would raise it."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, exception)
        with pytest.raises(error):
            await complete(retry=RetryPolicy.none())


async def test_answers_come_in_the_order_in_which_they_are_told() -> None:
    """Each as often as it says, the last one for ever."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, 503, times=2)
        mock.answers(PROMISE_ID, aiohttp.ServerDisconnectedError, times=1)
        mock.answers(PROMISE_ID, False)
        outcomes = [await complete(), await complete()]
    assert outcomes == [Outcome.FULFILLED_BY_UNKNOWN, Outcome.ALREADY_FULFILLED]
    assert [503, 503, None, 200, 200] == [request.status for request in mock.requests]


async def test_an_answer_for_ever_lasts_until_the_next_is_told() -> None:
    """A fixture tells one for all tests, and a test its own."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        mock.answers(PROMISE_ID, False)
        assert Outcome.ALREADY_FULFILLED is await complete()


@given(promise_ids())
@settings(deadline=None, max_examples=50)
async def test_every_id_is_matched(promise_id: PromiseId) -> None:
    """The client and the mock write the same path, each by itself."""
    with mock_golem() as mock:
        mock.answers(promise_id, True)
        assert Outcome.FULFILLED is await complete(promise_id, {"a": [1]})
    assert {"a": [1]} == mock.json_payload(promise_id)


ODD_NAMES = [
    'MyAgent("x", [1, 2])', "a/b", "a%2Fb", "%", "a b", " a ", "a+b", "\u00e9", "e\u0301", "日本",
    "😀", "a?b", "a#b", "a;b", "a&b=c", "...", "~", "'", "\\", "a:b", "a@b",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
async def test_odd_names_are_matched_exactly(name: str) -> None:
    """No other name is taken for this one."""
    component = PROMISE_ID.worker_id.component_id
    right, wrong = (PromiseId(WorkerId(component, text), 42) for text in (name, f"{name}x"))
    with mock_golem() as mock:
        mock.answers(wrong, False)
        mock.answers(right, True)
        assert Outcome.FULFILLED is await complete(right)
    assert [right] == [request.promise_id for request in mock.requests]


@pytest.mark.parametrize(
    "base_url",
    ["http://localhost:9881", "https://golem.test/api/v1", "http://golem.test/v1/components/a%20b"],
)
async def test_any_base_url_is_matched(base_url: str) -> None:
    """The path after it decides."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        assert Outcome.FULFILLED is await complete(base_url=base_url)


async def test_promises_of_one_worker_have_answers_of_their_own() -> None:
    """Their URL is the same: the index is in the body."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        mock.answers(OTHER_INDEX, False)
        outcomes = [await complete(PROMISE_ID), await complete(OTHER_INDEX)]
    assert outcomes == [Outcome.FULFILLED, Outcome.ALREADY_FULFILLED]


async def test_what_was_sent_is_decoded() -> None:
    """As bytes, and as the JSON that a worker reads."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        await complete(str(PROMISE_ID), {"approved": True})
    assert b'{"approved":true}' == mock.payload(PROMISE_ID)
    assert {"approved": True} == mock.json_payload(PROMISE_ID.to_json())


async def test_the_last_payload_is_the_payload() -> None:
    """All of them are in the requests."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        for number in (1, 2):
            await complete(value=number)
    assert 2 == mock.json_payload(PROMISE_ID)
    assert [b"1", b"2"] == [request.payload for request in mock.requests_for(PROMISE_ID)]


async def test_a_request_is_a_record_as_the_fakes_are() -> None:
    """A test moves from one to the other."""
    with mock_golem() as mock:
        mock.answers(PROMISE_ID, True)
        await complete(value=7, base_url="http://127.0.0.1/golem", token="tok-1234567890123456")
    (request,) = mock.requests
    assert ("POST", f"/golem{PATH}") == (request.method, request.path)
    assert (PROMISE_ID, 7, True) == (request.promise_id, request.payload_json(), request.applied)
    assert {"oplogIdx": 42, "data": [55]} == json.loads(request.body)
    assert ("tok-1234567890123456", 200, b"true") == (request.token, request.status, request.answer)
    assert "application/json" == request.headers["content-type"]
    assert "Authorization" not in request.headers


async def test_a_payload_that_was_not_sent_is_a_failure_that_says_what_was() -> None:
    """An assertion, like the rest of the test."""
    with mock_golem() as mock:
        mock.answers(OTHER_INDEX, True)
        await complete(OTHER_INDEX, "hello")
    with pytest.raises(AssertionError) as caught:
        mock.payload(PROMISE_ID)
    assert str(caught.value).splitlines() == [
        f"no payload was sent for promise {PROMISE_ID}; what was sent:",
        f'  POST {OTHER_INDEX} "hello" -> 200 true (applied)',
    ]


async def unexpected(*calls: Coroutine[Any, Any, Any], told: Any = (), **options: Any) -> str:
    """Return what is said about calls when these promises have answers."""
    with pytest.raises(AssertionError) as caught:
        await with_mock(*calls, told=told, **options)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


async def with_mock(*calls: Coroutine[Any, Any, Any], told: Any = (), **options: Any) -> None:
    with mock_golem() as mock:
        for promise_id in told:
            mock.answers(promise_id, True, **options)
        for call in calls:
            await call


async def posted(url: str, method: str = "POST", **sent: Any) -> None:
    async with aiohttp.ClientSession() as session:
        await session.request(method, URL(url, encoded=True), **sent)


async def test_an_unexpected_call_fails_at_once_with_both_urls() -> None:
    """No retry, no GolemError: what was called, and what is mocked."""
    begin = asyncio.get_running_loop().time()
    said = await unexpected(complete(retry=SLOW), told=[OTHER_WORKER])
    assert said.splitlines() == [
        "mock_golem() has no answer for this call:",
        f"  POST {BASE}{PATH} for promise {PROMISE_ID}",
        "it has answers for:",
        f"  promise {OTHER_WORKER}",
    ]
    assert asyncio.get_running_loop().time() - begin < 1


async def test_a_mock_that_was_told_nothing_says_so() -> None:
    """The usual slip of a first test."""
    assert (await unexpected(complete())).endswith("\nit was told no answers")


async def test_another_index_is_unexpected() -> None:
    """Although the URL is the one that is mocked."""
    said = await unexpected(complete(OTHER_INDEX), told=[PROMISE_ID])
    assert f"for promise {OTHER_INDEX}\nit has answers for" in said


async def test_one_call_too_many_is_unexpected() -> None:
    """With `times`, the number of calls is part of what is expected."""
    said = await unexpected(complete(), complete(), told=[PROMISE_ID], times=1)
    assert said.endswith(f"  promise {PROMISE_ID}, all given")


async def test_a_failure_that_the_code_under_test_catches_comes_back_at_the_end() -> None:
    """`except Exception` is common in handlers."""
    said = await unexpected(asyncio.gather(complete(), return_exceptions=True))  # type: ignore[arg-type]
    assert said.startswith("the code under test caught this:\nmock_golem() has no answer")


async def test_a_failure_that_was_caught_is_a_note_on_what_came_of_it() -> None:
    """The test fails for another reason, on its face."""

    async def handler() -> None:
        try:
            await complete()
        except AssertionError:
            raise ValueError("answered 500") from None

    with pytest.raises(ValueError, match="answered 500") as caught:
        await with_mock(handler())
    assert ["mock_golem() has no answer"] == [note[:26] for note in caught.value.__notes__]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_a_call_to_another_service_is_unexpected(method: str) -> None:
    """No request leaves the process, and none looks like a network error."""
    said = await unexpected(posted("http://else.test/x", method), told=[PROMISE_ID])
    assert f"  {method} http://else.test/x\nit has answers for:\n  promise {PROMISE_ID}" in said
    assert "mock_golem(mocked)" in said


async def test_the_calls_of_aiohttps_test_client_can_be_let_through() -> None:
    """As the message about an unexpected call says."""

    async def approve(_: web.Request) -> web.Response:
        return web.Response(text=str(await complete()))

    app = web.Application()
    app.router.add_post("/approve", approve)
    async with TestClient(TestServer(app)) as visitor:
        with (
            aioresponses(passthrough=["http://127.0.0.1"]) as mocked,
            mock_golem(mocked) as mock,
        ):
            mock.answers(PROMISE_ID, True)
            async with visitor.post("/approve") as response:
                assert "fulfilled" == await response.text()


async def test_a_completion_without_an_answer_has_no_advice_about_other_services() -> None:
    assert "mock_golem(mocked)" not in await unexpected(complete())


@pytest.mark.parametrize(
    "path", [PATH, PATH.replace("-11d0", "")], ids=["another body", "no component"]
)
async def test_a_request_that_the_client_would_not_send_is_unexpected(path: str) -> None:
    """A promise is completed by this package; a request of one's own has no answer."""
    said = await unexpected(posted(BASE + path, json={"oplogIdx": 42}), told=[PROMISE_ID])
    assert f"  POST {BASE}{path}, which is not a completion: a GolemClient sends another" in said


async def test_calls_to_others_are_left_to_the_aioresponses_that_it_is_given() -> None:
    """Code that completes promises calls other services too."""
    with aioresponses() as others, mock_golem(others) as mock:
        others.get("http://else.test/x", body="else", response_class=MockedResponse)
        mock.answers(PROMISE_ID, True)
        async with aiohttp.ClientSession() as session, session.get("http://else.test/x") as answer:
            assert "else" == await answer.text()
        assert Outcome.FULFILLED is await complete()


async def test_completions_are_its_own_beside_others_too() -> None:
    """An unexpected one fails at once."""
    with aioresponses() as others, pytest.raises(AssertionError, match="told no answers"):
        await with_guest(others)


async def with_guest(others: aioresponses) -> None:
    with mock_golem(others):
        await complete(retry=SLOW)


def test_an_aioresponses_that_is_not_active_is_refused() -> None:
    """It would answer nothing."""
    with pytest.raises(RuntimeError, match="not active"), mock_golem(aioresponses()):
        pass


async def test_afterwards_the_network_is_back() -> None:
    """Also where the test failed."""
    with pytest.raises(ValueError, match="failed"), mock_golem():
        raise ValueError("failed")
    with pytest.raises(ConnectionFailedError):
        await complete(base_url="http://127.0.0.1:1", retry=RetryPolicy.none())


@pytest.mark.parametrize(
    ("answer", "options", "error"),
    [
        ("true", {}, TypeError),
        (None, {}, TypeError),
        (int, {}, TypeError),
        (True, {"body": "x"}, TypeError),
        (OSError, {"body": "x"}, TypeError),
        (OSError, {"headers": {"a": "b"}}, TypeError),
        (100, {}, ValueError),
        (600, {}, ValueError),
        (True, {"times": 0}, ValueError),
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused_when_it_is_told(
    answer: Any, options: Any, error: type[Exception]
) -> None:
    """Not when it is given, far from the slip."""
    with mock_golem() as mock, pytest.raises(error):
        mock.answers(PROMISE_ID, answer, **options)


def test_an_answer_cannot_be_assigned() -> None:
    """It would be a mock that was told nothing."""
    slip = f"{MockGolem.answers.__name__} is a method of MockGolem: call it"
    with mock_golem() as mock, pytest.raises(AttributeError, match=slip):
        setattr(mock, "answers", {PROMISE_ID: True})  # noqa: B010 - type checkers refuse it


def test_what_is_no_id_is_refused() -> None:
    """As everywhere."""
    with mock_golem() as mock, pytest.raises(InvalidIdError):
        mock.answers("order-17", True)
