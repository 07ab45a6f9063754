"""See what happens in calls and attempts: with OpenTelemetry, or with an observer of your own.

    from golem_client.telemetry import OpenTelemetry   # pip install "golem-client[otel]"

    client = GolemClient(url, token=token, observers=[OpenTelemetry()])

An observer is any object with the methods of `Observer`; it needs no extra:

    class Durations:
        def call(self, event):
            return completion_seconds.time()   # a prometheus_client.Histogram

        def attempt(self, event):
            return None

The outbox keeps the trace that accepts a completion, so that its delivery links to it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from golem_client.client.events import AttemptEvent, CallEvent, Observer

if TYPE_CHECKING:
    from golem_client.telemetry.opentelemetry import OpenTelemetry

__all__ = [
    "AttemptEvent",
    "CallEvent",
    "Observer",
    "OpenTelemetry",
    "continuing",
    "current_trace",
    "linked_to",
]


def __getattr__(name: str) -> Any:
    """Import what needs opentelemetry-api when it is asked for: observers alone do not."""
    if name != "OpenTelemetry":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module("golem_client.telemetry.opentelemetry")
    except ModuleNotFoundError as error:
        if error.name != "opentelemetry":
            raise
    else:
        return module.OpenTelemetry
    raise ImportError(
        "OpenTelemetry needs opentelemetry-api, which the extra has: "
        'pip install "golem-client[otel]"'
    )


def current_trace() -> str | None:
    """Return the W3C `traceparent` of the current span; None where there is none."""
    traces = _traces()
    return None if traces is None else traces.current_trace()


def linked_to(trace: str | None) -> AbstractContextManager[Any]:
    """Link the spans of calls that begin inside to another trace.

    Args:
        trace: What `current_trace` returned, in this process or another. What is no `traceparent`
            links to nothing.
    """
    traces = _traces()
    return nullcontext() if traces is None or trace is None else traces.linked_to(trace)


def continuing(headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    """Go on with the trace of an incoming request, for calls that begin inside.

    Where a span is current, because the web framework is instrumented, nothing changes.

    Args:
        headers: The headers of the request; look-ups ignore the case, or the names are in lower
            case.
    """
    traces = _traces()
    return nullcontext() if traces is None else traces.continuing(headers)


def _traces() -> Any:
    """Return the functions, where this program uses OpenTelemetry at all."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    return importlib.import_module("golem_client.telemetry.traces")
