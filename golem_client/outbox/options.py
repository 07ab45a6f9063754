"""Checks of what a user says."""

from __future__ import annotations

import math
from datetime import timedelta


def span(name: str, value: object, *, at_least: float | None = None) -> timedelta:
    """Return a time that is given in seconds or as a timedelta, greater than 0 unless said."""
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise TypeError(f"{name} is seconds or a timedelta, not of type {type(value).__name__}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not math.isfinite(seconds) or seconds < 0 or (at_least is None and seconds == 0):
        least = "greater than 0" if at_least is None else "not negative"
        raise ValueError(f"{name} must be finite and {least}")
    return timedelta(seconds=seconds)


def size(name: str, value: object) -> int:
    """Return a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is a whole number, not of type {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value
