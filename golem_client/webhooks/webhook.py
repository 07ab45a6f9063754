"""A webhook: from a signed request to a completed promise, and to the answer for the sender."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import math
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from multidict import CIMultiDict

from golem_client import GolemClient, GolemError, OutboxError, RateLimitedError
from golem_client.answer import Answer
from golem_client.frames import is_ours, made_without_locals, without_locals
from golem_client.outbox.key import Key
from golem_client.webhooks.completions import Completing
from golem_client.webhooks.events import decoded
from golem_client.webhooks.signatures import BadSignatureError, Headers, Verifier, Verify

logger = logging.getLogger("golem_client")

Route = Callable[[Any], Any]
"""Takes the event; returns (or is a coroutine that returns) what to complete, or None."""

AnyHeaders = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""Headers as frameworks have them: a mapping or pairs, of text or of bytes."""

_SAFETY = 0.8  # of the time that the sender waits: our answer has to travel
_GRACE = 0.2  # seconds more, so that the client's own error, which says why, comes first
_RETRY_AFTER = 30  # seconds


class Webhook:
    """Completes promises with the events of one sender. It can be shared by many tasks.

    ==========================================  =====================================
    What happened                               Answer
    ==========================================  =====================================
    the promise is completed (by whomever), or  204
    nobody waits for it
    no delivery can ever succeed                204, after `undeliverable` was called
    a later delivery can succeed                503 with `Retry-After`
    `route` raised, or returned anything else   500, and the log says where
    the signature is missing or wrong           401
    the body is neither JSON nor a form         400
    the body took too long to come              408
    the body is too large                       413
    ==========================================  =====================================

    Args:
        verifier: Who may send: `stripe(…)`, `github(…)` and their like, or any callable
            `(headers, body) -> bool`, a coroutine function too. Only True lets a request in.
        route: Takes an event and returns a `Complete`, `CompleteText` or `CompleteBytes`, a list
            of them, or None where nobody waits for the event. A coroutine function, or a plain
            one that does not block.
        to: A `GolemClient`: the sender is answered when the promise is completed, and a call gets
            what is left of `timeout` instead of the client's own timeout. Or an `Outbox`:
            the sender is answered when the completion is stored in its database.
        undeliverable: Called with the event and the `GolemError` when no delivery can succeed: an
            unknown promise, a payload that cannot be encoded. Without it the log has a line.
        max_bytes: The largest body. It is counted while it is read.
        timeout: The seconds until the answer is out, reading the body included; None for 0.8 of
            what the sender waits.

    Raises:
        TypeError: `to` is neither, `route` or `verifier` cannot be called, or `max_bytes` or
            `timeout` is not a number.
        ValueError: The sender never repeats a delivery and `to` is a client, or a number makes
            no sense.
    """

    @made_without_locals
    def __init__(
        self,
        verifier: Verifier | Verify,
        route: Route,
        *,
        to: Any,
        undeliverable: Callable[[Any, GolemError], Any] | None = None,
        max_bytes: int = 1_000_000,
        timeout: float | None = None,
    ) -> None:
        functions = {"verifier": verifier, "route": route, "undeliverable": undeliverable or print}
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(f"{name} is a function, not {type(function).__name__}")
        if not isinstance(verifier, Verifier):
            if getattr(verifier, "__module__", None) == Verifier.__module__:  # stripe, say
                raise TypeError("verifier makes a verifier: call it with your secrets")
            verifier = Verifier(getattr(verifier, "__name__", "a webhook"), verifier)
        self._verifier = verifier
        self._route = route
        self._to = to
        self._is_direct = _is_client(to)
        self._undeliverable = undeliverable
        self._max_bytes = _positive("max_bytes", max_bytes)
        self._timeout = (
            _SAFETY * verifier.sender_timeout if timeout is None else _positive("timeout", timeout)
        )
        if self._is_direct and verifier.never_repeats:
            raise ValueError(
                f"{verifier.never_repeats}, so that it is lost when Golem is away: give the "
                "webhook to=outbox, or the verifier lossy=True"
            )

    def __repr__(self) -> str:
        return f"<Webhook of {self._verifier.sender} to {type(self._to).__name__}>"

    @without_locals
    async def receive(self, headers: AnyHeaders, body: bytes) -> Answer:
        """Answer one request, whatever the web framework.

        Args:
            headers: The request's headers, as a mapping or as pairs; their case does not matter.
            body: The request's body, raw, as it was received: the signature covers its bytes.

        Returns:
            The answer to send. Whatever the request holds, nothing is raised.

        Raises:
            TypeError: The body is not bytes.
        """
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(f"body is the raw bytes of the request, not {type(body).__name__}")
        return await self._answer_in_time(headers, bytes(body), self._deadline())

    @without_locals
    async def starlette(self, request: Any) -> Any:
        """Answer a request of Starlette or FastAPI: `app.add_route(path, hook.starlette, …)`."""
        from starlette.requests import ClientDisconnect  # noqa: PLC0415 - optional

        reading = self._read_and_answer(request.headers, request.stream(), ClientDisconnect)
        return (await reading).for_starlette()

    @without_locals
    async def aiohttp(self, request: Any) -> Any:
        """Answer a request of aiohttp: `app.router.add_post(path, hook.aiohttp)`."""
        from aiohttp import ClientError  # noqa: PLC0415 - as the other
        from aiohttp.web import RequestPayloadError  # noqa: PLC0415 - as the other

        broken = (ClientError, RequestPayloadError, OSError)
        reading = self._read_and_answer(request.headers, _chunks(request), *broken)
        return (await reading).for_aiohttp()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _read_and_answer(
        self, headers: AnyHeaders, chunks: AsyncIterator[bytes], *broken: type[Exception]
    ) -> Answer:
        """Read the body up to the limit; the length that the request claims is not believed."""
        deadline, body = self._deadline(), bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > self._max_bytes:
                        return _TOO_LARGE
        except TimeoutError:
            return Answer.of_text(408, "the body took too long")
        except broken:
            return Answer.of_text(400, "the body ended early or is garbled")
        return await self._answer_in_time(headers, bytes(body), deadline)

    async def _answer_in_time(self, headers: AnyHeaders, body: bytes, deadline: float) -> Answer:
        try:
            async with asyncio.timeout_at(deadline + _GRACE):
                return await self._answer_to(CIMultiDict(_pairs(headers)), body, deadline)
        except TimeoutError:
            return self._come_again(["it took too long"])

    async def _answer_to(self, headers: Headers, body: bytes, deadline: float) -> Answer:
        """Check and decode the request, and answer it."""
        if len(body) > self._max_bytes:
            return _TOO_LARGE
        if problem := await self._problem_of_signature(headers, body):
            logger.warning(
                "%s: a request without a good signature is refused: %s", self._name, problem
            )
            return Answer.of_text(401, "bad signature")
        try:
            event = decoded(headers, body, self._verifier.json_field)
        except ValueError:
            return Answer.of_text(400, "the body is neither JSON nor a form")
        if (handshake := self._verifier.handshake(headers, event)) is not None:
            return handshake
        with _continuing(headers):
            return await self._answer_to_event(event, deadline)

    async def _problem_of_signature(self, headers: Headers, body: bytes) -> str:
        """Return why a request is not genuine; empty where it is."""
        try:
            is_genuine = await _awaited(self._verifier.verify(headers, body))
        except BadSignatureError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a verifier that fails on garbage refuses it
            return f"the verifier raised {_place(error)}"
        return "" if is_genuine is True else "the verifier did not return True"

    async def _answer_to_event(self, event: Any, deadline: float) -> Answer:
        """Ask the route what the event completes, and complete it."""
        try:
            returned = await _awaited(self._route(event))
        except Exception as error:  # noqa: BLE001 - it is the user's; answered and logged
            return self._failed(f"route raised {_place(error)}")
        listed = returned if isinstance(returned, list | tuple) else [returned]
        completions = [] if returned is None else listed
        if problem := self._problem_of(completions):
            return self._failed(problem)
        errors = await asyncio.gather(*(self._error_of(each, deadline) for each in completions))
        if foreign := next((words for words in errors if isinstance(words, str)), ""):
            return self._failed(f"completing raised {foreign}")
        return await self._answer_after(event, [e for e in errors if isinstance(e, GolemError)])

    def _problem_of(self, completions: Sequence[Any]) -> str:
        """Return what is wrong with what the route returned; empty for nothing."""
        for each in completions:
            if not isinstance(each, Completing):
                return f"route returned {type(each).__name__}: a Complete, a list of them, or None"
            if self._is_direct and isinstance(each.promise_id, Key):
                return "route returned a Key, and only an outbox knows keys: give the webhook one"
        return ""

    async def _error_of(self, completion: Completing, deadline: float) -> GolemError | str | None:
        """Complete one promise; return its error without frames, or a foreign one's words."""
        left = max(deadline - asyncio.get_running_loop().time(), 0.001)
        try:
            await completion.by(self._to, **({"timeout": left} if self._is_direct else {}))
        except GolemError as error:
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - each is answered and logged by the caller
            return _words_of_ours(error)
        return None

    async def _answer_after(self, event: Any, errors: Sequence[GolemError]) -> Answer:
        """Answer an event whose completions have ended with these errors of ours."""
        # An outbox that cannot be used is our trouble, not the event's.
        repeated = [each for each in errors if each.worth_retrying or isinstance(each, OutboxError)]
        if repeated:
            return self._come_again([_words(error) for error in repeated], _seconds(repeated))
        for error in errors:
            logger.error("%s: undeliverable: %s", self._name, _words(error))
        if self._undeliverable is not None:
            try:
                for error in errors:
                    await _awaited(self._undeliverable(event, error))
            except Exception as failure:  # noqa: BLE001 - it is the user's; answered and logged
                return self._failed(f"undeliverable raised {_place(failure)}")
        return Answer(204)

    def _come_again(self, reasons: list[str], seconds: int = _RETRY_AFTER) -> Answer:
        logger.warning("%s: the event must come again: %s", self._name, " ".join(reasons))
        return Answer.of_text(503, "come again later", {"Retry-After": str(seconds)})

    def _failed(self, why: str) -> Answer:
        logger.error("%s: %s", self._name, why)
        return Answer.of_text(500, "failed")

    @property
    def _name(self) -> str:
        return f"webhook of {self._verifier.sender}"


_TOO_LARGE = Answer.of_text(413, "the body is too large")


def _continuing(headers: Headers) -> AbstractContextManager[Any]:
    """Go on with the trace of the request, in a program that uses OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return nullcontext()
    telemetry: Any = importlib.import_module("golem_client.telemetry")
    going_on: AbstractContextManager[Any] = telemetry.continuing(headers)
    return going_on


async def _chunks(request: Any) -> AsyncIterator[bytes]:
    """Yield the body of a request of aiohttp, also where a middleware has read it before."""
    is_read = True
    async for chunk in request.content.iter_any():
        is_read = False
        yield chunk
    if is_read:
        yield await request.read()


async def _awaited(value: Any) -> Any:
    """Return the value, or what it is a coroutine of."""
    return await value if inspect.isawaitable(value) else value


def _pairs(headers: AnyHeaders) -> list[tuple[str, str]]:
    items = getattr(headers, "items", None)
    return [(_text(name), _text(value)) for name, value in (items() if items else headers)]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _is_client(to: Any) -> bool:
    """Return whether it is a client; False for an outbox, which alone has `bind`."""
    if isinstance(to, GolemClient):
        return True
    if inspect.iscoroutinefunction(getattr(to, "bind", None)):
        return False
    raise TypeError(f"to is a GolemClient or an Outbox, not {type(to).__name__}")


def _positive(name: str, number: float) -> Any:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} is a number, not {type(number).__name__}")
    if not (0 < number < math.inf):
        raise ValueError(f"{name} is finite and more than 0, not {number}")
    return number


def _seconds(errors: Sequence[GolemError]) -> int:
    """Return when the sender is to come again."""
    asked = [error.retry_after or 0 for error in errors if isinstance(error, RateLimitedError)]
    return math.ceil(max(asked, default=0)) or _RETRY_AFTER


def _place(error: Exception) -> str:
    """Return the class and the lines of an error; its text may hold the event."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__]
    lines = ", ".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in theirs)
    return f"{type(error).__name__} ({lines})" if lines else type(error).__name__


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _words_of_ours(error: Exception) -> str:
    """Return the text only of what this package raised; any other may hold the payload."""
    return _words(error) if is_ours(error) else type(error).__name__
