"""The event in the body of a request: JSON, or a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

_MOST_FIELDS = 1000  # what other frameworks allow; without a limit a megabyte of "&" is slow


def is_form(headers: Mapping[str, str]) -> bool:
    """Return whether the body is a form; anything else is taken for JSON."""
    kind = headers.get("Content-Type", "").partition(";")[0]
    return kind.strip().lower() == "application/x-www-form-urlencoded"


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form; a ValueError for one that is not UTF-8, or has too many."""
    return parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )


def decoded(headers: Mapping[str, str], body: bytes, json_field: str) -> Any:
    """Return the event in a body: JSON, or a form as a dict of strings, one of which may be JSON.

    It raises a ValueError for anything else, and for what is nested deeper than Python reads.
    """
    if not is_form(headers):
        return _json(body)
    event: dict[str, Any] = dict(form_fields(body))
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
