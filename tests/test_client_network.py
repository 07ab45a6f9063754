"""Everything the network can do, on real sockets: each a defined outcome or error."""

from __future__ import annotations

import asyncio
import gc
import random
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from golem_client import (
    AttemptTimeoutError,
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    GolemClient,
    GolemError,
    Outcome,
    PromiseNotFoundError,
    RateLimitedError,
    ResponseError,
    RetryPolicy,
    ServerError,
    UnexpectedResponseError,
    WorkerNotFoundError,
)
from golem_client.client.failures import reason
from tests.leftovers import leftovers
from tests.samples import PROMISE_ID, QUICK, TOKEN, client_of
from tests.scripted_server import (
    CLOSE,
    FALSE,
    RESET,
    TRUE,
    Exchange,
    ScriptedServer,
    Step,
    answer,
    late,
    message,
    raw,
    raw_then_close,
    raw_then_reset,
    serving,
    stall,
)

HALF = raw_then_close(message(body=b"true")[:-2])
GARBAGE = raw_then_close(b"\x16\x03\x01 not http at all\r\n\r\n")
NOT_FOUND_500 = answer(
    500,
    b'{"code":"INTERNAL_UNKNOWN","error":"Promise not found: f81d4fae/w1/42","workerError":null}',
)
PAGE_502 = answer(502, b"<html><body>Bad Gateway</body></html>", "text/html")


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(CLOSE, id="closed without an answer"),
        pytest.param(RESET, id="reset"),
        pytest.param(HALF, id="truncated body"),
        pytest.param(raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Le"), id="truncated head"),
        pytest.param(raw_then_reset(message()[:-1]), id="reset within the body"),
        pytest.param(raw_then_close(b"HTTP/1.1 200 OK\r\n\r\ntru"), id="cut without a length"),
        pytest.param(
            raw_then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n"),
            id="chunks without an end",
        ),
        pytest.param(GARBAGE, id="not HTTP"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ntrue"),
            id="gzip that is none",
        ),
        pytest.param(stall, id="no answer in time"),
        pytest.param(answer(500, b""), id="500"),
        pytest.param(answer(503, b'{"error":"later"}'), id="503"),
        pytest.param(answer(504, b"<style>", ""), id="504 of sozu"),
        pytest.param(PAGE_502, id="502 page"),
        pytest.param(answer(408, b""), id="408"),
    ],
)
async def test_after_an_attempt_of_unknown_fate_false_is_by_unknown(failure: Step) -> None:
    """What may have stored is repeated, and Golem's `false` then cannot tell by whom."""
    async with (
        ScriptedServer(failure, FALSE) as server,
        client_of(server, attempt_timeout=0.15) as client,
    ):
        done = await client.complete_json(PROMISE_ID, {"n": 1})
    assert done.outcome is Outcome.FULFILLED_BY_UNKNOWN
    assert done.by_this_call is None
    assert done.attempts == len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("failure", [CLOSE, HALF, PAGE_502], ids=["closed", "half", "502"])
async def test_true_after_a_failure_is_fulfilled(failure: Step) -> None:
    """Golem's `true` always means that this payload is the one stored."""
    async with ScriptedServer(failure, TRUE) as server, client_of(server) as client:
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED, 2)


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(answer(429, b""), id="429"),
        pytest.param(answer(425, b""), id="425"),
        pytest.param(answer(404, b'{"error":"Internal error"}'), id="404 of 1.4"),
        pytest.param(answer(401, b'{"error":"Unauthorized: Get project error"}'), id="401 of 1.3"),
    ],
)
async def test_after_a_refusal_that_stored_nothing_false_is_somebody_elses(refusal: Step) -> None:
    """What cannot have stored is repeated, and `false` then is certain."""
    async with ScriptedServer(refusal, FALSE) as server, client_of(server) as client:
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.attempts) == (Outcome.ALREADY_FULFILLED, 2)


async def test_a_refused_connection_was_never_sent() -> None:
    """Connection refused: repeated, nothing stored, worth retrying later."""
    async with ScriptedServer() as server:
        url = server.url
    async with GolemClient(url, retry=RetryPolicy(max_attempts=3, min_delay=0.001)) as client:
        with pytest.raises(ConnectionFailedError, match="refused") as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert (error.attempts, error.may_have_completed, error.worth_retrying) == (3, False, True)
    assert error.promise_id == PROMISE_ID


async def test_an_unknown_host_was_never_sent() -> None:
    """A name that does not resolve: never sent, and the text names it."""
    async with GolemClient("http://golem.invalid", retry=RetryPolicy.none()) as client:
        with pytest.raises(ConnectionFailedError, match=r"golem\.invalid"):
            await client.complete_json(PROMISE_ID, 1)


async def test_tls_with_a_server_that_speaks_none_was_never_sent() -> None:
    """A failed handshake comes before the request."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        serving(plain) as url,
        GolemClient(url.replace("http:", "https:"), retry=RetryPolicy.none()) as client,
    ):
        with pytest.raises(ConnectionFailedError, match="TLS with") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert not caught.value.may_have_completed


async def test_a_handshake_that_takes_too_long_was_never_sent() -> None:
    """attempt_timeout within the handshake is a connection that failed, not an unknown fate."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        serving(silent) as url,
        GolemClient(
            url.replace("http:", "https:"), retry=RetryPolicy.none(), attempt_timeout=0.1
        ) as client,
    ):
        with pytest.raises(ConnectionFailedError, match="no connection within") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert not caught.value.may_have_completed


async def test_the_last_error_is_raised_with_the_earlier_ones_as_notes() -> None:
    """The policy's attempts used up: the last error, and what came before."""
    last_words = raw_then_close(message(502, b"<html>", "text/html", Connection="close"))
    steps = [RESET, last_words, last_words, CLOSE]
    async with (
        ScriptedServer(*steps) as server,
        client_of(server, retry=RetryPolicy(max_attempts=4, min_delay=0.001)) as client,
    ):
        with pytest.raises(ConnectionLostError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    notes = "\n".join(caught.value.__notes__)
    assert "ConnectionLostError" in notes
    assert "2 times: ServerError" in notes
    assert (caught.value.attempts, caught.value.may_have_completed) == (4, True)


async def test_a_promise_that_does_not_exist_is_asked_for_once() -> None:
    """Golem's 500 in disguise is permanent."""
    async with ScriptedServer(NOT_FOUND_500) as server, client_of(server) as client:
        with pytest.raises(PromiseNotFoundError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert len(server.requests) == 1
    assert (error.status, error.code) == (500, "INTERNAL_UNKNOWN")
    assert (error.may_have_completed, error.worth_retrying) == (False, False)


async def test_not_found_after_an_unknown_fate_may_have_completed() -> None:
    """An attempt of unknown fate counts, whatever the later answers say."""
    async with ScriptedServer(CLOSE, NOT_FOUND_500) as server, client_of(server) as client:
        with pytest.raises(PromiseNotFoundError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.attempts, caught.value.may_have_completed) == (2, True)


async def test_a_deleted_worker_may_have_the_payload() -> None:
    """Golem stores before it looks for the worker."""
    gone = answer(404, b'{"code":"AGENT_NOT_FOUND","error":"Worker not found: x/w1"}')
    async with ScriptedServer(gone) as server, client_of(server) as client:
        with pytest.raises(WorkerNotFoundError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(server.requests), caught.value.may_have_completed) == (1, True)


async def test_get_project_error_of_1_3_is_repeated_twice() -> None:
    """It can be a backend that is down, an unknown component or a bad token."""
    step = answer(401, b'{"error":"Unauthorized: Get project error"}')
    async with ScriptedServer(step) as server, client_of(server) as client:
        with pytest.raises(AuthenticationError, match="component is unknown") as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(server.requests), caught.value.worth_retrying) == (3, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_errors(status: int) -> None:
    """aiohttp would turn the POST into an empty GET and report success."""
    location = "https://user:pw@other.example/elsewhere?token=abc#frag"
    async with (
        ScriptedServer(answer(status, b"", "", Location=location), TRUE) as server,
        client_of(server) as client,
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    text = str(caught.value)
    assert "https://other.example/elsewhere" in text
    assert not any(secret in text for secret in ("user", "pw@", "abc", "frag"))
    assert (len(server.requests), caught.value.may_have_completed) == (1, False)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(answer(200, b"<html>Welcome</html>", "text/html"), id="a page"),
        pytest.param(answer(200, b'{"ok":true}'), id="an object"),
        pytest.param(answer(200, b""), id="nothing"),
        pytest.param(answer(200, b'"true"'), id="a string"),
        pytest.param(answer(200, b"1"), id="a number"),
        pytest.param(answer(200, b"\xef\xbb\xbftrue"), id="a BOM"),
        pytest.param(answer(201), id="201"),
        pytest.param(answer(202), id="202"),
        pytest.param(raw(b"HTTP/1.1 204 No Content\r\n\r\n"), id="204"),
        pytest.param(answer(200, b"true" + b" " * 70_000), id="longer than any answer"),
    ],
)
async def test_a_success_that_is_not_golems_is_an_error(step: Step) -> None:
    """Only 200 with a boolean is Golem's word; anything else may have stored, who knows."""
    async with ScriptedServer(step) as server, client_of(server) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    error = caught.value
    assert (len(server.requests), error.may_have_completed) == (1, True)


async def test_an_interim_answer_is_passed_over() -> None:
    """100 Continue and 103 Early Hints are no answers."""
    step = raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + message())
    async with ScriptedServer(step) as server, client_of(server) as client:
        assert (await client.complete_json(PROMISE_ID, 1)).attempts == 1


async def test_of_a_huge_error_body_little_is_read() -> None:
    """A 50 MB page is neither read nor kept, and its connection is not used again."""
    sent = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        exchange.writer.write(
            b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 50000000\r\n\r\n"
        )
        for _ in range(50):
            exchange.writer.write(b"x" * 1_000_000)
            sent += 1
            await exchange.writer.drain()

    async with ScriptedServer(flood, TRUE) as server, client_of(server) as client:
        done = await client.complete_json(PROMISE_ID, 1)
        assert (done.outcome, server.connections) == (Outcome.FULFILLED, 2)
    assert sent < 50


async def test_an_early_refusal_of_a_large_body_is_read() -> None:
    """nginx answers 413 before the body is through, and reads no further."""
    page = b"<html>413</html>"
    head = b"HTTP/1.1 413 Too Large\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + page)
        await asyncio.sleep(0.2)

    async with (
        serving(refuse) as url,
        GolemClient(url, retry=RetryPolicy.none(), timeout=5.0) as client,
    ):
        with pytest.raises(ResponseError) as caught:
            await client.complete_bytes(PROMISE_ID, b"x" * 4_000_000)
    assert (type(caught.value).__name__, caught.value.status) == ("PayloadTooLargeError", 413)


async def test_a_true_before_the_body_is_through_is_not_believed() -> None:
    """Whoever answers a half-sent request with `true` did not read it."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(message())
        await asyncio.sleep(0.2)

    async with (
        serving(hasty) as url,
        GolemClient(url, retry=RetryPolicy.none(), timeout=5.0) as client,
    ):
        with pytest.raises(ConnectionLostError):
            await client.complete_bytes(PROMISE_ID, b"x" * 4_000_000)


# Kept-alive connections


async def test_one_stale_connection_costs_one_repeat_at_once() -> None:
    """The server closed the idle connection just as we used it: repeated with no wait."""
    slow = RetryPolicy(max_attempts=2, min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(TRUE, CLOSE, FALSE) as server,
        client_of(server, retry=slow, timeout=5.0) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        done = await client.complete_json(PROMISE_ID, 1)
    assert (done.outcome, done.attempts) == (Outcome.FULFILLED_BY_UNKNOWN, 2)
    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_a_reset_of_a_kept_alive_connection_is_stale_as_well() -> None:
    """A NAT that forgot the connection answers with a reset."""
    slow = RetryPolicy(max_attempts=2, min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(TRUE, RESET, TRUE) as server,
        client_of(server, retry=slow, timeout=5.0) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        assert (await client.complete_json(PROMISE_ID, 1)).attempts == 2


async def test_a_pool_full_of_stale_connections_costs_one_repeat() -> None:
    """After the first stale one the idle connections are dropped."""
    fill = [late(0.05, TRUE)] * 10
    slow = RetryPolicy(max_attempts=2, min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(*fill, CLOSE, TRUE) as server,
        client_of(server, retry=slow, timeout=5.0) as client,
    ):
        await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(10)))
        assert server.open_connections == 10
        done = await client.complete_json(PROMISE_ID, 1)
        assert (done.attempts, server.connections) == (2, 11)


async def test_twenty_calls_over_twenty_stale_connections_all_succeed() -> None:
    """Each meets its own stale connection, repeats once, and none uses up its attempts."""
    steps: list[Step] = [late(0.05, TRUE)] * 20 + [CLOSE] * 20 + [TRUE]
    slow = RetryPolicy(max_attempts=2, min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(*steps) as server,
        client_of(server, retry=slow, timeout=5.0) as client,
    ):
        await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(20)))
        calls = [client.complete_json(PROMISE_ID, n) for n in range(20)]
        done = await asyncio.gather(*calls)
    assert [completion.attempts for completion in done] == [2] * 20


async def test_a_fresh_connection_that_closes_is_not_stale() -> None:
    """A crashing server is not hammered: its close counts, and is waited for."""
    async with (
        ScriptedServer(CLOSE) as server,
        client_of(server, retry=RetryPolicy(max_attempts=3, min_delay=0.001)) as client,
    ):
        with pytest.raises(ConnectionLostError):
            await client.complete_json(PROMISE_ID, 1)
    assert len(server.requests) == 3


async def test_a_reused_connection_that_breaks_within_an_answer_was_not_stale() -> None:
    """The server was alive: its failure counts, and is waited for."""
    slow = RetryPolicy(max_attempts=2, min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(TRUE, raw_then_reset(message()[:-1]), TRUE) as server,
        client_of(server, retry=slow, timeout=5.0) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        with pytest.raises(ConnectionLostError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(server.requests), caught.value.attempts) == (2, 1)


async def test_no_retry_means_not_even_past_a_stale_connection() -> None:
    """RetryPolicy.none() sends exactly once, come what may."""
    async with (
        ScriptedServer(TRUE, CLOSE, TRUE) as server,
        client_of(server, retry=RetryPolicy.none()) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        with pytest.raises(ConnectionLostError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (len(server.requests), caught.value.attempts) == (2, 1)


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_ours() -> None:
    """A doubled answer that waits on the connection belongs to the request before."""

    is_doubled = asyncio.Event()

    async def doubled(exchange: Exchange) -> None:
        await exchange.send(message(body=b"true"))
        await asyncio.sleep(0.02)
        await exchange.send(message(body=b"true"))
        is_doubled.set()

    async with ScriptedServer(doubled, FALSE) as server, client_of(server) as client:
        await client.complete_json(PROMISE_ID, 1)
        await is_doubled.wait()
        await asyncio.sleep(0.05)
        done = await client.complete_json(PROMISE_ID, 2)
    assert (done.outcome, done.attempts) == (Outcome.ALREADY_FULFILLED, 2)
    assert len(server.requests) == 2


async def test_an_unasked_answer_without_an_end_holds_nobody_up() -> None:
    """It is not read: the call goes on at once over another connection."""

    is_doubled = asyncio.Event()

    async def half_doubled(exchange: Exchange) -> None:
        await exchange.send(message(body=b"true"))
        await asyncio.sleep(0.02)
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        is_doubled.set()

    async with ScriptedServer(half_doubled, FALSE) as server, client_of(server) as client:
        await client.complete_json(PROMISE_ID, 1)
        await is_doubled.wait()
        await asyncio.sleep(0.05)
        done = await client.complete_json(PROMISE_ID, 2, timeout=1.0)
    assert (done.outcome, done.attempts) == (Outcome.ALREADY_FULFILLED, 2)


async def test_two_answers_at_once_do_not_poison_the_next_call() -> None:
    """The second of two answers in one packet is dropped with its connection."""
    async with (
        ScriptedServer(raw(message() + message()), FALSE) as server,
        client_of(server) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        assert (await client.complete_json(PROMISE_ID, 1)).outcome is Outcome.ALREADY_FULFILLED


async def test_a_late_answer_is_not_taken_for_the_next_calls() -> None:
    """A connection whose attempt timed out is never used again."""
    async with (
        ScriptedServer(late(0.15, TRUE), FALSE) as server,
        client_of(server, attempt_timeout=0.05) as client,
    ):
        done = await client.complete_json(PROMISE_ID, 1)
        assert done.outcome is Outcome.FULFILLED_BY_UNKNOWN
        await asyncio.sleep(0.15)
        assert (await client.complete_json(PROMISE_ID, 1)).outcome is Outcome.ALREADY_FULFILLED


# Many at once


async def test_sixty_concurrent_calls_with_interleaved_failures_each_keep_their_count() -> None:
    """Sharing one tenacity object loses attempts silently; each call has its own."""
    seen: dict[int, int] = {}
    chance = random.Random(7)
    failures = {n: chance.randrange(6) for n in range(60)}

    async def by_call(exchange: Exchange) -> None:
        n = int(exchange.request.payload)
        seen[n] = seen.get(n, 0) + 1
        await asyncio.sleep(chance.random() * 0.01)
        step = PAGE_502 if seen[n] <= failures[n] else TRUE
        await step(exchange)

    async with ScriptedServer(by_call) as server, client_of(server) as client:
        done = await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(60)))
    assert [completion.attempts for completion in done] == [failures[n] + 1 for n in range(60)]
    assert {completion.outcome for completion in done} == {Outcome.FULFILLED}


async def test_a_burst_waits_for_its_turn_outside_of_the_attempts() -> None:
    """300 calls over 10 connections, most longer than attempt_timeout in the queue: none lost."""
    async with (
        ScriptedServer(late(0.02, TRUE)) as server,
        client_of(server, max_connections=10, attempt_timeout=0.25) as client,
    ):
        done = await asyncio.gather(*(client.complete_json(PROMISE_ID, n) for n in range(300)))
    assert len(server.requests) == 300
    assert server.connections == 10
    assert {completion.attempts for completion in done} == {1}


# Tokens


async def test_an_expired_token_is_fetched_anew_once() -> None:
    """After a 401 the callable is asked again, and the request repeated at once."""
    tokens = iter(["old-token-000000", "new-token-000000"])

    async def source() -> str:
        return next(tokens)

    denied = answer(401, b'{"code":"AUTH_UNAUTHORIZED","error":"no"}')
    slow = RetryPolicy(min_delay=30.0, max_delay=30.0)
    async with (
        ScriptedServer(denied, TRUE) as server,
        client_of(server, token=source, retry=slow, timeout=5.0) as client,
    ):
        done = await client.complete_json(PROMISE_ID, 1)
    assert done.attempts == 2
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old-token-000000", "Bearer new-token-000000"]


async def test_a_second_401_is_final() -> None:
    """The callable is asked twice in a call, not more."""
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        return "some-token-000000"

    async with (
        ScriptedServer(answer(401, b"authorization error", "text/plain")) as server,
        client_of(server, token=source) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (asked, len(server.requests)) == (2, 2)
    assert not caught.value.may_have_completed


async def test_a_401_with_a_fixed_token_is_final() -> None:
    """There is no other token to try."""
    async with (
        ScriptedServer(answer(401, b"authorization error", "text/plain")) as server,
        client_of(server) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.complete_json(PROMISE_ID, 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [LookupError("vault"), TimeoutError("vault")])
async def test_what_the_token_callable_raises_passes_through(failure: Exception) -> None:
    """It is the caller's own code."""

    async def source() -> str:
        raise failure

    async with ScriptedServer() as server, client_of(server, token=source) as client:
        with pytest.raises(type(failure), match="vault"):
            await client.complete_json(PROMISE_ID, 1)
    assert server.connections == 0


@pytest.mark.parametrize("token", ["", " ", "a\r\nb"])
async def test_a_bad_token_from_the_callable_is_a_value_error(token: str) -> None:
    """As for a token given at once, and nothing is sent."""

    async def source() -> str:
        return token

    async with ScriptedServer() as server, client_of(server, token=source) as client:
        with pytest.raises(ValueError, match="token"):
            await client.complete_json(PROMISE_ID, 1)
    assert server.connections == 0


async def test_a_plain_function_as_token_is_a_type_error() -> None:
    """The callable must be async."""
    async with (
        ScriptedServer() as server,
        client_of(server, token=lambda: "some-token-000000") as client,
    ):
        with pytest.raises(TypeError, match="async callable"):
            await client.complete_json(PROMISE_ID, 1)


# Retry-After


async def test_retry_after_is_waited_for() -> None:
    """The server's wait is a floor under our own."""
    started = asyncio.get_running_loop().time()
    step = answer(
        429,
        b"",
        "",
        Retry_After="Sun, 06 Nov 1994 08:49:38 GMT",
        Date="Sun, 06 Nov 1994 08:49:37 GMT",
    )
    async with (
        ScriptedServer(step, TRUE) as server,
        client_of(server, timeout=0.9) as client,
    ):
        with pytest.raises(RateLimitedError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert asyncio.get_running_loop().time() - started < 0.9
    assert caught.value.retry_after == 1.0
    assert caught.value.worth_retrying
    assert "Retry-After is 1 s" in caught.value.__notes__[-1]


@pytest.mark.parametrize("value", ["soon", "-5", "0x10", "", "٣", "Sun, 99 Foo"])
async def test_a_broken_retry_after_is_ignored(value: str) -> None:
    """What cannot be read changes nothing."""
    step = raw(
        b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: " + value.encode() + b"\r\n\r\n"
    )
    async with (
        ScriptedServer(step, TRUE) as server,
        client_of(server, timeout=0.5) as client,
    ):
        assert (await client.complete_json(PROMISE_ID, 1)).attempts == 2


# No exception of a dependency, nothing leaked


@pytest.mark.parametrize(
    "step",
    [CLOSE, RESET, HALF, GARBAGE, PAGE_502, NOT_FOUND_500, stall],
    ids=["closed", "reset", "half", "garbage", "502", "not found", "stalled"],
)
async def test_every_failure_is_ours_alone(step: Step) -> None:
    """No cause, no context: an exception of a dependency may hold the token."""
    async with (
        ScriptedServer(step) as server,
        client_of(server, retry=RetryPolicy.none(), attempt_timeout=0.1) as client,
    ):
        with pytest.raises(GolemError) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_failed_attempts_leave_no_connection_and_no_task() -> None:
    """After failures of each kind only the good connection is open."""
    steps = [HALF, RESET, CLOSE, answer(500, b"x" * 100_000, "text/html"), stall, TRUE]
    async with (
        ScriptedServer(*steps) as server,
        client_of(server, attempt_timeout=0.1) as client,
    ):
        await client.complete_json(PROMISE_ID, 1)
        await asyncio.sleep(0.02)
        assert [] == leftovers(client)
    gc.collect()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (aiohttp.ServerDisconnectedError(), ConnectionLostError),
        (TimeoutError(), AttemptTimeoutError),
        (ConnectionResetError(104, "reset"), ConnectionLostError),
        (aiohttp.ClientPayloadError("x"), ConnectionLostError),
        (aiohttp.ClientConnectionError("x"), ConnectionLostError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_under_a_mock_the_exceptions_class_decides_whether_it_was_sent(
    kind: Exception, error: type[GolemError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """aioresponses replaces `_request` and never takes the body."""

    async def replaced(*_: Any, **__: Any) -> None:
        raise kind

    monkeypatch.setattr(aiohttp.ClientSession, "_request", replaced)
    async with GolemClient("http://localhost", retry=RetryPolicy.none()) as client:
        with pytest.raises(error) as caught:
            await client.complete_json(PROMISE_ID, 1)
    assert caught.value.may_have_completed


def test_tls_fails_with_words_for_a_bad_certificate() -> None:
    """The text says which check failed."""
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    key = ConnectionKey("h", 443, True, True, None, None, None)
    wrapped = aiohttp.ClientConnectorSSLError(key, error)
    assert reason(wrapped) == "TLS with h:443 failed: self-signed certificate"


def test_the_quick_policy_of_these_tests_is_the_default_but_for_its_delays() -> None:
    """What is proved with it holds for the default."""
    assert RetryPolicy(min_delay=0.001, max_delay=0.004) == QUICK
    assert QUICK.max_attempts == RetryPolicy().max_attempts
    assert ServerError.worth_retrying
    assert TOKEN
