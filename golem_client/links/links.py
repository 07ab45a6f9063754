"""Signed links. Whoever has one can make the decision in it, until it expires."""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import cattrs
from typing_extensions import TypeForm

from golem_client import (
    AnyPromiseId,
    BadLinkError,
    Completion,
    ExpiredLinkError,
    GolemClient,
    GolemError,
    NotFoundError,
    Outcome,
    PayloadError,
    PromiseId,
)
from golem_client.answer import Answer
from golem_client.frames import made_without_locals, without_locals
from golem_client.links.page import Texts, page
from golem_client.payload import encode_json

logger = logging.getLogger("golem_client")

_LEAST_KEY_BYTES = 32
_PATIENCE = 10.0  # seconds that a person waits for the page
_LONGEST_TOKEN = 6_000  # the request line that proxies take is 8 kB
_MOST_SECONDS = 100 * 366 * 86_400


@attrs.frozen
class Link:
    """What a token says.

    Attributes:
        promise_id: The promise that it completes.
        payload: The bytes that it completes the promise with.
        expires_at: When it expires.
    """

    promise_id: PromiseId
    payload: bytes = attrs.field(repr=False)
    expires_at: datetime


Words = str | Callable[[Link], str | Awaitable[str]]


class PromiseLinks:
    """Makes links by which people decide, and answers those who follow them.

        links = PromiseLinks([key], purpose="order-approval")
        yes = links.token(promise_id, Decision(approved=True), expires_in=timedelta(days=7))
        send_mail(f"Approve: https://ops.example/decide/{yes}")
        app.add_route(
            "/decide/{token}",
            links.starlette(client, question="Approve order 17?", button="Approve"),
            methods=["GET", "HEAD", "POST"],
        )

    Whoever has a link can decide, and can read what is in it: put no secrets into the payload, and
    send it only to people who may decide. A link can be used again: the promise takes the first
    decision, and the page says so to everybody who decides later.

    Following a link only asks, because mail scanners follow links; the button decides.

    Args:
        keys: Secret keys, text or bytes, of at least 32 bytes each. The first one signs, all of
            them verify: to change the key, put the new one in front, and drop the old one when
            its last link has expired.
        purpose: What the links are for. Links of another purpose are refused, with the same keys
            too.
        converter: Encodes the payloads; start from `make_converter()`.

    Raises:
        TypeError: A key is neither text nor bytes, or `keys` is one key instead of a list.
        ValueError: There is no key, one is too short, or the purpose is empty.
        ImportError: The extra `links` is not installed.
    """

    @made_without_locals
    def __init__(
        self,
        keys: Iterable[str | bytes],
        *,
        purpose: str,
        converter: cattrs.Converter | None = None,
    ) -> None:
        try:
            from itsdangerous import URLSafeSerializer  # noqa: PLC0415 - optional
        except ImportError:
            raise ImportError('links need an extra: pip install "golem-client[links]"') from None
        if not purpose:
            raise ValueError("purpose is empty: name what the links are for")
        self._serializer = URLSafeSerializer(
            _checked_keys(keys),
            salt=f"golem_client.links {purpose}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._purpose = purpose
        self._converter = converter

    def __repr__(self) -> str:
        return f"<PromiseLinks purpose={self._purpose!r}>"

    @made_without_locals
    def token(
        self,
        promise_id: AnyPromiseId,
        value: Any,
        as_type: TypeForm[Any] | None = None,
        *,
        expires_in: timedelta | float,
    ) -> str:
        """Return a token: the last part of a link, or the value of a Slack button.

        It has only letters, digits, `-`, `_` and `.`. Slack takes 2,000 characters in a button.

        Args:
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
            value: The payload, encoded and checked now, by the rules of `golem_client.payload`.
            as_type: The type to encode it as, where the value alone does not tell.
            expires_in: For how long the link works, as a timedelta or in seconds.

        Raises:
            InvalidIdError: It is not an id.
            PayloadError: The value cannot be encoded, or makes the token longer than 6,000
                characters, which not every server takes in a URL.
            ValueError: The link would have expired already.
            TypeError: `expires_in` is neither seconds nor a timedelta.
        """
        parsed = PromiseId.parse(promise_id)
        expires_at = math.ceil(time.time() + _seconds(expires_in))
        payload = encode_json(value, as_type, self._converter, max_bytes=_LONGEST_TOKEN)
        token = str(self._serializer.dumps([expires_at, str(parsed), payload.decode()]))
        if len(token) > _LONGEST_TOKEN:
            raise PayloadError(
                f"the token has {len(token)} characters, and not every server takes more than "
                f"{_LONGEST_TOKEN} in a URL: send a reference instead"
            )
        return token

    @made_without_locals
    def read(self, token: str) -> Link:
        """Return what a token says.

        Raises:
            ExpiredLinkError: It is genuine, and too old.
            BadLinkError: It is forged, made for another purpose, or not a token at all.
        """
        from itsdangerous import BadData  # noqa: PLC0415 - optional

        opened = None
        if type(token) is str and token.isascii():
            with suppress(BadData):
                opened = self._serializer.loads(token)
        if opened is None:
            raise BadLinkError("the link is not valid: forged, cut off, or of another purpose")
        seconds, text, payload = opened
        expires_at = datetime.fromtimestamp(seconds, UTC)
        if seconds <= time.time():
            raise ExpiredLinkError(f"the link expired at {expires_at:%Y-%m-%d %H:%M} UTC")
        return Link(PromiseId.parse(text), payload.encode(), expires_at)

    @without_locals
    async def answer(
        self,
        to: Any,
        method: str,
        token: str,
        *,
        question: Words,
        button: Words,
        texts: Texts | None = None,
    ) -> Answer:
        """Answer a request for a link, whatever the web framework.

        GET and HEAD only ask. POST decides: with a client the promise is completed when the
        answer comes, within the client's timeout but 10 seconds at most; with an outbox it is
        recorded.

        Args:
            to: The `GolemClient` or `Outbox` that completes the promise.
            method: The request's method.
            token: The token, from the request's path.
            question: What the person is asked, as plain text; or a function (a coroutine
                function, too) that returns it for a `Link`.
            button: The name of the button that decides; likewise.
            texts: The page's other words; None for English.

        Returns:
            The page: 200; 410 for a link that has expired or whose promise is gone, 404 for one
            that is not valid, 503 with a button to try again where Golem is away. It is 405 for
            any other method.

        Raises:
            TypeError: `to` is neither a `GolemClient` nor an `Outbox`.
        """
        _check_target(to)
        method = method.upper()
        if method not in ("GET", "HEAD", "POST"):
            return Answer.of_text(405, "method not allowed", {"Allow": "GET, HEAD, POST"})
        answer = await self._page(to, method, token, question, button, texts or Texts())
        return attrs.evolve(answer, body=b"") if method == "HEAD" else answer

    def starlette(
        self, to: Any, *, question: Words, button: Words, texts: Texts | None = None
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return a route `/decide/{token}` for Starlette and FastAPI.

            app.add_route(path, links.starlette(client, …), methods=["GET", "HEAD", "POST"])

        The arguments are those of `answer`.
        """
        words = {"question": question, "button": button, "texts": texts}
        return self._route(to, words, "path_params", Answer.for_starlette)

    def aiohttp(
        self, to: Any, *, question: Words, button: Words, texts: Texts | None = None
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return a route `/decide/{token}` for aiohttp.

            app.router.add_route("*", path, links.aiohttp(client, …))

        The arguments are those of `answer`.
        """
        words = {"question": question, "button": button, "texts": texts}
        return self._route(to, words, "match_info", Answer.for_aiohttp)

    def _route(
        self, to: Any, words: dict[str, Any], parameters: str, respond: Callable[[Answer], Any]
    ) -> Callable[[Any], Awaitable[Any]]:
        _check_target(to)

        async def decide(request: Any) -> Any:
            token = getattr(request, parameters)["token"]
            answering = self.answer(to, request.method, token, **words)
            del request, token  # error reporters show this frame
            return respond(await answering)

        return decide

    async def _page(
        self, to: Any, method: str, token: str, question: Words, button: Words, texts: Texts
    ) -> Answer:
        try:
            link = self.read(token)
        except ExpiredLinkError:
            return page(410, texts, texts.expired, texts.expired_hint)
        except BadLinkError:
            return page(404, texts, texts.invalid, texts.invalid_hint)
        asked, name = await _worded(question, link), await _worded(button, link)
        if method != "POST":
            return page(200, texts, asked, button=name, hint=texts.final)
        try:
            limit = {"timeout": min(to.timeout, _PATIENCE)} if isinstance(to, GolemClient) else {}
            completed = await to.complete_bytes(link.promise_id, link.payload, **limit)
        except GolemError as error:
            return _failure(error, asked, name, texts)
        return page(200, texts, *_result(completed, texts), asked)


def _result(completed: Any, texts: Texts) -> tuple[str, str]:
    """Return what may be said of a Completion, or of an outbox's Entry."""
    before = (texts.before, texts.before_hint)
    if not isinstance(completed, Completion):
        return (texts.recorded, texts.recorded_hint) if completed.is_new else before
    return {
        Outcome.FULFILLED: (texts.counts, ""),
        Outcome.ALREADY_FULFILLED: before,
        Outcome.FULFILLED_BY_UNKNOWN: (texts.unknown, texts.unknown_hint),
    }[completed.outcome]


def _failure(error: GolemError, question: str, button: str, texts: Texts) -> Answer:
    if isinstance(error, NotFoundError) and not error.worth_retrying:
        logger.warning("link: nobody waits for the decision: %s", error)
        return page(410, texts, texts.gone, question)
    logger.error("link: the decision is not made: %s: %s", type(error).__name__, error)
    again = f"{texts.again}: {button}"
    return page(503, texts, texts.failed, texts.failed_hint, question, button=again)


async def _worded(words: Words, link: Link) -> str:
    text = words(link) if callable(words) else words
    return await text if inspect.isawaitable(text) else text


def _check_target(to: Any) -> None:
    if not inspect.iscoroutinefunction(getattr(to, "complete_bytes", None)):
        raise TypeError(f"to is a GolemClient or an Outbox, not {type(to).__name__}")


def _checked_keys(keys: Iterable[str | bytes]) -> list[bytes]:
    """Return the keys as itsdangerous takes them: the one that signs comes last."""
    if isinstance(keys, str | bytes):
        raise TypeError("keys is a list of keys, the first of which signs")
    checked = [key.encode() if isinstance(key, str) else key for key in keys]
    for key in checked:
        if not isinstance(key, bytes):
            raise TypeError(f"a key is text or bytes, not {type(key).__name__}")
        if len(key) < _LEAST_KEY_BYTES:
            raise ValueError(f"a key has at least {_LEAST_KEY_BYTES} bytes: secrets.token_hex()")
    if not checked:
        raise ValueError("keys is empty: the first key signs")
    return checked[::-1]


def _seconds(expires_in: timedelta | float) -> float:
    if isinstance(expires_in, timedelta):
        expires_in = expires_in.total_seconds()
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        raise TypeError(f"expires_in is a timedelta or seconds, not {type(expires_in).__name__}")
    if not 0 < expires_in <= _MOST_SECONDS:
        raise ValueError("expires_in is in the past, or more than a hundred years")
    return expires_in
