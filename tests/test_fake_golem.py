"""FakeGolem over HTTP: the loop of a test, the worker's side, and how it begins and ends."""

import asyncio
import gc
import gzip
import io
import json
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import attrs
import pytest
from yarl import URL

from golem_client import testing
from golem_client.ids import ComponentId, PromiseId, WorkerId
from golem_client.testing import FakeGolem, ReceivedRequest
from golem_client.testing.routes import Completion

OTHER = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
EVERY = ("1.1", "1.2", "1.3", "1.5")


def complete_url(golem: FakeGolem, promise_id: PromiseId) -> URL:
    worker = promise_id.worker_id
    name = quote(worker.worker_name, safe="")
    path = f"/v1/components/{worker.component_id}/workers/{name}/complete"
    return URL(golem.url + path, encoded=True)


async def complete(
    session: aiohttp.ClientSession,
    golem: FakeGolem,
    promise_id: PromiseId,
    payload: bytes = b"x",
    **headers: str,
) -> tuple[int, str]:
    body = {"oplogIdx": promise_id.oplog_idx, "data": list(payload)}
    sent = {"Authorization": f"Bearer {golem.token}"} | headers
    url = complete_url(golem, promise_id)
    async with session.post(url, json=body, headers=sent, allow_redirects=False) as response:
        return response.status, await response.text()


@pytest.fixture
async def golem(request: pytest.FixtureRequest) -> AsyncIterator[FakeGolem]:
    dialect = getattr(request, "param", "1.5")
    async with FakeGolem(dialect=dialect) as fake:
        yield fake


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as open_session:
        yield open_session


def test_the_public_names_are_these() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert {"FakeGolem", "ReceivedRequest"} <= set(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)


@pytest.mark.parametrize("golem", EVERY, indirect=True)
async def test_a_whole_loop_fits_in_one_test(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    """Create, complete over HTTP, await."""
    promise_id = golem.create_promise()
    assert await complete(session, golem, promise_id, b'{"approved":true}') == (200, "true")
    assert await complete(session, golem, promise_id, b"other") == (200, "false")
    assert await golem.await_promise_json(promise_id) == {"approved": True}


async def test_the_answer_has_golems_headers(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    url = complete_url(golem, golem.create_promise())
    async with session.post(url, data=b"x", headers={"Content-Type": "application/json"}) as told:
        assert (told.status, told.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


@pytest.mark.parametrize("name", ['A("a/b c%2F+?#")', "a%25b", 'Ä("é")'])
async def test_odd_names_arrive_as_they_are(
    golem: FakeGolem, session: aiohttp.ClientSession, name: str
) -> None:
    """The path is matched raw and decoded once."""
    promise_id = golem.create_promise(worker_name=name)
    assert await complete(session, golem, promise_id) == (200, "true")
    assert golem.requests[-1].promise_id == promise_id
    assert golem.requests[-1].path == complete_url(golem, promise_id).raw_path


async def test_a_name_that_is_no_part_of_an_id_is_answered_all_the_same(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    """Golem 1.5 knows names that our ids refuse; such a request names no promise of ours."""
    url = f"{golem.url}/v1/components/{golem.create_promise().worker_id.component_id}"
    headers = {"Authorization": f"Bearer {golem.token}"}
    target = URL(f"{url}/workers/%00/complete", encoded=True)
    async with session.post(target, json={"oplogIdx": 4, "data": []}, headers=headers) as told:
        assert told.status == 500
    assert (golem.requests[0].promise_id, golem.requests[0].payload) == (None, b"")


async def test_a_body_of_megabytes_is_accepted(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    promise_id = golem.create_promise()
    body = json.dumps({"oplogIdx": promise_id.oplog_idx, "data": [7] * 1_000_000}).encode()
    headers = {"Authorization": f"Bearer {golem.token}", "Content-Type": "application/json"}
    url = complete_url(golem, promise_id)
    async with session.post(url, data=io.BytesIO(body), headers=headers) as response:
        assert response.status == 200
    assert await golem.await_promise(promise_id) == b"\x07" * 1_000_000


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (b"Content-Encoding", b"gzip", 200),
        (b"Content-Type", b"application/json; x=\xe9", 415),
    ],
    ids=["an encoding is not undone", "not ASCII"],
)
async def test_odd_headers_are_answered(
    golem: FakeGolem, name: bytes, value: bytes, status: int
) -> None:
    promise_id = golem.create_promise()
    body = json.dumps({"oplogIdx": promise_id.oplog_idx, "data": []}).encode()
    heads = [f"POST {complete_url(golem, promise_id).raw_path} HTTP/1.1".encode(), b"Host: x"]
    heads += [b"Content-Length: %d" % len(body), f"Authorization: Bearer {golem.token}".encode()]
    heads += [b"Connection: close", name + b": " + value]
    if name != b"Content-Type":
        heads.append(b"Content-Type: application/json")
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(golem.url).port)
    writer.write(b"\r\n".join([*heads, b"", body]))
    assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
    writer.close()
    await writer.wait_closed()


async def test_a_gzipped_body_is_not_json(golem: FakeGolem, session: aiohttp.ClientSession) -> None:
    url = complete_url(golem, golem.create_promise())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with session.post(url, data=gzip.compress(b"{}"), headers=headers) as response:
        assert (response.status, (await response.text())[:28]) == (
            400,
            "parse request payload error:",
        )


async def test_what_golem_never_answers_is_not_answered(
    golem: FakeGolem, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Completion, "run", lambda *_, **__: None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(complete(session, golem, golem.create_promise()), 0.1)
    assert golem.requests[0].status is None


async def test_connections_are_kept_alive(golem: FakeGolem, session: aiohttp.ClientSession) -> None:
    for _ in range(3):
        await complete(session, golem, golem.create_promise())
    assert {request.connection for request in golem.requests} == {1}


async def test_what_is_not_http_is_answered_and_forgotten(golem: FakeGolem) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(golem.url).port)
    writer.write(b"nonsense\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    await writer.wait_closed()
    assert golem.requests == ()


async def test_a_client_that_leaves_while_it_sends_leaves_nothing(
    golem: FakeGolem, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", URL(golem.url).port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.01)
    assert caplog.records == []
    assert golem.requests == ()


# The worker's side


@pytest.mark.parametrize(
    ("golem", "indexes"),
    [("1.1", [3, 6, 9]), ("1.2", [3, 6, 9]), ("1.3", [4, 9, 14]), ("1.5", [4, 9, 14])],
    indirect=["golem"],
)
def test_each_promise_has_an_index_of_its_own(golem: FakeGolem, indexes: list[int]) -> None:
    """Each leaves room for what a worker does between."""
    assert [golem.create_promise().oplog_idx for _ in range(3)] == indexes
    assert golem.create_promise(worker_name="another").oplog_idx == indexes[0]


def test_a_promise_is_created_where_it_is_asked_for() -> None:
    golem = FakeGolem(dialect="1.1")
    promise_id = golem.create_promise(worker_name="w1", component_id=str(OTHER), oplog_idx=42)
    assert promise_id == PromiseId(WorkerId(ComponentId(OTHER), "w1"), 42)
    assert golem.create_promise(worker_name="w1", component_id=OTHER).oplog_idx == 45
    assert (
        golem.create_promise(component_id=ComponentId(OTHER)).worker_id.component_id.uuid == OTHER
    )


@pytest.mark.parametrize(("dialect", "name"), [("1.1", "a b"), ("1.3", "a/b"), ("1.5", "a/b")])
def test_a_name_that_the_generation_refuses_makes_no_promise(dialect: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"must|cannot"):
        FakeGolem(dialect=dialect).create_promise(worker_name=name)


def test_ids_are_accepted_in_any_spelling() -> None:
    golem = FakeGolem()
    promise_id = golem.create_promise()
    golem.complete_promise(str(promise_id), b"x")
    assert golem.poll_promise(promise_id.to_json()) == b"x"
    assert golem.payload(json.dumps(promise_id.to_json()).encode()) == b"x"


def test_a_worker_completes_promises_itself() -> None:
    golem = FakeGolem()
    promise_id = golem.create_promise()
    assert golem.poll_promise(promise_id) is None
    assert golem.complete_promise_json(promise_id, {"a": [1, None]}) is True
    assert golem.complete_promise(promise_id, b"late") is False
    assert golem.poll_promise(promise_id) == b'{"a":[1,null]}'


async def test_a_waiting_worker_is_woken(golem: FakeGolem, session: aiohttp.ClientSession) -> None:
    promise_id = golem.create_promise()
    waiting = [asyncio.create_task(golem.await_promise(promise_id)) for _ in range(3)]
    await asyncio.sleep(0)
    await complete(session, golem, promise_id, b"done")
    assert await asyncio.gather(*waiting) == [b"done"] * 3


async def test_waiting_can_be_given_up(golem: FakeGolem) -> None:
    """A cancelled wait harms neither the promise nor who else waits for it."""
    promise_id = golem.create_promise()
    gone, waiting = (asyncio.create_task(golem.await_promise(promise_id)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    golem.complete_promise(promise_id, b"done")
    assert await waiting == b"done"
    assert gone.cancelled()


@attrs.frozen
class Approval:
    approved: bool


@dataclass
class Rejection:
    reason: str


async def test_json_is_read_into_types(golem: FakeGolem) -> None:
    promise_id = golem.create_promise()
    golem.complete_promise_json(promise_id, Approval(approved=True))
    assert await golem.await_promise_json(promise_id, Approval) == Approval(approved=True)
    other = golem.create_promise()
    golem.complete_promise_json(other, [Rejection("no")])
    assert await golem.await_promise_json(other, list[Rejection]) == [Rejection("no")]


@pytest.mark.parametrize("payload", [b"", b"not json", b"NaN", b'{"approved":1}'])
async def test_a_payload_that_the_worker_cannot_read_is_a_value_error(
    golem: FakeGolem, payload: bytes
) -> None:
    promise_id = golem.create_promise()
    golem.complete_promise(promise_id, payload)
    with pytest.raises(ValueError, match=r"the worker cannot read the payload of 679ae459"):
        await golem.await_promise_json(promise_id, Approval)


async def test_an_unknown_promise_is_a_lookup_error_at_once(golem: FakeGolem) -> None:
    unknown = golem.create_promise()
    golem.delete_promise(unknown)
    for use in (golem.poll_promise, golem.delete_promise, golem.webhook_url):
        with pytest.raises(LookupError, match="there is no promise"):
            use(unknown)
    with pytest.raises(LookupError, match="there is no promise"):
        golem.complete_promise(unknown, b"x")
    with pytest.raises(LookupError, match="there is no promise"):
        await golem.await_promise(unknown)
    assert golem.payload(unknown) is None


async def test_who_waits_for_what_is_deleted_is_told(golem: FakeGolem) -> None:
    first, second = golem.create_promise(), golem.create_promise()
    waiting = [asyncio.create_task(golem.await_promise(each)) for each in (first, second)]
    await asyncio.sleep(0)
    golem.delete_promise(first)
    with pytest.raises(LookupError, match="was deleted while a worker awaited it"):
        await waiting[0]
    golem.delete_worker(second.worker_id)
    with pytest.raises(LookupError, match=r"the worker of .* was deleted"):
        await waiting[1]


@pytest.mark.parametrize("golem", EVERY, indirect=True)
async def test_a_completion_for_a_deleted_worker_is_404_and_stored(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    promise_id = golem.create_promise()
    golem.delete_worker(promise_id)
    status, body = await complete(session, golem, promise_id, b"late")
    assert (status, "Worker not found: " in body) == (404, True)
    assert golem.payload(promise_id) == b"late"
    assert golem.requests[0].applied


async def test_a_worker_created_again_meets_its_old_promises(golem: FakeGolem) -> None:
    """Its oplog starts anew, and the promise at that index is completed already."""
    promise_id = golem.create_promise()
    golem.complete_promise(promise_id, b"stale")
    golem.delete_worker(promise_id)
    assert golem.create_promise() == promise_id
    assert await golem.await_promise(promise_id) == b"stale"


async def test_a_forgotten_component_is_not_found(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    promise_id = golem.create_promise()
    golem.forget_component()
    status, body = await complete(session, golem, promise_id)
    assert (status, json.loads(body)["code"]) == (404, "COMPONENT_NOT_FOUND")
    golem.create_promise()
    assert await complete(session, golem, promise_id) == (200, "true")


async def test_another_component_can_be_forgotten(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    promise_id = golem.create_promise(component_id=OTHER)
    golem.forget_component(str(OTHER))
    assert (await complete(session, golem, promise_id))[0] == 404
    assert await complete(session, golem, golem.create_promise()) == (200, "true")


# How it begins and ends


@pytest.mark.parametrize("dialect", ["1.0", "1.4", "", "newest"])
def test_an_unknown_dialect_is_refused(dialect: str) -> None:
    with pytest.raises(ValueError, match=r"there are 1\.1, 1\.2, 1\.3, 1\.5"):
        FakeGolem(dialect=dialect)


@pytest.mark.parametrize(
    ("dialect", "token"), [("1.3", "no-uuid-but-long-enough"), ("1.5", "short")]
)
def test_a_token_that_golem_would_not_have_is_refused(dialect: str, token: str) -> None:
    with pytest.raises(ValueError, match="not a token of Golem") as raised:
        FakeGolem(dialect=dialect, token=token)
    assert token not in str(raised.value)


async def test_the_token_can_be_chosen(session: aiohttp.ClientSession) -> None:
    async with FakeGolem(token="a-secret-of-our-own") as golem:
        assert golem.token == "a-secret-of-our-own"
        promise_id = golem.create_promise()
        assert await complete(session, golem, promise_id) == (200, "true")


def test_it_has_no_url_before_it_listens() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = FakeGolem().url


async def test_it_is_entered_once() -> None:
    async with FakeGolem() as golem:
        with pytest.raises(RuntimeError, match="make a new one"):
            await golem.__aenter__()


async def test_a_with_of_the_wrong_kind_says_which_is_right() -> None:
    """Python's own error names a protocol."""
    plain: Any = FakeGolem()
    with pytest.raises(TypeError, match=r"needs `async with`; .* FakeGolem\.in_thread\(\)"), plain:
        pass
    in_thread: Any = FakeGolem.in_thread()
    with pytest.raises(TypeError, match="needs `with`; `async with` is for FakeGolem"):
        async with in_thread:
            pass


async def test_it_listens_where_it_is_told(session: aiohttp.ClientSession) -> None:
    """Its URL is one that this machine reaches, also when it listens on all addresses."""
    for host, url in (("0.0.0.0", "http://127.0.0.1:"), ("127.0.0.3", "http://127.0.0.3:")):
        async with FakeGolem(host=host) as golem:
            assert golem.url.startswith(url)
            assert await complete(session, golem, golem.create_promise()) == (200, "true")


async def test_a_subclass_takes_note_of_what_was_answered(session: aiohttp.ClientSession) -> None:
    """Each request once, with its answer, also where none went out; and it may forget them."""
    noted: list[str] = []

    class Logging(FakeGolem):
        def answered(self, request: ReceivedRequest) -> None:
            noted.append(f"{request.payload!r} -> {request.status} {request.fault}")
            self.clear_requests()

    async with Logging() as golem:
        promise_id = golem.create_promise()
        assert await complete(session, golem, promise_id, b"1") == (200, "true")
        golem.drop_next(applied=False)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await complete(session, golem, promise_id, b"2")
    assert (noted, golem.requests) == (["b'1' -> 200 None", "b'2' -> None drop"], ())


async def test_a_waiting_worker_learns_that_the_fake_is_closed() -> None:
    async with FakeGolem() as golem:
        promise_id = golem.create_promise()
        waiting = asyncio.create_task(golem.await_promise(promise_id))
        await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="was closed while a worker awaited"):
        await waiting
    with pytest.raises(RuntimeError, match="nobody can complete"):
        await golem.await_promise(promise_id)


@pytest.mark.parametrize("steps", range(8))
async def test_a_connection_that_comes_as_the_fake_ends_is_closed(steps: int) -> None:
    """Else its transport would warn in another test."""
    golem = await FakeGolem().__aenter__()
    address = ("127.0.0.1", int(golem.url.rpartition(":")[2]))
    with socket.create_connection(address) as early:
        for _ in range(steps):
            await asyncio.sleep(0)
        ending = asyncio.create_task(golem.__aexit__(None, None, None))
        for _ in range(steps):
            await asyncio.sleep(0)
        with socket.socket() as late, suppress(ConnectionError):
            late.settimeout(5)
            late.connect(address)
            await ending
            assert b"" == await asyncio.to_thread(late.recv, 1)
        await ending
        early.settimeout(5)
        with suppress(ConnectionResetError):
            assert b"" == await asyncio.to_thread(early.recv, 1)


async def test_nothing_is_said_of_a_worker_that_gave_up(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs an error that nobody has asked for."""
    async with FakeGolem() as golem:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(golem.await_promise(golem.create_promise()), 0.01)
    gc.collect()
    assert [] == caplog.records


async def test_what_happened_can_be_read_afterwards(session: aiohttp.ClientSession) -> None:
    async with FakeGolem() as golem:
        promise_id = golem.create_promise()
        await complete(session, golem, promise_id, b"kept")
    assert golem.payload(promise_id) == await golem.await_promise(promise_id) == b"kept"
    assert [request.status for request in golem.requests] == [200]
    await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.ClientConnectorError):
        await complete(session, golem, promise_id)


async def test_it_leaves_no_task_no_socket_and_no_warning() -> None:
    """Not even with requests under way, and a client that never reads."""
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with aiohttp.ClientSession() as session, FakeGolem() as golem:
            promise_id = golem.create_promise()
            golem.stall_next(applied=False)
            golem.delay_next(60, applied=False)
            golem.delay_next(60)
            calls = [asyncio.create_task(complete(session, golem, promise_id)) for _ in range(3)]
            calls.append(asyncio.create_task(complete(session, golem, golem.create_promise())))
            deaf = socket.create_connection(("127.0.0.1", URL(golem.url).port))
            deaf.sendall(b"POST ")
            await calls[-1]
            while len(golem.requests) < len(calls):  # noqa: ASYNC110 - the fake does not tell
                await asyncio.sleep(0.005)
            port = URL(golem.url).port
            await golem.__aexit__(None, None, None)
            told = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(each) for each in told] == [aiohttp.ServerDisconnectedError] * 3 + [tuple]
            assert asyncio.all_tasks() == before
            deaf.close()
        gc.collect()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_an_outage_ends_where_it_began(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    """Connections break, new ones are refused, and what is stored survives."""
    promise_id = golem.create_promise()
    waiting = asyncio.create_task(golem.await_promise(promise_id))
    url = golem.url
    golem.stall_next(applied=False)
    stalled = asyncio.create_task(complete(session, golem, promise_id))
    while not golem.requests:  # noqa: ASYNC110 - the fake does not tell
        await asyncio.sleep(0.005)
    async with golem.outage():
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await stalled
        with pytest.raises(aiohttp.ClientConnectorError):
            await complete(session, golem, promise_id)
    assert golem.url == url
    assert await complete(session, golem, promise_id, b"after") == (200, "true")
    assert await waiting == b"after"


async def test_nobody_takes_its_port_during_an_outage(golem: FakeGolem) -> None:
    """Else a call that is meant for it reaches another test's server."""
    port = URL(golem.url).port
    async with golem.outage():
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", 0)) as other:
            assert port != other.getsockname()[1]
    await golem.__aexit__(None, None, None)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


async def test_a_fake_that_is_closed_during_an_outage_stays_closed(golem: FakeGolem) -> None:
    async with golem.outage():
        await golem.__aexit__(None, None, None)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", URL(golem.url).port)


async def test_idle_connections_can_be_dropped(
    golem: FakeGolem, session: aiohttp.ClientSession
) -> None:
    """The next request on a kept connection then finds it closed."""
    promise_id = golem.create_promise()
    await complete(session, golem, promise_id)
    await golem.drop_connections()
    await asyncio.sleep(0.01)
    assert await complete(session, golem, promise_id) == (200, "false")
    assert [request.connection for request in golem.requests] == [1, 2]


def test_two_fakes_in_two_loops_do_not_know_each_other() -> None:
    async def one() -> tuple[int, str]:
        async with FakeGolem() as golem, aiohttp.ClientSession() as session:
            return await complete(session, golem, golem.create_promise())

    assert [asyncio.run(one()) for _ in range(2)] == [(200, "true")] * 2


@pytest.mark.parametrize("golem", [FakeGolem(), FakeGolem.in_thread()], ids=["async", "in thread"])
def test_a_method_cannot_be_replaced_by_a_value(golem: Any) -> None:
    """`golem.latency = 0.5` would be a test without latency."""
    with pytest.raises(AttributeError, match=r"latency is a method of \w+: call it"):
        golem.latency = 0.5
    golem.answered = print
    golem.note = "of a subclass"


@pytest.mark.parametrize("payload", [3, "x", [1]])
def test_a_payload_that_is_not_bytes_is_refused(payload: Any) -> None:
    """Python makes three zeros of 3."""
    golem = FakeGolem()
    promise_id = golem.create_promise()
    with pytest.raises(TypeError, match=r"must be bytes, not \w+; for JSON use complete_promise_"):
        golem.complete_promise(promise_id, payload)
    with pytest.raises(TypeError, match=r"must be bytes, not \w+; for JSON use assert_completed_"):
        golem.assert_completed(promise_id, payload)
    golem.assert_pending(promise_id)
