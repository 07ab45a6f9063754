"""BlockingFakeGolem: a FakeGolem in a thread of its own, for tests that are not coroutines."""

# ruff: noqa: SLF001 - it is the second half of FakeGolem

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from golem_client.testing.golem import Golem
from golem_client.testing.orders import FaultOrders
from golem_client.threads import LoopThread

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from golem_client.testing.fake import FakeGolem

T = TypeVar("T")


class BlockingFakeGolem(Golem):
    """A fake Golem for tests that are not coroutines: what `FakeGolem.in_thread()` returns.

        with FakeGolem.in_thread() as golem:
            promise_id = golem.create_promise()
            ...  # the program under test completes it
            assert golem.await_promise_json(promise_id) == {"approved": True}

    It runs in a thread of its own as long as its `with`. Its methods are those of `FakeGolem`,
    made blocking, and may be called from any thread. What came and what is stored can be read
    afterwards too.
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

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread = self._thread
        if thread is not None:
            thread.run(self._fake.__aexit__(None, None, None))
            self._thread = None
            thread.stop()

    def await_promise(self, promise_id: Any, *, timeout: float = 10.0) -> bytes:
        """Block until the promise is completed, and return its payload.

        Args:
            promise_id: The promise.
            timeout: The longest wait in seconds.

        Raises:
            TimeoutError: It was not completed within `timeout`.
            LookupError: There is no such promise, or it or its worker is deleted meanwhile.
            RuntimeError: The fake is closed, or is being closed, so that nobody can complete it.
        """
        __tracebackhide__ = True
        key, payload = self._call(self._fake._payload_now, promise_id)
        if payload is not None:
            return payload
        if self._thread is None:
            raise RuntimeError(f"the FakeGolem was not entered: nobody can complete {key}")
        try:
            return self._thread.run(asyncio.wait_for(self._fake.await_promise(promise_id), timeout))
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
        self,
        promise_id: Any,
        type: Any = None,  # noqa: A002
        *,
        timeout: float = 10.0,
    ) -> Any:
        """Block until the promise is completed, and return its payload read as JSON.

        Args:
            promise_id: The promise.
            type: What to make of the JSON, as in `FakeGolem.await_promise_json`.
            timeout: The longest wait in seconds.

        Raises:
            ValueError: The payload is not such JSON.
            TimeoutError: As in `await_promise`.
            LookupError: As in `await_promise`.
            RuntimeError: As in `await_promise`.
        """
        __tracebackhide__ = True
        payload = self.await_promise(promise_id, timeout=timeout)
        return self._fake._read(promise_id, payload, type)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be down: connections break, new ones are refused. Then listen on the same port again.

        What is stored survives, and workers keep waiting, as they do when Golem restarts.
        """
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
        value, failure = self._thread.run(_tried(function, *args, **kwargs))
        if failure is not None:
            raise failure.with_traceback(None)  # what a test sees is its own line
        result: T = value
        return result


async def _tried(
    function: Callable[..., T], *args: Any, **kwargs: Any
) -> tuple[Any, AssertionError | None]:
    try:
        return function(*args, **kwargs), None
    except AssertionError as error:
        return None, error


def _in_thread(function: Callable[..., T]) -> Callable[..., T]:
    """Make of a method of `Golem` one that runs in the thread of the fake that does the work."""

    @functools.wraps(function)
    def call(self: BlockingFakeGolem, *args: Any, **kwargs: Any) -> T:
        __tracebackhide__ = True
        return self._call(function, self._fake, *args, **kwargs)

    return call


# The plain methods have the same signature in both classes, so that type checkers see the
# inherited ones, and no second list of them has to be kept.
for _name, _member in [*vars(FaultOrders).items(), *vars(Golem).items()]:
    if not _name.startswith("_"):
        if isinstance(_member, FunctionType):
            setattr(BlockingFakeGolem, _name, _in_thread(_member))
        elif isinstance(_member, property) and _member.fget is not None:
            _get = _in_thread(_member.fget)
            setattr(BlockingFakeGolem, _name, property(_get, doc=_member.__doc__))
