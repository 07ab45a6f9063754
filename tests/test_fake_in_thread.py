"""A fake in a thread of its own, for tests that are not coroutines; and fakes that are starved."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
import time
import typing
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from golem_client import GolemClient, ResponseError, testing
from golem_client.ids import PromiseId
from golem_client.testing import BlockingFakeGolem, FakeGolem, server, strategies
from golem_client.testing.golem import Golem

STRATEGIES = (
    "component_ids", "worker_names", "worker_ids", "promise_ids", "promise_id_spellings",
    "spellings_of", "payload_values", "faults", "fault_schedules", "Payload",
)  # fmt: skip


def post(golem: FakeGolem | BlockingFakeGolem, promise_id: PromiseId, data: bytes = b"7") -> bytes:
    worker = promise_id.worker_id
    path = f"/v1/components/{worker.component_id}/workers/{worker.worker_name}/complete"
    body = {"oplogIdx": promise_id.oplog_idx, "data": list(data)}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {golem.token}"}
    request = urllib.request.Request(golem.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        answer: bytes = response.read()
        return answer


@pytest.fixture
def golem() -> Iterator[BlockingFakeGolem]:
    with FakeGolem.in_thread() as fake:
        yield fake


def a_promise(golem: BlockingFakeGolem) -> PromiseId:
    return golem.create_promise(worker_name="w1")


def test_a_whole_loop_fits_in_a_plain_test(golem: BlockingFakeGolem) -> None:
    promise_id = a_promise(golem)
    golem.assert_pending(promise_id)
    assert post(golem, promise_id) == b"true"
    assert golem.await_promise(promise_id) == golem.payload(promise_id) == b"7"
    assert golem.await_promise_json(promise_id, int) == 7
    golem.assert_completed_json(promise_id, 7)
    assert [request.answer for request in golem.requests] == [b"true"]


def test_a_worker_waits_until_somebody_completes(golem: BlockingFakeGolem) -> None:
    promise_id = a_promise(golem)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(golem.await_promise, promise_id)
        time.sleep(0.02)
        assert not waiting.done()
        post(golem, promise_id)
        assert waiting.result(5) == b"7"


def test_a_wait_has_an_end(golem: BlockingFakeGolem) -> None:
    promise_id = a_promise(golem)
    with pytest.raises(TimeoutError, match=rf"nobody completed {promise_id} within 0\.02 s"):
        golem.await_promise_json(promise_id, timeout=0.02)
    post(golem, promise_id)
    assert golem.await_promise(promise_id) == b"7"


def test_faults_and_arguments_are_the_same(golem: BlockingFakeGolem) -> None:
    with FakeGolem.in_thread(dialect="1.1", token="any") as old:
        assert (old.dialect, old.token) == ("1.1", "any")
    promise_id = a_promise(golem)
    order = golem.fail_next(503, promise_id=promise_id)
    with pytest.raises(HTTPError, match="503"):
        post(golem, promise_id)
    assert order.fired == 1
    assert golem.pending_faults == ()
    golem.sleep_on_next()
    assert post(golem, promise_id) == b"true"
    with pytest.raises(TimeoutError):
        golem.await_promise(promise_id, timeout=0.01)


def test_an_outage_ends_where_it_began(golem: BlockingFakeGolem) -> None:
    promise_id = a_promise(golem)
    with golem.outage(), pytest.raises(URLError):
        post(golem, promise_id)
    assert post(golem, promise_id) == b"true"
    golem.drop_connections()
    assert post(golem, promise_id) == b"false"


def test_errors_are_the_fakes_own(golem: BlockingFakeGolem) -> None:
    promise_id = a_promise(golem)
    golem.delete_promise(promise_id)
    with pytest.raises(LookupError, match="there is no promise"):
        golem.await_promise(promise_id)
    other = a_promise(golem)
    golem.complete_promise(other, b"no JSON")
    with pytest.raises(ValueError, match="the worker cannot read"):
        golem.await_promise_json(other)


def test_what_happened_can_be_read_afterwards() -> None:
    with FakeGolem.in_thread() as golem:
        done, pending = a_promise(golem), a_promise(golem)
        post(golem, done)
    assert golem.await_promise(done) == b"7"
    assert len(golem.requests) == 1
    with pytest.raises(RuntimeError, match="nobody can complete"):
        golem.await_promise(pending)
    with pytest.raises(RuntimeError, match="within its `with`"):
        golem.drop_connections()
    with pytest.raises(RuntimeError, match="make a new one"):
        golem.__enter__()
    assert not {"FakeGolem", "FakeGolem watch"} & {each.name for each in threading.enumerate()}


def test_before_it_runs_nobody_can_wait() -> None:
    golem = FakeGolem.in_thread()
    promise_id = a_promise(golem)
    with pytest.raises(RuntimeError, match="within its `with`"):
        golem.await_promise(promise_id)


def test_a_port_that_is_taken_is_an_error_and_leaves_no_thread(golem: BlockingFakeGolem) -> None:
    port = int(golem.url.rpartition(":")[2])
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"), FakeGolem.in_thread(port=port):
        pass
    assert threading.active_count() == before


def test_many_threads_share_it(golem: BlockingFakeGolem) -> None:
    def one(_: int) -> bytes:
        promise_id = a_promise(golem)
        post(golem, promise_id)
        return golem.await_promise(promise_id)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [b"7"] * 40
    assert len({request.promise_id for request in golem.requests}) == 40


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_it_has_every_method_of_the_fake() -> None:
    """But for those that make one, and that subclasses override."""
    assert public(FakeGolem) - public(BlockingFakeGolem) == {
        "in_thread",
        "answer_instead",
        "answered",
    }
    assert public(BlockingFakeGolem) < public(FakeGolem)


def test_a_plain_method_runs_in_the_fakes_thread_and_keeps_its_help() -> None:
    for name in public(Golem):
        blocking = inspect.getattr_static(BlockingFakeGolem, name)
        plain = inspect.getattr_static(FakeGolem, name)
        assert (name, False) == (name, blocking is plain)
        assert (name, blocking.__doc__) == (name, plain.__doc__)


PUBLIC: list[Any] = [
    *(getattr(testing, name) for name in testing.__all__ if name != "MockedResponse"),
    *(getattr(strategies, name) for name in STRATEGIES),
]


@pytest.mark.parametrize("public_name", PUBLIC, ids=lambda each: each.__name__)
def test_help_on_a_public_name_is_complete(public_name: Any) -> None:
    """Type hints resolve, everything has a docstring, and a signature fits on a screen."""
    members = {"": public_name} | {
        name: inspect.getattr_static(public_name, name)
        for name in (public(public_name) if inspect.isclass(public_name) else ())
    }
    for name, member in members.items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if not (inspect.isfunction(function) or inspect.isclass(function)):
            continue
        assert inspect.getdoc(function), name
        typing.get_type_hints(inspect.unwrap(function))
        if inspect.isfunction(function):
            assert len(str(inspect.signature(function))) < 400, name


# A fake whose loop is blocked


async def approve(golem: FakeGolem, promise_id: PromiseId) -> None:
    async with GolemClient(golem.url, token=golem.token) as client:
        await client.complete_json(promise_id, {"approved": True})


@pytest.mark.parametrize("patience", [2])
async def test_a_test_that_blocks_its_loop_is_told_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, patience: int
) -> None:
    """At once, by the client's error, and in the log; and afterwards the fake works as ever."""
    monkeypatch.setattr(server, "_SLICE_SECONDS", 0.05)
    monkeypatch.setattr(server, "_PATIENCE", patience)
    async with FakeGolem() as golem:
        promise_id = golem.create_promise(worker_name="w1")
        with pytest.raises(HTTPError) as caught:
            post(golem, promise_id)
        said = json.loads(caught.value.read())["error"]
        caught.value.close()
        assert caught.value.code == 409
        for words in ("event loop of this FakeGolem is blocked", "in_thread()", "blocking_fake"):
            assert words in said
        assert [(each.levelno, each.message) for each in caplog.records] == [(logging.ERROR, said)]
        with ThreadPoolExecutor() as pool:
            with pytest.raises(ResponseError, match="FakeGolem is blocked") as shown:
                pool.submit(asyncio.run, approve(golem, promise_id)).result()
            assert (said in str(shown.value), shown.value.attempts) == (True, 1)
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(server, "_PATIENCE", 100)
            assert await loop.run_in_executor(pool, post, golem, promise_id) == b"true"
    assert len(golem.requests) == 1


async def test_a_loop_that_is_busy_for_a_moment_is_not_blamed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeGolem() as golem:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(post, golem, golem.create_promise(worker_name="w1"))
            time.sleep(0.3)  # noqa: ASYNC251 - what the test is about
            assert await asyncio.wrap_future(answer) == b"true"
    assert caplog.records == []
