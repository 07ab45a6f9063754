"""What came to the fake, as a test wants to read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from golem_client.ids import PromiseId

_SECRET_HEADERS = frozenset({"authorization", "cookie"})


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """A request that came to a FakeGolem, and what became of it.

    Attributes:
        method: As sent.
        path: The raw path and query, percent-encoding as sent.
        headers: Case-insensitive, without those that hold secrets: Authorization and Cookie.
        token: The bearer token that was sent; not shown in the repr.
        body: As sent.
        promise_id: The promise that the request names; None where it names none.
        payload: The decoded payload; None where there is none.
        status: The status that the client was answered; None where it got no whole answer, or
            has got none yet.
        answer: The body of that answer, likewise.
        applied: Whether this request stored its payload. False for a duplicate.
        fault: The name of the fault that met it; None for fair weather.
        connection: The number of the connection that it came on, from 1.
        received_at: When it was there in full, on the clock of the event loop, in seconds.
        answered_at: When its answer went out, on the same clock. None where `status` is None.
    """

    method: str
    path: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    token: str | None = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    promise_id: PromiseId | None
    payload: bytes | None
    status: int | None = None
    answer: bytes | None = None
    applied: bool = False
    fault: str | None = None
    connection: int = attrs.field(default=0, repr=False)
    received_at: float = attrs.field(default=0.0, repr=False)
    answered_at: float | None = attrs.field(default=None, repr=False)

    def payload_json(self) -> Any:
        """Return the payload read as JSON."""
        if self.payload is None:
            raise ValueError(f"no payload came with {self}")
        return json.loads(self.payload)

    def __str__(self) -> str:
        whom = self.path if self.promise_id is None else str(self.promise_id)
        told = "no answer" if self.status is None else f"{self.status} {shown(self.answer)}".strip()
        extras = [f"fault: {self.fault}"] if self.fault else []
        extras += ["applied"] if self.applied else []
        what = f"{whom} {shown(self.payload)}".rstrip()
        return f"{self.method} {what} -> {told}" + (f" ({', '.join(extras)})" if extras else "")


def without_secrets(headers: Mapping[str, str]) -> CIMultiDictProxy[str]:
    """Return the headers without those that hold secrets."""
    pairs = ((name, value) for name, value in headers.items())
    kept = [(name, value) for name, value in pairs if name.lower() not in _SECRET_HEADERS]
    return CIMultiDictProxy(CIMultiDict(kept))


def shown(data: bytes | None, limit: int = 80) -> str:
    """Return the bytes for people: text where they are text, and not all of it."""
    if data is None:
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = repr(data)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
