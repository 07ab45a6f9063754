"""Traces that cross a process or a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Golem reads W3C headers, whatever the propagators of this program are. They may send baggage,
# which holds what the program knows of its user, so they are never asked.
W3C = TraceContextTextMapPropagator()

_LINK = context.create_key("golem-client-link")


def current_trace() -> str | None:
    """Return the W3C `traceparent` of the current span; None where there is none."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def linked_to(traceparent: str | None) -> Iterator[None]:
    """Link the spans of calls that begin inside to another trace.

    Args:
        traceparent: What `current_trace` returned, in this process or another. None, or anything
            else that is not a `traceparent`, links to nothing.
    """
    found = W3C.extract({"traceparent": traceparent or ""})
    accepted_by = trace.get_current_span(found).get_span_context()
    link = Link(accepted_by) if accepted_by.is_valid else None
    token = context.attach(context.set_value(_LINK, link))
    try:
        yield
    finally:
        context.detach(token)


def links(where: Context) -> list[Link]:
    """Return what the span of a call links to."""
    found = context.get_value(_LINK, where)
    return [found] if isinstance(found, Link) else []


@contextmanager
def continuing(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on with the trace of an incoming request, for calls that begin inside.

    Where a span is current, because the web framework is instrumented, nothing changes.

    Args:
        headers: The headers of the request; look-ups ignore the case, or the names are in lower
            case.
    """
    is_traced = trace.get_current_span().get_span_context().is_valid
    where = context.get_current() if is_traced else W3C.extract(headers)
    span = trace.get_current_span(where)
    # An error is never recorded: its text may name the worker.
    with trace.use_span(span, record_exception=False, set_status_on_exception=False):
        yield
