"""Traces that cross a process or a database: `golem_client.telemetry` describes the functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Golem reads W3C headers, whatever the propagators of this program are. They may send baggage,
# which holds what the program knows of its user, so they are never asked.
W3C = TraceContextTextMapPropagator()

_LINK = context.create_key("golem-client-link")


def current_trace() -> str | None:
    """Return the `traceparent` of the current span; None where there is none."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def linked_to(traceparent: str) -> Iterator[None]:
    """Link the spans of calls that begin inside to another trace."""
    accepted_by = _span_context({"traceparent": traceparent})
    if not accepted_by.is_valid:
        yield
        return
    token = context.attach(context.set_value(_LINK, Link(accepted_by)))
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
    """Go on with the trace of an incoming request."""
    incoming = _span_context(headers)
    if trace.get_current_span().get_span_context().is_valid or not incoming.is_valid:
        yield
        return
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(incoming)))
    try:
        yield
    finally:
        context.detach(token)


def _span_context(headers: Mapping[str, str]) -> SpanContext:
    found = W3C.extract(headers, context=Context())
    return trace.get_current_span(found).get_span_context()
