"""The trace that accepts a completion, and the one that delivers it.

`golem_client.telemetry` has two functions for the outbox: `current_trace() -> str | None`, a W3C
`traceparent`, and `linked_to(trace)`, a context manager under which the delivery is run. In a
program that has not imported OpenTelemetry nothing is recorded, and nothing is paid.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast


def current_trace() -> str | None:
    """Return the trace of the caller, to be stored with what it accepts."""
    telemetry = _telemetry()
    return None if telemetry is None else cast("str | None", telemetry.current_trace())


def linked_to(trace: str | None) -> AbstractContextManager[Any]:
    """Return what a delivery is run under."""
    telemetry = _telemetry()
    if telemetry is None or trace is None:
        return nullcontext()
    return cast("AbstractContextManager[Any]", telemetry.linked_to(trace))


def _telemetry() -> Any:
    # A process that only accepts has OpenTelemetry, but no client, and so no observer of ours.
    if "opentelemetry.trace" not in sys.modules:
        return None
    return importlib.import_module("golem_client.telemetry")
