"""One completion under way: its deadline, its attempts, and what each came to."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, TypeVar

import attrs
from yarl import URL

from golem_client import wire
from golem_client.client.failures import FAILURES, is_stale, reason, was_sent
from golem_client.client.session import Body
from golem_client.client.settings import bearer
from golem_client.config import Secret, checked_token
from golem_client.errors import AuthenticationError, brief
from golem_client.outcome import Completion
from golem_client.retry import settle, settled_at_once
from golem_client.wire import Silence, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from golem_client.client.session import Session
    from golem_client.client.settings import Settings, TokenSource
    from golem_client.ids import PromiseId

logger = logging.getLogger("golem_client")

T = TypeVar("T")

_NOT_ASKED_FOR = "the connection held an answer to something else"


class _Ended(Exception):  # noqa: N818 - it carries a verdict, not a failure
    """The call ended while it waited for something other than an answer."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict


class Call:
    """One call of the client's.

    Attributes:
        wait: What the call waits in right now; closing the client makes it expire.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        promise_id: PromiseId,
        request: wire.Request,
        timeout: float,
    ) -> None:
        self._settings = settings
        self._session = session
        self._promise_id = promise_id
        self._request = request
        self._url = URL(request.url, encoded=True)
        self._timeout = timeout
        self._deadline = session.loop.time() + timeout
        self._token = settings.token
        self._may_renew_token = settings.token_source is not None
        self._own_headers: dict[str, str] | None = None
        self._attempts = 0
        self.wait: asyncio.Timeout | None = None

    async def run(self) -> Completion:
        """Attempt once, and have `retry` repeat where that is useful; all before the deadline."""
        calls = self._session.calls
        calls.add(self)
        try:
            first = await self._attempt()
            completion = settled_at_once(first)
            if completion is not None:
                return completion
            return await settle(
                first,
                self._attempt,
                policy=self._settings.retry,
                time_left=self._time_left,
                pause=self._pause,
                on_repeat=self._log_repeat,
            )
        finally:
            calls.discard(self)

    def _time_left(self) -> float:
        return self._deadline - self._session.loop.time()

    async def _pause(self, seconds: float) -> None:
        """Sleep between two attempts; a client that closes ends it early."""
        try:
            async with self._until(self._deadline):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return

    def _log_repeat(self, verdict: Verdict, wait: float) -> None:
        logger.info(
            "promise %s: attempt %d failed, the next follows in %.3g s: %s: %s",
            brief(self._promise_id),
            self._attempts,
            wait,
            type(verdict.error).__name__,
            verdict.error and verdict.error.message,
        )

    async def _attempt(self) -> Verdict:
        """Wait for the token and for a connection slot, then send the request once."""
        slots = self._session.slots
        try:
            if self._token is None and self._settings.token_source is not None:
                await self._fetch_token(self._settings.token_source)
            if slots.locked():
                await self._in_time("for a free connection", slots.acquire())
            else:
                await slots.acquire()
        except _Ended as ended:
            return ended.verdict
        try:
            verdict = await self._send_once()
        finally:
            slots.release()
        if verdict.error is not None and self._may_renew_token:
            verdict = self._with_a_fresh_token(verdict)
        if logger.isEnabledFor(logging.DEBUG):
            self._log_attempt(verdict)
        return verdict

    async def _send_once(self) -> Verdict:
        """Send the request over the network, and judge what comes back."""
        if self._session.is_closed:
            return wire.read_silence(
                Silence.CLOSED, Silence.CLOSED.value, sent=False, attempted=False
            )
        self._attempts += 1
        session, settings, request = self._session, self._settings, self._request
        body = Body(request, session)
        end = min(self._deadline, session.loop.time() + settings.attempt_timeout)
        try:
            async with self._until(end):
                response = await session.http.post(
                    self._url,
                    data=body,
                    headers=self._own_headers,
                    allow_redirects=False,
                    ssl=settings.ssl,
                    proxy=settings.proxy,
                )
                if body.is_taken and not body.is_begun:
                    # aiohttp found an answer that somebody had left on the connection. It may
                    # have no end: it is not read.
                    response.close()
                    return wire.read_silence(Silence.BROKEN, _NOT_ASKED_FOR, sent=False, stale=True)
                body.is_answered = True
                content = response.content
                try:
                    answer = await content.read(wire.MAX_ANSWER_BYTES)
                    while not content.at_eof() and len(answer) < wire.MAX_ANSWER_BYTES:
                        answer += await content.read(wire.MAX_ANSWER_BYTES - len(answer))
                finally:
                    if not content.at_eof():
                        response.close()
        except FAILURES as error:
            return self._no_answer(error, body, is_last=end >= self._deadline)
        if body.is_taken and not body.is_finished and response.status < 300:
            return wire.read_silence(Silence.BROKEN, _NOT_ASKED_FOR, sent=True)
        token = self._token.reveal() if self._token is not None else None
        return wire.read_answer(request, token, response.status, response.headers, answer)

    def _no_answer(self, error: BaseException, body: Body, *, is_last: bool) -> Verdict:
        sent = was_sent(error, body)
        if self._session.is_closed:
            return wire.read_silence(Silence.CLOSED, Silence.CLOSED.value, sent=sent)
        if type(error) is TimeoutError:
            if is_last:
                why = f"the timeout of {self._timeout:g} s was up in attempt {self._attempts}"
                return wire.read_silence(Silence.DEADLINE, why, sent=sent)
            what = "complete answer" if sent else "connection"
            why = f"no {what} within the attempt_timeout of {self._settings.attempt_timeout:g} s"
            return wire.read_silence(Silence.ATTEMPT_TIMEOUT, why, sent=sent)
        stale = is_stale(error, body)
        if stale:
            self._session.drop_idle_connections(self._settings.host)
        return wire.read_silence(Silence.BROKEN, reason(error), sent=sent, stale=stale)

    async def _fetch_token(self, source: TokenSource) -> None:
        waiting = source()
        if not inspect.isawaitable(waiting):
            raise TypeError("token= must be a string or an async callable that returns one")
        token = await self._in_time("for its token", waiting)
        self._token = Secret(checked_token(token))
        self._own_headers = bearer(self._token)

    def _with_a_fresh_token(self, verdict: Verdict) -> Verdict:
        """Ask for one more attempt, at once, where the token may merely have expired."""
        if not isinstance(verdict.error, AuthenticationError):
            return verdict
        self._may_renew_token = False
        self._token = None
        return attrs.evolve(verdict, repeat=True, at_once=True)

    async def _in_time(self, what: str, waiting: Awaitable[T]) -> T:
        """Wait for something, at most until the deadline."""
        wait = self._until(self._deadline)
        try:
            async with wait:
                return await waiting
        except TimeoutError:
            if not wait.expired():
                raise
        if self._session.is_closed:
            silence, why = Silence.CLOSED, Silence.CLOSED.value
        else:
            silence = Silence.DEADLINE
            why = f"the timeout of {self._timeout:g} s was up while the call waited {what}"
        raise _Ended(wire.read_silence(silence, why, sent=False, attempted=False))

    def _until(self, when: float) -> asyncio.Timeout:
        # Closing wakes those who wait already; nobody would wake one who begins to wait later.
        self.wait = asyncio.timeout_at(0.0 if self._session.is_closed else when)
        return self.wait

    def _log_attempt(self, verdict: Verdict) -> None:
        logger.debug(
            "promise %s: attempt %d: %s",
            brief(self._promise_id),
            self._attempts,
            f"answer {str(verdict.answer).lower()}"
            if verdict.error is None
            else f"{type(verdict.error).__name__}: {verdict.error.message}",
        )
