"""What an observer of calls and attempts is shown.

An observer is asked when a call begins, and when each of its attempts begins. It returns a
synchronous context manager that is left when the call or the attempt is over, or None. The result
is filled in before the context manager exits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from contextlib import AbstractContextManager

    from golem_client.ids import PromiseId
    from golem_client.outcome import Completion


@attrs.define(eq=False)
class CallEvent:
    """One call, such as `complete_json`, from its beginning to its end.

    Attributes:
        promise_id: The promise; None for `call_webhook`, whose URL hides it.
        completion: What the call returned; None until then, and where it raised.
        error: What the call raised, a `CancelledError` included; None until then.
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
        headers: More headers for this request; an observer may add its own (`traceparent`).
        status: The status of the answer; None without one.
        error: What the attempt ended with, instead of an answer of `true` or `false`; None
            where it had one.
    """

    number: int
    method: str
    url: str
    headers: MutableMapping[str, str] = attrs.field(factory=dict, repr=False)
    status: int | None = None
    error: BaseException | None = None


class Observer(Protocol):
    """What `observers=` takes. Both methods are called in the event loop and must not block."""

    def call(self, event: CallEvent) -> AbstractContextManager[Any] | None:
        """Take note that a call begins."""

    def attempt(self, event: AttemptEvent) -> AbstractContextManager[Any] | None:
        """Take note that an attempt begins."""
