"""See what happens in a call: OpenTelemetry's spans on the console, and an observer of our own.

pip install "golem-client[otel]" opentelemetry-sdk
python examples/observed_service.py

The first attempt meets a Golem that is busy, so the call makes a second one.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from golem_client import GolemClient
from golem_client.telemetry import AttemptEvent, CallEvent, OpenTelemetry
from golem_client.testing import FakeGolem


class EventLog:
    """Writes a line for each call and attempt; with structlog, `write` is `get_logger().info`.

    For Prometheus, `call` and `attempt` return `histogram.time()` of prometheus_client instead.
    """

    def __init__(self, write: Callable[..., object]) -> None:
        self._write = write

    @contextmanager
    def call(self, event: CallEvent) -> Iterator[None]:
        yield
        if event.completion is not None:
            self._write("call", outcome=event.completion.outcome.value)
        else:
            self._write("call", error=type(event.error).__name__)

    @contextmanager
    def attempt(self, event: AttemptEvent) -> Iterator[None]:
        yield
        self._write("attempt", number=event.number, status=event.status)


def write(event: str, **fields: object) -> None:
    print("event", json.dumps({"event": event, **fields}))


async def main() -> None:
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    spans, events = OpenTelemetry(tracer_provider=tracers), EventLog(write)
    async with (
        FakeGolem() as golem,
        GolemClient(golem.url, token=golem.token, observers=[spans, events]) as client,
    ):
        golem.fail_next(503)
        promise_id = golem.create_promise()
        with tracers.get_tracer("observed_service").start_as_current_span("approve the order"):
            await client.complete_json(promise_id, {"approved": True})
    tracers.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
