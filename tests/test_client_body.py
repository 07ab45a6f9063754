"""How far a request got: what aiohttp's internals say of it, and what follows from that."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.http import HttpVersion11, RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy

from golem_client import (
    AttemptTimeoutError,
    ConnectionLostError,
    DeadlineExceededError,
    GolemClient,
    Outcome,
    RetryPolicy,
    make_converter,
)
from golem_client.client.body import Body
from golem_client.client.failures import is_stale
from golem_client.wire import Sent, completion_request, verdict
from tests.samples import PROMISE_ID, QUICK, client_of
from tests.scripted_server import FALSE, TRUE, ScriptedServer, answer, late, message

# A piece of the body is 256 KiB.
LARGE = b"x" * 500_000


RAW_HEAD = RawResponseMessage(
    HttpVersion11, 200, "OK", CIMultiDictProxy(CIMultiDict()), (), False, None, False, False
)


class Canary(aiohttp.Payload):
    """A body that looks at what golem_client/client/body.py looks at."""

    _value = b"null"
    _headers = aiohttp.payload.BytesPayload(b"").headers
    _encoding = None
    _filename = None

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @property
    def size(self) -> int:
        self.seen.append("size")
        return len(self._value)

    async def write(self, writer: Any) -> None:
        self.seen += [writer.protocol, writer.protocol.should_close]
        await writer.write(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)


async def test_aiohttp_still_shows_the_connection_that_a_body_is_written_to() -> None:
    """The canary: not documented, and needed to know whether a connection was used before."""
    bodies = [Canary(), Canary(), Canary()]
    async with ScriptedServer() as server, aiohttp.ClientSession() as session:
        for body in bodies[:2]:
            async with session.post(server.url, data=body) as response:
                await response.read()
        async with session.post(f"{server.url.replace('127.0.0.1', 'localhost')}", data=bodies[2]):
            pass
    first, second, third = (body.seen for body in bodies)
    assert first[0] == "size"
    assert first[-2] is second[-2]
    assert first[-2] is not third[-2]
    assert first[-1] is False
    hash(first[-2])  # it is a key in a dictionary
    assert {"sent", "sent_at"}.isdisjoint(vars(aiohttp.Payload))  # names of ours


class Greedy:
    """A writer that takes everything at once, as a socket with a fast reader does."""

    class Protocol:
        should_close = False

    protocol = Protocol()

    async def write(self, data: bytes) -> None:
        pass


async def test_a_large_body_lets_others_have_their_turn_between_its_pieces() -> None:
    """A fast reader never makes a write wait, and each piece takes its time to encode."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    request = completion_request("http://h", PROMISE_ID, LARGE, {})
    async with GolemClient("http://localhost") as client:
        session = client._sessions.here(client._settings)
        task = asyncio.create_task(others())
        await Body(request, session, lambda: None, None).write(Greedy())
        task.cancel()
    assert turns >= len(LARGE) // 65_536 - 1


# A peer that reads as slowly as a thin line, without the buffers of a StreamReader


@asynccontextmanager
async def thin_line(
    read: Callable[[Callable[[int], Any]], Any],
) -> AsyncIterator[str]:
    """Serve each connection with `read`, which is given a function that receives some bytes."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    listening.setblocking(False)
    tasks: list[asyncio.Task[None]] = []

    async def serve(connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            answer = await read(lambda size: loop.sock_recv(connection, size))
            if answer:
                await loop.sock_sendall(connection, answer)
                await loop.sock_recv(connection, 1)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listening)
            connection.setblocking(False)
            tasks.append(asyncio.create_task(serve(connection)))

    tasks.append(asyncio.create_task(accept()))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listening.close()


def _narrow_socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    one = socket.socket(family, kind, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
    return one


@asynccontextmanager
async def client_over(url: str, **options: Any) -> AsyncIterator[GolemClient]:
    """A client whose sockets buffer next to nothing."""
    connector = aiohttp.TCPConnector(socket_factory=_narrow_socket)
    usual: dict[str, Any] = {"retry": RetryPolicy.none(), "connector": connector}
    async with connector, GolemClient(url, **(usual | options)) as client:
        yield client


def slowly(answer: bytes, seconds: float) -> Callable[[Callable[[int], Any]], Any]:
    """Read a whole request at an even pace that takes so many seconds, then answer."""

    async def read(receive: Callable[[int], Any]) -> bytes:
        clock = asyncio.get_running_loop().time
        began, received, length = clock(), bytearray(), 1 << 62
        while len(received) < length:
            received += await receive(64 * 1024)
            if length == 1 << 62 and b"\r\n\r\n" in received:
                head, _, _ = bytes(received).partition(b"\r\n\r\n")
                _, _, after = head.lower().partition(b"content-length: ")
                length = len(head) + 4 + int(after.split(b"\r\n")[0])
            due = began + seconds * min(len(received) / length, 1.0)
            await asyncio.sleep(max(due - clock(), 0.0))
        return answer

    return read


async def test_a_large_payload_over_a_thin_line_arrives_whole() -> None:
    """The time of an attempt begins anew with each piece that the socket takes."""
    async with (
        thin_line(slowly(message(), 0.28)) as url,
        client_over(url, attempt_timeout=0.14, timeout=5.0) as client,
    ):
        done = await client.complete_bytes(PROMISE_ID, LARGE)
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED, 1)


async def test_the_deadline_holds_however_the_body_moves() -> None:
    async with (
        thin_line(slowly(message(), 0.28)) as url,
        client_over(url, attempt_timeout=0.14, timeout=0.1) as client,
    ):
        with pytest.raises(DeadlineExceededError, match="in attempt 1") as caught:
            await client.complete_bytes(PROMISE_ID, LARGE)
    assert (caught.value.attempts, caught.value.may_have_completed) == (1, False)


async def test_a_body_that_does_not_move_ends_the_attempt() -> None:
    """And as its last byte was never written, nothing is stored."""

    async def read(receive: Callable[[int], Any]) -> bytes:
        await receive(64 * 1024)
        await asyncio.sleep(10)
        return b""

    async with thin_line(read) as url, client_over(url, attempt_timeout=0.05) as client:
        with pytest.raises(AttemptTimeoutError) as caught:
            await client.complete_bytes(PROMISE_ID, LARGE)
    assert (caught.value.attempts, caught.value.may_have_completed) == (1, False)


async def test_a_connection_cut_before_the_bodys_last_byte_has_stored_nothing() -> None:
    async def read(receive: Callable[[int], Any]) -> bytes:
        await receive(64 * 1024)
        return b""

    async with thin_line(read) as url, client_over(url) as client:
        with pytest.raises(ConnectionLostError) as caught:
            await client.complete_bytes(PROMISE_ID, LARGE)
    assert (caught.value.may_have_completed, caught.value.worth_retrying) == (False, True)


async def test_after_such_a_cut_false_is_anothers() -> None:
    """The attempt is repeated, and leaves no doubt."""
    connections = 0

    async def read(receive: Callable[[int], Any]) -> bytes:
        nonlocal connections
        connections += 1
        if connections == 1:
            await receive(64 * 1024)
            return b""
        answered: bytes = await slowly(message(body=b"false"), 0.0)(receive)
        return answered

    async with thin_line(read) as url, client_over(url, retry=QUICK) as client:
        done = await client.complete_bytes(PROMISE_ID, LARGE)
    assert (done.outcome, done.attempts) == (Outcome.ALREADY_FULFILLED, 2)


@pytest.mark.parametrize(
    ("error", "facts", "expected"),
    [
        (ConnectionResetError(), {}, True),
        (ConnectionResetError(), {"is_answered": True}, False),
        (ConnectionResetError(), {"is_reused": False}, False),
        (ConnectionResetError(), {"is_reused": False, "sent": Sent.NOTHING}, True),
        (ConnectionResetError(), {"is_taken": False}, False),
        (aiohttp.ServerDisconnectedError(), {}, True),
        (aiohttp.ServerDisconnectedError(message=RAW_HEAD), {}, False),
        (aiohttp.ClientPayloadError(), {}, False),
        (TimeoutError(), {}, False),
    ],
)
async def test_when_a_connection_was_stale(
    error: Exception, facts: dict[str, Any], *, expected: bool
) -> None:
    """It ended before any byte of an answer, and had carried a request before."""
    request = completion_request("http://h", PROMISE_ID, b"x", {})
    async with GolemClient("http://localhost") as client:
        session = client._sessions.here(client._settings)
        body = Body(request, session, lambda: None, None)
    usual = {"is_taken": True, "is_reused": True, "sent": Sent.ALL}
    for name, value in (usual | facts).items():
        setattr(body, name, value)
    assert is_stale(error, body) is expected


async def test_what_is_written_after_an_early_answer_moves_no_later_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiohttp may go on writing while the call sleeps between two attempts."""
    progress: list[Callable[[], None]] = []

    def watched(*args: Any) -> Body:
        progress.append(args[2])
        return Body(*args)

    monkeypatch.setattr("golem_client.client.call.Body", watched)
    retry = RetryPolicy(min_delay=0.2, max_jitter_factor=0)
    async with (
        ScriptedServer(answer(503, b""), TRUE) as server,
        client_of(server, retry=retry, attempt_timeout=0.05) as client,
    ):
        call = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        await asyncio.sleep(0.02)
        answered_at = time.monotonic()
        progress[0]()
        assert (await call).attempts == 2
    assert time.monotonic() - answered_at > 0.12


# The clock: from the last byte of the request to the first of the answer


async def test_a_false_that_took_a_second_is_by_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golem may have repeated the request inside, and met our own payload."""
    assert verdict.ECHO_SECONDS == 1.0
    monkeypatch.setattr(verdict, "ECHO_SECONDS", 0.15)
    async with ScriptedServer(FALSE, late(0.2, FALSE)) as server, client_of(server) as client:
        quick = await client.complete_json(PROMISE_ID, 1)
        slow = await client.complete_json(PROMISE_ID, 1)
    assert (quick.outcome, quick.attempts) == (Outcome.ALREADY_FULFILLED, 1)
    assert (slow.outcome, slow.attempts) == (Outcome.FULFILLED_BY_UNKNOWN, 1)


async def test_the_second_does_not_count_while_the_body_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdict, "ECHO_SECONDS", 0.25)
    async with (
        thin_line(slowly(message(body=b"false"), 0.29)) as url,
        client_over(url) as client,
    ):
        done = await client.complete_bytes(PROMISE_ID, b"x" * 1_000_000)
    assert done.outcome is Outcome.ALREADY_FULFILLED


@attrs.frozen
class Slow:
    """A value that takes 30 ms to encode."""


async def test_the_deadline_begins_before_the_encoding() -> None:
    converter = make_converter()
    converter.register_unstructure_hook(Slow, lambda _: time.sleep(0.03))
    async with ScriptedServer() as server, client_of(server, converter=converter) as client:
        with pytest.raises(DeadlineExceededError, match="encoded") as caught:
            await client.complete_json(PROMISE_ID, Slow(), timeout=0.02)
        assert (await client.complete_json(PROMISE_ID, Slow(), timeout=5.0)).attempts == 1
    assert (caught.value.attempts, caught.value.may_have_completed) == (0, False)
    assert caught.value.promise_id == PROMISE_ID
    assert len(server.requests) == 1
