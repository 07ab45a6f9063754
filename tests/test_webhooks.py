"""From a signed request to a completed promise, and what the sender is answered."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import golem_client.webhooks
from golem_client import GolemClient, GolemError, Outcome, RetryPolicy
from golem_client.outbox import Key, Outbox
from golem_client.testing import FakeGolem
from golem_client.webhooks import (
    Answer,
    Complete,
    CompleteBytes,
    CompleteText,
    Verifier,
    Webhook,
    github,
    hmac_sha256,
    slack,
    standard_webhooks,
    stripe,
    twilio,
)
from tests.tracebacks import assert_nothing_shows

SECRET = "whsec_n0b0dy"
SIGNED = hmac_sha256(header="X-Sig", secrets=SECRET)
QUICK = RetryPolicy(max_attempts=2, min_delay=0.001, max_delay=0.004)
CANARY = "canary-4111111111111111"


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def delivery(event: object) -> tuple[dict[str, str], bytes]:
    body = json.dumps(event).encode()
    return {"X-Sig": signature(body)}, body


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as golem:
        yield golem


@pytest.fixture
async def client(golem: FakeGolem) -> AsyncIterator[GolemClient]:
    async with GolemClient(golem.url, token=golem.token, retry=QUICK) as client:
        yield client


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with await Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        yield outbox


def completing(promise_id: object, payload: object = None) -> Callable[[Any], Any]:
    """Return a route that completes one promise with the event."""

    async def route(event: Any) -> Complete:
        return Complete(promise_id, event if payload is None else payload)  # type: ignore[arg-type]

    return route


# --- completing ---


async def test_an_event_completes_its_promise(golem: FakeGolem, client: GolemClient) -> None:
    """The sender is answered 204, and the worker has the payload."""
    promise_id = golem.create_promise()

    async def route(event: Any) -> Complete:
        return Complete(promise_id, {"paid": event["amount"]})

    answer = await Webhook(SIGNED, route, to=client).receive(*delivery({"amount": 4200}))
    assert (answer.status, answer.body) == (204, b"")
    assert await golem.await_promise_json(promise_id) == {"paid": 4200}


async def test_text_bytes_and_several_at_once(golem: FakeGolem, client: GolemClient) -> None:
    """A route may be a plain function, and name several completions."""
    one, two, three = (golem.create_promise() for _ in range(3))

    def route(event: Any) -> list[Complete | CompleteText | CompleteBytes]:
        return [
            CompleteText(str(one), "yes"),
            CompleteBytes(two.to_json(), b"\x00"),
            Complete(three, 1),
        ]

    answer = await Webhook(SIGNED, route, to=client).receive(*delivery({}))
    assert answer.status == 204
    assert [golem.payload(each) for each in (one, two, three)] == [b"yes", b"\x00", b"1"]


@attrs.frozen
class Settled:
    event: str


async def test_as_type_encodes_the_payload(golem: FakeGolem, client: GolemClient) -> None:
    """As with complete_json."""
    promise_id = golem.create_promise()
    hook = Webhook(SIGNED, lambda _: Complete(promise_id, Settled("e"), Settled), to=client)
    assert (await hook.receive(*delivery({}))).status == 204
    assert golem.payload(promise_id) == b'{"event":"e"}'


@pytest.mark.parametrize("nothing", [None, []])
async def test_an_event_that_nobody_waits_for_is_answered_204(
    client: GolemClient, nothing: object
) -> None:
    """None, or an empty list."""
    assert (
        await Webhook(SIGNED, lambda _: nothing, to=client).receive(*delivery({}))
    ).status == 204


async def test_a_doubled_and_replayed_delivery_completes_once_with_identical_bytes(
    golem: FakeGolem, client: GolemClient
) -> None:
    """Each reaches Golem, where it wakes a worker whose wake-up was lost."""
    promise_id = golem.create_promise()
    hook = Webhook(SIGNED, completing(promise_id), to=client)
    golem.drop_next(applied=True)
    headers, body = delivery({"b": 1, "a": [2.5, "ü"]})
    answers = await asyncio.gather(*(hook.receive(headers, body) for _ in range(5)))
    assert {answer.status for answer in answers} == {204}
    payloads = [request.payload for request in golem.requests]
    assert len(payloads) == 6
    assert len(set(payloads)) == 1


async def test_a_body_is_bytes_of_any_kind_and_no_text(client: GolemClient) -> None:
    """What was decoded is not what was signed."""
    hook = Webhook(SIGNED, lambda _: None, to=client)
    headers, body = delivery({})
    for raw in (bytearray(body), memoryview(body)):
        assert (await hook.receive(headers, raw)).status == 204  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await hook.receive(headers, body.decode())  # type: ignore[arg-type]


async def test_header_names_count_in_any_case_and_shape(
    golem: FakeGolem, client: GolemClient
) -> None:
    """A mapping or pairs, text or bytes: ASGI's raw headers too."""
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client)
    headers, body = delivery({})
    value = headers["X-Sig"]
    shapes: list[Any] = [
        {"x-sig": value},
        [("X-SIG", value)],
        [(b"x-sig", value.encode()), (b"accept", b"\xff")],
        iter([("x-Sig", value)]),
    ]
    assert [204] * 4 == [(await hook.receive(shape, body)).status for shape in shapes]


# --- through an outbox ---


async def test_with_an_outbox_the_answer_needs_no_golem(
    golem: FakeGolem, client: GolemClient, outbox: Outbox
) -> None:
    """The event is accepted while Golem is away, and delivered later."""
    promise_id = golem.create_promise()
    hook = Webhook(github("s3cret"), completing(promise_id), to=outbox)
    body = b'{"action": "closed"}'
    headers = {"X-Hub-Signature-256": f"sha256={signature(body, 's3cret')}"}
    for _ in range(2):
        assert (await hook.receive(headers, body)).status == 204
    assert golem.payload(promise_id) is None
    async with outbox.delivering(client):
        entry = await outbox.wait(promise_id, timeout=5)
    assert entry.outcome is Outcome.FULFILLED
    assert golem.payload(promise_id) == b'{"action":"closed"}'
    assert len(golem.requests) == 1


async def test_an_event_that_comes_before_its_promise_waits_for_it(
    golem: FakeGolem, client: GolemClient, outbox: Outbox
) -> None:
    """It is delivered once the key is bound."""
    hook = Webhook(SIGNED, lambda event: Complete(Key(event["order"]), event), to=outbox)
    assert (await hook.receive(*delivery({"order": "order-17"}))).status == 204
    promise_id = golem.create_promise()
    async with outbox.delivering(client):
        await outbox.bind("order-17", promise_id)
        await outbox.wait(promise_id, timeout=5)
    assert golem.payload(promise_id) == b'{"order":"order-17"}'


async def test_a_closed_outbox_lets_the_sender_come_again(outbox: Outbox, caplog: Any) -> None:
    """The event is not lost, and the log says why it failed."""
    hook = Webhook(SIGNED, completing("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1"), to=outbox)
    await outbox.aclose()
    assert (await hook.receive(*delivery({}))).status == 500
    assert "completing raised RuntimeError: this Outbox is closed" in caplog.text


class SlowOutbox:
    """An outbox whose database does not answer."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def bind(self, key: str, promise_id: object) -> None: ...

    async def complete_json(self, *_: object) -> None:
        if self.error:
            raise self.error
        await asyncio.Event().wait()


async def test_a_database_that_does_not_answer_is_503_in_time(caplog: Any) -> None:
    """The sender must not give up first."""
    hook = Webhook(SIGNED, completing("x"), to=SlowOutbox(), timeout=0.05)
    began = time.monotonic()
    answer = await hook.receive(*delivery({}))
    assert time.monotonic() - began < 1
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")


async def test_any_error_of_the_outbox_is_503(caplog: Any) -> None:
    """A database that is away, or a key that is missing, is not the event's fault."""
    hook = Webhook(
        SIGNED,
        completing("x"),
        to=SlowOutbox(golem_client.OutboxError("no key")),
        undeliverable=print,
    )
    assert (await hook.receive(*delivery({}))).status == 503


# --- failures ---


async def test_a_bad_signature_is_401_and_reaches_nothing(
    golem: FakeGolem, client: GolemClient, caplog: Any
) -> None:
    """Missing, wrong, or of another body."""
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client)
    headers, body = delivery({"a": CANARY})
    for bad in ({}, {"X-Sig": ""}, {"X-Sig": "ü"}, {"X-Sig": "0" * 64}):
        assert (await hook.receive(bad, body)).status == 401
    assert (await hook.receive(headers, body + b" ")).status == 401
    assert not golem.requests
    assert CANARY not in caplog.text


ONE, TWO = "whsec_AAAA", "whsec_BBBB"


@pytest.mark.parametrize(
    ("verifier", "headers", "words"),
    [
        (stripe(ONE), {}, "the header Stripe-Signature is missing"),
        (stripe(ONE), {"Stripe-Signature": "c4n"}, "the time stamp is not a number"),
        (stripe(ONE), {"Stripe-Signature": "t,v1"}, "the header Stripe-Signature is not t=…,v1=…"),
        (stripe(ONE), {"Stripe-Signature": "t={now},v1=c4n"}, "does not match the secret"),
        (stripe(ONE), {"Stripe-Signature": "t={ancient},v1=c4n"}, "more than a day old"),
        (
            slack(ONE),
            {"X-Slack-Request-Timestamp": "{old}", "X-Slack-Signature": "c4n"},
            r"the time stamp is 90\d seconds old, and 300 are allowed",
        ),
        (
            slack(ONE),
            {"X-Slack-Request-Timestamp": "{ahead}", "X-Slack-Signature": "c4n"},
            r"the time stamp is (900|89\d) seconds ahead",
        ),
        (slack(ONE), {"X-Slack-Request-Timestamp": "{now}"}, "the header X-Slack-Signature is mis"),
        (github(ONE), {"X-Hub-Signature-256": "c4n"}, "does not begin with 'sha256='"),
        (github(ONE, TWO), {"X-Hub-Signature-256": "sha256=c4n"}, "any of the 2 secrets"),
        (standard_webhooks(ONE), {"webhook-signature": "c4n"}, "the header webhook-id is missing"),
        (
            standard_webhooks(ONE),
            {"svix-id": "c4n", "svix-timestamp": "{now}", "svix-signature": "c4n"},
            "the header svix-signature is not v1,…",
        ),
        (
            twilio(ONE, url="https://ops.example/"),
            {"X-Twilio-Signature": "c4n"},
            "does not match the secret, or url= is not the one at Twilio",
        ),
        (lambda *_: False, {}, "the verifier did not return True"),
        (lambda *_: int("c4n"), {}, r"the verifier raised ValueError \(.*test_webhooks.py:\d+"),
    ],
)
async def test_the_log_says_why_a_signature_is_refused(
    verifier: Any, headers: dict[str, str], words: str, caplog: Any
) -> None:
    """Never with anything of the header or of the body; the answer tells nothing."""
    hook = Webhook(verifier, print, to=SlowOutbox())
    now = int(time.time())
    stamps = {"now": now, "old": now - 900, "ahead": now + 900, "ancient": now - 9**7}
    headers = {name: value.format(**stamps) for name, value in headers.items()}
    answer = await hook.receive(headers, b'"b0dy"')
    assert (answer.status, answer.body) == (401, b"bad signature")
    (message,) = caplog.messages
    assert re.search(f"a request without a good signature is refused: .*{words}", message)
    assert not any(secret in message for secret in ("c4n", "b0dy", ONE, TWO))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[NaN]", b"{}{}", b"[" * 100_000, b"9" * 5000, b"\xef\xbb\xbf{}"],
    ids=["empty", "open", "no UTF-8", "NaN", "two", "deep", "long number", "BOM"],
)
async def test_a_body_that_is_no_json_is_400(client: GolemClient, body: bytes) -> None:
    """Signed or not: the route is not asked."""
    hook = Webhook(SIGNED, completing("x"), to=client)
    assert (await hook.receive({"X-Sig": signature(body)}, body)).status == 400


async def test_a_body_that_is_too_large_is_413(client: GolemClient) -> None:
    """Before its signature is computed."""
    hook = Webhook(lambda *_: pytest.fail("asked"), completing("x"), to=client, max_bytes=10)
    assert (await hook.receive({}, b"x" * 11)).status == 413


async def test_what_a_later_delivery_can_mend_is_503(
    golem: FakeGolem, client: GolemClient, caplog: Any
) -> None:
    """The sender comes again, and then it works."""
    promise_id = golem.create_promise()
    hook = Webhook(SIGNED, completing(promise_id), to=client)
    golem.fail_next(503, times=2)
    answer = await hook.receive(*delivery({}))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    assert "the event must come again: ServerError" in caplog.text
    assert (await hook.receive(*delivery({}))).status == 204


@pytest.mark.parametrize("status", [401, 403])
async def test_our_own_bad_token_is_503(
    golem: FakeGolem, client: GolemClient, status: int, caplog: Any
) -> None:
    """The event stays with the sender until the token is mended."""
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client, undeliverable=print)
    golem.fail_next(status, times=2)
    assert (await hook.receive(*delivery({}))).status == 503


async def test_golems_own_retry_after_is_handed_on(
    golem: FakeGolem, client: GolemClient, caplog: Any
) -> None:
    """In whole seconds."""
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client)
    golem.fail_next(429, times=9, headers={"Retry-After": "45"})
    answer = await hook.receive(*delivery({}))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "45")


async def test_golem_away_is_503_before_the_sender_gives_up(golem: FakeGolem, caplog: Any) -> None:
    """The deadline bounds the completion, whatever the client's own timeout."""
    async with GolemClient(golem.url, token=golem.token, timeout=60) as client:
        golem.latency(30)
        hook = Webhook(SIGNED, completing(golem.create_promise()), to=client, timeout=0.1)
        began = time.monotonic()
        assert (await hook.receive(*delivery({}))).status == 503
        assert time.monotonic() - began < 2


class Timed(GolemClient):
    """A client that completes nothing, and remembers how much time it was given."""

    seen: float | None = None

    async def complete_json(self, *_: Any, **options: Any) -> Any:
        self.seen = options["timeout"]


@pytest.mark.parametrize(
    ("verifier", "seconds"),
    [
        (slack(SECRET, lossy=True), 2.4),
        (github(SECRET, lossy=True), 8.0),
        (stripe(SECRET), 8.0),
        (standard_webhooks("whsec_YWJj"), 12.0),
        (twilio("12345", url="https://example.org"), 12.0),
        (lambda *_: True, 8.0),
    ],
    ids=["slack", "github", "stripe", "standard", "twilio", "any"],
)
async def test_the_deadline_is_four_fifths_of_what_the_sender_waits(
    verifier: Any, seconds: float
) -> None:
    """The answer has to travel, too."""
    if isinstance(verifier, Verifier):
        verifier = attrs.evolve(verifier, verify=lambda *_: True)
    async with Timed("http://127.0.0.1:1") as client:
        assert (
            await Webhook(verifier, completing("x"), to=client).receive({}, b"{}")
        ).status == 204
        assert client.seen == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_no_delivery_can_mend_is_handed_over_and_answered_204(
    golem: FakeGolem, client: GolemClient, is_async: bool, caplog: Any
) -> None:
    """With the event and the error; never 410, for which senders end the whole webhook."""
    kept: list[tuple[Any, GolemError]] = []

    async def keep(event: Any, error: GolemError) -> None:
        kept.append((event, error))

    def keep_now(event: Any, error: GolemError) -> None:
        kept.append((event, error))

    promise_id = golem.create_promise()
    golem.delete_promise(promise_id)
    hook = Webhook(
        SIGNED, completing(promise_id), to=client, undeliverable=keep if is_async else keep_now
    )
    assert (await hook.receive(*delivery({"a": CANARY}))).status == 204
    assert [(event, type(error).__name__) for event, error in kept] == [
        ({"a": CANARY}, "PromiseNotFoundError")
    ]
    assert kept[0][1].__traceback__ is None
    assert "undeliverable: PromiseNotFoundError" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("completion", "error"),
    [
        (Complete("oops", 1), "InvalidIdError"),
        (Complete("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1", object()), "PayloadError"),
        (CompleteBytes("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1", "text"), "PayloadError"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("target", ["client", "outbox"])
async def test_a_completion_that_makes_no_sense_is_undeliverable(
    client: GolemClient, outbox: Outbox, target: str, completion: Any, error: str, caplog: Any
) -> None:
    """No delivery can mend it, with a client or an outbox."""
    kept: list[str] = []
    hook = Webhook(
        SIGNED,
        lambda _: completion,
        to=client if target == "client" else outbox,
        undeliverable=lambda _, error: kept.append(type(error).__name__),
    )
    assert (await hook.receive(*delivery({}))).status == 204
    assert kept == [error]


async def test_one_of_several_that_must_come_again_is_503(
    golem: FakeGolem, client: GolemClient, caplog: Any
) -> None:
    """What is undeliverable is handed over with the last delivery, once."""
    one, two = golem.create_promise(), golem.create_promise()
    kept: list[Any] = []
    hook = Webhook(
        SIGNED,
        lambda _: [Complete("oops", 1), Complete(one, 1), Complete(two, 1)],
        to=client,
        undeliverable=lambda *both: kept.append(both),
    )
    golem.fail_next(503, times=4)
    assert (await hook.receive(*delivery({}))).status == 503
    assert kept == []
    assert (await hook.receive(*delivery({}))).status == 204
    assert len(kept) == 1
    assert [golem.payload(one), golem.payload(two)] == [b"1", b"1"]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (Complete(Key("order-17"), 1), "only an outbox knows keys"),
        ({"promise_id": "x"}, "route returned dict"),
        (True, "route returned bool"),
        ([Complete("x", 1), "y"], "route returned str"),
    ],
)
async def test_a_route_that_returns_what_is_no_use_is_500(
    golem: FakeGolem, client: GolemClient, returned: Any, words: str, caplog: Any
) -> None:
    """Nothing is completed, and the log says what is wrong."""
    assert (
        await Webhook(SIGNED, lambda _: returned, to=client).receive(*delivery({}))
    ).status == 500
    assert words in caplog.text
    assert not golem.requests


async def test_a_route_that_raises_is_500_and_the_log_says_where(
    client: GolemClient, caplog: Any
) -> None:
    """The class and the lines, but not the text, which may hold the event."""

    async def route(event: Any) -> None:
        int(event["amount"])

    answer = await Webhook(SIGNED, route, to=client).receive(*delivery({"amount": CANARY}))
    assert answer.status == 500
    assert "route raised ValueError" in caplog.text
    assert "in route" in caplog.text
    assert CANARY not in caplog.text


async def test_a_route_that_takes_too_long_is_503(client: GolemClient, caplog: Any) -> None:
    """The sender comes again."""

    async def route(event: Any) -> None:
        await asyncio.Event().wait()

    assert (
        await Webhook(SIGNED, route, to=client, timeout=0.05).receive(*delivery({}))
    ).status == 503


async def test_a_verifier_that_takes_too_long_is_503(client: GolemClient, caplog: Any) -> None:
    """One that asks a database for the secret, say."""

    async def verify(headers: Any, body: bytes) -> bool:
        return await asyncio.Event().wait()

    assert (await Webhook(verify, print, to=client, timeout=0.05).receive({}, b"{}")).status == 503


async def test_undeliverable_that_raises_is_500(client: GolemClient, caplog: Any) -> None:
    """The event was kept nowhere: the sender must come again."""

    def undeliverable(event: Any, error: GolemError) -> None:
        raise OSError(CANARY)

    hook = Webhook(SIGNED, completing("oops"), to=client, undeliverable=undeliverable)
    assert (await hook.receive(*delivery({}))).status == 500
    assert "undeliverable raised OSError" in caplog.text
    assert CANARY not in caplog.text


async def test_a_closed_client_is_500(client: GolemClient, caplog: Any) -> None:
    """It is our program's mistake; the event is not lost where the sender repeats."""
    hook = Webhook(SIGNED, completing("f81d4fae-7dec-11d0-a765-00a0c91e6bf6/w/1"), to=client)
    await client.aclose()
    assert (await hook.receive(*delivery({}))).status == 500
    assert "completing raised RuntimeError: this GolemClient is closed" in caplog.text


async def test_a_foreign_error_is_logged_without_its_words(caplog: Any) -> None:
    """They may hold the payload."""
    to = SlowOutbox(RuntimeError(CANARY))
    assert (await Webhook(SIGNED, completing("x"), to=to).receive(*delivery({}))).status == 500
    assert "completing raised RuntimeError" in caplog.text
    assert CANARY not in caplog.text


# --- verifiers of the user's own ---


async def test_any_callable_is_a_verifier(golem: FakeGolem, client: GolemClient) -> None:
    """A coroutine function, too; header names are found in any case."""
    promise_id = golem.create_promise()

    async def verify(headers: Any, body: bytes) -> bool:
        return bool(headers["x-token"] == "t0p")

    hook = Webhook(verify, completing(promise_id), to=client)
    assert (await hook.receive({"X-Token": "t0p"}, b"{}")).status == 204
    assert (await hook.receive({"X-Token": "no"}, b"{}")).status == 401
    assert (await hook.receive({}, b"{}")).status == 401


@pytest.mark.parametrize("said", [1, "yes", None, object()])
async def test_only_true_lets_a_request_in(client: GolemClient, said: object, caplog: Any) -> None:
    """A forgotten `await`, or a `return` of something else, must not open the door."""
    assert (
        await Webhook(lambda *_: said, completing("x"), to=client).receive({}, b"{}")
    ).status == 401


# --- handshakes and forms ---


def slack_delivery(body: bytes, kind: str = "application/json") -> tuple[dict[str, str], bytes]:
    stamp = str(int(time.time()))
    signed = b"v0:%s:%s" % (stamp.encode(), body)
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signature(signed, '8f742231b10e8888')}",
        "Content-Type": kind,
    }, body


async def test_slacks_challenge_is_answered_after_verification(outbox: Outbox) -> None:
    """And not before: the answer would sign whatever anybody sends."""
    hook = Webhook(slack("8f742231b10e8888"), completing("x"), to=outbox)
    headers, body = slack_delivery(b'{"type":"url_verification","challenge":"3eZbrw1a"}')
    answer = await hook.receive(headers, body)
    assert (answer.status, answer.body) == (200, b"3eZbrw1a")
    assert (await hook.receive({}, body)).status == 401
    odd = slack_delivery(b'{"type":"url_verification","challenge":"\\ud800"}')
    assert (await hook.receive(*odd)).body == b"?"


async def test_slacks_button_comes_as_a_form_with_json_in_it(
    golem: FakeGolem, client: GolemClient, outbox: Outbox
) -> None:
    """`event["payload"]` is decoded."""
    promise_id = golem.create_promise()

    async def route(event: Any) -> Complete:
        action = event["payload"]["actions"][0]
        return Complete(action["value"], {"approved": action["action_id"] == "yes"})

    hook = Webhook(slack("8f742231b10e8888"), route, to=outbox)
    actions = {"actions": [{"action_id": "yes", "value": str(promise_id)}]}
    body = urlencode({"payload": json.dumps(actions)}).encode()
    answer = await hook.receive(*slack_delivery(body, "application/x-www-form-urlencoded"))
    assert answer.status == 204
    async with outbox.delivering(client):
        await outbox.wait(promise_id, timeout=5)
    assert golem.payload(promise_id) == b'{"approved":true}'


async def test_a_form_is_a_dict_of_strings(client: GolemClient) -> None:
    """Slack's commands, Twilio's messages; a field `payload` of another sender stays text."""
    seen: list[Any] = []
    hook = Webhook(SIGNED, seen.append, to=client)
    body = b"payload=%7B%7D&a=1&a=2&empty=&b=%C3%BC"
    headers = {
        "X-Sig": signature(body),
        "content-type": "Application/X-WWW-Form-URLEncoded; charset=x",
    }
    assert (await hook.receive(headers, body)).status == 204
    assert seen == [{"payload": "{}", "a": "2", "empty": "", "b": "ü"}]


@pytest.mark.parametrize("body", [b"payload=%7B", b"a=%FF", b"\xff=a", b"&".join([b"a=1"] * 1001)])
async def test_a_form_that_is_none_is_400(outbox: Outbox, body: bytes) -> None:
    """No JSON in Slack's field, no UTF-8, or more than a thousand fields."""
    hook = Webhook(slack("8f742231b10e8888"), completing("x"), to=outbox)
    answer = await hook.receive(*slack_delivery(body, "application/x-www-form-urlencoded"))
    assert answer.status == 400


async def test_githubs_ping_is_answered_after_verification(outbox: Outbox) -> None:
    """The route is not asked."""
    hook = Webhook(github("s"), lambda _: pytest.fail("asked"), to=outbox)
    body = b'{"zen": "Design for failure."}'
    headers = {"X-Hub-Signature-256": f"sha256={signature(body, 's')}", "X-GitHub-Event": "ping"}
    assert (await hook.receive(headers, body)).status == 204
    assert (await hook.receive({"X-GitHub-Event": "ping"}, body)).status == 401


# --- options ---


@pytest.mark.parametrize("make", [github, slack])
async def test_a_sender_that_never_repeats_needs_an_outbox(
    make: Any, client: GolemClient, outbox: Outbox
) -> None:
    """Or an explicit `lossy=True`."""
    with pytest.raises(ValueError, match=r"once, so that it is lost.*to=outbox.*lossy=True"):
        Webhook(make("s"), completing("x"), to=client)
    Webhook(make("s", lossy=True), completing("x"), to=client)
    Webhook(make("s"), completing("x"), to=outbox)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"to": None}, TypeError, "GolemClient or an Outbox, not NoneType"),
        ({"to": "http://localhost"}, TypeError, "not str"),
        ({"verifier": SECRET}, TypeError, "verifier is a function, not str"),
        ({"verifier": stripe}, TypeError, "call it with your secrets"),
        ({"route": None}, TypeError, "route is a function, not NoneType"),
        ({"undeliverable": "x"}, TypeError, "undeliverable is a function"),
        ({"max_bytes": 0}, ValueError, "max_bytes"),
        ({"max_bytes": True}, TypeError, "max_bytes"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "3"}, TypeError, "timeout"),
    ],
)
async def test_a_wrong_option_is_an_error_at_once(
    client: GolemClient, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """When the webhook is made, not when the first event is lost."""
    given: dict[str, Any] = {"verifier": SIGNED, "route": print, "to": client, **options}
    with pytest.raises(error, match=words):
        Webhook(given.pop("verifier"), given.pop("route"), **given)


async def test_a_body_that_is_decoded_already_is_an_error(client: GolemClient) -> None:
    """Its bytes are gone, and with them what the signature covers."""
    with pytest.raises(TypeError, match="body is the raw bytes of the request, not str"):
        await Webhook(SIGNED, print, to=client).receive({}, "{}")  # type: ignore[arg-type]


async def test_an_object_with_blocking_methods_is_no_target() -> None:
    """`golem_client.blocking` has a client and an outbox; in a coroutine they would block."""

    class Blocking:
        def bind(self, *_: object) -> None: ...
        def complete_json(self, *_: object) -> None: ...

    with pytest.raises(TypeError, match="not Blocking"):
        Webhook(SIGNED, print, to=Blocking())


# --- secrets ---


async def test_no_repr_shows_a_payload_or_a_secret(client: GolemClient) -> None:
    """Of the webhook, its completions and its answers."""
    shown = repr(Webhook(stripe(SECRET), completing("x"), to=client))
    for completion in (
        Complete("x", CANARY),
        CompleteText("x", CANARY),
        CompleteBytes("x", b"canary"),
    ):
        shown += repr(completion)
    shown += repr(Answer(200, {}, CANARY.encode()))
    assert "canary" not in shown
    assert SECRET not in shown


class Request:
    """What the adapters read of a web framework's request."""

    def __init__(self) -> None:
        self.headers, self._body = delivery({"a": CANARY})
        self.content = self

    async def stream(self) -> AsyncIterator[bytes]:
        yield self._body

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.stream()


@pytest.mark.parametrize(
    "call",
    [
        lambda hook: hook.receive(*delivery({"a": CANARY})),
        lambda hook: hook.starlette(Request()),
        lambda hook: hook.aiohttp(Request()),
    ],
    ids=["receive", "starlette", "aiohttp"],
)
async def test_a_cancelled_request_carries_no_event_in_its_traceback(
    call: Callable[[Webhook], Awaitable[Any]], golem: FakeGolem, client: GolemClient
) -> None:
    """No signature either: reporters of errors send the local variables of every frame."""
    golem.latency(30)
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client)
    task = asyncio.ensure_future(call(hook))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    signed = delivery({"a": CANARY})[0]["X-Sig"]
    assert_nothing_shows(caught.value, CANARY, signed, but_for=__file__)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Webhook(SECRET, print, to=SlowOutbox()),  # type: ignore[arg-type]
        lambda: Webhook(SIGNED, SECRET, to=SlowOutbox()),  # type: ignore[arg-type]
        lambda: Webhook(SIGNED, print, to=SECRET),
        lambda: Webhook(SIGNED, print, to=SlowOutbox(), secret=SECRET),  # type: ignore[call-arg]
        lambda: asyncio.run(Webhook(SIGNED, print, to=SlowOutbox()).receive({"X": SECRET}, SECRET)),  # type: ignore[arg-type]
    ],
)
def test_no_frame_that_leaves_us_shows_a_secret(make: Callable[[], object]) -> None:
    """Not even one that was given in the wrong place."""
    with pytest.raises(TypeError) as caught:
        make()
    assert_nothing_shows(caught.value, SECRET, but_for=__file__)


async def test_nothing_is_logged_of_a_good_delivery(
    golem: FakeGolem, client: GolemClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the payload, not the secret, at any level."""
    caplog.set_level(logging.DEBUG)
    hook = Webhook(SIGNED, completing(golem.create_promise()), to=client)
    await hook.receive(*delivery({"a": CANARY}))
    assert CANARY not in caplog.text
    assert SECRET not in caplog.text


@given(
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "X-Sig", "Stripe-Signature", "X", ""]),
        st.text(max_size=20) | st.just("application/x-www-form-urlencoded"),
    ),
    body=st.binary(max_size=40),
    is_signed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_request_holds_the_answer_is_204_or_4xx(
    headers: dict[str, str], body: bytes, is_signed: bool
) -> None:
    """Never an exception."""
    hook = Webhook(SIGNED, lambda _: None, to=SlowOutbox())
    if is_signed:
        headers = {**headers, "X-Sig": signature(body)}
    assert asyncio.run(hook.receive(headers, body)).status in (204, 400, 401)


@pytest.mark.parametrize("name", golem_client.webhooks.__all__)
def test_annotations_resolve(name: str) -> None:
    """`typing.get_type_hints` works on what is public."""
    public = getattr(golem_client.webhooks, name)
    get_type_hints(public)
    for attribute in vars(public).values() if isinstance(public, type) else ():
        if callable(attribute) and not isinstance(attribute, type):
            get_type_hints(attribute)
