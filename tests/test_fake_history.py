"""What happened, as a test reads it; and assertions whose failure tells the story."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import pytest
from yarl import URL

from golem_client.ids import PromiseId
from golem_client.testing import FakeGolem, ReceivedRequest

Post = Callable[..., Awaitable[bytes]]

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem(token=TOKEN) as fake:
        yield fake


@pytest.fixture
async def post(golem: FakeGolem) -> AsyncIterator[Post]:
    async with aiohttp.ClientSession() as session:

        async def complete(promise_id: PromiseId, payload: bytes = b"x", **headers: str) -> bytes:
            worker = promise_id.worker_id
            path = f"/v1/components/{worker.component_id}/workers/{worker.worker_name}/complete"
            body = {"oplogIdx": promise_id.oplog_idx, "data": list(payload)}
            sent = {"Authorization": f"Bearer {TOKEN}"} | headers
            async with session.post(URL(golem.url + path), json=body, headers=sent) as response:
                return await response.read()

        yield complete


async def test_a_request_is_recorded_decoded(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise(worker_name="w1")
    await post(promise_id, b'{"a":1}', **{"X-Request": "7"})
    [request] = golem.requests
    component = promise_id.worker_id.component_id
    assert request.method == "POST"
    assert request.path == f"/v1/components/{component}/workers/w1/complete"
    assert request.promise_id == promise_id
    assert request.payload == b'{"a":1}'
    assert request.payload_json() == {"a": 1}
    assert (request.status, request.answer, request.applied) == (200, b"true", True)
    assert request.headers["x-request"] == "7"
    assert request.fault is None
    assert request.body.startswith(b'{"oplogIdx"')
    assert request.received_at > 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.status = 500  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_request_keeps_its_secrets(golem: FakeGolem, post: Post) -> None:
    """The token can be asked for, and shows nowhere else."""
    await post(golem.create_promise(worker_name="w1"), Cookie="a=secret")
    [request] = golem.requests
    assert request.token == TOKEN
    assert not {"Authorization", "Cookie"} & set(request.headers)
    for text in (repr(request), str(request), repr(request.headers), repr(golem)):
        assert TOKEN not in text
        assert "secret" not in text


async def test_a_request_that_names_no_promise_is_recorded_too(golem: FakeGolem) -> None:
    url = URL(golem.url + "/a?b=%2F", encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 404
    [request] = golem.requests
    assert (request.promise_id, request.payload, request.path) == (None, None, "/a?b=%2F")
    assert str(request) == "GET /a?b=%2F -> 404 not found"
    with pytest.raises(ValueError, match="no payload came"):
        request.payload_json()


async def test_requests_are_told_apart_by_promise_and_can_be_forgotten(
    golem: FakeGolem, post: Post
) -> None:
    mine, other = (golem.create_promise(worker_name="w1") for _ in range(2))
    await post(mine)
    await post(other)
    assert [request.promise_id for request in golem.requests] == [mine, other]
    assert golem.requests_for(str(other)) == golem.requests[1:]
    golem.clear_requests()
    assert golem.requests == ()


def test_a_record_of_an_odd_payload_is_short() -> None:
    request = ReceivedRequest(
        method="POST",
        path="/p",
        headers={},
        token=None,
        body=b"",
        promise_id=None,
        payload=b"a" * 200,
    )
    assert str(request) == f"POST /p {'a' * 79}… -> no answer"
    assert str(attrs.evolve(request, payload=b"\xff")) == "POST /p b'\\xff' -> no answer"


async def test_assertions_that_hold_say_nothing(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise(worker_name="w1")
    golem.assert_pending(promise_id)
    golem.assert_requested(promise_id, times=0)
    await post(promise_id, b'{"a": [1, true]}')
    golem.assert_completed(promise_id)
    golem.assert_completed(promise_id, b'{"a": [1, true]}')
    golem.assert_completed_json(promise_id, {"a": [1, True]})
    golem.assert_requested(promise_id)
    golem.assert_faults_fired()


async def failure(assertion: Callable[..., None], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion(*args, **kwargs)
    return str(raised.value)


async def test_a_failed_assertion_says_what_was_expected_what_came_and_what_else(
    golem: FakeGolem, post: Post
) -> None:
    mine, other = (golem.create_promise(worker_name="w1") for _ in range(2))
    golem.fail_next(503, body="busy")
    await post(mine, b'{"a":1}')
    await post(mine, b'{"a":1}')
    await post(other, b"2")
    text = await failure(golem.assert_completed_json, mine, {"a": True})
    assert text.splitlines() == [
        f'expected promise {mine} to be completed with {{"a":true}}',
        'but it is completed with {"a":1}',
        "its requests:",
        f'  POST {mine} {{"a":1}} -> 503 busy (fault: status 503)',
        f'  POST {mine} {{"a":1}} -> 200 true (applied)',
        "other requests:",
        f"  POST {other} 2 -> 200 true (applied)",
    ]


async def test_each_assertion_tells_its_own_story(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise(worker_name="w1")
    assert "to be completed\nbut it is pending" in await failure(golem.assert_completed, promise_id)
    assert "to be completed with 1\nbut it is pending" in await failure(
        golem.assert_completed_json, promise_id, 1
    )
    assert "requested once\nbut it is requested 0 times" in await failure(
        golem.assert_requested, promise_id
    )
    await post(promise_id, b"right")
    assert "with wrong\nbut it is completed with right" in await failure(
        golem.assert_completed, promise_id, b"wrong"
    )
    assert "pending\nbut it is completed with right" in await failure(
        golem.assert_pending, promise_id
    )
    assert re.search(
        "requested 2 times\nbut it is requested once",
        await failure(golem.assert_requested, promise_id, times=2),
    )


async def test_one_request_too_many_fails(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise(worker_name="w1")
    await post(promise_id)
    await post(promise_id)
    text = await failure(golem.assert_requested, promise_id)
    assert "requested once\nbut it is requested 2 times" in text


async def test_a_fault_that_did_not_fire_fails_with_its_order(golem: FakeGolem, post: Post) -> None:
    mine, other = (golem.create_promise(worker_name="w1") for _ in range(2))
    golem.fail_next(503, promise_id=mine, times=2)
    await post(other)
    await post(mine)
    text = await failure(golem.assert_faults_fired)
    assert f"  status 503 (not applied) for promise {mine}: fired 1 of 2" in text
    assert f"  POST {other} x -> 200 true (applied)" in text
