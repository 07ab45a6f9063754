"""A small completion, in CPU time, without observers and with OpenTelemetry's SDK.

python -m tests.benchmarks.telemetry [--rounds 15] [--calls 2000]

Spans go to a batch processor whose exporter drops them: what an exporter costs is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from golem_client import GolemClient
from golem_client.telemetry import OpenTelemetry
from tests.benchmarks import server
from tests.benchmarks.completions import CONCURRENCY, TOKEN, ours
from tests.benchmarks.rounds import compare, table


class Nowhere(SpanExporter):
    """Drops what it is given."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


async def measure(rounds: int, calls: int) -> None:
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    sdk = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    with server.running() as base:
        async with (
            GolemClient(base, token=TOKEN) as off,
            GolemClient(base, token=TOKEN, observers=[OpenTelemetry()]) as api,
            GolemClient(base, token=TOKEN, observers=[sdk]) as on,
        ):
            contestants = {
                "without observers": ours(off),
                "OpenTelemetry without an SDK": ours(api),
                "OpenTelemetry with its SDK": ours(on),
            }
            taken = await compare(contestants, rounds=rounds, calls=calls, concurrency=CONCURRENCY)
            print(table(taken, "without observers"))
    tracers.shutdown()
    meters.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    arguments = parser.parse_args()
    print(
        f"Python {platform.python_version()}, opentelemetry-sdk {version('opentelemetry-sdk')}, "
        f"{platform.machine()}, concurrency {CONCURRENCY}; CPU time, medians of "
        f"{arguments.rounds} interleaved rounds of {arguments.calls} calls\n"
    )
    asyncio.run(measure(arguments.rounds, arguments.calls))


if __name__ == "__main__":
    main()
