"""What happened, and assertions about it whose failure tells the story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from golem_client.testing import worker_json
from golem_client.testing.promises import PromiseKey
from golem_client.testing.received import ReceivedRequest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from golem_client.testing.completion import Installation
    from golem_client.testing.faults import FaultPlan


class History:
    """The requests that came, and what a test asserts about them.

    The assertions hold under `python -O` too. Ids are accepted in any form.
    """

    _golem: Installation
    _plan: FaultPlan
    _received: dict[int, ReceivedRequest]

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """All that came, in the order in which it was there in full, webhooks included."""
        return tuple(self._received.values())

    def requests_for(self, promise_id: Any) -> tuple[ReceivedRequest, ...]:
        """Return the requests that name the promise."""
        key = self._golem.key(promise_id)
        return tuple(request for request in self.requests if _names(request, key))

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._received.clear()

    def assert_completed(self, promise_id: Any, payload: bytes | None = None) -> None:
        """Fail unless the promise is completed, with this payload if one is given."""
        stored = self._golem.promises.payload(self._golem.key(promise_id))
        if stored is None or payload not in (None, stored):
            wanted = "completed" if payload is None else f"completed with {shown(payload)}"
            self._fail(promise_id, wanted, _state(stored))

    def assert_completed_json(self, promise_id: Any, value: Any) -> None:
        """Fail unless the promise is completed with this JSON; `True` and `1` are different."""
        stored = self._golem.promises.payload(self._golem.key(promise_id))
        wanted = worker_json.write(value)
        if stored is None or not worker_json.equal(stored, wanted):
            self._fail(promise_id, f"completed with {shown(wanted)}", _state(stored))

    def assert_pending(self, promise_id: Any) -> None:
        """Fail if anything is stored for the promise."""
        stored = self._golem.promises.payload(self._golem.key(promise_id))
        if stored is not None:
            self._fail(promise_id, "pending", _state(stored))

    def assert_requested(self, promise_id: Any, *, times: int = 1) -> None:
        """Fail unless the promise was named by this number of requests; 0 is allowed."""
        came = len(self.requests_for(promise_id))
        if came != times:
            self._fail(promise_id, f"requested {_times(times)}", f"requested {_times(came)}")

    def assert_faults_fired(self) -> None:
        """Fail if a fault on order was not met by as many requests as it was ordered for."""
        pending = [order for order in self._plan.orders if order.pending]
        if pending:
            lines = ["expected every fault on order to have fired; these did not:"]
            lines += [f"  {order}" for order in pending]
            raise AssertionError("\n".join([*lines, *_listed("requests", self.requests)]))

    def _fail(self, promise_id: Any, expected: str, came: str) -> None:
        key = self._golem.key(promise_id)
        others = [request for request in self.requests if not _names(request, key)]
        lines = [f"expected promise {key} to be {expected}", f"but it is {came}"]
        lines += _listed("its requests", self.requests_for(promise_id))
        lines += _listed("other requests", others)
        raise AssertionError("\n".join(lines))


def _names(request: ReceivedRequest, key: PromiseKey) -> bool:
    return request.promise_id is not None and PromiseKey.of(request.promise_id) == key


def _state(stored: bytes | None) -> str:
    return "pending" if stored is None else f"completed with {shown(stored)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _listed(title: str, requests: Iterable[ReceivedRequest]) -> list[str]:
    lines = [f"  {request}" for request in requests]
    return [f"{title}:", *lines] if lines else [f"{title}: none"]
