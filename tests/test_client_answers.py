"""Answers as proxies dress them up, and junk where addresses and options are given."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import re
import socket
import warnings
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import example, given, settings
from hypothesis import strategies as st

from golem_client import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    DeadlineExceededError,
    GolemClient,
    GolemError,
    Outcome,
    PermissionDeniedError,
    ResponseError,
    RetryPolicy,
    ServerError,
)
from golem_client.retry import repeat
from golem_client.wire import Verdict
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, client_of
from tests.scripted_server import TRUE, ScriptedServer, answer, message, raw

KNOWS_MAX_HEADERS = "max_headers" in inspect.signature(aiohttp.ClientSession).parameters


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X_Long": "x" * 10_000}, id="10 kB"),
        pytest.param({"X_Long": "x" * 60_000}, id="60 kB"),
        pytest.param({f"Set_Cookie_{n}": "z" * 500 for n in range(90)}, id="90 cookies"),
        pytest.param(
            {f"X_{number}": "y" for number in range(150)},
            id="150 of them",
            marks=pytest.mark.skipif(not KNOWS_MAX_HEADERS, reason="aiohttp 3.14 can be told"),
        ),
    ],
)
async def test_headers_of_a_proxy_do_not_hide_golems_true(headers: dict[str, Any]) -> None:
    async with (
        ScriptedServer(answer(**headers)) as server,
        client_of(server, retry=RetryPolicy.none()) as client,
    ):
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED, 1)


async def test_answers_are_asked_for_as_they_are() -> None:
    """A proxy that packs a boolean can only break it."""
    async with ScriptedServer() as server, client_of(server) as client:
        await client.complete_json(PROMISE_ID, 1)
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_long_reason_phrase_does_not_either() -> None:
    step = raw(message().replace(b" Words", b" " + b"w" * 10_000))
    async with ScriptedServer(step) as server, client_of(server) as client:
        assert (await client.complete_json(PROMISE_ID, 1)).outcome is Outcome.FULFILLED


async def test_a_101_is_an_error_and_leaves_nothing_behind() -> None:
    """An upgraded connection has no end: it is neither read nor kept."""
    upgrade = raw(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with (
            ScriptedServer(upgrade, upgrade, TRUE) as server,
            client_of(server, retry=RetryPolicy.none(), timeout=2.0) as client,
        ):
            for _ in range(2):
                with pytest.raises(GolemError) as caught:
                    await client.complete_json(PROMISE_ID, 1)
                assert caught.value.may_have_completed
                assert leftovers(client) == []
            async with asyncio.timeout(2.0):
                while server.open_connections:  # noqa: ASYNC110 - the server notices in its time
                    await asyncio.sleep(0.005)
            assert (await client.complete_json(PROMISE_ID, 1)).attempts == 1
        gc.collect()


PAGE = b"<html>Blocked by the firewall</html>"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (409, ResponseError),
    ],
)
async def test_a_foreign_page_keeps_its_class_and_is_not_told_as_golems_verdict(
    status: int, kind: type[ResponseError]
) -> None:
    """People can mend what stands before Golem, so that the same call can succeed later."""
    async with (
        ScriptedServer(answer(status, PAGE, "text/html")) as server,
        client_of(server) as client,
    ):
        with pytest.raises(kind, match="Something before Golem answered") as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert type(error) is kind
    assert (error.from_golem, error.worth_retrying, error.may_have_completed) == (
        False,
        True,
        False,
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "worth"),
    [
        (400, b'{"errors":["Invalid worker name"]}', BadRequestError, False),
        (401, b'{"error":"no such token"}', AuthenticationError, True),
        (403, b'{"error":"not allowed"}', PermissionDeniedError, True),
    ],
)
async def test_a_mended_token_or_grant_lets_the_same_call_through(
    status: int, body: bytes, kind: type[ResponseError], *, worth: bool
) -> None:
    """A webhook handler that answers 503 to what is worth retrying loses no event."""
    async with ScriptedServer(answer(status, body)) as server, client_of(server) as client:
        with pytest.raises(kind) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.from_golem, caught.value.worth_retrying) == (True, worth)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "is_certain"),
    [("no such token", True), ("Unauthorized: Get project error", False)],
)
async def test_whether_it_is_the_token_that_is_refused(said: str, *, is_certain: bool) -> None:
    """Golem 1.3 says one thing of three failures."""
    step = answer(401, f'{{"error":"{said}"}}'.encode())
    async with (
        ScriptedServer(step) as server,
        client_of(server, retry=RetryPolicy.none()) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert caught.value.is_certain is is_certain


async def test_a_date_to_come_back_at_counts_from_our_clock_where_there_is_no_other() -> None:
    """An answer without `Date`: the call ends now, because that is too late for it."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    async with (
        ScriptedServer(answer(503, b"", Retry_After=later), TRUE) as server,
        client_of(server, timeout=5.0) as client,
    ):
        with pytest.raises(ServerError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert re.search(r"Retry-After is (4\d|50)", caught.value.__notes__[-1])
    assert len(server.requests) == 1


# While Golem is down

IN_VAIN = answer(503, b"")


async def test_a_call_that_sleeps_is_woken_when_golem_is_back() -> None:
    """Its neighbour's probe found out; its own back-off would last twenty seconds more."""
    policy = RetryPolicy(min_delay=20.0, max_delay=20.0)
    async with (
        ScriptedServer(IN_VAIN, IN_VAIN, TRUE) as server,
        client_of(server, retry=policy, max_connections=2, timeout=60.0) as client,
    ):
        sleeper = asyncio.create_task(client.complete_json(PROMISE_ID, 1))
        await server.is_asked()
        await asyncio.sleep(0.02)
        neighbour = await asyncio.wait_for(client.complete_json(PROMISE_ID, 2), 2.0)
        woken = await asyncio.wait_for(sleeper, 2.0)
    assert (neighbour.attempts, woken.attempts) == (2, 2)
    assert woken.outcome is Outcome.FULFILLED


async def test_a_deadline_says_for_how_long_golem_had_been_down() -> None:
    async with (
        ScriptedServer(IN_VAIN) as server,
        client_of(server, max_connections=1, timeout=0.25) as client,
    ):
        with pytest.raises(DeadlineExceededError, match="has been down for 0") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert 0.1 < caught.value.seconds_down < 2
    assert caught.value.may_have_completed
    assert "Golem is up" in str(caught.value)


# Repeats, without a network


async def repeats_after(first: Verdict, *, seconds_left: float, is_down: bool) -> list[float]:
    """Return the pauses before the repeats of an attempt that always ends in this way."""
    pauses: list[float] = []
    attempts = 1

    async def attempt() -> Verdict:
        nonlocal attempts
        attempts += 1
        assert attempts < 20, "it is repeated for ever"
        return first

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    await repeat(
        first,
        attempt,
        policy=RetryPolicy(max_attempts=2, max_jitter_factor=0.0),
        seconds_left=seconds_left,
        is_down=lambda: is_down,
        pause=pause,
        on_repeat=lambda *_: None,
    )
    return pauses


async def test_an_answer_of_several_meanings_is_repeated_twice_while_golem_is_down_too() -> None:
    """The probes of the gate do not count against a policy; this limit is none of it."""
    error = AuthenticationError("Get project error", 401)
    verdict = Verdict(error=error, repeat=True, max_repeats=1)
    assert await repeats_after(verdict, seconds_left=30.0, is_down=True) == [0.1]


async def test_a_retry_after_of_more_than_a_minute_counts_as_one() -> None:
    """A slip in a proxy's configuration must not stop a call that has the time."""
    verdict = Verdict(error=ServerError("x", 503), repeat=True, retry_after=500.0)
    assert await repeats_after(verdict, seconds_left=90.0, is_down=False) == [60.0]
    assert await repeats_after(verdict, seconds_left=50.0, is_down=False) == []


# Junk


def no_socket(_: Any) -> socket.socket:
    raise OSError(errno.ENETUNREACH, "no test goes out")


class NoNames(AbstractResolver):
    """It encodes names as a resolver does, and knows none."""

    async def resolve(self, host: str, *_: Any, **__: Any) -> Any:
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        pass


def is_accepted(name: str, **options: Any) -> bool:
    """Return whether a client can be made; a refusal is ours, and names the option."""
    told: Exception | None = None
    try:
        GolemClient(**options)
    except (ValueError, TypeError) as error:
        told = error
    assert told is None or (name in str(told) and type(told) in (ValueError, TypeError))
    return told is None


LETTERS = st.sampled_from(
    [*"aZ0.-_~:/@[]%?#\\ \t\n\x00", "..", "é", "ß", "¯", "。", "xn--", "%2F", "::1", "💥", "\ud800"]
)
HOSTS = st.lists(LETTERS, max_size=8).map("".join) | st.integers(60, 70).map(
    lambda length: "a" * length
)
URLS = st.builds(
    lambda scheme, host, port, path: f"{scheme}{host}{port}{path}",
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "//", "ftp://", ""]),
    HOSTS,
    st.sampled_from(["", ":", ":0", ":80", ":65535", ":65536", ":-1", ":x", ":٣"]),
    st.sampled_from(["", "/", "/api", "//", "/a b", "/%zz", "?x", "#x"]),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(URLS)
@example("http://a..b")
@example("http://" + "a" * 64 + ".example")
@example("http://" + "é" * 60 + ".example")
@example("http://" + ".".join(["a" * 60] * 5))
@example("http://[::1")
@example("http://[::1%25eth0]")
@example("http://1.2.3.4.5")
@example("http://0x7f.1")
@example("http://¯")
def test_any_address_is_refused_at_once_or_fails_as_an_error_of_ours(url: str) -> None:
    """No exception of a dependency leaves the constructor or a call."""
    if not is_accepted("base_url", base_url=url):
        return
    client = GolemClient(url, retry=RetryPolicy.none())

    async def call() -> None:
        connector = aiohttp.TCPConnector(resolver=NoNames(), socket_factory=no_socket)
        async with (
            connector,
            GolemClient(url, retry=RetryPolicy.none(), connector=connector) as client,
        ):
            with pytest.raises(ConnectionFailedError) as caught:
                await client.complete_json(PROMISE_ID, 1)
        assert caught.value.attempts == 1

    asyncio.run(call())
    assert repr(client).startswith("<GolemClient http")


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers(), max_size=2),
    st.just(object()),
    st.just(10**400),
)
OPTIONS = [
    name for name in inspect.signature(GolemClient).parameters if name not in ("base_url", "token")
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([*OPTIONS, "token", "base_url"]), JUNK)
def test_a_junk_option_is_a_value_error_or_a_type_error(name: str, value: object) -> None:
    """It is said before any I/O, and names the option."""
    is_accepted(name, **{"base_url": "http://localhost", name: value})
