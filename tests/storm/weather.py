"""What a storm is made of: faults that a call can live through, and what callers do to it."""

from __future__ import annotations

from golem_client.testing import Answer, Ending, Fault
from golem_client.testing.faults import NO_FAULT, RandomFaults

JSON = "application/json; charset=utf-8"


def _page(status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, b"<html>a proxy's page</html>", "text/html", named)


def _lost(name: str, ending: Ending, *, applied: bool, keep: int | None = 0) -> Fault:
    return Fault(name=name, takes=int(applied), keep=keep, ending=ending)


def _told(name: str, answer: Answer | bytes, *, applied: bool) -> Fault:
    ending = Ending.CLOSE if isinstance(answer, bytes) else Ending.KEEP
    return Fault(name=name, takes=int(applied), answer=answer, ending=ending)


LOST = tuple(
    fault
    for applied in (True, False)
    for fault in (
        _lost("drop", Ending.CLOSE, applied=applied),
        _lost("reset", Ending.RESET, applied=applied),
        _told("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", applied=applied),
        _told("half a word", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntru", applied=applied),
        _told("half a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntr",
              applied=applied),
        _told("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", applied=applied),
        _told("status 408", _page(408), applied=applied),
        _told("status 500", _page(500), applied=applied),
        _told("status 502", _page(502), applied=applied),
        _told("status 503", _page(503, Retry_After="0"), applied=applied),
        _told("status 504", _page(504), applied=applied),
        _told("status 599", Answer(599, b"", None), applied=applied),
    )
)  # fmt: skip
"""Attempts of unknown fate; of a truncated answer of Golem's own, too."""

TRUNCATED = (Fault(name="truncate", keep=-1, ending=Ending.CLOSE),)

WITHOUT_LENGTH = tuple(
    _told("no length", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfals", applied=applied)
    for applied in (True, False)
)
"""A proxy takes the end of such an answer for its proper end, and passes it on as whole."""

SLOW = (
    _lost("stall", Ending.STALL, applied=True),
    _lost("stall", Ending.STALL, applied=False),
    Fault(name="delay", delay=0.2),
    Fault(name="delay", delay=0.2, late=True),
)
"""Attempts that nobody waits for to the end; a late one may be applied after the next attempt."""

REFUSED = (
    _told("status 425", _page(425), applied=False),
    _told("status 429", _page(429, Retry_After="0"), applied=False),
    _told("status 429", _page(429), applied=False),
)
"""Attempts that are known to have stored nothing, and are repeated."""

PASSING = (_told("status 404", _page(404), applied=False),)
"""What ends a call, and not the next one."""

ECHO = (Fault(name="echo", takes=2),)

_POD_LOST = Answer.json(500, {"code": "INTERNAL_ROUTING_FAILURE", "error": "Failed to connect"})
KILLED = tuple(
    Fault(name="executor killed", takes=takes, wakes=False, answer=_POD_LOST) for takes in (1, 0)
)
"""An executor that dies with the request; it may have stored."""

UNSEEN = (Fault(name="true to both", true_to_both=True), Fault(name="sleep on", wakes=False))
"""What Golem does wrong and no client can see: its answer is `true`."""

STORM = (*LOST, *TRUNCATED, *SLOW, *REFUSED, *PASSING, *ECHO, *KILLED, *UNSEEN)


def back_after(seconds: float) -> tuple[Fault, ...]:
    """Return executors that die, and are asked once more by Golem when they are back."""
    return tuple(
        Fault(name="executor killed", takes=takes, late=True, delay=seconds, wakes=False)
        for takes in (2, 1)
    )


class Alternating(RandomFaults):
    """A Golem of two executors, of which one is away: every other request of a promise fails."""

    def fault_for(self, promise: str, nth: int) -> Fault:
        """Return what the n-th request of the promise meets."""
        return NO_FAULT if nth % 2 else super().fault_for(promise, nth)


ONE_OF_TWO_IS_AWAY = tuple(
    _told("status 503", Answer(503, b"", None), applied=applied) for applied in (True, False)
)
