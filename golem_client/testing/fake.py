"""FakeGolem: a small Golem on a loopback port, in the event loop of a test or in a thread."""

# ruff: noqa: SLF001, A002 - BlockingFakeGolem is the second half of FakeGolem; `type` is public

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

import attrs

from golem_client.testing.dialects import WELL_KNOWN_TOKEN
from golem_client.testing.faults import NO_FAULT
from golem_client.testing.golem import Golem
from golem_client.testing.messages import Answer, Delivery, Incoming, ReceivedRequest
from golem_client.testing.routes import Completion
from golem_client.testing.server import HOST, Server
from golem_client.threads import LoopThread

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")


class FakeGolem(Golem):
    """A small Golem for tests and local development.

    It is a real HTTP server on 127.0.0.1 that answers as Golem does, with
    the workers' side beside it, so that a whole loop fits in one test:

        async with FakeGolem() as golem:
            client = GolemClient(golem.url, token=golem.token)
            promise_id = golem.create_promise()
            await client.complete_json(promise_id, {"approved": True})
            golem.assert_completed_json(promise_id, {"approved": True})
            await client.aclose()

    What a test can do with it:

    - Play the worker: `create_promise`, `await_promise`, `poll_promise`,
      `await_promise_json`, `complete_promise`, `delete_promise` …
    - Order a fault for the next request that completes a promise, by the
      methods named `…_next`. `promise_id=` restricts it to one promise,
      `times=` repeats it. `applied=` says whether Golem stores the payload
      before the fault; if it does, only the answer is lost. The order that
      is returned counts how often it has `fired`.
    - Let faults go on: `latency`, `random_faults`, `outage`,
      `drop_connections`.
    - See what came: `requests`, `payload`, and the methods `assert_…`,
      whose failures list the requests, also under `python -O`.

    Ids are accepted in any form that `PromiseId.parse` accepts. A promise
    that does not exist is a LookupError; in a real worker, it is a trap.

    Enter it once, with `async with`. It answers in the event loop of the
    test, so the test must not block that loop: tests that are not
    coroutines use `FakeGolem.in_thread()`. Afterwards, what came and what
    is stored can still be read. All requests are kept with their bodies
    until `clear_requests()`.

    It does not have: other endpoints than the completion, webhooks,
    `/healthcheck` and `/version`; accounts and permissions; workers that
    run. It does not play the bug of Golem 1.3.0 to 1.5.7 by which a
    waiting worker may get a duplicate's bytes.

    A subclass may override `answer_instead`, to serve more paths, and
    `answered`, to log.

    Args:
        dialect: The generation: "1.1", "1.2", "1.3" or "1.5".
        token: The token that it knows; by default the well-known one of a
            local Golem. 1.1 and 1.2 ask for none, 1.3 wants a UUID, 1.5
            sixteen characters or more of `[A-Za-z0-9_-]`.
        port: The port; by default one that the system chooses.
        host: The address to listen on; "0.0.0.0" serves containers too.

    Raises:
        ValueError: No such dialect, or it accepts no such token.
    """

    def __init__(
        self,
        *,
        dialect: str = "1.5",
        token: str = WELL_KNOWN_TOKEN,
        port: int = 0,
        host: str = HOST,
    ) -> None:
        super().__init__(dialect=dialect, token=token)
        self._serials = itertools.count()
        self._server = Server(self._respond, host)
        self._host, self._wanted_port = host, port

    @staticmethod
    def in_thread(
        *, dialect: str = "1.5", token: str = WELL_KNOWN_TOKEN, port: int = 0, host: str = HOST
    ) -> BlockingFakeGolem:
        """Return a fake with the same methods, made blocking, that runs in a thread of its own.

        For tests that are not coroutines: Flask, Django, FastAPI's `TestClient`. The arguments
        are those of `FakeGolem`.

        Examples:
            >>> with FakeGolem.in_thread() as golem:
            ...     promise_id = golem.create_promise()
            ...     golem.complete_promise(promise_id, b"a client does this")
            ...     golem.await_promise(promise_id)
            True
            b'a client does this'
        """
        return BlockingFakeGolem(FakeGolem(dialect=dialect, token=token, port=port, host=host))

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "a FakeGolem needs `async with`; for tests that are not async there is "
            "`with FakeGolem.in_thread() as golem:`"
        )

    __exit__ = None  # the statement looks for it before it calls __enter__

    async def __aenter__(self) -> Self:
        if self._port:
            raise RuntimeError("a FakeGolem is entered once: make a new one")
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        self._golem.promises.close()
        await self._server.stop()

    async def await_promise(self, promise_id: Any) -> bytes:
        """Wait until the promise is completed, and return its payload.

        Raises:
            LookupError: There is no such promise, or it or its worker is deleted meanwhile.
            RuntimeError: The fake is closed, or is being closed, so that nobody can complete it.
        """
        key, payload = self._payload_now(promise_id)
        return await self._golem.promises.wait(key) if payload is None else payload

    @overload
    async def await_promise_json(self, promise_id: Any, type: None = None) -> Any: ...

    @overload
    async def await_promise_json(self, promise_id: Any, type: TypeForm[T]) -> T: ...

    async def await_promise_json(self, promise_id: Any, type: Any = None) -> Any:
        """Wait until the promise is completed, and return its payload read as JSON.

        Args:
            promise_id: The promise.
            type: What to make of the JSON: a class, or any type that cattrs structures. It is as
                strict as serde: `"1"` is not a number, and `1.0` is not an int.

        Raises:
            ValueError: The payload is not such JSON. In a real worker this is final: a payload
                cannot be taken back.
            LookupError, RuntimeError: As in `await_promise`.
        """
        return self._read(promise_id, await self.await_promise(promise_id), type)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Be down: connections break, new ones are refused. Then listen on the same port again.

        What is stored survives, and workers keep waiting, as they do when Golem restarts.
        """
        await self._server.stop(keeps_port=True)
        try:
            yield
        finally:
            if not self._closed:
                await self._start()

    async def drop_connections(self) -> None:
        """Close every connection, also those that a client keeps for later."""
        await self._server.drop_connections()

    async def answer_instead(self, method: str, path: str, body: bytes) -> Answer | None:  # noqa: ARG002
        """Answer a request that is not Golem's, or return None: for subclasses to override.

        The path is raw, with its query, percent-encoding as sent. Such a request meets no fault
        and is not kept among `requests`.
        """
        return None

    def answered(self, request: ReceivedRequest) -> None:
        """Take note of a request of Golem's that has just ended: for subclasses to override.

        It may call `clear_requests()`: a fake that runs for long must not keep all of them.
        """

    async def _start(self) -> None:
        self._port = await self._server.start(self._port or self._wanted_port)
        self._golem.webhook_host = self.url.removeprefix("http://")

    async def _respond(self, incoming: Incoming, connection: int) -> Delivery:
        instead = await self.answer_instead(incoming.method, incoming.path, incoming.body)
        if instead is not None:
            return Delivery(instead)
        asked = self._golem.read(incoming)
        key, payload, fault = None, None, NO_FAULT
        if isinstance(asked, Completion):
            key, payload = asked.key, asked.payload
            fault = self._plan.next_fault(
                key, is_completed=self._golem.promises.payload(key) is not None
            )
        serial = next(self._serials)
        self._received[serial] = ReceivedRequest.of(
            incoming,
            promise_id=None if key is None else key.to_id(),
            payload=payload,
            fault=None if fault.name == NO_FAULT.name else fault.name,
            connection=connection,
            received_at=_now(),
        )
        answer = None
        for _ in range(fault.takes - fault.late):
            answer = self._take_in(asked, serial, wakes=fault.wakes)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.late:
            answer = self._take_in(asked, serial, wakes=True)
        delivery = fault.deliver(answer)
        if whole := delivery.whole:
            self._note(serial, status=whole.status, answer=whole.body, answered_at=_now())
        if serial in self._received:
            self.answered(self._received[serial])
        return delivery

    def _take_in(self, asked: Completion | Answer, serial: int, *, wakes: bool) -> Answer | None:
        if isinstance(asked, Answer):
            return asked
        writes = self._golem.promises.writes
        answer = asked.run(wakes=wakes)
        if self._golem.promises.writes > writes:
            self._note(serial, applied=True)
        return answer

    def _note(self, serial: int, **facts: Any) -> None:
        if serial in self._received:  # clear_requests() forgets those under way, too
            self._received[serial] = attrs.evolve(self._received[serial], **facts)


def _now() -> float:
    return asyncio.get_running_loop().time()


class BlockingFakeGolem(Golem):
    """A fake Golem for tests that are not coroutines; `FakeGolem.in_thread()` makes it.

        with FakeGolem.in_thread() as golem:
            promise_id = golem.create_promise()
            ...  # the program under test completes it
            assert golem.await_promise_json(promise_id) == {"approved": True}

    It runs in a thread of its own until the end of its `with`. Its methods are those of
    `FakeGolem`, made blocking; any thread may call them. After the `with`, what came and what is
    stored can still be read.
    """

    def __init__(self, fake: FakeGolem) -> None:
        self._fake = fake
        self._thread: LoopThread | None = None

    def __enter__(self) -> Self:
        thread = LoopThread("FakeGolem")
        try:
            thread.run(self._fake.__aenter__())
        except BaseException:
            thread.stop()
            raise
        self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        thread = self._thread
        if thread is None:
            return
        try:
            thread.run(self._fake.__aexit__(None, None, None))
        finally:
            self._thread = None
            thread.stop()

    async def __aenter__(self) -> NoReturn:
        raise TypeError("FakeGolem.in_thread() needs `with`; `async with` is for FakeGolem()")

    __aexit__ = None  # the statement looks for it before it calls __aenter__

    def await_promise(self, promise_id: Any, *, timeout: float = 10.0) -> bytes:
        """Block until the promise is completed, and return its payload.

        Raises:
            TimeoutError: It was not completed within `timeout` seconds.
            LookupError: There is no such promise, or it or its worker is deleted meanwhile.
            RuntimeError: The fake is closed, or is being closed, so that nobody can complete it.
        """
        __tracebackhide__ = True
        key, payload = self._call(self._fake._payload_now, promise_id)
        if payload is not None:
            return payload
        thread = self._running()
        try:
            return thread.run(asyncio.wait_for(self._fake.await_promise(promise_id), timeout))
        except TimeoutError:
            raise TimeoutError(f"nobody completed {key} within {timeout:g} s") from None

    @overload
    def await_promise_json(
        self, promise_id: Any, type: None = None, *, timeout: float = 10.0
    ) -> Any: ...

    @overload
    def await_promise_json(
        self, promise_id: Any, type: TypeForm[T], *, timeout: float = 10.0
    ) -> T: ...

    def await_promise_json(
        self, promise_id: Any, type: Any = None, *, timeout: float = 10.0
    ) -> Any:
        """Block until the promise is completed, and return its payload read as JSON.

        `type` is as in `FakeGolem.await_promise_json`.

        Raises:
            ValueError: The payload is not such JSON; other errors are those of `await_promise`.
        """
        __tracebackhide__ = True
        payload = self.await_promise(promise_id, timeout=timeout)
        return self._fake._read(promise_id, payload, type)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be down: connections break, new ones are refused. Then listen on the same port again."""
        thread, outage = self._running(), self._fake.outage()
        thread.run(outage.__aenter__())
        try:
            yield
        finally:
            if self._thread is not None:
                thread.run(outage.__aexit__(None, None, None))

    def drop_connections(self) -> None:
        """Close every connection, also those that a client keeps for later."""
        self._running().run(self._fake.drop_connections())

    def _running(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError("this needs a FakeGolem that runs: use it within its `with`")
        return self._thread

    def _call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a plain function in the fake's thread, while there is one."""
        __tracebackhide__ = True
        if self._thread is None:
            return function(*args, **kwargs)
        try:
            return self._thread.run(_called(function, *args, **kwargs))
        except AssertionError as error:
            raise error.with_traceback(None) from None  # what a test sees is its own line


async def _called(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return function(*args, **kwargs)


def _blocking(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that runs the fake's method of this name in the fake's thread."""

    @functools.wraps(function)
    def call(self: BlockingFakeGolem, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return self._call(getattr(type(self._fake), name), self._fake, *args, **kwargs)

    return call


def _blocking_property(name: str, plain: property) -> property:
    def get(self: BlockingFakeGolem) -> Any:
        return self._call(getattr, self._fake, name)

    return property(functools.wraps(plain.fget or get)(get))


# The plain methods have the same signature in both classes, so that type checkers see the
# inherited ones, and no second list of them has to be kept.
for _name, _member in vars(Golem).items():
    if isinstance(_member, property):
        setattr(BlockingFakeGolem, _name, _blocking_property(_name, _member))
    elif isinstance(_member, FunctionType) and not _name.startswith("_"):
        setattr(BlockingFakeGolem, _name, _blocking(_name, _member))
