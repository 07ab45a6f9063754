"""What an observer of calls and attempts is shown.

An observer is asked when a call begins, and when each of its attempts begins. It returns a
synchronous context manager that is left when the call or the attempt is over, or None. The result
is filled in before the context manager exits.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Protocol

import attrs

from golem_client.config import checked_headers
from golem_client.ids import PromiseId
from golem_client.outcome import Completion

logger = logging.getLogger("golem_client")


@attrs.define(eq=False)
class CallEvent:
    """One call, such as `complete_json`, from its beginning to its end.

    Attributes:
        promise_id: The promise; None for `call_webhook`, whose URL hides it.
        completion: What the call returned; None until then, and where it raised.
        error: What the call raised, a `CancelledError` included; None until then. It has no
            traceback while it is shown, because the frames hold the payload and the token.
        seconds_waited: How long the call waited at the session's gate, in seconds.
    """

    promise_id: PromiseId | None
    completion: Completion | None = None
    error: BaseException | None = None
    seconds_waited: float = 0.0


@attrs.define(eq=False)
class AttemptEvent:
    """One attempt of a call: one request.

    Attributes:
        number: Which attempt of its call, from 1.
        method: The HTTP method.
        url: The address, with everything that may be a secret or a user's data left out.
        headers: More headers for this request; an observer may add its own (`traceparent`). What
            the option `headers` of the client refuses is left out, and logged once.
        status: The status of the answer; None without one.
        error: What the attempt ended with, instead of an answer of `true` or `false`; None
            where it had one. It has no traceback while it is shown.
    """

    number: int
    method: str
    url: str
    headers: MutableMapping[str, str] = attrs.field(factory=dict, repr=False)
    status: int | None = None
    error: BaseException | None = None


class Observer(Protocol):
    """What `observers=` takes. Both methods are called in the event loop and must not block."""

    def call(self, event: CallEvent, /) -> AbstractContextManager[Any] | None:
        """Take note that a call begins."""

    def attempt(self, event: AttemptEvent, /) -> AbstractContextManager[Any] | None:
        """Take note that an attempt begins."""


class observed:  # noqa: N801 - used as `contextmanager` makes them, at a third of the cost
    """Show an event to every observer while it lasts.

    An observer that raises is logged once, and never harms the call.
    """

    def __init__(
        self, observers: Sequence[Observer], what: Literal["call", "attempt"], event: Any
    ) -> None:
        self._observers = observers
        self._what = what
        self._event = event

    def __enter__(self) -> None:
        what, event = self._what, self._event
        self._managers = [(each, _entered(each, what, event)) for each in self._observers]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._event.error = self._event.error or error
        taken = _tracebacks_taken_off(self._event.error)
        for observer, manager in reversed(self._managers):
            try:
                if manager is not None:
                    manager.__exit__(None, None, None)
            except Exception as failure:  # noqa: BLE001 - whatever an observer raises is logged
                _log_once(observer, "failed", failure)
        for each, found in taken:
            each.__traceback__ = found


def _tracebacks_taken_off(
    error: BaseException | None,
) -> list[tuple[BaseException, TracebackType | None]]:
    """Take the tracebacks off an error and those before it, and return them.

    A reporter in an observer would send the locals of frames that are not cleared yet: some of
    them are still running, and cannot be.
    """
    taken: list[tuple[BaseException, TracebackType | None]] = []
    while error is not None and all(error is not each for each, _ in taken):
        taken.append((error, error.__traceback__))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    return taken


def _entered(observer: Observer, what: str, event: Any) -> AbstractContextManager[Any] | None:
    headers = dict(getattr(event, "headers", {}))
    try:
        manager: AbstractContextManager[Any] | None = getattr(observer, what)(event)
        if manager is not None:
            manager.__enter__()
    except Exception as error:  # noqa: BLE001 - as above
        _log_once(observer, "failed", error)
        manager = None
    if what == "attempt" and event.headers != headers:
        try:
            event.headers = checked_headers(event.headers)
        except (TypeError, ValueError) as error:
            event.headers = headers
            _log_once(observer, "added a header that it must not set", error)
    return manager


# It keeps the observers, so that a new one never has the id of one that was logged.
_logged: dict[int, Observer] = {}


def _log_once(observer: Observer, what: str, error: Exception) -> None:
    """Log the class of the error alone: its text may quote what it was shown."""
    if id(observer) not in _logged:
        _logged[id(observer)] = observer
        logger.error(
            "the observer %s %s: %s; its further errors are not logged",
            type(observer).__name__,
            what,
            type(error).__name__,
        )
