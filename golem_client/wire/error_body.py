"""Read what an error answer says, in any of Golem's dialects."""

from __future__ import annotations

import json
import re

import attrs

MAX_ANSWER_BYTES = 64 * 1024
"""How much of an answer is read: Golem's own are a few hundred bytes."""


@attrs.frozen
class Said:
    """What an error answer says, in whichever of Golem's dialects.

    Attributes:
        text: The words; empty where the answer is not Golem's.
        code: The `code` of 1.5, or the `golemError.type` of 1.1 and 1.2.
        dialect: Which shape the body has; "" where it is none of Golem's.
    """

    text: str = ""
    code: str | None = None
    dialect: str = ""


def read_error(content_type: str, body: bytes) -> Said:
    """Read an error body; the result is empty where it is not Golem's.

    1.1 and 1.2 answer `{"golemError": {…, "type": …}}` or `{"error": …}`, 1.3 and 1.4
    `{"error": …, "workerError": …}`, 1.5 adds `code`; 400 is `{"errors": […]}` in all of them.
    The framework below Golem answers a bare text.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/plain":
        text = body[:1000].decode("utf-8", "replace").strip()
        is_golems = text in _FRAMEWORK_TEXTS or text.startswith(_FRAMEWORK_STARTS)
        return Said(text, dialect="text") if is_golems else Said()
    if kind != "application/json" and not kind.endswith("+json"):
        return Said()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Said()
    return _read_json_error(value) if isinstance(value, dict) else Said()


_FRAMEWORK_TEXTS = (
    "invalid path params",
    "authorization error",
    "method not allowed",
    "not found",
    "request-origin not allowed",
)
_FRAMEWORK_STARTS = (
    "failed to parse path ",
    "io: error reading a body from connection",
    "parse request payload error: ",
    "the client request does not include ",
    "the `Content-Type` requested ",
)


def as_of_a_webhook(status: int, body: bytes, said: Said) -> Said:
    """Return what a webhook's error says of the promise behind it (Golem 1.5).

    A 404 without a body is Golem's answer to an id that is forged or another server's.
    """
    if status == 404 and not body:
        return Said("Golem does not know this webhook", dialect="empty")
    return attrs.evolve(said, text=said.text.removeprefix("Invocation failed: "))


def _read_json_error(value: dict[str, object]) -> Said:
    match value:
        case {"golemError": {"type": str(kind), **inner}}:
            details = inner.get("details", inner.get("reason"))
            text = f"{kind}: {details}" if isinstance(details, str) else kind
            return Said(text, _code(kind), "golemError")
        case {"error": str(text)}:
            return Said(text, _code(value.get("code")), "error")
        case {"errors": [*texts]} if all(isinstance(text, str) for text in texts):
            return Said("; ".join(map(str, texts)), _code(value.get("code")), "errors")
    return Said()


def _code(value: object) -> str | None:
    """Keep what looks like a code: whatever else stands there may quote the request."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]{1,60}", value) else None
