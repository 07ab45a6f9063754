"""FakeGolem: a small Golem on a loopback port, with the worker's side beside it."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import attrs

from golem_client.testing import credentials
from golem_client.testing.completion import Call, Installation
from golem_client.testing.dialects import DIALECTS, Dialect
from golem_client.testing.fault_side import FaultsOnOrder
from golem_client.testing.faults import NO_FAULT, Fault, FaultPlan
from golem_client.testing.golem import Golem
from golem_client.testing.history import History
from golem_client.testing.messages import Delivery
from golem_client.testing.received import ReceivedRequest, without_secrets
from golem_client.testing.server import Server
from golem_client.testing.worker_side import USUAL_COMPONENT, WorkerSide

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from golem_client.testing.messages import Answer, Incoming


class FakeGolem(WorkerSide, FaultsOnOrder, History):
    """A small Golem for tests and local development.

    A real HTTP server on 127.0.0.1, which answers as Golem does, byte for byte where we know the
    bytes; and the worker's side, so that a whole loop fits in one test:

        async with FakeGolem() as golem, GolemClient(golem.url, token=golem.token) as client:
            promise_id = golem.create_promise()
            await client.complete_json(promise_id, {"approved": True})
            assert await golem.await_promise_json(promise_id) == {"approved": True}

    It lives from `async with` to its end, in one event loop, and is not to be shared by threads.
    What came and what is stored can be read afterwards too. It keeps all requests, with their
    bodies: `clear_requests()` forgets them.

    It plays the worker service. What it has not: other endpoints than the completion, webhooks,
    `/healthcheck` and `/version`; projects, accounts and permissions; workers that run. It does
    not play the bug of Golem 1.3.0 to 1.5.7 by which a waiting worker may get a duplicate's bytes.

    Args:
        dialect: The generation: "1.1", "1.3" or "1.5". The differences are in `dialects.py`.
        token: The token that it knows; by default the well-known one of a local Golem. 1.1 asks
            for none, 1.3 wants a UUID, 1.5 sixteen characters or more of `[A-Za-z0-9_-]`.
        port: Where it listens; by default where the system finds a free port.
    """

    def __init__(
        self,
        *,
        dialect: str = "1.5",
        token: str = credentials.WELL_KNOWN_TOKEN,
        port: int = 0,
    ) -> None:
        self._golem = Installation(_dialect(dialect), token)
        _check_token(self._golem.dialect, token)
        self._golem.promises.deploy(USUAL_COMPONENT)
        self._http = Golem(self._golem)
        self._plan = FaultPlan()
        self._received: dict[int, ReceivedRequest] = {}
        self._serials = itertools.count()
        self._server = Server(self._respond)
        self._port = port
        self._closed = False

    async def __aenter__(self) -> Self:
        if self._server.port:
            raise RuntimeError("a FakeGolem is entered once: make a new one")
        await self._server.start(self._port)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        self._golem.promises.close()
        await self._server.stop()

    @property
    def dialect(self) -> str:
        """The generation that it plays."""
        return self._golem.dialect.name

    @property
    def url(self) -> str:
        """The base URL for a client, without a slash at its end."""
        if not self._server.port:
            raise RuntimeError("a FakeGolem has a URL within its `async with` only")
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def token(self) -> str:
        """The token that it knows."""
        return self._golem.token

    def webhook_url(self, promise_id: Any) -> str:
        """Return the promise's URL, by which anybody completes it: a POST of the raw payload.

        Golem 1.5 gives an agent such a URL for its own promise. It is answered 204, for a
        duplicate too.

        Raises:
            LookupError: There is no such promise.
            ValueError: Its worker is no agent, or this generation has no webhooks.
        """
        if not self._golem.dialect.has_webhooks:
            raise ValueError(f"Golem {self.dialect} has no webhooks: they came with 1.5")
        key = self._existing(promise_id)
        if "(" not in key.worker.name:
            raise ValueError(f"webhooks are for agents, and {key.worker.name!r} is none")
        return self.url + self._http.webhooks.path(key)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Be down: connections break, new ones are refused. Then listen on the same port again.

        What is stored survives, and workers keep waiting, as they do when Golem restarts.
        """
        await self._server.stop()
        try:
            yield
        finally:
            if not self._closed:
                await self._server.start()

    async def drop_connections(self) -> None:
        """Close every connection, also those that a client keeps for later."""
        await self._server.drop_connections()

    async def answer_instead(
        self,
        method: str,  # noqa: ARG002 - these three are for those who override it
        path: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> Answer | None:
        """Answer a request that is not Golem's, or return None: for subclasses to override.

        The path is raw, with its query, percent-encoding as sent. Such a request meets no fault
        and is not kept among `requests`.
        """
        return None

    async def _respond(self, incoming: Incoming, connection: int) -> Delivery:
        instead = await self.answer_instead(incoming.method, incoming.path, incoming.body)
        if instead is not None:
            return Delivery(instead)
        call = self._http.read(incoming)
        fault = self._next_fault(call)
        serial = self._record(incoming, call, fault, connection)
        answer = self._take_in(call, serial, times=fault.takes - fault.late, wakes=fault.wakes)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.late:
            answer = self._take_in(call, serial)
        delivery = fault.deliver(answer)
        self._note(serial, delivery)
        return delivery

    def _next_fault(self, call: Call) -> Fault:
        if not call.is_completion:
            return NO_FAULT
        is_completed = call.key is not None and self._golem.promises.payload(call.key) is not None
        return self._plan.next_fault(call.key, is_completed=is_completed)

    def _take_in(
        self, call: Call, serial: int, *, times: int = 1, wakes: bool = True
    ) -> Answer | None:
        answer = None
        writes = self._golem.promises.writes
        for _ in range(times):
            answer = call.complete(wakes)
        if self._golem.promises.writes > writes and serial in self._received:
            self._received[serial] = attrs.evolve(self._received[serial], applied=True)
        return answer

    def _record(self, incoming: Incoming, call: Call, fault: Fault, connection: int) -> int:
        serial = next(self._serials)
        self._received[serial] = ReceivedRequest(
            method=incoming.method,
            path=incoming.path,
            headers=without_secrets(incoming.headers),
            token=credentials.bearer(incoming.headers),
            body=incoming.body,
            promise_id=None if call.key is None else call.key.to_id(),
            payload=call.payload,
            fault=None if fault.name == NO_FAULT.name else fault.name,
            connection=connection,
            received_at=asyncio.get_running_loop().time(),
        )
        return serial

    def _note(self, serial: int, delivery: Delivery) -> None:
        told = delivery.whole
        if told is not None and serial in self._received:
            record = self._received[serial]
            self._received[serial] = attrs.evolve(
                record,
                status=told.status,
                answer=told.body,
                answered_at=asyncio.get_running_loop().time(),
            )


def _dialect(name: str) -> Dialect:
    if name not in DIALECTS:
        raise ValueError(f"no dialect {name!r}: there are {', '.join(DIALECTS)}")
    return DIALECTS[name]


def _check_token(dialect: Dialect, token: str) -> None:
    if dialect.read_token is not None and dialect.read_token(token) is None:
        raise ValueError(f"this is no token of Golem {dialect.name}: see dialects.py")
