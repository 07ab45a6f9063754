"""Is this text JSON that a worker can read? Nothing else is sent, as it cannot be taken back."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DEPTH = 127
"""serde_json refuses the 128th open bracket."""


class JsonError(ValueError):
    """The text is not JSON as serde_json reads it; the message does not show the text."""


def check_json(text: str) -> None:
    """Check that serde_json reads this text, and that it means one thing.

    Raises:
        JsonError: It is not JSON, or holds NaN, an infinity, a number beyond the range of f64, an
            object with a key twice, a lone surrogate, or more than 127 levels.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_number,
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        message = f"it is nested deeper than {_MAX_DEPTH} levels"
    else:
        _check_value(value)
        return
    raise JsonError(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise JsonError("an object has a key twice")
    return value


def _constant(name: str) -> None:
    raise JsonError(f"{name} is not JSON")


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise JsonError("a number is beyond the range of f64")
    return value


def _check_value(value: Any, depth: int = 0) -> None:
    """Check depth and texts; `depth` is the number of brackets around the value."""
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise JsonError("a text holds a lone surrogate")
    elif isinstance(value, dict | list):
        if depth == _MAX_DEPTH:
            raise JsonError(f"it is nested deeper than {_MAX_DEPTH} levels")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_value(inner, depth + 1)
