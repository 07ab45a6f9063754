"""What travels between a client and the fake, with no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any

import attrs

JSON = "application/json; charset=utf-8"
"""The content type of every JSON answer of Golem's."""
TEXT = "text/plain; charset=utf-8"
"""The content type of every answer of Golem's framework."""


@attrs.frozen
class Incoming:
    """A request as it came: nothing is decoded.

    Attributes:
        method: As sent.
        path: The raw path and query, percent-encoding as sent.
        headers: A case-insensitive mapping when it comes from the network.
        body: All of it.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Answer:
    """A whole HTTP answer, of Golem or of a proxy before it.

    Attributes:
        status: The status.
        body: The body.
        content_type: The `Content-Type`; None for none.
        headers: More headers; a `Content-Type` among them wins.
    """

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def text(cls, status: int, message: str) -> Answer:
        """Return an answer of Golem's framework: a bare message."""
        return cls(status, message.encode(), TEXT)

    @classmethod
    def json(cls, status: int, value: Any) -> Answer:
        """Return an answer of Golem's own."""
        return cls(status, compact_json(value).encode(), JSON)

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with the content type among them unless they have their own."""
        named = {name.lower() for name in self.headers}
        if self.content_type is None or "content-type" in named:
            return dict(self.headers)
        return {"Content-Type": self.content_type, **self.headers}

    def wire(self) -> bytes:
        """Return the bytes of the answer, for those that do not go out whole."""
        headers = self.all_headers() | {"Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} {reason(self.status)}"]
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
    """What the client gets to see.

    Attributes:
        answer: The answer, or raw bytes in its place.
        keep: The part that goes out, as in `wire[:keep]`; None for the whole.
        ending: What then becomes of the connection.
    """

    answer: Answer | bytes
    keep: int | None = None
    ending: Ending = Ending.KEEP

    @property
    def whole(self) -> Answer | None:
        """The answer, where it is one and goes out in good order."""
        orderly = self.keep is None and self.ending is Ending.KEEP
        return self.answer if orderly and isinstance(self.answer, Answer) else None

    @property
    def wire(self) -> bytes:
        """The bytes that go out."""
        wire = self.answer if isinstance(self.answer, bytes) else self.answer.wire()
        return wire[: self.keep]


def compact_json(value: Any) -> str:
    """Return JSON as Golem writes it: compact, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def reason(status: int) -> str:
    """Return the phrase of a status, or nothing for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
