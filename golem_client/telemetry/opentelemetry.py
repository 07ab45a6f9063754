"""The observer that makes OpenTelemetry's spans and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from urllib.parse import urlsplit

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from golem_client import ComponentId, GolemError
from golem_client.client.events import AttemptEvent, CallEvent
from golem_client.telemetry.traces import W3C, links
from golem_client.version import __version__

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries that OpenTelemetry's conventions ask for."""

Attributes = dict[str, str | int | float | bool]


@lru_cache(256)
def _component(component_id: ComponentId) -> Attributes:
    """Return what is known of a call before it begins."""
    return {"golem.component.id": str(component_id)}


@lru_cache(256)
def _request(method: str, url: str) -> Attributes:
    """Return what is known of a request before it is sent."""
    address = urlsplit(url)
    port = address.port or {"http": 80}.get(address.scheme, 443)
    server: Attributes = {"server.address": address.hostname or "", "server.port": port}
    return {"http.request.method": method, **server, "url.full": url}


@lru_cache(256)
def _measured(method: str, url: str, status: int | None, error_type: str) -> Attributes:
    """Return the attributes of a request's metric."""
    known = _request(method, url).copy()
    del known["url.full"]  # it would make a metric of its own for each component
    if status is not None:
        known["http.response.status_code"] = status
    if error_type:
        known["error.type"] = error_type
    return known


def _silence() -> dict[str, object]:
    """Return the context values that keep an instrumentation of HTTP clients silent."""
    try:
        from opentelemetry.instrumentation.utils import (  # noqa: PLC0415 - optional
            suppress_http_instrumentation,
            suppress_instrumentation,
        )
    except ModuleNotFoundError:
        return {}  # no such instrumentation is installed either: each needs that package
    token = context.attach(Context())
    try:
        # That of aiohttp, of 2025-02 (0.51b0), minds only the second.
        with suppress_http_instrumentation(), suppress_instrumentation():
            return dict(context.get_current())
    finally:
        context.detach(token)


class OpenTelemetry:
    """An observer that makes spans and metrics, and sends `traceparent` with each attempt.

    Each call is one INTERNAL span `golem.promise.complete`, with `golem.component.id`,
    `golem.promise.outcome`, `golem.promise.attempts` and, where it failed, `error.type`,
    `golem.promise.may_have_completed` and `golem.promise.worth_retrying`. Time spent waiting while
    Golem is down is its event `golem.gate.wait`, with `golem.gate.seconds_waited`. Each attempt is
    one CLIENT span below it, by the stable HTTP conventions. An instrumentation of aiohttp stays
    silent inside. The metrics are `http.client.request.duration` and
    `golem.client.completion.duration`, in seconds.

    No span, event or metric has a token, a payload, or any part of a worker's name, and no error's
    text, which may quote the name. Baggage is never sent. One object may serve many clients, in
    many threads. With an SDK a small call takes about 2.2 times the CPU, and 1.7 times where its
    trace is not sampled: the same spans and metrics made by hand take nearly as much.

    Args:
        tracer_provider: Makes the tracer; the global one by default.
        meter_provider: Makes the meter; the global one by default.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("golem_client", __version__, tracer_provider)
        self._silence = _silence()
        meter = metrics.get_meter("golem_client", __version__, meter_provider)
        self._completions = meter.create_histogram(
            "golem.client.completion.duration",
            unit="s",
            description="Duration of completions: waits, attempts and sleeps.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def call(self, event: CallEvent) -> AbstractContextManager[None]:
        """Return the span of a call."""
        where, promise_id = context.get_current(), event.promise_id
        known = {} if promise_id is None else _component(promise_id.worker_id.component_id)
        span = self._tracer.start_span(
            "golem.promise.complete", where, attributes=known, links=links(where)
        )
        inside = trace.set_span_in_context(span, where)
        return _Current(span, inside, self._completions, partial(_end_call, event))

    def attempt(self, event: AttemptEvent) -> AbstractContextManager[None]:
        """Return the span of an attempt, and add `traceparent` to its headers."""
        where, number = context.get_current(), event.number
        known = _request(event.method, event.url)
        if number > 1:
            known = {**known, "http.request.resend_count": number - 1}
        span = self._tracer.start_span(event.method, where, SpanKind.CLIENT, known)
        inside = trace.set_span_in_context(span, Context({**where, **self._silence}))
        W3C.inject(event.headers, inside)
        return _Current(span, inside, self._requests, partial(_end_attempt, event))


class _Current:
    """A span that is the current one until it ends."""

    __slots__ = ("_began", "_end", "_histogram", "_inside", "_span", "_token")

    def __init__(
        self, span: Span, inside: Context, histogram: Histogram, end: Callable[[Span], Attributes]
    ) -> None:
        self._span = span
        self._inside = inside
        self._histogram = histogram
        self._end = end
        self._began = time.perf_counter()

    def __enter__(self) -> None:
        self._token = context.attach(self._inside)

    def __exit__(self, *_: object) -> None:
        context.detach(self._token)
        try:
            measured = self._end(self._span)
            self._histogram.record(time.perf_counter() - self._began, measured, self._inside)
        finally:
            self._span.end()


def _end_call(event: CallEvent, span: Span) -> Attributes:
    """Add the result of a call to its span, and return the attributes of its metric."""
    if event.seconds_waited > 0:
        span.add_event("golem.gate.wait", {"golem.gate.seconds_waited": event.seconds_waited})
    if event.completion is not None:
        outcome = event.completion.outcome.value
        attempts = event.completion.attempts
        span.set_attributes({"golem.promise.outcome": outcome, "golem.promise.attempts": attempts})
        return {"golem.promise.outcome": outcome}
    error, error_type = event.error, type(event.error).__qualname__
    if isinstance(error, GolemError):
        span.set_attributes(
            {
                "golem.promise.attempts": error.attempts,
                "golem.promise.may_have_completed": error.may_have_completed,
                "golem.promise.worth_retrying": error.worth_retrying,
            }
        )
    _fail(span, error_type)
    return {"error.type": error_type}


def _end_attempt(event: AttemptEvent, span: Span) -> Attributes:
    """Do the same for an attempt."""
    status, error_type = event.status, ""
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if event.error is not None:
        is_status = status is not None and status >= 400
        error_type = str(status) if is_status else type(event.error).__qualname__
        _fail(span, error_type)
    return _measured(event.method, event.url, status, error_type)


def _fail(span: Span, error_type: str) -> None:
    # The error itself is never recorded: its text may name the worker.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)
