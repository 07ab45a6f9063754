"""What travels between a client and the fake, and the record of it. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from http.client import responses
from typing import Any

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from golem_client.ids import PromiseId

_SECRET_HEADERS = frozenset({"authorization", "cookie"})


@attrs.frozen
class Incoming:
    """A request as it came: the path is raw, the headers of the network ignore case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


def _check_status(_: Answer, __: attrs.Attribute[int], status: Any) -> None:
    if not isinstance(status, int) or isinstance(status, bool):
        raise TypeError(f"status must be an int, not {status!r}")
    if not 200 <= status <= 999:
        raise ValueError(f"status must be from 200 to 999, not {status}")


def _check_headers(
    _: Answer, __: attrs.Attribute[Mapping[str, str]], headers: Mapping[str, str]
) -> None:
    if not all(isinstance(part, str) for pair in headers.items() for part in pair):
        raise TypeError(f"headers must map strings to strings: {headers!r}")


@attrs.frozen
class Answer:
    """A whole HTTP answer, of Golem or of a proxy before it.

    Attributes:
        status: The status.
        body: The body.
        content_type: The `Content-Type`; None for none.
        headers: More headers; a `Content-Type` among them wins.
    """

    status: int = attrs.field(validator=_check_status)
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, validator=_check_headers)

    @classmethod
    def text(cls, status: int, message: str) -> Answer:
        """Return an answer of Golem's framework: a bare message."""
        return cls(status, message.encode(), "text/plain; charset=utf-8")

    @classmethod
    def json(cls, status: int, value: Any) -> Answer:
        """Return an answer of Golem's own."""
        return cls(status, compact_json(value).encode(), "application/json; charset=utf-8")

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with the content type among them unless they have their own."""
        named = {name.lower() for name in self.headers}
        if self.content_type is None or "content-type" in named:
            return dict(self.headers)
        return {"Content-Type": self.content_type, **self.headers}

    def wire(self) -> bytes:
        """Return the bytes of the answer, for those that do not go out whole."""
        headers = self.all_headers() | {"Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class Ending(Enum):
    """What becomes of the connection after the answer, or the part of it that goes out.

    Attributes:
        KEEP: It stays open for the next request.
        CLOSE: It is closed.
        RESET: It is reset (RST): the client gets a connection error.
        STALL: It stays open and silent until the client leaves.
    """

    KEEP = "kept"
    CLOSE = "closed"
    RESET = "reset"
    STALL = "stalled"


@attrs.frozen
class Delivery:
    """What the client gets: an answer or raw bytes, cut as in `wire[:keep]`, and an ending."""

    answer: Answer | bytes
    keep: int | None = None
    ending: Ending = Ending.KEEP

    @property
    def whole(self) -> Answer | None:
        """The answer, if it goes out complete and the connection stays open."""
        is_whole = self.keep is None and self.ending is Ending.KEEP
        return self.answer if is_whole and isinstance(self.answer, Answer) else None

    @property
    def wire(self) -> bytes:
        """The bytes that go out."""
        wire = self.answer if isinstance(self.answer, bytes) else self.answer.wire()
        return wire[: self.keep]


def proxys_page(status: int) -> Answer:
    """Return the page of an nginx before Golem."""
    title = f"{status} {responses.get(status, '')}".strip()
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, page.encode(), "text/html")


def compact_json(value: Any) -> str:
    """Return JSON as Golem writes it: compact, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
        status: The status of the answer; None while there is none, or if it never went out whole.
        answer: The body of that answer, likewise.
        applied: Whether this request stored its payload. False for a duplicate.
        fault: The name of the fault that met it; None if none did.
        connection: The number of the connection that it came on, from 1.
        received_at: When its last byte came, on the clock of the event loop, in seconds.
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

    @classmethod
    def of(cls, incoming: Incoming, **facts: Any) -> ReceivedRequest:
        """Return the record of a request, with its secrets out of sight."""
        kept = [pair for pair in incoming.headers.items() if pair[0].lower() not in _SECRET_HEADERS]
        return cls(
            method=incoming.method,
            path=incoming.path,
            headers=CIMultiDictProxy(CIMultiDict(kept)),
            token=bearer_token(incoming.headers),
            body=incoming.body,
            **facts,
        )

    def payload_json(self) -> Any:
        """Return the payload read as JSON."""
        if self.payload is None:
            raise ValueError(f"no payload came with {self}")
        return json.loads(self.payload)

    def __str__(self) -> str:
        what = f"{self.promise_id or self.path} {shown(self.payload)}".rstrip()
        came = "no answer" if self.status is None else f"{self.status} {shown(self.answer)}".strip()
        extras = [f"fault: {self.fault}"] if self.fault else []
        extras += ["applied"] if self.applied else []
        return f"{self.method} {what} -> {came}" + (f" ({', '.join(extras)})" if extras else "")


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of the request, of whatever syntax."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def shown(data: bytes | None) -> str:
    """Return bytes for people: as text if they are text, and at most 80 characters."""
    try:
        text = (data or b"").decode()
    except UnicodeDecodeError:
        text = repr(data)
    return text if len(text) <= 80 else f"{text[:79]}…"
