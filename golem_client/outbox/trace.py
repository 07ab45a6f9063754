"""The trace that accepts a completion, and the one that delivers it.

`golem_client.telemetry`, where a program has imported it, has two functions for the outbox:
`current_trace() -> str | None`, a W3C `traceparent`, and `linked_to(trace)`, a context manager
under which the delivery is run. Without it nothing is recorded, and nothing is paid.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast


def current_trace() -> str | None:
    """Return the trace of the caller, to be stored with what it accepts."""
    found = getattr(sys.modules.get("golem_client.telemetry"), "current_trace", None)
    return None if found is None else cast("str | None", found())


def linked_to(trace: str | None) -> AbstractContextManager[Any]:
    """Return what a delivery is run under."""
    found = getattr(sys.modules.get("golem_client.telemetry"), "linked_to", None)
    if found is None or trace is None:
        return nullcontext()
    return cast("AbstractContextManager[Any]", found(trace))
