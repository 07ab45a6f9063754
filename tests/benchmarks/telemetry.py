"""A small completion, in CPU time, without observers and with OpenTelemetry; and by hand.

python -m tests.benchmarks.telemetry [--rounds 15] [--calls 2000]

"By hand" is the same spans and metrics, made around the call of a client without observers.
Exporters drop what they are given: what an exporter costs is its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind

from golem_client import GolemClient
from golem_client.telemetry import OpenTelemetry
from tests.benchmarks import server
from tests.benchmarks.completions import COMPONENT, CONCURRENCY, TOKEN, ours
from tests.benchmarks.rounds import Call, compare, run, table


class Nowhere(SpanExporter):
    """Drops what it is given."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


class NoMetrics(MetricExporter):
    """Drops what it is given."""

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: Any, **__: Any) -> bool:
        return True

    def shutdown(self, *_: Any, **__: Any) -> None:
        pass


def providers(rate: float) -> tuple[TracerProvider, MeterProvider]:
    """Return providers that sample at a rate, as in production."""
    tracers = TracerProvider(sampler=ParentBased(TraceIdRatioBased(rate)))
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    return tracers, MeterProvider([PeriodicExportingMetricReader(NoMetrics())])


@contextmanager
def setups() -> Iterator[dict[str, tuple[Any, Any]]]:
    made = {
        "SDK, 1 in 100 sampled": providers(0.01),
        "SDK, all in batches": providers(1),
    }
    yield {"API alone": (None, None), **made}
    for tracers, meters in made.values():
        tracers.shutdown()
        meters.shutdown()


def by_hand(client: GolemClient, base: str, tracers: Any, meters: Any) -> Call:
    tracer = trace.get_tracer("by hand", "1", tracers)
    meter = metrics.get_meter("by hand", "1", meters)
    completions = meter.create_histogram("golem.client.completion.duration", unit="s")
    requests = meter.create_histogram("http.client.request.duration", unit="s")
    complete, port = ours(client), int(base.rpartition(":")[2])
    known: dict[str, Any] = {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    url = f"{base}/v1/components/{COMPONENT}/workers/REDACTED/complete"

    async def call(n: int) -> object:
        began = time.perf_counter()
        with tracer.start_as_current_span(
            "golem.promise.complete", attributes={"golem.component.id": COMPONENT}
        ) as span:
            attributes = {**known, "url.full": url}
            with tracer.start_as_current_span(
                "POST", kind=SpanKind.CLIENT, attributes=attributes
            ) as attempt:
                propagate.inject({})
                done = await complete(n)
                attempt.set_attribute("http.response.status_code", 200)
                measured = {**known, "http.response.status_code": 200}
                requests.record(time.perf_counter() - began, measured)
            span.set_attribute("golem.promise.outcome", "fulfilled")
            span.set_attribute("golem.promise.attempts", 1)
            completions.record(time.perf_counter() - began, {"golem.promise.outcome": "fulfilled"})
        return done

    return call


async def compared(rounds: int, calls: int) -> None:
    with server.running() as base, setups() as made:
        async with AsyncExitStack() as clients:
            off = await clients.enter_async_context(GolemClient(base, token=TOKEN))
            contestants = {"without observers": ours(off)}
            for name, (tracers, meters) in made.items():
                observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
                on = GolemClient(base, token=TOKEN, observers=[observer])
                contestants[name] = ours(await clients.enter_async_context(on))
                contestants[f"{name}, by hand"] = by_hand(off, base, tracers, meters)
            taken = await compare(contestants, rounds=rounds, calls=calls, concurrency=CONCURRENCY)
            print(table(taken, "without observers"))


def measure(rounds: int, calls: int) -> None:
    asyncio.run(compared(rounds, calls))


if __name__ == "__main__":
    run(measure, __doc__, package="opentelemetry-sdk", concurrency=CONCURRENCY)
