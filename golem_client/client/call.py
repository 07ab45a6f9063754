"""One completion under way: its deadline, its attempts, and what each came to."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from golem_client import wire
from golem_client.client.body import Body
from golem_client.client.events import AttemptEvent, observed
from golem_client.client.failures import FAILURES, is_stale, reason, sent_before, silence_of
from golem_client.client.gate import HeldError, Ticket
from golem_client.client.options import Settings, TokenSource, bearer
from golem_client.client.session import Session, Wait
from golem_client.config import Secret, checked_token, proxy_for
from golem_client.errors import (
    AuthenticationError,
    ConnectionFailedError,
    DeadlineExceededError,
    DeliveryError,
    GolemError,
    ResponseError,
    brief,
)
from golem_client.ids import PromiseId
from golem_client.outcome import Completion
from golem_client.retry import conclusion, repeat, told
from golem_client.wire import Request, Sent, Silence, Verdict

logger = logging.getLogger("golem_client")

T = TypeVar("T")

_UNASKED = "the connection held an answer to something else"


class Call(Wait):
    """One call of the client's, and what it waits in.

    Attributes:
        promise_id: The promise; None behind a webhook.
        seconds_waited: How long the call waited at the gate, in seconds.
    """

    seconds_waited = 0.0
    _may_renew_token = _needs_token = _is_sending = False
    _fresh_since: float | None = None

    def __init__(
        self, settings: Settings, session: Session, promise_id: PromiseId | None, timeout: float
    ) -> None:
        super().__init__(session)
        self.settings = settings
        self.promise_id = promise_id
        self._timeout = timeout
        self._deadline = session.loop.time() + timeout
        self._is_gated = settings.overload == "wait"
        self._proxy = settings.proxy
        self._verdicts: list[Verdict] = []

    async def run(self, make: Callable[[], Request]) -> Completion:
        """Encode (in `make`), attempt once, and have `retry` repeat where that is useful."""
        session, settings, note = self._session, self.settings, ""
        try:
            request = self._request = make()
            self._url = URL(request.url, encoded=True)
            if request.is_webhook:
                # One on this machine may be plain http, and a proxy would read its secret.
                is_for_proxy = settings.trust_env and request.url.startswith("https:")
                self._proxy = proxy_for(request.url) if is_for_proxy else None
            elif callable(settings.token):
                self._needs_token = self._may_renew_token = True
            session.waits.add(self)
            first = await self._attempt()
            if first.repeat:
                note = await repeat(
                    first,
                    self._attempt,
                    policy=settings.retry,
                    seconds_left=self._deadline - session.loop.time(),
                    is_down=lambda: self._is_gated and session.gate.is_down,
                    pause=self._pause,
                    on_repeat=lambda verdict, seconds: self._log(
                        logging.INFO, verdict, f"; the next follows in {seconds:.3g} s"
                    ),
                )
            return conclusion(self._verdicts, note)
        except GolemError as error:
            error.promise_id = self.promise_id
            raise
        finally:
            session.waits.discard(self)

    async def _attempt(self) -> Verdict:
        """Wait for the token, the gate and a slot, then send the request once."""
        session, gate = self._session, self._session.gate
        began_at = session.loop.time()
        if began_at >= self._deadline and not self._verdicts:
            raise self._late("when the payload was encoded")
        if self._needs_token:
            await self._fetch_token()
            began_at = session.loop.time()
        ticket = gate.try_enter(began_at, ignores=not self._is_gated)
        if ticket is None:
            ticket = await self._enter(began_at)
            began_at = session.loop.time()
        if session.is_closed:
            gate.cut_off(ticket)
            raise self._closed()
        self._is_sending = True
        try:
            sending = self._observed if self.settings.observers else self._send_once
            verdict = await sending(began_at)
        except BaseException:
            gate.cut_off(ticket)
            raise
        finally:
            self._is_sending = False
        self._verdicts.append(verdict)
        self._leave(ticket, verdict)
        if self._may_renew_token and isinstance(verdict.error, AuthenticationError):
            self._may_renew_token = False
            self._needs_token = True
            verdict = self._verdicts[-1] = attrs.evolve(verdict, repeat=True, at_once=True)
        self._log(logging.DEBUG, verdict)
        return verdict

    async def _enter(self, began_at: float) -> Ticket:
        """Wait at the gate."""
        if self._session.is_closed:
            raise self._closed()
        entering = self._session.gate.enter(
            self._deadline, is_return=bool(self._verdicts), ignores=not self._is_gated
        )
        try:
            return await self._in_time("for a free connection", entering)
        except HeldError as held:
            error, seconds = copy.copy(held.cause), held.seconds
        finally:
            self.seconds_waited += self._session.loop.time() - began_at
        error.may_have_completed = False
        note = f"the server asked everybody to wait, and {seconds:.3g} s of that are left"
        raise told(error, self._verdicts, len(self._verdicts), note)

    def _leave(self, ticket: Ticket, verdict: Verdict) -> None:
        """Tell the gate what the end of an attempt means for all calls."""
        gate, error = self._session.gate, verdict.error
        if not self._is_gated:
            gate.cut_off(ticket)
        elif error is None:
            gate.answered(ticket)
        elif verdict.at_once or (isinstance(error, DeliveryError) and not verdict.repeat):
            gate.cut_off(ticket)  # a stale connection, or the call's own end
        elif verdict.repeat:
            status = f"{error.status}: " if isinstance(error, ResponseError) else ""
            gate.failed(ticket, status + error.message)
            if verdict.retry_after and isinstance(error, ResponseError):
                gate.hold(verdict.retry_after, error)
        else:
            gate.answered(ticket)

    async def _observed(self, began_at: float) -> Verdict:
        """Send once, and show it to the observers."""
        request = self._request
        event = AttemptEvent(len(self._verdicts) + 1, request.method, request.shown_url)
        with observed(self.settings.observers, "attempt", event):
            verdict = await self._send_once(began_at, event)
            event.error = verdict.error
        return verdict

    async def _send_once(self, began_at: float, event: AttemptEvent | None = None) -> Verdict:
        """Send the request over the network, and judge what comes back."""
        session, settings, request = self._session, self.settings, self._request
        headers = request.headers
        if event is not None and event.headers:
            headers = CIMultiDict(headers)
            headers.update(event.headers)
        end = min(self._deadline, began_at + settings.attempt_timeout)
        while True:
            body = Body(request, session, self._restart_attempt_timer, self._fresh_since)
            try:
                with self.until(end):
                    response = await session.http.request(
                        request.method,
                        self._url,
                        data=body,
                        headers=headers,
                        allow_redirects=False,
                        ssl=settings.ssl,
                        proxy=self._proxy,
                    )
                    head_at = session.loop.time()
                    if event is not None:
                        event.status = response.status
                    if body.sent is Sent.NOTHING and body.is_taken:
                        response.close()  # and not read: it may have no end
                        return wire.read_silence(
                            Silence.BROKEN, _UNASKED, sent=Sent.NOTHING, stale=True
                        )
                    body.is_answered = True
                    answer = await _read(response)
            except FAILURES as error:
                if body.is_refused and not session.is_closed:
                    continue  # nothing was sent, and that connection is closed: take another
                return self._no_answer(error, body)
            except asyncio.CancelledError:
                if not self._is_cancelled_by_the_connectors_owner():
                    raise
                return wire.read_silence(Silence.CLOSED, Silence.CLOSED.value, sent=body.sent)
            break
        session.is_answered = True
        if body.sent is not Sent.ALL and body.is_taken and response.status < 300:
            return wire.read_silence(Silence.BROKEN, _UNASKED, sent=body.sent)
        return wire.read_answer(
            request,
            response.status,
            response.headers,
            answer,
            seconds=head_at - (began_at if body.sent_at is None else body.sent_at),
            now=None if response.status == 200 else time.time(),
        )

    def _restart_attempt_timer(self) -> None:
        """Give the attempt its whole time again: a large body moves on."""
        # aiohttp may go on writing after an early answer, when the call waits for other things.
        if self._is_sending and self.ends_at <= self._deadline:
            again = self._session.loop.time() + self.settings.attempt_timeout
            self.ends_at = min(self._deadline, again)

    def _is_cancelled_by_the_connectors_owner(self) -> bool:
        """Whether those who wait in a borrowed connector were cancelled, because it was closed."""
        connector = self.settings.connector
        is_closed = connector is not None and connector.closed
        return is_closed and self._task.cancelling() == self._cancelling

    def _no_answer(self, error: BaseException, body: Body) -> Verdict:
        """Judge an attempt that ended with an exception of aiohttp's."""
        session, sent = self._session, sent_before(error, body)
        if session.is_closed:
            return wire.read_silence(Silence.CLOSED, Silence.CLOSED.value, sent=sent)
        if type(error) is not TimeoutError:
            stale = is_stale(error, body)
            if stale:
                self._fresh_since = session.loop.time()
            silence = silence_of(error, is_first_contact=not session.is_answered)
            return wire.read_silence(silence, reason(error), sent=sent, stale=stale)
        if session.loop.time() < self._deadline:
            what = "connection" if sent is Sent.NOTHING else "complete answer"
            why = f"no {what} within the attempt_timeout of {self.settings.attempt_timeout:g} s"
            return wire.read_silence(Silence.ATTEMPT_TIMEOUT, why, sent=sent)
        late = self._late(f"in attempt {len(self._verdicts) + 1}")
        verdict = wire.read_silence(Silence.DEADLINE, late.message, sent=sent)
        return attrs.evolve(verdict, error=late)

    def _late(self, when: str) -> DeadlineExceededError:
        gate, why = self._session.gate, f"the timeout of {self._timeout:g} s was up {when}"
        trouble = gate.trouble if self._is_gated else ""
        late = DeadlineExceededError(f"{why}; {trouble}" if trouble else why)
        late.seconds_down = gate.seconds_down if trouble else 0.0
        return late

    async def _fetch_token(self) -> None:
        source = self.settings.token
        assert callable(source)  # noqa: S101 - for the type checker
        refresh = {"refresh": True} if self._verdicts and _takes_refresh(source) else {}
        try:
            text = await self._in_time("for its token", _awaitable(source(**refresh)))
        except GolemError:
            raise
        except Exception as error:
            may_have_stored = any(verdict.may_have_stored for verdict in self._verdicts)
            known = "an earlier attempt may have completed it"
            known = known if may_have_stored else "it is not completed by this call"
            error.add_note(f"golem_client: no token for promise {self._name}; {known}")
            raise
        secret = Secret(checked_token(text))
        self._needs_token = False
        headers = self.settings.request_headers.copy()
        headers.update(bearer(secret))
        self._request = attrs.evolve(self._request, headers=headers)

    async def _pause(self, seconds: float) -> None:
        """Sleep between two attempts; a client that closes ends it early."""
        if seconds <= 0:
            return
        try:
            with self.until(self._deadline):
                if self._is_gated:
                    await self._session.gate.doze(seconds, self._deadline)
                else:
                    await asyncio.sleep(seconds)
        except TimeoutError:
            return

    async def _in_time(self, what: str, waiting: Awaitable[T]) -> T:
        """Wait for something; a GolemError where the deadline passes or the client is closed."""
        try:
            with self.until(self._deadline):
                return await waiting
        except TimeoutError:
            if not self.is_expired:
                raise
        if self._session.is_closed:
            raise self._closed()
        if self._is_gated and self._session.gate.trouble:
            what = "for its turn"
        raise self._told(self._late(f"while the call waited {what}"))

    def _closed(self) -> GolemError:
        return self._told(ConnectionFailedError(Silence.CLOSED.value))

    def _told(self, error: GolemError) -> GolemError:
        return told(error, self._verdicts, len(self._verdicts))

    @property
    def _name(self) -> str:
        return "(of a webhook)" if self.promise_id is None else brief(self.promise_id)

    def _log(self, level: int, verdict: Verdict, then: str = "") -> None:
        if not logger.isEnabledFor(level):
            return
        number, error = len(self._verdicts), verdict.error
        ended = f"answer {str(verdict.answer).lower()}"
        if error is not None:
            ended = f"{type(error).__name__}: {error.message}"
        extra = {"golem_promise": self._name, "golem_attempt": number}
        logger.log(
            level, "promise %s: attempt %d: %s%s", self._name, number, ended, then, extra=extra
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer, at most `MAX_ANSWER_BYTES` of it; leave no connection behind."""
    content = response.content
    try:
        answer = await content.read(wire.MAX_ANSWER_BYTES)
        while not content.at_eof() and len(answer) < wire.MAX_ANSWER_BYTES:
            answer += await content.read(wire.MAX_ANSWER_BYTES - len(answer))
    finally:
        if not content.at_eof() or response.status < 200:
            response.close()
    return answer


def _takes_refresh(source: TokenSource) -> bool:
    try:
        inspect.signature(source).bind(refresh=True)
    except (TypeError, ValueError):  # a ValueError: a callable written in C has no signature
        return False
    return True


def _awaitable(token: Awaitable[str]) -> Awaitable[str]:
    if not inspect.isawaitable(token):
        raise TypeError("token= must be a string or an async callable that returns one")
    return token
