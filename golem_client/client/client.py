"""The session with a Golem: the only module that touches the network.

A call goes through three functions, each named after what it adds: `complete_json` encodes,
`_complete` bounds the call by its deadline and has `retry` run its attempts, and `_send_once` is
the only line that touches aiohttp. What an answer means is `wire`'s to say.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from golem_client import wire
from golem_client.client.call import Call
from golem_client.client.promise import Promise
from golem_client.client.session import Session
from golem_client.client.settings import checked_settings
from golem_client.config import (
    CLOUD_URL,
    LOCAL_TOKEN,
    LOCAL_URL,
    checked_seconds,
    is_private_transport,
)
from golem_client.errors import GolemError, InsecureTransportWarning, PayloadError
from golem_client.ids import PromiseId
from golem_client.outcome import Completion
from golem_client.payload import encode_bytes, encode_json, encode_text
from golem_client.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self, Unpack

    import aiohttp
    import cattrs
    from typing_extensions import TypeForm

    from golem_client.client.promise import AnyPromiseId
    from golem_client.client.settings import ClientOptions, Tls, TokenSource
    from golem_client.config.environment import Connection

logging.getLogger("golem_client").addHandler(logging.NullHandler())

T = TypeVar("T")

_CLOSED = "this GolemClient is closed: make a new one"


class GolemClient:
    """A session with a Golem, to complete its promises from outside.

        async with GolemClient("https://release.api.golem.cloud", token="…") as client:
            done = await client.complete_json(promise_id, {"approved": True})

    Returning at all means that the promise is completed; `done.outcome` says by whom. Every
    failure is a `GolemError` that says whether the promise may be completed all the same.

    Make one client and share it: many tasks may use it at once, and it keeps its connections. It
    may be made outside a running loop; it belongs to the loop of its first call until that loop
    is closed. Close it with `async with` or `aclose()`.

    Cancelling a call ends it at once. Its outcome is then unknown: complete again with the same
    payload, which is harmless and also wakes a worker whose wake-up was lost.

    A payload cannot be taken back: the first one stored stays, and an empty or wrong one fails
    the worker for good. So no payload is ever implied.

    Args:
        base_url: The address of Golem's API, without `/v1`. A path in it is kept.
        token: The API token, or an async callable that returns one: called once per call, and
            once more after a 401. What it raises passes through, and its time counts.
        timeout: Seconds for a whole call: the wait for a connection, attempts and sleeps.
        attempt_timeout: Seconds for one attempt, from having a connection slot to the last byte
            of the answer.
        retry: When to try again.
        converter: Encodes JSON payloads; start from `make_converter()`.
        headers: More headers for each request.
        max_connections: The most attempts at the same time; others wait for their turn.
        max_payload_bytes: The largest payload. 4,000,000 bytes is what every Golem takes: a
            message over 4 MiB makes 1.5.0 hang for ever. 1.5.1 and later take 32 MiB.
        ssl: False to accept any certificate, or an `ssl.SSLContext`, or a fingerprint.
        trust_env: Whether to use the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`).
        connector: An aiohttp connector to borrow. It is never closed, keeps its own limits
            (`max_connections` should not exceed them) and its own loop.

    Raises:
        ValueError: An option makes no sense, before any I/O.
    """

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
    ) -> None:
        self._settings = checked_settings(
            base_url,
            token,
            {
                "timeout": timeout,
                "attempt_timeout": attempt_timeout,
                "retry": retry,
                "converter": converter,
                "headers": headers,
                "max_connections": max_connections,
                "max_payload_bytes": max_payload_bytes,
                "ssl": ssl,
                "trust_env": trust_env,
                "connector": connector,
            },
        )
        self._session: Session | None = None
        self._is_closed = False
        if token is not None and not is_private_transport(self._settings.base_url):
            warnings.warn(
                f"the token goes unencrypted to {self._settings.base_url}: use https",
                InsecureTransportWarning,
                stacklevel=2,
            )

    @classmethod
    def local(cls, **options: Unpack[ClientOptions]) -> Self:
        """Return a client of the Golem on this machine, with Golem's well-known local token."""
        return cls(LOCAL_URL, token=LOCAL_TOKEN, **options)

    @classmethod
    def cloud(cls, token: str | TokenSource, **options: Unpack[ClientOptions]) -> Self:
        """Return a client of Golem Cloud."""
        return cls(CLOUD_URL, token=token, **options)

    @classmethod
    def from_env(
        cls,
        base_url: str | None = None,
        *,
        token: str | TokenSource | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Return a client of the Golem that the environment names.

        Arguments win over `GOLEM_URL` and `GOLEM_AUTH_TOKEN`, these over the profile of golem-cli
        (`GOLEM_PROFILE`, or the default one), and where there is none of all that, it is the Golem
        on this machine. A profile's token is sent to its own server alone. Times and retries are
        `GOLEM_CLIENT_TIMEOUT` and its like: `golem_client.config.environment` has the table.

        Raises:
            ValueError: A variable, or golem-cli's file, is wrong: the text says where, what to do,
                and no secret.
        """
        from golem_client.config.environment import connection_from_env  # noqa: PLC0415 - costly

        found = connection_from_env(base_url, needs_token=token is None)
        return cls(found.url, token=_token(found, token), **_options(found, options))

    @classmethod
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
        return cls(found.url, token=_token(found, token), **_options(found, options))

    def __repr__(self) -> str:
        state = " closed" if self._is_closed else ""
        return f"<{type(self).__name__} {self._settings.base_url}{state}>"

    async def __aenter__(self) -> Self:
        if self._is_closed:
            raise RuntimeError(_CLOSED)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; calls under way end with an error that says so.

        A second time it does nothing.
        """
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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

    async def complete_text(
        self, promise_id: AnyPromiseId, text: str, *, timeout: float | None = None
    ) -> Completion:
        """Complete a promise with this text, as UTF-8; see `complete_bytes`."""
        return await self._complete(promise_id, partial(encode_text, text), timeout)

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
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
            value: The payload, by the rules of `golem_client.payload`.
            as_type: The type to encode it as, where the value alone does not tell: unions,
                generics.
            timeout: Seconds for this call, instead of the client's.

        Returns:
            By whom the promise is completed.

        Raises:
            PayloadError: The value cannot be encoded; nothing was sent.
            GolemError: As in `complete_bytes`.
        """
        settings = self._settings
        limit = settings.max_payload_bytes
        encode = partial(encode_json, value, as_type, settings.converter, max_bytes=limit)
        return await self._complete(promise_id, encode, timeout)

    def promise(self, promise_id: AnyPromiseId, type_: TypeForm[T]) -> Promise[T]:
        """Return a typed handle on one promise.

        Args:
            promise_id: The promise, in any spelling that `PromiseId.parse` accepts.
            type_: The type that its worker awaits: a class, a union, a generic.

        Raises:
            InvalidIdError: It is not an id.
        """
        return Promise(self, PromiseId.parse(promise_id), type_)

    async def _complete(
        self, promise_id: AnyPromiseId, encode: Callable[[], bytes], timeout: float | None
    ) -> Completion:
        """Encode the payload, and run one call within its deadline."""
        settings = self._settings
        seconds = settings.timeout if timeout is None else checked_seconds("timeout", timeout)
        parsed = PromiseId.parse(promise_id)
        session = self._session
        if session is None or session.loop is not asyncio.get_running_loop():
            session = await self._open()
        try:
            payload = self._within_limit(encode())
            request = wire.completion_request(settings.base_url, parsed, payload)
            return await Call(settings, session, parsed, request, seconds).run()
        except GolemError as error:
            error.promise_id = parsed
            raise

    def _within_limit(self, payload: bytes) -> bytes:
        limit = self._settings.max_payload_bytes
        if len(payload) > limit:
            raise PayloadError(
                f"the payload has {len(payload)} bytes, and max_payload_bytes is {limit}"
            )
        return payload

    async def _open(self) -> Session:
        """Open the session of the running loop, where there is none or its loop is another."""
        if self._is_closed:
            raise RuntimeError(_CLOSED)
        if self._session is not None:
            if not self._session.loop.is_closed():
                raise RuntimeError(
                    "this GolemClient is in use in another event loop: make one client per loop"
                )
            await self._session.close()
        self._session = Session(self._settings)
        return self._session


def _token(found: Connection, given: str | TokenSource | None) -> str | TokenSource | None:
    if given is None and found.token is not None:
        return found.token.reveal()
    return given


def _options(found: Connection, given: ClientOptions) -> ClientOptions:
    """Return the options, those given before those of the environment and of a profile."""
    from golem_client.config.environment import options_from_env  # noqa: PLC0415 - costly

    options = options_from_env(RetryPolicy)
    if not found.verifies_tls:
        options["ssl"] = False
    return {**options, **given}  # type: ignore[typeddict-item]
