"""What the frames of a traceback show: reporters of errors send their local variables."""

from __future__ import annotations

import asyncio
import traceback
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from golem_client import (
    GolemClient,
    GolemError,
    InsecureTransportWarning,
    PayloadError,
    RetryPolicy,
)
from tests import tracebacks
from tests.samples import PROMISE_ID
from tests.scripted_server import CLOSE, ScriptedServer, Step, answer, raw, stall

TOKEN = "tok-b1c9e0aa77d3f512"
CARD = "4111-1111-1111-1111"
HEADER = "key-of-the-user-9f31"
NUMBERS = "52,49,49,49"  # "4111", as the request's body has it
SECRETS = (TOKEN, CARD, HEADER, NUMBERS)


@attrs.frozen
class Payment:
    card: str


Call = Callable[[GolemClient, str], Awaitable[Any]]
# The payload is made within the call: a frame of this file is the caller's own.
CALLS: dict[str, Call] = {
    "complete_bytes": lambda client, _: client.complete_bytes(PROMISE_ID, _card().encode()),
    "complete_text": lambda client, _: client.complete_text(PROMISE_ID, _card()),
    "complete_json": lambda client, _: client.complete_json(PROMISE_ID, {"card": _card()}),
    "complete_json as a type": lambda client, _: client.complete_json(
        PROMISE_ID, Payment(_card()), Payment
    ),
    "Promise.complete": lambda client, _: client.promise(PROMISE_ID, Payment).complete(
        Payment(_card())
    ),
    "call_webhook": lambda client, url: client.call_webhook(
        f"{url}/workers/webhook/{TOKEN}", {"card": _card()}
    ),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


def _card() -> str:
    return CARD


def _token() -> str:
    return TOKEN


def _header() -> str:
    return HEADER


def assert_nothing_shows(error: BaseException) -> None:
    tracebacks.assert_nothing_shows(error, *SECRETS, but_for=__file__)
    # Where it happened is still told.
    told = "".join(traceback.format_exception(error))
    assert "golem_client/client/" in told
    assert not any(secret in told for secret in SECRETS)


async def error_of(awaitable: Awaitable[Any]) -> BaseException:
    try:
        await awaitable
    except BaseException as error:  # noqa: BLE001 - a cancellation as well
        return error
    raise AssertionError("the call was to fail")


def client_of(server: ScriptedServer, **options: Any) -> GolemClient:
    usual: dict[str, Any] = {
        "token": TOKEN,
        "headers": {"X-Api-Key": HEADER},
        "retry": RetryPolicy.none(),
    }
    return GolemClient(server.url, **(usual | options))


@each_call
@pytest.mark.parametrize(
    "step",
    [answer(403, b'{"error":"no"}'), CLOSE, raw(b"HTTP/1.1 \xff\r\n\r\n"), answer(302, b"")],
    ids=["403", "closed", "not HTTP", "redirect"],
)
async def test_an_error(call: Call, step: Step) -> None:
    async with ScriptedServer(step) as server, client_of(server) as client:
        error = await error_of(call(client, server.url))
    assert isinstance(error, GolemError)
    assert_nothing_shows(error)


@each_call
async def test_an_error_after_repeats(call: Call) -> None:
    """The frames of tenacity are there as well."""
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with (
        ScriptedServer(answer(503, b"")) as server,
        client_of(server, retry=policy) as client,
    ):
        error = await error_of(call(client, server.url))
    assert isinstance(error, GolemError)
    assert error.attempts == 2
    assert_nothing_shows(error)


@each_call
async def test_a_cancellation(call: Call) -> None:
    """aiohttp's frames hold the headers while they wait for an answer."""
    async with ScriptedServer(stall) as server, client_of(server) as client:
        task = asyncio.ensure_future(call(client, server.url))
        await server.is_asked()
        task.cancel()
        error = await error_of(task)
    assert isinstance(error, asyncio.CancelledError)
    assert_nothing_shows(error)


@each_call
async def test_wait_for(call: Call) -> None:
    async with ScriptedServer(stall) as server, client_of(server) as client:
        error = await error_of(asyncio.wait_for(call(client, server.url), 0.03))
    assert isinstance(error, TimeoutError)
    assert_nothing_shows(error)


@each_call
async def test_a_timeout_around_it(call: Call) -> None:
    async with ScriptedServer(stall) as server, client_of(server) as client:

        async def in_time() -> None:
            async with asyncio.timeout(0.03):
                await call(client, server.url)

        error = await error_of(in_time())
    assert isinstance(error, TimeoutError)
    assert_nothing_shows(error)


@each_call
async def test_the_deadline(call: Call) -> None:
    async with ScriptedServer(stall) as server, client_of(server, timeout=0.03) as client:
        error = await error_of(call(client, server.url))
    assert isinstance(error, GolemError)
    assert_nothing_shows(error)


@each_call
async def test_cancelled_between_two_attempts(call: Call) -> None:
    policy = RetryPolicy(min_delay=20.0, max_delay=20.0)
    async with (
        ScriptedServer(answer(503, b"")) as server,
        client_of(server, retry=policy) as client,
    ):
        task = asyncio.ensure_future(call(client, server.url))
        await server.is_asked()
        await asyncio.sleep(0.01)
        task.cancel()
        error = await error_of(task)
    assert isinstance(error, asyncio.CancelledError)
    assert_nothing_shows(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.complete_json(PROMISE_ID, {"card": _card(), "x": object()}),
        lambda client: client.complete_json(PROMISE_ID, {"card": _card(), "x": {1.5: 2}}),
        lambda client: client.complete_json(PROMISE_ID, Payment(_card()), int),
        lambda client: client.promise(PROMISE_ID, int).complete(Payment(_card())),
        lambda client: client.complete_text(PROMISE_ID, _card() + "\ud800"),
        lambda client: client.complete_bytes(PROMISE_ID, _card()),
        lambda client: client.complete_bytes(PROMISE_ID, _card().encode() * 9),
        lambda client: client.call_webhook("http://localhost/w", _card()),
        lambda client: client.call_webhook("http://localhost/w", {"card": _card(), "x": object()}),
    ],
)
async def test_a_payload_that_is_refused(call: Callable[[GolemClient], Awaitable[Any]]) -> None:
    """The encoder's frames hold it while they walk it."""
    async with GolemClient("http://localhost", token=TOKEN, max_payload_bytes=100) as client:
        error = await error_of(call(client))
    assert isinstance(error, PayloadError)
    assert_nothing_shows(error)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GolemClient("http://localhost", token=_token(), timeout=0),
        lambda: GolemClient("http://localhost", token=_token() + " x"),
        lambda: GolemClient(f"https://user:{_token()}@localhost"),
        lambda: GolemClient(f"https://{_token()}:x"),
        lambda: GolemClient("http://localhost", headers={"X-Api-Key": _header() + "\n"}),
        lambda: GolemClient("http://localhost", headers={"Host": _header()}),
        lambda: GolemClient("http://localhost", token=[_token()]),  # type: ignore[arg-type]
        lambda: GolemClient.local(headers={"X-Api-Key": _header()}, timeout=0),
        lambda: GolemClient.cloud(_token(), timeout=0),
        lambda: GolemClient.from_env("http://localhost", token=_token(), timeout=0),
        lambda: GolemClient.from_env(f"https://user:{_token()}@localhost"),
        lambda: GolemClient.from_profile("none", token=_token()),
        lambda: GolemClient("http://localhost", token=_token()).with_options(
            headers={"X-Api-Key": _header()}, timeout=0
        ),
        lambda: GolemClient("http://localhost").with_options(token=_token()),  # type: ignore[call-arg]
    ],
)
def test_a_client_that_cannot_be_made(
    make: Callable[[], GolemClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong timeout beside a good token is no reason to hand that to whoever reads errors."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert_nothing_shows(caught.value)


def test_a_warning_that_is_an_error_shows_nothing_either() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InsecureTransportWarning) as caught:
            GolemClient("http://golem.example", token=_token())
    assert_nothing_shows(caught.value)


async def test_what_the_caller_was_handling_is_the_callers() -> None:
    """A call in an `except` block: the error before it keeps the local variables of its frames."""

    def fails() -> None:
        mine = _card()
        raise LookupError(len(mine))

    async def caller(client: GolemClient) -> None:
        try:
            fails()
        except LookupError:
            await client.complete_text(PROMISE_ID, "x")

    def making() -> None:
        try:
            fails()
        except LookupError:
            GolemClient("http://localhost", timeout=0)

    async with ScriptedServer(CLOSE) as server, client_of(server) as client:
        errors = [await error_of(caller(client))]
    with pytest.raises(ValueError, match="timeout") as caught:
        making()
    errors.append(caught.value)
    for error in errors:
        before = error.__context__
        assert isinstance(before, LookupError)
        frames = [frame for frame, _ in traceback.walk_tb(before.__traceback__)]
        assert frames[-1].f_locals.get("mine") == CARD


async def test_the_callers_own_frames_are_the_callers() -> None:
    """Their local variables stay, so that a debugger shows them."""

    async def caller(client: GolemClient) -> None:
        mine = _card()
        await client.complete_text(PROMISE_ID, mine)

    async with ScriptedServer(CLOSE) as server, client_of(server) as client:
        error = await error_of(caller(client))
    shown = [
        frame.f_locals.get("mine")
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "caller"
    ]
    assert shown == [CARD]


async def test_a_wrong_argument_leaves_no_payload_in_our_frames() -> None:
    """The TypeError is Python's own, and leaves through a frame of ours."""
    client = GolemClient("http://localhost")
    with pytest.raises(TypeError, match="unexpected keyword") as caught:
        await client.complete_json("an id", "4111-secret", wrong=1)  # type: ignore[call-arg]
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert frames
    assert "4111-secret" not in repr([{**frame.f_locals} for frame in frames])
