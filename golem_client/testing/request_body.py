"""The body of a completion, as Golem's framework reads it.

serde_json reads the text; poem-openapi then converts the value, field by field, and names what
it expected. Its texts echo the value that they refuse.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import attrs

from golem_client.testing import serde_json
from golem_client.testing.messages import Answer, compact_json

MAX_U64 = 2**64 - 1
_INDEX = "integer(uint64)"
_BYTE = "integer(uint8)"
_BYTES = "list_integer(uint8)"
_BODY = "CompleteParameters"
_JSON_TYPE = re.compile(r"\s*application/(?:json|[^\s;/]+\+json)\s*(?:;.*)?", re.IGNORECASE)


@attrs.frozen
class CompleteParameters:
    """What the body of a completion says."""

    oplog_idx: int
    data: bytes = attrs.field(repr=False)


class BodyError(ValueError):
    """The framework does not accept the body; the text is its own."""


def refused_content_type(content_type: str | None) -> Answer | None:
    """Return the 415 for a content type that is not JSON; parameters do not count."""
    # A header that is not ASCII is none to the framework.
    if content_type is None or not content_type.isascii():
        return Answer.text(415, "the client request does not include the `Content-Type` header")
    if _JSON_TYPE.fullmatch(content_type):
        return None
    return Answer.text(
        415, f"the `Content-Type` requested by the client is not supported: {content_type}"
    )


def read_body(body: bytes) -> CompleteParameters:
    """Return what the body says, or raise a BodyError with the framework's text."""
    try:
        # Nothing at all is taken as JSON's null.
        value = serde_json.loads(body) if body else None
    except serde_json.JsonError as error:
        raise BodyError(f"parse request payload error: {error}") from None
    if not isinstance(value, dict):
        _refuse(_expected(_BODY, value))
    return CompleteParameters(_index(value.get("oplogIdx")), _bytes(value.get("data")))


def _index(value: Any) -> int:
    if not _is_number(value):
        _refuse(_expected(_INDEX, value), _BODY)
    if type(value) is not int or not 0 <= value <= MAX_U64:
        _refuse(_failed(_INDEX, "invalid integer"), _BODY)
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, list):
        _refuse(_expected(_BYTES, value), _BODY)
    # One pass in C for what is right, which may be megabytes; a bool is an int to bytes().
    if set(map(type, value)) <= {int}:
        try:
            return bytes(value)
        except ValueError:
            pass
    for item in value:
        _check_byte(item)
    raise AssertionError("poem accepts what bytes() refuses")


def _check_byte(value: Any) -> None:
    if not _is_number(value):
        _refuse(_expected(_BYTE, value), _BYTES, _BODY)
    if type(value) is not int or not 0 <= value <= MAX_U64:
        _refuse(_failed(_BYTE, "invalid integer"), _BYTES, _BODY)
    if value > 255:
        _refuse(_failed(_BYTE, "Only integers from 0 to 255 are accepted."), _BYTES, _BODY)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _expected(type_name: str, value: Any) -> str:
    return f'Expected input type "{type_name}", found {compact_json(value)}.'


def _failed(type_name: str, message: str) -> str:
    return f'failed to parse "{type_name}": {message}'


def _refuse(message: str, *while_parsing: str) -> NoReturn:
    places = "".join(f' (occurred while parsing "{place}")' for place in while_parsing)
    raise BodyError(f"parse request payload error: {message}{places}")
