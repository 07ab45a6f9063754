"""The body of a request: read up to a limit, then decoded as JSON or as a form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

_MOST_FIELDS = 1000  # what other frameworks allow; without a limit a megabyte of "&" is slow


async def read_body(chunks: AsyncIterator[bytes], most: int) -> bytes | None:
    """Return the whole body; None if it has more than `most` bytes, however long it says it is."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def is_form(headers: Mapping[str, str]) -> bool:
    """Return whether the body is a form; anything else is taken for JSON."""
    kind = headers.get("Content-Type", "").partition(";")[0]
    return kind.strip().lower() == "application/x-www-form-urlencoded"


class Fields(dict[str, list[str]]):
    """The fields of a form, each with all its values."""

    def getlist(self, name: str) -> list[str]:
        """Return the values of a field; Twilio's validator asks by this name."""
        return self[name]


def form_fields(body: bytes) -> Fields:
    """Return the fields of a form.

    Raises:
        ValueError: It is not UTF-8, or has more than a thousand fields.
    """
    fields = Fields()
    for name, value in parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    ):
        fields.setdefault(name, []).append(value)
    return fields


def decoded(headers: Mapping[str, str], body: bytes, json_field: str) -> Any:
    """Return the event in a body: JSON, or a form as a dict of strings.

    Args:
        headers: The request's headers; the content type decides.
        body: The whole body.
        json_field: The field of a form that is JSON itself; empty for none.

    Raises:
        ValueError: It is neither, or nested deeper than Python reads it.
    """
    if not is_form(headers):
        return _json(body)
    event: dict[str, Any] = {name: values[-1] for name, values in form_fields(body).items()}
    if json_field in event:
        event[json_field] = _json(event[json_field].encode())
    return event


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError:
        pass
    raise ValueError("nested too deeply")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
