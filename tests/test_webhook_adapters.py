"""A webhook behind aiohttp and Starlette: bodies of any size and manner, over real connections."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import flask
import httpx
import pytest
import uvicorn
from aiohttp import web
from starlette.applications import Starlette

from golem_client.webhooks import Complete, Webhook, hmac_sha256

SIGNED = hmac_sha256(header="X-Sig", secrets="s3cret")
BODY = b'{"a": 1}'
SIGNATURE = hmac.new(b"s3cret", BODY, "sha256").hexdigest()
LIMIT = 100_000


class Box:
    """What an outbox is to a webhook, in memory."""

    def __init__(self) -> None:
        self.accepted: list[Any] = []

    async def bind(self, key: str, promise_id: object) -> None: ...

    async def complete_json(self, promise_id: object, value: object, _: object) -> None:
        self.accepted.append((promise_id, value))


@asynccontextmanager
async def aiohttp_serving(hook: Webhook, **options: Any) -> AsyncIterator[int]:
    app = web.Application(**options)
    app.router.add_post("/hook", hook.aiohttp)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@asynccontextmanager
async def starlette_serving(hook: Webhook) -> AsyncIterator[int]:
    app = Starlette()
    app.add_route("/hook", hook.starlette, methods=["POST"])
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    server.force_exit = True
    await running


Serving = Callable[[Webhook], Any]
each_framework = pytest.mark.parametrize(
    "serving", [aiohttp_serving, starlette_serving], ids=["aiohttp", "starlette"]
)


async def status_of(
    port: int, head: str, send: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> int | None:
    """Send a request by hand; return the status of the answer, None for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST /hook HTTP/1.1\r\nHost: x\r\nX-Sig: {SIGNATURE}\r\n{head}\r\n\r\n".encode())

    async def sending() -> None:
        try:
            await send(writer)
            await writer.drain()
        except ConnectionError:
            pass

    task = asyncio.create_task(sending())
    async with asyncio.timeout(5):
        line = await reader.readline()
    task.cancel()
    writer.close()
    return int(line.split()[1]) if line else None


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(BODY)


async def in_pieces(writer: asyncio.StreamWriter) -> None:
    for n in range(len(BODY)):
        writer.write(b"1\r\n" + BODY[n : n + 1] + b"\r\n")
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


async def for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
        await writer.drain()


async def much(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b" " * 0x4000)
        await writer.drain()


async def too_little(writer: asyncio.StreamWriter) -> None:
    writer.write(BODY)
    await writer.drain()
    writer.write_eof()


async def not_gzip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"garbage")


async def nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@each_framework
@pytest.mark.parametrize(
    ("head", "send", "expected"),
    [
        (f"Content-Length: {len(BODY)}", whole, {204}),
        ("Transfer-Encoding: chunked", in_pieces, {204}),
        ("Transfer-Encoding: chunked", for_ever, {413}),
        ("Content-Length: 2147483648", much, {413}),
        ("Content-Length: 50", nothing, {408}),
        # Who sends less than he says has gone: what he is answered does not matter.
        ("Content-Length: 50", too_little, {400, 408, None}),
        # Starlette does not unpack a body, which then has no good signature.
        ("Content-Encoding: gzip\r\nContent-Length: 7", not_gzip, {400, 401}),
    ],
    ids=["whole", "in pieces", "never ends", "2 GB", "never comes", "too little", "no gzip"],
)
async def test_a_body_is_read_up_to_the_limit_and_the_deadline(
    serving: Serving, head: str, send: Any, expected: set[int | None], caplog: Any
) -> None:
    """Whatever it says about its length."""
    box = Box()
    hook = Webhook(SIGNED, lambda event: Complete("x", event), to=box, max_bytes=LIMIT, timeout=0.2)
    async with serving(hook) as port:
        assert await status_of(port, head, send) in expected
        assert box.accepted == ([("x", {"a": 1})] if expected == {204} else [])
        assert await status_of(port, f"Content-Length: {len(BODY)}", whole) == 204
    errors = {record.message for record in caplog.records if record.exc_info}
    assert errors <= {"Unhandled exception"}  # aiohttp's own, when it reads what is left of no gzip


async def test_a_middleware_of_aiohttp_may_read_the_body_before() -> None:
    """As one that writes requests to a log does; Starlette keeps the body for others, too."""

    @web.middleware
    async def reads(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.read()
        response: web.StreamResponse = await handler(request)
        return response

    box = Box()
    hook = Webhook(SIGNED, lambda event: Complete("x", event), to=box, max_bytes=LIMIT)
    async with aiohttp_serving(hook, middlewares=[reads]) as port:
        head = f"Content-Length: {len(BODY)}"
        assert await status_of(port, head, whole) == 204
    assert box.accepted == [("x", {"a": 1})]


async def test_fastapi_takes_it_as_a_route() -> None:
    """With its answer's headers and body."""
    app = fastapi.FastAPI()
    hook = Webhook(SIGNED, lambda event: Complete("x", event), to=(box := Box()))
    app.add_route("/hook", hook.starlette, methods=["POST"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as sender:
        good = await sender.post("/hook", content=BODY, headers={"X-SIG": SIGNATURE})
        bad = await sender.post("/hook", content=BODY)
        assert (await sender.get("/hook")).status_code == 405
    assert (good.status_code, good.content) == (204, b"")
    assert (bad.status_code, bad.text) == (401, "bad signature")
    assert bad.headers["content-type"] == "text/plain; charset=utf-8"
    assert box.accepted == [("x", {"a": 1})]


async def test_flask_needs_a_loop_in_a_thread() -> None:
    """As the module's documentation shows it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = flask.Flask(__name__)
    hook = Webhook(SIGNED, lambda event: Complete("x", event), to=(box := Box()))

    @app.post("/hook")
    def receive() -> Any:
        receiving = hook.receive(flask.request.headers, flask.request.get_data())
        answer = asyncio.run_coroutine_threadsafe(receiving, loop).result()
        return answer.body, answer.status, dict(answer.headers)

    sender = app.test_client()
    assert sender.post("/hook", data=BODY, headers={"X-Sig": SIGNATURE}).status_code == 204
    assert sender.post("/hook", data=BODY).status_code == 401
    assert box.accepted == [("x", {"a": 1})]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
