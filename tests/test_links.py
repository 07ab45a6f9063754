"""Links by which people decide: what a token says, and what a person is answered."""

from __future__ import annotations

import asyncio
import base64
import html
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import fastapi
import httpx
import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

import golem_client.links
from golem_client import (
    BadLinkError,
    ConnectionFailedError,
    ExpiredLinkError,
    GolemClient,
    GolemError,
    InvalidIdError,
    Outcome,
    PayloadError,
    PromiseId,
    RetryPolicy,
    make_converter,
)
from golem_client.links import Link, PromiseLinks, Texts
from golem_client.links.page import page
from golem_client.outbox import Outbox
from golem_client.payload import encode_json
from golem_client.testing import FakeGolem
from tests.samples import PROMISE_ID
from tests.tracebacks import assert_nothing_shows

KEY = "k" * 32
OLD = b"o" * 40
LINKS = PromiseLinks([KEY, OLD], purpose="order-approval")
DAY = timedelta(days=1)
CANARY = "canary-4111"
# By hand: EXAMPLES=100000 python -m pytest …
quick = settings(max_examples=int(os.environ.get("EXAMPLES", "60")), deadline=None)


@attrs.frozen
class Decision:
    approved: bool


@attrs.frozen
class Question:
    text: str


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as golem:
        yield golem


@pytest.fixture
async def client(golem: FakeGolem) -> AsyncIterator[GolemClient]:
    policy = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with GolemClient(golem.url, token=golem.token, retry=policy) as client:
        yield client


# --- tokens ---


def test_a_token_says_what_was_put_into_it() -> None:
    """The promise, the encoded payload and the time."""
    token = LINKS.token(str(PROMISE_ID), Decision(approved=True), expires_in=DAY)
    link = LINKS.read(token)
    assert link.promise_id == PROMISE_ID
    assert link.payload == b'{"approved":true}'
    assert timedelta(0) <= link.expires_at - datetime.now(UTC) - DAY + timedelta(seconds=2)
    assert re.fullmatch(r"[\w.-]+", token, re.ASCII)


def test_a_token_is_signed_with_sha_256() -> None:
    """The default of the library that signs it is SHA-1."""
    signature = LINKS.token(PROMISE_ID, 1, expires_in=60).rsplit(".", 1)[1]
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32


@given(
    name=st.text(min_size=1, max_size=20).filter(lambda name: name not in (".", "..")),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5
    ),
)
@quick
def test_every_payload_comes_back(name: str, value: Any) -> None:
    """With every worker's name."""
    try:
        promise_id = PromiseId.parse(f"f81d4fae-7dec-11d0-a765-00a0c91e6bf6/{name}/1")
        token = LINKS.token(promise_id, value, expires_in=60)
    except (InvalidIdError, PayloadError):
        return
    assert LINKS.read(token).promise_id == promise_id
    assert LINKS.read(token).payload == encode_json(value)


def test_as_type_and_converter_encode_the_payload() -> None:
    """As in the client."""
    converter = make_converter(externally_tagged=[Decision | Question])
    links = PromiseLinks([KEY], purpose="p", converter=converter)
    token = links.token(PROMISE_ID, Question("why"), Decision | Question, expires_in=60)
    assert links.read(token).payload == b'{"Question":{"text":"why"}}'


def test_keys_are_rotated() -> None:
    """The first one signs, all of them verify."""
    by_old = PromiseLinks([OLD], purpose="order-approval").token(PROMISE_ID, 1, expires_in=DAY)
    by_new = LINKS.token(PROMISE_ID, 1, expires_in=DAY)
    assert LINKS.read(by_old).payload == b"1"
    assert PromiseLinks([KEY.encode()], purpose="order-approval").read(by_new).payload == b"1"
    with pytest.raises(BadLinkError):
        PromiseLinks([OLD], purpose="order-approval").read(by_new)


@pytest.mark.parametrize("purpose", ["order-refund", "order-approval ", "Order-approval"])
def test_a_link_of_another_purpose_is_refused(purpose: str) -> None:
    """With the same keys."""
    token = PromiseLinks([KEY], purpose=purpose).token(PROMISE_ID, 1, expires_in=DAY)
    with pytest.raises(BadLinkError):
        LINKS.read(token)


def test_a_link_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the time that was chosen when it was made."""
    token = LINKS.token(PROMISE_ID, 1, expires_in=0.5)
    assert LINKS.read(token).payload == b"1"
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began - 3600)
    old = LINKS.token(PROMISE_ID, 1, expires_in=timedelta(minutes=59))
    monkeypatch.undo()
    with pytest.raises(
        ExpiredLinkError, match=r"the link expired at \d{4}-\d\d-\d\d \d\d:\d\d UTC"
    ):
        LINKS.read(old)


def test_any_letter_changed_is_refused_or_says_the_same() -> None:
    """The last character has spare bits: the text of a token is not its identity."""
    token = LINKS.token(PROMISE_ID, {"approved": True}, expires_in=DAY)
    link = LINKS.read(token)
    for n in range(len(token)):
        for letter in "Ab0-":
            changed = token[:n] + letter + token[n + 1 :]
            try:
                assert LINKS.read(changed) == link
                assert changed == token or n in (len(token) - 1, token.rindex(".") - 1)
            except BadLinkError:
                pass


@given(token=st.text(max_size=60) | st.text("abcXYZ019-_.", max_size=120))
@quick
def test_what_is_no_token_is_refused(token: str) -> None:
    """Never another error."""
    with pytest.raises(BadLinkError):
        LINKS.read(token)


@pytest.mark.parametrize(
    "token", ["x" * 10_000_000, "." * 10_000_000, ".x" * 1_000_000, None, b"x"]
)
def test_a_huge_token_takes_no_time(token: Any) -> None:
    """The work is linear, and nothing is decoded that is not signed."""
    began = time.process_time()
    with pytest.raises(BadLinkError):
        LINKS.read(token)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"promise_id": "oops"}, InvalidIdError, "not a promise id"),
        ({"value": object()}, PayloadError, "object"),
        ({"value": float("nan")}, PayloadError, "NaN|finite|nan"),
        ({"value": [*range(5000)]}, PayloadError, "bytes|characters"),
        ({"value": secrets.token_urlsafe(4470)}, PayloadError, "the token has"),
        ({"expires_in": timedelta(0)}, ValueError, "in the past"),
        ({"expires_in": -1}, ValueError, "in the past"),
        ({"expires_in": float("nan")}, ValueError, "in the past"),
        ({"expires_in": float("inf")}, ValueError, "hundred years"),
        ({"expires_in": timedelta.max}, ValueError, "hundred years"),
        ({"expires_in": True}, TypeError, "not bool"),
        ({"expires_in": "7 days"}, TypeError, "not str"),
    ],
)
def test_a_link_that_cannot_work_is_not_made(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """The error comes when the link is made, not when somebody decides."""
    given: dict[str, Any] = {"promise_id": PROMISE_ID, "value": 1, "expires_in": DAY, **arguments}
    with pytest.raises(error, match=words):
        LINKS.token(given.pop("promise_id"), given.pop("value"), **given)


@pytest.mark.parametrize(
    ("keys", "purpose", "error", "words"),
    [
        ([], "p", ValueError, "keys is empty"),
        (["short"], "p", ValueError, "at least 32 bytes"),
        ([KEY, b"x" * 31], "p", ValueError, "at least 32 bytes"),
        (KEY, "p", TypeError, "a list of keys"),
        (OLD, "p", TypeError, "a list of keys"),
        ([None], "p", TypeError, "text or bytes, not NoneType"),
        ([KEY], "", ValueError, "purpose is empty"),
    ],
)
def test_a_wrong_key_is_an_error_at_once(
    keys: Any, purpose: str, error: type[Exception], words: str
) -> None:
    """When the object is made."""
    with pytest.raises(error, match=words) as caught:
        PromiseLinks(keys, purpose=purpose)
    assert KEY not in str(caught.value)


def token_of(value: object, expires_in: timedelta | float = DAY) -> str:
    return LINKS.token(PROMISE_ID, value, expires_in=expires_in)


TOKEN = token_of(CANARY)
SHORT = TOKEN.rpartition(".")[0]


def test_no_repr_holds_a_secret() -> None:
    """Not the payload, and not the key."""
    shown = repr(LINKS) + repr(LINKS.read(TOKEN))
    assert CANARY not in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    "call",
    [
        lambda: PromiseLinks([KEY, "short"], purpose="p"),
        lambda: PromiseLinks([KEY, KEY], purpose=""),
        lambda: PromiseLinks(KEY, purpose="p"),
        lambda: PromiseLinks([KEY], porpuse="p"),  # type: ignore[call-arg]
        lambda: LINKS.read(SHORT),
        lambda: LINKS.read(TOKEN, 1),  # type: ignore[call-arg]
        lambda: token_of([CANARY, object()]),
        lambda: token_of(CANARY, -1),
        lambda: token_of([CANARY, secrets.token_urlsafe(4470)]),
        lambda: LINKS.token("oops", CANARY, expires_in=60),
        lambda: LINKS.token(PROMISE_ID, CANARY),  # type: ignore[call-arg]
    ],
)
def test_no_frame_that_leaves_us_shows_a_secret(call: Callable[[], object]) -> None:
    """No key, token or payload: reporters of errors send the locals of each frame."""
    with pytest.raises((GolemError, TypeError, ValueError)) as caught:
        call()
    assert_nothing_shows(caught.value, KEY, CANARY, SHORT, but_for=__file__)


def test_no_frame_of_an_expired_link_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = time.time() + DAY.total_seconds() + 1  # tokens expire at whole seconds
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    with pytest.raises(ExpiredLinkError) as caught:
        LINKS.read(TOKEN)
    assert_nothing_shows(caught.value, CANARY, SHORT, but_for=__file__)


# --- answers ---


async def follow(to: Any, method: str, token: str, **words: Any) -> Any:
    return await LINKS.answer(
        to, method, token, **{"question": "Approve order 17?", "button": "Approve", **words}
    )


def text_of(answer: Any) -> str:
    """Return the visible words of a page."""
    body = re.sub(r"<(style|title)>.*?</\1>", " ", answer.body.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture
def promise_id(golem: FakeGolem) -> PromiseId:
    return golem.create_promise()


@pytest.fixture
def yes(promise_id: PromiseId) -> str:
    return LINKS.token(promise_id, Decision(approved=True), expires_in=DAY)


async def test_following_a_link_only_asks(golem: FakeGolem, client: GolemClient, yes: str) -> None:
    """Mail scanners follow links, with GET and HEAD."""
    asked = await follow(client, "GET", yes)
    head = await follow(client, "HEAD", yes)
    assert (asked.status, head.status) == (200, 200)
    assert text_of(asked) == "Approve order 17? Approve You cannot take your decision back."
    assert '<form method="post">' in asked.body.decode()
    assert (head.body, head.headers) == (b"", asked.headers)
    assert not golem.requests


async def test_the_button_decides_and_a_repeat_is_told_so(
    golem: FakeGolem, client: GolemClient, promise_id: PromiseId, yes: str
) -> None:
    """Only the decision that was stored is promised to count."""
    first = await follow(client, "POST", yes)
    assert (first.status, text_of(first)) == (
        200,
        "Thank you. Your decision counts. Approve order 17?",
    )
    assert golem.payload(promise_id) == b'{"approved":true}'
    no = LINKS.token(promise_id, Decision(approved=False), expires_in=DAY)
    for token in (yes, no):
        again = await follow(client, "post", token)
        assert again.status == 200
        assert "A decision had been made before." in text_of(again)
        assert "counts" not in text_of(again)


async def test_a_decision_of_unknown_fate_promises_nothing(
    golem: FakeGolem, client: GolemClient, yes: str
) -> None:
    """The answer was lost, and the repeat says only that a decision is there."""
    golem.drop_next(applied=True)
    answer = await follow(client, "POST", yes)
    assert answer.status == 200
    assert "A decision has been made. Nobody can know whether it is yours" in text_of(answer)
    assert "counts" not in text_of(answer)


async def test_an_outbox_records(
    golem: FakeGolem, client: GolemClient, promise_id: PromiseId, yes: str, tmp_path: Path
) -> None:
    """The page says so, and not that it counts: that is known only after the delivery."""
    async with await Outbox.open(tmp_path / "o.sqlite") as outbox:
        first, again = [await follow(outbox, "POST", yes) for _ in range(2)]
        assert "Your decision is recorded." in text_of(first)
        assert "A decision had been made before." in text_of(again)
        assert "counts" not in text_of(first) + text_of(again)
        async with outbox.delivering(client):
            assert (await outbox.wait(promise_id, timeout=5)).outcome is Outcome.FULFILLED
    assert golem.payload(promise_id) == b'{"approved":true}'


async def test_a_link_that_is_not_valid_is_404(client: GolemClient, golem: FakeGolem) -> None:
    """Whatever the method."""
    for method in ("GET", "POST"):
        answer = await follow(client, method, "forged")
        assert (answer.status, text_of(answer)) == (
            404,
            "This link is not valid. Please check that you have opened all of it.",
        )
    assert not golem.requests


async def test_an_expired_link_is_410(
    client: GolemClient, golem: FakeGolem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It completes nothing."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    token = LINKS.token(golem.create_promise(), 1, expires_in=60)
    monkeypatch.undo()
    for method in ("GET", "POST"):
        answer = await follow(client, method, token)
        assert (answer.status, text_of(answer)) == (
            410,
            "This link has expired. Please ask for a new one.",
        )
    assert not golem.requests


@pytest.mark.parametrize(("of_client", "of_call"), [(30.0, 10.0), (2.0, 2.0)])
async def test_a_person_waits_ten_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, yes: str, of_client: float, of_call: float
) -> None:
    """Whatever the client's timeout is."""
    seen: list[Any] = []

    async def complete_bytes(self: Any, *_: Any, timeout: Any = None) -> Any:
        seen.append(timeout)
        raise ConnectionFailedError("cannot connect")

    monkeypatch.setattr(GolemClient, "complete_bytes", complete_bytes)
    away = GolemClient("http://127.0.0.1:1", timeout=of_client)
    assert 503 == (await follow(away, "POST", yes)).status
    assert [of_call] == seen


async def test_golem_away_is_503_with_a_button(
    golem: FakeGolem, client: GolemClient, promise_id: PromiseId, yes: str, caplog: Any
) -> None:
    """Pressing it later decides."""
    golem.fail_next(503, times=2)
    answer = await follow(client, "POST", yes)
    assert answer.status == 503
    assert "That did not work." in text_of(answer)
    assert text_of(answer).endswith("Try again: Approve")
    assert '<form method="post">' in answer.body.decode()
    assert yes not in caplog.text
    assert "counts" in text_of(await follow(client, "POST", yes))


async def test_a_promise_that_is_gone_is_410(
    golem: FakeGolem, client: GolemClient, promise_id: PromiseId, yes: str, caplog: Any
) -> None:
    """Nobody waits for it, and no button would help."""
    golem.delete_promise(promise_id)
    answer = await follow(client, "POST", yes)
    assert (answer.status, text_of(answer)) == (
        410,
        "Nobody waits for this decision any more. Approve order 17?",
    )


async def test_a_component_that_golem_does_not_know_is_410(
    golem: FakeGolem, client: GolemClient, promise_id: PromiseId, yes: str
) -> None:
    """As long as it is not there, no button helps."""
    golem.forget_component(promise_id.worker_id.component_id)
    assert (await follow(client, "POST", yes)).status == 410


async def test_other_methods_are_405(client: GolemClient, yes: str) -> None:
    """OPTIONS, PUT and whatever else."""
    answer = await follow(client, "PUT", yes)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_a_target_that_cannot_complete_is_an_error(yes: str) -> None:
    """Before anybody follows the link."""
    with pytest.raises(TypeError, match="GolemClient or an Outbox, not NoneType"):
        await follow(None, "GET", yes)
    for adapter in (LINKS.starlette, LINKS.aiohttp):
        with pytest.raises(TypeError, match="GolemClient or an Outbox, not str"):
            adapter("http://localhost", question="?", button="!")


class Request:
    """What the adapters read of a web framework's request."""

    method = "POST"

    def __init__(self) -> None:
        self.path_params = self.match_info = {"token": TOKEN}

    def __repr__(self) -> str:
        return f"<Request /decide/{TOKEN}>"  # as that of aiohttp


@pytest.mark.parametrize(
    "call",
    [
        lambda to: LINKS.answer(to, "POST", TOKEN, question="?", button="!"),
        lambda to: LINKS.starlette(to, question="?", button="!")(Request()),
        lambda to: LINKS.aiohttp(to, question=lambda _: hangs(), button="!")(Request()),
    ],
    ids=["answer", "starlette", "aiohttp"],
)
async def test_a_cancelled_decision_shows_no_token_and_no_payload(
    call: Callable[[Any], Awaitable[Any]], golem: FakeGolem, client: GolemClient
) -> None:
    """To error reporters, which send local variables."""
    golem.latency(30)
    task = asyncio.ensure_future(call(client))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert_nothing_shows(caught.value, CANARY, SHORT, but_for=__file__)


async def hangs() -> str:
    await asyncio.Event().wait()
    return ""


# --- the page ---


async def test_the_page_keeps_to_itself(client: GolemClient, yes: str) -> None:
    """No cookie, no cache, no script, no referrer, no index, no redirect, in every answer."""
    for method, token in (("GET", yes), ("POST", yes), ("POST", yes), ("GET", "forged")):
        answer = await follow(client, method, token)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-robots-tag"] == "noindex, nofollow"
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        for rule in ("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert not {"set-cookie", "location"} & set(headers)
        shown = answer.body.decode()
        assert "<script" not in shown
        assert token not in shown


class Tags(HTMLParser):
    """The tags and attributes of a page, as a browser reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><b>",
    "&lt;",
    "'",
    "\ud800",
    "\x00",
    "]]>",
    "<!--",
    "\u202e",
    "{question}",
    "%s",
]
hostile = st.text(max_size=30) | st.sampled_from(HOSTILE)


@example(question=HOSTILE[1], button=HOSTILE[1], lang=HOSTILE[1])
@given(question=hostile, button=hostile, lang=hostile)
@quick
def test_hostile_words_add_no_tag(question: str, button: str, lang: str) -> None:
    """A question often holds what some user has typed."""
    plain = page(200, Texts(lang="en"), "q", button="b", hint="h").body.decode()
    spoilt = page(200, Texts(lang=lang), question, button=button or "b", hint="h").body.decode()
    assert Tags(plain).seen == Tags(spoilt).seen


async def test_the_page_speaks_another_language(client: GolemClient, yes: str) -> None:
    """All of its words are in `Texts`, and its language is declared."""
    german = Texts(
        lang="de",
        final="Die Entscheidung ist endgültig.",
        counts="Danke. Ihre Entscheidung zählt.",
        before="Es war schon entschieden.",
        before_hint="Vielleicht von Ihnen selbst.",
    )
    words = {"question": "Bestellung 17 freigeben?", "button": "Freigeben", "texts": german}
    asked = await follow(client, "GET", yes, **words)
    assert '<html lang="de">' in asked.body.decode()
    assert text_of(asked) == "Bestellung 17 freigeben? Freigeben Die Entscheidung ist endgültig."
    done, again = [await follow(client, "POST", yes, **words) for _ in range(2)]
    assert text_of(done) == "Danke. Ihre Entscheidung zählt. Bestellung 17 freigeben?"
    assert text_of(again).startswith("Es war schon entschieden. Vielleicht von Ihnen selbst.")


# --- adapters ---


def question_of(link: Link) -> str:
    return f"{link.promise_id.worker_id.worker_name}?"


async def button_of(link: Link) -> str:
    return "Approve" if b"true" in link.payload else "Reject"


async def test_starlette_and_fastapi(golem: FakeGolem, client: GolemClient) -> None:
    """A route that words each link by its promise and payload."""
    promise_id = golem.create_promise(worker_name="order-17")
    token = LINKS.token(promise_id, Decision(approved=False), expires_in=DAY)
    app = fastapi.FastAPI()
    handler = LINKS.starlette(client, question=question_of, button=button_of)
    app.add_route("/decide/{token}", handler, methods=["GET", "HEAD", "POST"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as person:
        asked = await person.get(f"/decide/{token}")
        assert (asked.status_code, "order-17?" in asked.text, "Reject" in asked.text) == (
            200,
            True,
            True,
        )
        assert (await person.head(f"/decide/{token}")).content == b""
        assert golem.payload(promise_id) is None
        assert "counts" in (await person.post(f"/decide/{token}")).text
        assert (await person.get("/decide/forged")).status_code == 404
    assert golem.payload(promise_id) == b'{"approved":false}'


async def test_aiohttp(golem: FakeGolem, client: GolemClient) -> None:
    """Likewise, over a real connection."""
    promise_id = golem.create_promise(worker_name="order-17")
    token = LINKS.token(promise_id, Decision(approved=True), expires_in=DAY)
    app = web.Application()
    handler = LINKS.aiohttp(client, question=question_of, button="Yes")
    app.router.add_route("*", "/decide/{token}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/decide/{token}"
    async with httpx.AsyncClient() as person:
        assert "order-17?" in (await person.get(url)).text
        assert (await person.head(url)).status_code == 200
        assert "counts" in (await person.post(url)).text
        assert (await person.put(url)).status_code == 405
    await runner.cleanup()
    assert golem.payload(promise_id) == b'{"approved":true}'


@pytest.mark.parametrize("name", golem_client.links.__all__)
def test_annotations_resolve(name: str) -> None:
    """`typing.get_type_hints` works on what is public."""
    public = getattr(golem_client.links, name)
    get_type_hints(public)
    for attribute in vars(public).values():
        if callable(attribute) and not isinstance(attribute, type):
            get_type_hints(attribute)


def test_bad_links_are_golem_errors() -> None:
    """One `except GolemError` catches them."""
    with pytest.raises(GolemError):
        LINKS.read("x")
