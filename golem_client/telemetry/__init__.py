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
from typing import TYPE_CHECKING, Any

from golem_client.client.events import AttemptEvent, CallEvent, Observer

if TYPE_CHECKING:
    from golem_client.telemetry.opentelemetry import OpenTelemetry
    from golem_client.telemetry.traces import continuing, current_trace, linked_to

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
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "opentelemetry" if name == "OpenTelemetry" else "traces"
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "opentelemetry":
            raise
    raise ImportError(
        f'{name} needs opentelemetry-api, which the extra has: pip install "golem-client[otel]"'
    )
