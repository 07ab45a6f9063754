"""The client for threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from typing_extensions import TypeForm

from golem_client import AnyPromiseId, GolemClient, Promise
from golem_client.blocking.delegation import (
    Blocking,
    Lodging,
    blocking,
    run,
    with_docstring_of,
    with_parameters_of,
)
from golem_client.client import Pressure

P = ParamSpec("P")
T = TypeVar("T")


def _constructor(
    make: Callable[P, GolemClient],
) -> classmethod[BlockingGolemClient, P, BlockingGolemClient]:
    """Return the class method that does what one of `GolemClient` does."""

    @functools.wraps(make.__func__)  # type: ignore[attr-defined]
    def construct(
        cls: type[BlockingGolemClient], /, *args: P.args, **kwargs: P.kwargs
    ) -> BlockingGolemClient:
        try:
            return _blocking_client(cls, make(*args, **kwargs))
        finally:
            del args, kwargs  # no frame of ours shows a token in a traceback

    return classmethod(construct)


def _blocking_client(
    cls: type[BlockingGolemClient], client: GolemClient, lodging: Lodging | None = None
) -> BlockingGolemClient:
    made = cls.__new__(cls)
    made._client = client  # noqa: SLF001 - our own class
    made._lodging = lodging or Lodging(client)  # noqa: SLF001
    return made


class BlockingGolemClient(Blocking[GolemClient]):
    """A session with a Golem, for programs that are not asyncio: Flask, Django, Celery, scripts.

        with BlockingGolemClient("https://release.api.golem.cloud", token="…") as client:
            done = client.complete_json(promise_id, {"approved": True})

    It takes the arguments of `GolemClient` and has its methods. They block until the call has
    ended, and return and raise the same.

    Make one client and share it: any number of threads may use it at once, and it keeps its
    connections. All such clients of a process live in one event loop, in one daemon thread that
    starts at the first call. After a fork (gunicorn with `--preload`, Celery, multiprocessing) the
    child may use the client, too: it gets a thread and connections of its own. Your token callable,
    observers and converter run in that thread: while one of them blocks, all calls wait.

    Close it with `with` or `close()`; what is open at exit is closed then. Ctrl-C ends the call
    that waits. Its outcome is then unknown: complete again with the same payload, which is
    harmless, and also wakes a worker whose wake-up was lost.

    In a thread whose event loop runs, a call is a RuntimeError: use `GolemClient` there. gevent and
    eventlet are not supported, because under them the loop has no thread of its own.
    """

    @with_parameters_of(GolemClient.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            self._client = GolemClient(*args, **options)
        finally:
            del args, options  # no frame of ours shows a token in a traceback
        self._lodging = Lodging(self._client)

    local = _constructor(GolemClient.local)
    cloud = _constructor(GolemClient.cloud)
    from_env = _constructor(GolemClient.from_env)
    from_profile = _constructor(GolemClient.from_profile)

    complete_bytes = blocking(GolemClient.complete_bytes)
    complete_text = blocking(GolemClient.complete_text)
    complete_json = blocking(GolemClient.complete_json)
    call_webhook = blocking(GolemClient.call_webhook)

    @with_docstring_of(GolemClient.promise)
    def promise(self, promise_id: AnyPromiseId, type_: TypeForm[T]) -> BlockingPromise[T]:  # noqa: D102
        return BlockingPromise(self._client.promise(promise_id, type_), self._lodging)

    @with_parameters_of(GolemClient.with_options)
    def with_options(self, **options: Any) -> BlockingGolemClient:  # noqa: D102 - GolemClient's
        return _blocking_client(type(self), self._client.with_options(**options), self._lodging)

    @property
    def timeout(self) -> float:
        """The seconds that a call may take, unless it says otherwise."""
        return self._client.timeout

    @property
    def pressure(self) -> Pressure:
        """How much Golem is in trouble, as this client sees it at this moment; it sends nothing."""
        return self._client.pressure

    def close(self) -> None:
        """Close the connections; calls under way end with an error that says so.

        It closes every client that `with_options` made of this one, too. A second time it does
        nothing.
        """
        run(self._client.aclose(), type(self).__name__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client!r}>"

    def __enter__(self) -> Self:
        run(self._client.__aenter__(), type(self).__name__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _delegate(self) -> GolemClient:
        return self._client


class BlockingPromise(Blocking[Promise[T]], Generic[T]):
    """A promise whose worker awaits a `T`; made by `BlockingGolemClient.promise`.

    It holds no connection and no state: make as many as you like, for as long as the client lives.

        promise = client.promise(promise_id, Decision)
        promise.complete(Decision(approved=True))

    Attributes:
        id: The promise.
    """

    def __init__(self, promise: Promise[T], lodging: Lodging) -> None:
        self.id = promise.id
        self._promise = promise
        self._lodging = lodging

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._promise)[1:]}"

    complete = blocking(Promise[T].complete)

    def _delegate(self) -> Promise[T]:
        return self._promise
