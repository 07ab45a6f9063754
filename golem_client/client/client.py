"""What users call: `GolemClient`."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import aiohttp
import cattrs
from typing_extensions import TypeForm

from golem_client import wire
from golem_client.client.call import Call
from golem_client.client.events import CallEvent, Observer, observed
from golem_client.client.gate import Pressure
from golem_client.client.options import (
    OWN_HEADERS,
    ChangeableOptions,
    ClientOptions,
    Overload,
    Settings,
    Tls,
    TokenSource,
    checked_webhook_url,
    of_environment,
)
from golem_client.client.promise import Promise
from golem_client.client.session import CLOSED, Sessions
from golem_client.config import CLOUD_URL, LOCAL_TOKEN, LOCAL_URL, checked_seconds, insecurity
from golem_client.errors import InsecureTransportWarning, PayloadError
from golem_client.frames import callers_level, made_without_locals, without_locals
from golem_client.ids import AnyPromiseId, PromiseId
from golem_client.outcome import Completion
from golem_client.payload import encode_bytes, encode_json, encode_text
from golem_client.retry import RetryPolicy
from golem_client.wire import Request

logging.getLogger("golem_client").addHandler(logging.NullHandler())

T = TypeVar("T")


class GolemClient:
    """A session with a Golem, to complete its promises from outside.

        async with GolemClient("https://release.api.golem.cloud", token="…") as client:
            done = await client.complete_json(promise_id, {"approved": True})

    Returning at all means that the promise is completed; `done.outcome` says by whom. Every
    failure is a `GolemError` that says whether the promise may be completed all the same.

    Make one client and share it: many tasks may use it at once, and it keeps its connections. It
    may be made outside a running loop, at import too. It belongs to the loop of its first call for
    as long as that loop lives; a call in another loop is then a RuntimeError, before anything is
    sent. When the loop ends (`asyncio.run` once per task), its connections are closed, and the
    next call opens new ones. Threads need `golem_client.blocking.BlockingGolemClient`. After a
    fork, the child can use the client only in a loop of its own. Close it with `async with` or
    `aclose()`.

    While Golem is down or overloaded, the calls of a client wait together, within their own
    deadlines, while single attempts find out whether it is back: see `pressure`.

    Cancelling a call ends it at once. Its outcome is then unknown, because Golem most likely stores
    what it has received: complete again with the same payload, which is harmless, and also wakes
    a worker whose wake-up was lost.

    Every method requires an explicit payload: the first one stored stays, and an empty or wrong
    one fails the worker for good.

    Args:
        base_url: The address of Golem's API, without `/v1`. A path in it is kept.
        token: The API token, or an async callable that returns one: called once per call, and
            once more after a 401, then with `refresh=True` if it takes that keyword. What it
            raises passes through, with a note on what is known; its time counts.
        timeout: Seconds for a whole call: encoding, waits, attempts and sleeps.
        attempt_timeout: Seconds for one attempt, from having a connection slot to the last byte
            of the answer. It begins anew with each piece of a large payload that is sent.
        retry: When to try again.
        converter: Encodes JSON payloads; start from `make_converter()`.
        headers: More headers for each request.
        max_connections: The most attempts at the same time; others wait for their turn.
        max_payload_bytes: The largest payload. Every Golem takes 4,000,000 bytes; over 4 MiB,
            1.5.0 hangs for ever. 1.5.1 and later take 32 MiB.
        ssl: False to accept any certificate, or an `ssl.SSLContext`, or a fingerprint.
        trust_env: Whether to use the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`).
        connector: An aiohttp connector to borrow. It is never closed, keeps its own limits
            (`max_connections` should not exceed them) and its own loop.
        overload: "wait" has calls wait together while Golem is down; "ignore" has each try for
            itself.
        observers: What is shown each call and attempt; see `golem_client.telemetry`.

    Raises:
        ValueError: An option makes no sense, before any I/O.
    """

    @made_without_locals
    def __init__(  # noqa: PLR0913 - the options of the contract, keyword-only
        self,
        base_url: str,
        *,
        token: str | TokenSource | None = None,
        timeout: float = 30.0,
        attempt_timeout: float = 10.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - it is frozen
        converter: cattrs.Converter | None = None,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 100,
        max_payload_bytes: int = 4_000_000,
        ssl: Tls = True,
        trust_env: bool = False,
        connector: aiohttp.BaseConnector | None = None,
        overload: Overload = "wait",
        observers: Sequence[Observer] = (),
    ) -> None:
        settings = self._settings = Settings(
            base_url=base_url,
            token=token,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=retry,
            converter=converter,
            headers=headers,
            max_connections=max_connections,
            max_payload_bytes=max_payload_bytes,
            ssl=ssl,
            trust_env=trust_env,
            connector=connector,
            overload=overload,
            observers=observers,
        )
        self._sessions = Sessions()
        if token is not None:
            verifies = ssl is not False
            danger = insecurity(settings.base_url, proxy=settings.proxy, verifies_tls=verifies)
            if danger:
                warnings.warn(danger, InsecureTransportWarning, stacklevel=callers_level())

    @classmethod
    @made_without_locals
    def local(cls, **options: Unpack[ClientOptions]) -> Self:
        """Return a client of the Golem on this machine, with Golem's well-known local token."""
        return cls(LOCAL_URL, token=LOCAL_TOKEN, **options)

    @classmethod
    @made_without_locals
    def cloud(cls, token: str | TokenSource, **options: Unpack[ClientOptions]) -> Self:
        """Return a client of Golem Cloud.

        Raises:
            ValueError: There is no token.
        """
        if token is None:
            raise ValueError("Golem Cloud needs a token")
        return cls(CLOUD_URL, token=token, **options)

    @classmethod
    @made_without_locals
    def from_env(
        cls,
        base_url: str | None = None,
        *,
        token: str | TokenSource | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Return a client of the Golem that the environment names.

        Arguments win over `GOLEM_URL` and `GOLEM_AUTH_TOKEN`, these over golem-cli's profile
        (`GOLEM_PROFILE`, or the default one); the last resort is the Golem on this machine. A
        profile's token is sent to its own server alone. `golem_client.config.environment` has the
        table of the other variables, `GOLEM_CLIENT_TIMEOUT` and its like.

        Raises:
            ValueError: A variable, or golem-cli's file, is wrong: the text says where, what to do,
                and no secret.
        """
        from golem_client.config.environment import connection_from_env  # noqa: PLC0415 - costly

        found = connection_from_env(base_url, needs_token=token is None)
        return cls(**of_environment(found, token, options))

    @classmethod
    @made_without_locals
    def from_profile(
        cls,
        name: str,
        *,
        token: str | TokenSource | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Return a client of the Golem that a profile of golem-cli names.

        Address and token are the profile's alone, whatever `GOLEM_URL` and `GOLEM_AUTH_TOKEN` say;
        `token` is for one that has none of its own. Else as `from_env`.

        Raises:
            ValueError: There is no such profile, or it has no token, or golem-cli's file is wrong.
        """
        from golem_client.config.environment import connection_from_profile  # noqa: PLC0415 - costly

        found = connection_from_profile(name, needs_token=token is None)
        return cls(**of_environment(found, token, options))

    def __repr__(self) -> str:
        if not hasattr(self, "_sessions"):  # in a traceback of a subclass's constructor
            return f"<{type(self).__name__} not made>"
        state = " closed" if self._sessions.is_closed else ""
        return f"<{type(self).__name__} {self._settings.base_url}{state}>"

    async def __aenter__(self) -> Self:
        if self._sessions.is_closed:
            raise RuntimeError(CLOSED)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    if not TYPE_CHECKING:  # for whoever forgets `async`; type checkers refuse it by themselves

        def __enter__(self) -> None:
            raise TypeError(
                "use `async with` for a GolemClient; for programs that are not asyncio there is "
                "golem_client.blocking.BlockingGolemClient"
            )

        __exit__ = __enter__

    async def aclose(self) -> None:
        """Close the connections, those of every client that `with_options` made of this one too.

        Calls under way end with an error that says so. A second time it does nothing.

        Raises:
            RuntimeError: The client is in use in another event loop; nothing was closed.
        """
        await self._sessions.close()

    @made_without_locals
    def with_options(self, **options: Unpack[ChangeableOptions]) -> Self:
        """Return the same client with other options.

        It shares connections and the gate with this one, and closing either closes both.

        Args:
            **options: Any of `timeout`, `attempt_timeout`, `retry`, `converter`, `headers` and
                `overload`, as the constructor takes them.

        Raises:
            ValueError: An option makes no sense.
            TypeError: An option is of another type, or cannot be changed.
        """
        changed = copy.copy(self)
        changed._settings = self._settings.changed(options)  # noqa: SLF001 - our own class
        return changed

    @property
    def timeout(self) -> float:
        """The seconds that a call may take, unless it says otherwise."""
        return self._settings.timeout

    @property
    def pressure(self) -> Pressure:
        """How much Golem is in trouble, as this client sees it at this moment; it sends nothing."""
        session = self._sessions.current
        if session is None or session.is_closed:
            return Pressure(True, self._settings.max_connections, 0, 0.0)  # noqa: FBT003
        return session.gate.pressure()

    @without_locals
    async def complete_bytes(
        self,
        promise_id: AnyPromiseId,
        data: bytes | bytearray | memoryview,
        *,
        timeout: float | None = None,
    ) -> Completion:
        """Complete a promise with these bytes.

        Args:
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
            data: The payload, verbatim. Empty is legal, and makes `await_promise_json` fail.
            timeout: Seconds for this call, instead of the client's.

        Returns:
            By whom the promise is completed.

        Raises:
            GolemError: It may not be completed; `may_have_completed` and `worth_retrying` say
                what is known and what to do.
        """
        return await self._complete(promise_id, partial(encode_bytes, data), timeout)

    @without_locals
    async def complete_text(
        self, promise_id: AnyPromiseId, text: str, *, timeout: float | None = None
    ) -> Completion:
        """Complete a promise with this text, as UTF-8; see `complete_bytes`."""
        return await self._complete(promise_id, partial(encode_text, text), timeout)

    @without_locals
    async def complete_json(
        self,
        promise_id: AnyPromiseId,
        value: Any,
        as_type: TypeForm[Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Completion:
        """Complete a promise with this value as JSON, as `await_promise_json` reads it.

        Args:
            promise_id: As in `complete_bytes`.
            value: The payload, by the rules of `golem_client.payload`.
            as_type: The type to encode it as, where the value alone does not say it: unions,
                generics.
            timeout: Seconds for this call, instead of the client's.

        Returns:
            By whom the promise is completed.

        Raises:
            PayloadError: The value cannot be encoded; nothing was sent.
            GolemError: As in `complete_bytes`.
        """
        encode = partial(encode_json, value, as_type, self._settings.converter)
        return await self._complete(promise_id, encode, timeout)

    @without_locals
    async def call_webhook(
        self, url: str, payload: Any, *, timeout: float | None = None
    ) -> Completion:
        """Complete the promise behind a webhook of an agent (Golem 1.5 and later).

        Golem hides whether a payload was stored before, so the outcome is always
        `FULFILLED_BY_UNKNOWN`. The client's token and headers are never sent there.

        Args:
            url: What the agent handed out; a secret, which no error shows. It must be https, or
                http to this machine.
            payload: Bytes are sent as they are; any other value as JSON, by the rules of
                `golem_client.payload`. Text is refused, because it could mean either: send
                `text.encode()`, or `encode_json(text)`.
            timeout: Seconds for this call, instead of the client's.

        Raises:
            ValueError: The URL is not such a one; nothing was sent.
            PayloadError: The payload cannot be encoded; nothing was sent.
            GolemError: As in `complete_bytes`; its `promise_id` is None.
        """
        address = checked_webhook_url(url)
        if isinstance(payload, str):
            raise PayloadError(
                "The payload is text, which a webhook could read as it is or as JSON; send "
                "text.encode(), or golem_client.payload.encode_json(text)"
            )
        settings = self._settings
        encode: Callable[..., bytes] = partial(encode_json, payload, None, settings.converter)
        if isinstance(payload, bytes | bytearray | memoryview):
            encode = partial(encode_bytes, payload)

        def make() -> Request:
            content = encode(max_bytes=settings.max_payload_bytes)
            return wire.webhook_request(address, content, OWN_HEADERS)

        return await self._call(None, make, timeout)

    def promise(self, promise_id: AnyPromiseId, type_: TypeForm[T]) -> Promise[T]:
        """Return a typed handle on one promise.

        Args:
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
            type_: The type that its worker awaits: a class, a union, a generic.

        Raises:
            InvalidIdError: It is not an id.
        """
        return Promise(self, PromiseId.parse(promise_id), type_)

    def _complete(
        self, promise_id: AnyPromiseId, encode: Callable[..., bytes], timeout: float | None
    ) -> Awaitable[Completion]:
        """Add the id and the headers, once the payload is encoded."""
        parsed, settings = PromiseId.parse(promise_id), self._settings

        def make() -> Request:
            payload = encode(max_bytes=settings.max_payload_bytes)
            headers = settings.request_headers
            return wire.completion_request(settings.base_url, parsed, payload, headers)

        return self._call(parsed, make, timeout)

    def _call(
        self, promise_id: PromiseId | None, make: Callable[[], Request], timeout: float | None
    ) -> Awaitable[Completion]:
        """Add the deadline, which begins before the encoding, and the observers."""
        settings = self._settings
        seconds = settings.timeout if timeout is None else checked_seconds("timeout", timeout)
        call = Call(settings, self._sessions.here(settings), promise_id, seconds)
        return _observed(call, make) if settings.observers else call.run(make)


async def _observed(call: Call, make: Callable[[], Request]) -> Completion:
    """Run a call, and show it to its observers."""
    event = CallEvent(call.promise_id)
    with observed(call.settings.observers, "call", event):
        try:
            event.completion = await call.run(make)
        finally:
            event.seconds_waited = call.seconds_waited
    return event.completion
