"""The client for threads."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from typing_extensions import TypeForm

from golem_client import AnyPromiseId, GolemClient, Promise
from golem_client.blocking.delegation import (
    Blocking,
    BlockingHandle,
    blocking,
    with_docstring_of,
    with_parameters_of,
)
from golem_client.client import Pressure

P = ParamSpec("P")
T = TypeVar("T")


def _constructor(
    make: Callable[P, GolemClient],
) -> classmethod[BlockingGolemClient, P, BlockingGolemClient]:
    """Return the class method of `GolemClient` that makes one, for the class it is called on."""
    return classmethod(make.__func__)  # type: ignore[attr-defined]


class BlockingGolemClient(Blocking[GolemClient]):
    """A session with a Golem, for Flask, Django, Celery and scripts.

        with BlockingGolemClient(url, token="…") as client:
            done = client.complete_json(promise_id, {"approved": True})

    It takes the arguments of `GolemClient` and has its methods. They block
    until the call has ended, and return and raise the same. For many
    promises, map `complete_json` over a ThreadPoolExecutor, or run
    `golem_client.complete_many` with a `GolemClient` by `asyncio.run()`.

    Make one client and share it: any number of threads may use it at once,
    and it keeps its connections. All such clients of a process live in one
    event loop, in one daemon thread that starts at the first call. After a
    fork (gunicorn with `--preload`, Celery, multiprocessing) the child may
    use the client, too: it gets a thread and connections of its own. Your
    token callable, observers and converter run in that thread: while one of
    them blocks, all calls wait.

    Close it with `with` or `close()`; what is open at exit is closed then.
    Ctrl-C ends the call that waits. Its outcome is then unknown: complete
    again with the same payload, which is harmless, and also wakes a worker
    whose wake-up was lost.

    In a thread whose event loop runs, a call is a RuntimeError: use
    `GolemClient` there. gevent and eventlet are not supported, because under
    them the loop has no thread of its own.
    """

    @with_parameters_of(GolemClient.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        self._lodge(GolemClient(*args, **options))

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
        return BlockingPromise(self, promise_id, type_)

    @with_parameters_of(GolemClient.with_options)
    def with_options(self, **options: Any) -> BlockingGolemClient:  # noqa: D102 - GolemClient's
        changed = copy.copy(self)
        changed._original = self  # noqa: SLF001 - which closes their connections when it is dropped
        changed._inner = self._delegate().with_options(**options)  # noqa: SLF001 - our own class
        return changed

    @property
    def timeout(self) -> float:
        """The seconds that a call may take, unless it says otherwise."""
        return self._delegate().timeout

    @property
    def pressure(self) -> Pressure:
        """How much Golem is in trouble, as this client sees it at this moment; it sends nothing."""
        return self._delegate().pressure


class BlockingPromise(BlockingHandle[T], Generic[T]):
    """A promise whose worker awaits a `T`; made by `BlockingGolemClient.promise`.

    It holds no connection and no state: make as many as you like, for as long as the client lives.

        promise = client.promise(promise_id, Decision)
        promise.complete(Decision(approved=True))

    Attributes:
        id: The promise.
    """

    complete = blocking(Promise[T].complete)
