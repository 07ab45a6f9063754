"""Faults on order: what the client gets, and what Golem has done by then."""

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from golem_client.ids import PromiseId
from golem_client.testing import FakeGolem
from golem_client.testing.faults import (
    NO_FAULT,
    WEATHER,
    Fault,
    FaultOrder,
    FaultPlan,
    Latency,
    RandomFaults,
)
from golem_client.testing.messages import Answer, Ending, proxys_page
from golem_client.testing.promises import PromiseKey, WorkerKey

Told = tuple[int, CIMultiDictProxy[str], bytes]
Post = Callable[..., Coroutine[None, None, Told]]

COMPONENT = UUID(int=7)
KEY = PromiseKey(WorkerKey(UUID(int=1), "w"), 4)
OTHER = PromiseKey(WorkerKey(UUID(int=1), "w"), 5)
APPLIED = pytest.mark.parametrize("applied", [True, False])


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as fake:
        yield fake


@pytest.fixture
async def post(golem: FakeGolem) -> AsyncIterator[Post]:
    """Complete a promise; each call on a connection of its own."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def complete(promise_id: PromiseId, payload: bytes = b"x") -> Told:
            worker = promise_id.worker_id
            name = quote(worker.worker_name, safe="")
            path = f"/v1/components/{worker.component_id}/workers/{name}/complete"
            body = {"oplogIdx": promise_id.oplog_idx, "data": list(payload)}
            async with session.post(
                URL(golem.url + path, encoded=True),
                json=body,
                headers={"Authorization": f"Bearer {golem.token}"},
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.read()

        yield complete


async def raw_answer(
    golem: FakeGolem, promise_id: PromiseId, timeout: float = 5.0
) -> tuple[bytes, OSError | None]:
    """Return every byte that comes, and the error that ends them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(golem.url).port)
    worker = promise_id.worker_id
    body = json.dumps({"oplogIdx": promise_id.oplog_idx, "data": [120]}).encode()
    name = quote(worker.worker_name, safe="")
    writer.write(
        f"POST /v1/components/{worker.component_id}/workers/{name}/complete HTTP/1.1\r\n"
        f"Host: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {golem.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    try:
        return await asyncio.wait_for(reader.read(), timeout), None
    except ConnectionError as error:
        return b"", error
    finally:
        writer.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, five seconds at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.001)


# Pure: which fault meets which request


def an_order(name: str, key: PromiseKey | None = None, times: int = 1) -> FaultOrder:
    return FaultOrder(Fault(name=name), key, times)


def test_orders_are_served_oldest_first_and_once() -> None:
    plan = FaultPlan()
    first, second = an_order("drop"), an_order("reset", times=2)
    plan.orders += [first, second]
    met = [plan.next_fault(KEY).name for _ in range(4)]
    assert met == ["drop", "reset", "reset", "none"]
    assert (first.fired, second.fired) == (1, 2)


def test_an_order_says_what_it_is() -> None:
    late = FakeGolem().delay_next(1, applied=False)
    assert str(late) == "delay (not applied) for any promise: fired 0 of 1"
    order = an_order("drop", KEY, times=2)
    assert str(order) == f"drop (applied) for promise {KEY}: fired 0 of 2"


def test_an_order_for_one_promise_waits_for_it() -> None:
    plan, order = FaultPlan(), an_order("drop", OTHER)
    plan.orders.append(order)
    met = [plan.next_fault(key).name for key in (KEY, KEY, OTHER, OTHER)]
    assert met == ["none", "none", "drop", "none"]
    assert order.pending == 0


def test_random_faults_are_reproducible_in_any_order() -> None:
    """What the n-th request of a promise meets depends on the seed, the promise and n alone."""

    def schedule(seed: int, keys: Any) -> dict[PromiseKey, list[Fault]]:
        plan = FaultPlan()
        plan.change(RandomFaults(rate=0.5, seed=seed))
        met: dict[PromiseKey, list[Fault]] = {}
        for key in keys:
            met.setdefault(key, []).append(plan.next_fault(key))
        return met

    one_by_one = schedule(7, [KEY] * 30 + [OTHER] * 30)
    assert schedule(7, [OTHER, KEY] * 30) == one_by_one
    assert schedule(8, [OTHER, KEY] * 30) != one_by_one
    assert one_by_one[KEY] != one_by_one[OTHER]


def test_a_schedule_that_is_set_again_begins_anew() -> None:
    plan = FaultPlan()

    def schedule() -> list[Fault]:
        plan.change(RandomFaults(rate=0.5, seed=7))
        return [plan.next_fault(KEY) for _ in range(20)]

    assert schedule() == schedule()


def test_random_faults_come_at_their_rate() -> None:
    faults = RandomFaults(rate=0.25, seed=1)
    met = [faults.fault_for("a", nth) for nth in range(2000)]
    assert met.count(NO_FAULT) == pytest.approx(1500, abs=80)
    assert all(fault in met for fault in WEATHER)


def test_a_rate_of_nothing_is_fair_weather_and_of_one_is_none() -> None:
    fair, foul = RandomFaults(rate=0.0), RandomFaults(rate=1.0)
    assert [fair.fault_for("a", nth) for nth in range(50)] == [NO_FAULT] * 50
    assert NO_FAULT not in [foul.fault_for("a", nth) for nth in range(50)]


def test_latency_is_reproducible_and_within_its_jitter() -> None:
    delays = [Latency(seconds=1, jitter=0.5, seed=3).delay_for("a", nth) for nth in range(50)]
    assert delays == [Latency(seconds=1, jitter=0.5, seed=3).delay_for("a", n) for n in range(50)]
    assert 1 <= min(delays) < max(delays) <= 1.5
    assert Latency(seconds=1).delay_for("a", 0) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fault(name="x", takes=3),
        lambda: Fault(name="x", delay=-1),
        lambda: FaultOrder(NO_FAULT, times=0),
        lambda: RandomFaults(rate=1.5),
        lambda: Latency(seconds=-1),
        lambda: FakeGolem().truncate_next(by=0),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"takes|delay|times|rate|seconds|by"):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda golem: golem.fail_next("503"), "status must be an int, not '503'"),
        (lambda golem: golem.html_next(0), "status must be from 200 to 999, not 0"),
        (lambda golem: golem.redirect_next(status=101), "status must be from 200 to 999, not 101"),
        (lambda golem: golem.fail_next(503, headers={"X": 1}), "headers must map strings"),
        (lambda golem: golem.raw_next("HTTP/1.1 200 OK"), "an answer is an Answer or bytes"),
    ],
)
def test_a_fault_that_cannot_be_sent_is_refused(wrong: Callable[[Any], Any], error: str) -> None:
    """When it is ordered, and not by a 500 of the fake's own server."""
    golem = FakeGolem()
    with pytest.raises((TypeError, ValueError), match=error):
        wrong(golem)
    assert () == golem.pending_faults


def test_a_proxys_page_is_nginxs() -> None:
    assert proxys_page(502) == Answer(
        502,
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
        b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n"
        b"</body>\r\n</html>\r\n",
        "text/html",
    )


# On the wire


@APPLIED
async def test_a_dropped_connection_ends_without_a_byte(golem: FakeGolem, applied: bool) -> None:
    promise_id = golem.create_promise()
    golem.drop_next(applied=applied)
    assert await raw_answer(golem, promise_id) == (b"", None)
    assert golem.payload(promise_id) == (b"x" if applied else None)
    [request] = golem.requests
    assert (request.status, request.applied, request.fault) == (None, applied, "drop")


@APPLIED
async def test_a_reset_connection_is_reset(golem: FakeGolem, applied: bool) -> None:
    """RST, not FIN."""
    promise_id = golem.create_promise()
    golem.reset_next(applied=applied)
    _, error = await raw_answer(golem, promise_id)
    assert error is not None
    assert error.errno == errno.ECONNRESET
    assert golem.payload(promise_id) == (b"x" if applied else None)


@APPLIED
async def test_on_a_stalled_connection_nothing_comes(golem: FakeGolem, applied: bool) -> None:
    promise_id = golem.create_promise()
    golem.stall_next(applied=applied)
    with pytest.raises(TimeoutError):
        await raw_answer(golem, promise_id, timeout=0.05)
    assert golem.payload(promise_id) == (b"x" if applied else None)


async def test_a_stall_ends_when_its_client_leaves(golem: FakeGolem) -> None:
    before = asyncio.all_tasks()
    golem.stall_next(applied=False)
    with pytest.raises(TimeoutError):
        await raw_answer(golem, golem.create_promise(), timeout=0.02)
    await asyncio.sleep(0.02)
    assert asyncio.all_tasks() == before


async def test_a_truncated_answer_lacks_its_end(golem: FakeGolem) -> None:
    """Its Content-Length is that of the whole."""
    promise_id = golem.create_promise()
    golem.truncate_next(by=2)
    data, error = await raw_answer(golem, promise_id)
    head, _, body = data.partition(b"\r\n\r\n")
    assert (body, error) == (b"tr", None)
    assert b"Content-Length: 4" in head
    golem.assert_completed(promise_id, b"x")


async def test_a_truncated_answer_can_be_a_proxys(golem: FakeGolem) -> None:
    promise_id = golem.create_promise()
    golem.truncate_next(by=1000, applied=False)
    assert await raw_answer(golem, promise_id) == (b"", None)
    golem.truncate_next(by=1, applied=False)
    data, _ = await raw_answer(golem, promise_id)
    assert data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert data == proxys_page(502).wire()[:-1]
    golem.assert_pending(promise_id)


async def test_raw_bytes_go_out_as_they_are(golem: FakeGolem) -> None:
    golem.raw_next(b"\x00\xffHTTP")
    assert await raw_answer(golem, golem.create_promise()) == (b"\x00\xffHTTP", None)


async def test_an_answer_that_nobody_reads_does_not_keep_the_fake_open() -> None:
    async with FakeGolem() as golem:
        golem.raw_next(bytes(20_000_000))
        with socket.create_connection(("127.0.0.1", URL(golem.url).port or 0)) as deaf:
            path = golem.webhook_url(golem.create_promise()).removeprefix(golem.url)
            host = golem.url.removeprefix("http://")
            deaf.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while not golem.requests:  # noqa: ASYNC110 - the fake does not tell
                await asyncio.sleep(0.005)
            assert golem.requests[0].fault == "raw bytes"
            async with asyncio.timeout(5):
                await golem.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("dialect", "status", "body"),
    [
        ("1.1", 500, '{"golemError":{"details":"Internal error","type":"Unknown"}}'),
        ("1.3", 403, '{"error":"The environment action UpdateWorker is not allowed"}'),
        ("1.3", 500, '{"error":"Internal error","workerError":null}'),
        ("1.5", 400, '{"code":"INVALID_WORKER_ID","errors":["Bad request"]}'),
        ("1.5", 404, '{"code":"COMPONENT_NOT_FOUND","error":"Component not found"}'),
        ("1.5", 422, '{"code":"LIMIT_EXCEEDED","error":"Limit exceeded"}'),
        ("1.5", 500, '{"code":"INTERNAL_UNKNOWN","error":"Internal error","workerError":null}'),
    ],
)
def test_a_status_of_golems_has_its_generations_shape(dialect: str, status: int, body: str) -> None:
    fault = FakeGolem(dialect=dialect).fail_next(status).fault
    assert fault.answer == Answer(status, body.encode(), "application/json; charset=utf-8")


@pytest.mark.parametrize("status", [408, 413, 425, 429, 502, 503, 504, 599])
def test_another_status_comes_from_a_proxy(status: int) -> None:
    assert FakeGolem().fail_next(status).fault.answer == proxys_page(status)


@APPLIED
async def test_a_failure_is_answered_as_ordered(
    golem: FakeGolem, post: Post, applied: bool
) -> None:
    promise_id = golem.create_promise()
    golem.fail_next(503, retry_after=2, applied=applied, body="busy", headers={"Date": "then"})
    status, headers, body = await post(promise_id)
    assert (status, body, headers["Retry-After"], headers["Date"]) == (503, b"busy", "2", "then")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert golem.payload(promise_id) == (b"x" if applied else None)
    assert golem.requests[0].status == 503
    assert (await post(promise_id))[2] == (b"false" if applied else b"true")


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"error": "é"}, "application/json; charset=utf-8", '{"error":"é"}'.encode()),
        (b"\xff", "application/octet-stream", b"\xff"),
        ("text", "text/plain; charset=utf-8", b"text"),
    ],
)
async def test_a_failures_body_is_text_bytes_or_json(
    golem: FakeGolem, post: Post, body: Any, content_type: str, sent: bytes
) -> None:
    golem.fail_next(500, body=body)
    _, headers, came = await post(golem.create_promise())
    assert (headers.get("Content-Type"), came) == (content_type, sent)


async def test_a_failures_own_content_type_wins(golem: FakeGolem, post: Post) -> None:
    golem.fail_next(500, body="{}", headers={"content-type": "application/problem+json"})
    _, headers, _ = await post(golem.create_promise())
    assert headers.getall("Content-Type") == ["application/problem+json"]


@APPLIED
async def test_a_proxys_page_is_html(golem: FakeGolem, post: Post, applied: bool) -> None:
    promise_id = golem.create_promise()
    golem.html_next(504, applied=applied)
    status, headers, body = await post(promise_id)
    assert (status, headers["Content-Type"]) == (504, "text/html")
    assert b"<center>nginx</center>" in body
    assert golem.requests[0].applied is applied


async def test_a_redirect_names_its_location(golem: FakeGolem, post: Post) -> None:
    golem.redirect_next()
    status, headers, _ = await post(golem.create_promise())
    assert (status, headers["Location"]) == (302, "/elsewhere")
    golem.redirect_next("https://example.org/?a", status=307)
    status, headers, _ = await post(golem.create_promise())
    assert (status, headers["Location"]) == (307, "https://example.org/?a")


async def test_an_echo_is_answered_false_although_it_stored(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise()
    golem.echo_next()
    status, _, body = await post(promise_id, b"mine")
    assert (status, body) == (200, b"false")
    golem.assert_completed(promise_id, b"mine")
    assert golem.requests[0].applied


async def test_both_of_two_callers_can_be_told_true(golem: FakeGolem, post: Post) -> None:
    """The order waits for the one who comes second; what is stored is the first one's."""
    promise_id, refused = golem.create_promise(), golem.create_promise(component_id=COMPONENT)
    order = golem.true_to_both_next()
    told = [(await post(promise_id, data))[2] for data in (b"first", b"second", b"third")]
    assert told == [b"true", b"true", b"false"]
    assert order.pending == 0
    assert [request.applied for request in golem.requests] == [True, False, False]
    golem.assert_completed(promise_id, b"first")
    golem.complete_promise(refused, b"x")
    golem.forget_component(COMPONENT)
    golem.true_to_both_next()
    assert (await post(refused))[0] == 404


async def test_at_random_too_only_who_comes_second_is_told_true(
    golem: FakeGolem, post: Post
) -> None:
    promise_id = golem.create_promise()
    golem.random_faults(1.0, seed=1, faults=[Fault(name="true to both", true_to_both=True)])
    assert [(await post(promise_id))[2] for _ in range(3)] == [b"true"] * 3
    assert [each.fault for each in golem.requests] == [None, "true to both", "true to both"]


async def test_a_worker_can_sleep_on_until_the_next_completion(
    golem: FakeGolem, post: Post
) -> None:
    promise_id = golem.create_promise()
    golem.sleep_on_next()
    early = asyncio.create_task(golem.await_promise(promise_id))
    assert (await post(promise_id, b"first"))[2] == b"true"
    late = asyncio.create_task(golem.await_promise(promise_id))
    await asyncio.sleep(0.01)
    assert (early.done(), late.done()) == (False, False)
    assert golem.payload(promise_id) == b"first"
    assert golem.poll_promise(promise_id) == b"first"
    assert (await post(promise_id, b"second"))[2] == b"false"
    assert list(await asyncio.gather(early, late)) == [b"first", b"first"]
    assert await golem.await_promise(promise_id) == b"first"


async def test_a_worker_that_is_awake_is_not_put_to_sleep(golem: FakeGolem, post: Post) -> None:
    promise_id = golem.create_promise()
    await post(promise_id, b"first")
    golem.sleep_on_next()
    assert (await post(promise_id, b"second"))[2] == b"false"
    assert await golem.await_promise(promise_id) == b"first"


async def test_a_sleeping_worker_is_woken_from_within_golem_and_told_of_the_end(
    golem: FakeGolem, post: Post
) -> None:
    woken, deleted, left = (golem.create_promise() for _ in range(3))
    golem.sleep_on_next(times=3)
    for each in (woken, deleted, left):
        await post(each)
    assert golem.complete_promise(woken, b"own") is False
    assert await golem.await_promise(woken) == b"x"
    golem.delete_promise(deleted)
    golem.create_promise(oplog_idx=deleted.oplog_idx)
    golem.complete_promise(deleted, b"new")
    assert await golem.await_promise(deleted) == b"new"
    waiting = asyncio.create_task(golem.await_promise(left))
    await asyncio.sleep(0)
    await golem.__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match="was closed while a worker awaited"):
        await waiting
    with pytest.raises(RuntimeError, match="nobody can complete"):
        await golem.await_promise(left)


@APPLIED
async def test_a_killed_executor_can_be_a_500_at_once(
    golem: FakeGolem, post: Post, applied: bool
) -> None:
    """Its worker is not woken, until the client repeats."""
    promise_id = golem.create_promise()
    golem.kill_executor_next(applied=applied)
    waiting = asyncio.create_task(golem.await_promise(promise_id))
    status, _, body = await post(promise_id)
    error = "Failed to connect to pod: The operation was cancelled operation was canceled"
    assert (status, json.loads(body)["error"]) == (500, error)
    assert golem.payload(promise_id) == (b"x" if applied else None)
    assert not waiting.done()
    assert (await post(promise_id))[2] == (b"false" if applied else b"true")
    assert await waiting == b"x"


@APPLIED
async def test_a_killed_executor_can_answer_when_it_is_back(
    golem: FakeGolem, post: Post, applied: bool
) -> None:
    """`false` then, if it had stored the payload before: Golem itself repeats the request."""
    promise_id = golem.create_promise()
    golem.kill_executor_next(applied=applied, back_after=0.1)
    waiting = asyncio.create_task(golem.await_promise(promise_id))
    call = asyncio.create_task(post(promise_id))
    await until(lambda: golem.requests)
    assert golem.payload(promise_id) == (b"x" if applied else None)
    assert not waiting.done()
    assert (await call)[2] == (b"false" if applied else b"true")
    assert await waiting == b"x"
    [request] = golem.requests
    assert request.applied
    assert request.answered_at is not None
    assert request.answered_at - request.received_at >= 0.1


def test_a_killed_executors_500_has_its_generations_shape() -> None:
    fault = FakeGolem(dialect="1.1").kill_executor_next(applied=False).fault
    assert isinstance(fault.answer, Answer)
    assert json.loads(fault.answer.body)["golemError"]["type"] == "Unknown"


async def test_an_answer_that_never_went_out_whole_has_no_time(
    golem: FakeGolem, post: Post
) -> None:
    golem.drop_next(applied=True)
    promise_id = golem.create_promise()
    await raw_answer(golem, promise_id)
    await post(promise_id)
    lost, told = golem.requests
    assert lost.answered_at is None
    assert told.answered_at is not None
    assert told.answered_at >= told.received_at


async def test_a_delayed_answer_comes_late_and_what_it_tells_is_done_at_once(
    golem: FakeGolem, post: Post
) -> None:
    promise_id = golem.create_promise()
    golem.delay_next(0.5)
    call = asyncio.create_task(post(promise_id))
    assert await asyncio.wait_for(golem.await_promise(promise_id), 0.45) == b"x"
    assert not call.done()
    assert (await call)[2] == b"true"


async def test_a_delayed_request_arrives_even_when_its_client_has_left(
    golem: FakeGolem, post: Post
) -> None:
    """It may come after the client's next attempt, which is then what stored."""
    promise_id = golem.create_promise()
    golem.delay_next(0.1, applied=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(post(promise_id, b"first"), 0.05)
    golem.assert_pending(promise_id)
    assert await asyncio.wait_for(golem.await_promise(promise_id), 1) == b"first"
    assert (await post(promise_id, b"second"))[2] == b"false"
    assert [request.applied for request in golem.requests] == [True, False]


async def test_a_request_under_way_can_be_forgotten(golem: FakeGolem, post: Post) -> None:
    golem.delay_next(0.05)
    call = asyncio.create_task(post(golem.create_promise()))
    await until(lambda: golem.requests)
    golem.clear_requests()
    assert (await call)[2] == b"true"
    assert golem.requests == ()


async def test_latency_delays_every_answer(golem: FakeGolem, post: Post) -> None:
    golem.latency(0.05, jitter=0.01, seed=1)
    await asyncio.gather(*(post(golem.create_promise()) for _ in range(5)))
    took = [(each.answered_at or 0) - each.received_at for each in golem.requests]
    assert min(took) >= 0.05
    golem.latency(60)
    golem.clear_faults()
    async with asyncio.timeout(10):
        await post(golem.create_promise())


async def test_random_faults_meet_requests_and_end(golem: FakeGolem, post: Post) -> None:
    golem.random_faults(1.0, seed=1, faults=[golem.fail_next(503).fault])
    golem.clear_faults()
    promise_id = golem.create_promise()
    assert (await post(promise_id))[0] == 200
    golem.random_faults(1.0, seed=1, faults=[golem.fail_next(503).fault])
    assert [(await post(promise_id))[0] for _ in range(3)] == [503] * 3
    golem.random_faults(0, seed=1)
    assert (await post(promise_id))[0] == 200


async def test_a_fault_is_for_one_promise_and_some_times(golem: FakeGolem, post: Post) -> None:
    mine, other = golem.create_promise(), golem.create_promise()
    golem.fail_next(503, promise_id=str(mine), times=2)
    statuses = [(await post(promise_id))[0] for promise_id in (other, mine, mine, mine)]
    assert statuses == [200, 503, 503, 200]


async def test_faults_meet_completions_only(golem: FakeGolem, post: Post) -> None:
    """Neither another request, nor a completion that Golem cannot read."""
    golem.fail_next(503)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{golem.url}/healthcheck") as response:
            assert response.status == 200
        path = "/v1/components/x/workers/y/complete"
        async with session.post(golem.url + path, data=b"?") as response:
            assert response.status == 400
    assert (await post(golem.create_promise()))[0] == 503


async def test_a_fault_that_is_applied_still_obeys_golems_rules(
    golem: FakeGolem, post: Post
) -> None:
    """What Golem refuses is not stored, whatever becomes of the answer."""
    promise_id = golem.create_promise()
    golem.forget_component()
    golem.drop_next(applied=True)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(promise_id)
    assert golem.payload(promise_id) is None
    assert not golem.requests[0].applied


async def test_any_fault_can_be_composed(golem: FakeGolem) -> None:
    """Half an answer, late, and then a reset."""
    promise_id = golem.create_promise()
    fault = Fault(name="mine", takes=2, delay=0.02, keep=12, ending=Ending.STALL)
    golem.fault_next(fault)
    with pytest.raises(TimeoutError):
        await raw_answer(golem, promise_id, timeout=0.05)
    assert golem.requests[0].fault == "mine"
    golem.assert_completed(promise_id)


async def test_faults_that_did_not_fire_can_be_asked_for(golem: FakeGolem, post: Post) -> None:
    order = golem.drop_next(applied=True, times=2)
    assert list(golem.pending_faults) == [order]
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(golem.create_promise())
    assert (order.fired, order.pending) == (1, 1)
    golem.clear_faults()
    assert list(golem.pending_faults) == []
