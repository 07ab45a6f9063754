"""Spans, metrics and traces, with the SDK's in-memory exporters and a real HTTP instrumentation."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from golem_client import GolemClient, GolemError, RetryPolicy, telemetry
from golem_client.client.events import observed
from golem_client.outbox import Outbox
from golem_client.telemetry import AttemptEvent, CallEvent, OpenTelemetry
from golem_client.testing import FakeGolem
from golem_client.webhooks import Complete, Webhook
from tests.interpreters import Child
from tests.scripted_server import RESET, TRUE, ScriptedServer

COMPONENT = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
NAME = "patient-4711-ada"
PAYLOAD = "4111-1111"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@attrs.frozen
class Telemetry:
    """What the exporters have seen."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracer: trace.Tracer
    observer: OpenTelemetry

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def of_kind(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is kind]

    @property
    def call(self) -> ReadableSpan:
        (span,) = self.of_kind(SpanKind.INTERNAL)
        return span

    @property
    def attempts(self) -> list[ReadableSpan]:
        return self.of_kind(SpanKind.CLIENT)

    def points(self) -> dict[str, list[Any]]:
        found = self.reader.get_metrics_data()
        assert found is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def everything(self) -> str:
        return "\n".join([*(span.to_json() for span in self.spans), repr(self.points())])


@pytest.fixture
def seen() -> Iterator[Telemetry]:
    """Spans and metrics, with the instrumentation of aiohttp active on the same tracer."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(shutdown_on_exit=False), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    AioHttpClientInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    try:
        yield Telemetry(exporter, reader, tracers.get_tracer("a test"), observer)
    finally:
        AioHttpClientInstrumentor().uninstrument()
        meters.shutdown()


@pytest.fixture
async def golem() -> AsyncIterator[FakeGolem]:
    async with FakeGolem() as fake:
        yield fake


def client_of(golem: FakeGolem, seen: Telemetry, **options: Any) -> GolemClient:
    options.setdefault("retry", RetryPolicy(min_delay=0.01, max_delay=0.02))
    return GolemClient(golem.url, token=golem.token, observers=[seen.observer], **options)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def context_of(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


async def arrival_at(golem: FakeGolem) -> None:
    while not golem.requests:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0.005)


async def test_a_call_is_a_span_with_a_client_span_for_its_attempt(
    golem: FakeGolem, seen: Telemetry
) -> None:
    """The instrumentation of aiohttp adds none of its own."""
    async with client_of(golem, seen) as client:
        await client.complete_json(golem.create_promise(component_id=COMPONENT), 1)
    (attempt,) = seen.attempts
    port = int(golem.url.rpartition(":")[2])
    assert "golem.promise.complete" == seen.call.name
    assert {
        "golem.component.id": COMPONENT,
        "golem.promise.outcome": "fulfilled",
        "golem.promise.attempts": 1,
    } == attributes_of(seen.call)
    assert ("POST", context_of(seen.call).span_id) == (
        attempt.name,
        attempt.parent and attempt.parent.span_id,
    )
    assert {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": f"{golem.url}/v1/components/{COMPONENT}/workers/REDACTED/complete",
        "http.response.status_code": 200,
    } == attributes_of(attempt)
    assert [StatusCode.UNSET] * 2 == [span.status.status_code for span in seen.spans]


async def test_aiohttps_instrumentation_is_active_outside(
    golem: FakeGolem, seen: Telemetry
) -> None:
    """The other tests would prove nothing if it were silent by itself."""
    import aiohttp  # noqa: PLC0415 - the user's own

    async with client_of(golem, seen) as client, aiohttp.ClientSession() as session:
        await client.complete_json(golem.create_promise(), 1)
        async with session.get(golem.url):
            pass
    assert ["POST", "GET"] == [span.name for span in seen.attempts]


async def test_each_attempt_has_its_span_and_its_own_traceparent(
    golem: FakeGolem, seen: Telemetry
) -> None:
    """And no baggage goes out, whatever the program has in it."""
    golem.fail_next(503, times=2)
    token = context.attach(baggage.set_baggage("user", "ada"))
    try:
        async with client_of(golem, seen) as client:
            await client.complete_json(golem.create_promise(), 1)
    finally:
        context.detach(token)
    ids = [context_of(span) for span in seen.attempts]
    expected = [f"00-{each.trace_id:032x}-{each.span_id:016x}" for each in ids]
    sent = [request.headers["traceparent"] for request in golem.requests]
    assert expected == [each.rpartition("-")[0] for each in sent]
    assert [False] * 3 == ["baggage" in request.headers for request in golem.requests]
    assert {context_of(seen.call).trace_id} == {each.trace_id for each in ids}
    found = [attributes_of(span) for span in seen.attempts]
    assert [None, 1, 2] == [each.get("http.request.resend_count") for each in found]
    assert ["503", "503", None] == [each.get("error.type") for each in found]
    assert [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET] == [
        span.status.status_code for span in seen.attempts
    ]
    assert 3 == attributes_of(seen.call)["golem.promise.attempts"]


async def test_the_callers_span_is_the_parent_of_the_call(
    golem: FakeGolem, seen: Telemetry
) -> None:
    with seen.tracer.start_as_current_span("a request", kind=SpanKind.SERVER) as request:
        async with client_of(golem, seen) as client:
            await client.complete_json(golem.create_promise(), 1)
        assert trace.get_current_span() is request
    assert seen.call.parent == request.get_span_context()


async def test_no_span_metric_or_event_has_a_name_a_token_or_a_payload(
    golem: FakeGolem, seen: Telemetry
) -> None:
    """The error's own text has the name, so it is nowhere recorded."""
    promise_id = golem.create_promise(worker_name=NAME)
    golem.delete_promise(promise_id)
    async with client_of(golem, seen) as client:
        with pytest.raises(GolemError, match=NAME):
            await client.complete_json(promise_id, {"card": PAYLOAD})
        golem.fail_next(500)
        done = golem.create_promise(worker_name=NAME)
        await client.complete_json(done, {"card": PAYLOAD})
    everything = seen.everything()
    assert "PromiseNotFoundError" in everything
    assert [] == [word for word in ("patient", golem.token, PAYLOAD) if word in everything]


async def test_a_webhooks_url_is_in_no_span(golem: FakeGolem, seen: Telemetry) -> None:
    """It is a secret."""
    url = golem.webhook_url(golem.create_promise())
    async with client_of(golem, seen) as client:
        await client.call_webhook(url, {"a": 1})
    assert url.rpartition("/")[2] not in seen.everything()
    assert f"{golem.url}/REDACTED" == attributes_of(seen.attempts[0])["url.full"]
    assert "golem.component.id" not in attributes_of(seen.call)


async def test_a_failed_call_says_what_is_known(golem: FakeGolem, seen: Telemetry) -> None:
    golem.fail_next(500)
    async with client_of(golem, seen, retry=RetryPolicy.none()) as client:
        with pytest.raises(GolemError):
            await client.complete_json(golem.create_promise(component_id=COMPONENT), 1)
    assert {
        "golem.component.id": COMPONENT,
        "golem.promise.attempts": 1,
        "golem.promise.may_have_completed": True,
        "golem.promise.worth_retrying": True,
        "error.type": "ServerError",
    } == attributes_of(seen.call)
    assert StatusCode.ERROR is seen.call.status.status_code
    assert () == tuple(seen.call.events)


async def test_a_lost_answer_is_an_error_by_its_class(seen: Telemetry) -> None:
    """There is no status to name."""
    async with (
        ScriptedServer(RESET, TRUE) as server,
        GolemClient(server.url, observers=[seen.observer]) as client,
    ):
        await client.complete_json(f"{COMPONENT}/w1/1", 1)
    first, second = map(attributes_of, seen.attempts)
    assert "ConnectionLostError" == first["error.type"]
    assert "http.response.status_code" not in first
    assert 200 == second["http.response.status_code"]


async def test_a_cancelled_call_ends_its_spans_as_errors(golem: FakeGolem, seen: Telemetry) -> None:
    golem.stall_next(applied=True)
    async with client_of(golem, seen) as client:
        task = asyncio.create_task(client.complete_json(golem.create_promise(), 1))
        await arrival_at(golem)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert 2 == len(seen.spans)
    assert {"CancelledError"} == {attributes_of(span)["error.type"] for span in seen.spans}
    assert {StatusCode.ERROR} == {span.status.status_code for span in seen.spans}


async def test_a_closed_client_ends_its_spans_as_errors(golem: FakeGolem, seen: Telemetry) -> None:
    golem.stall_next(applied=True)
    client = client_of(golem, seen)
    task = asyncio.create_task(client.complete_json(golem.create_promise(), 1))
    await arrival_at(golem)
    await client.aclose()
    with pytest.raises(GolemError):
        await task
    assert {"ConnectionLostError"} == {attributes_of(span)["error.type"] for span in seen.spans}


async def test_waiting_while_golem_is_down_is_an_event_of_the_call(
    golem: FakeGolem, seen: Telemetry
) -> None:
    """With the seconds; waiting is no attempt."""
    golem.fail_next(503, times=3)
    async with client_of(golem, seen, max_connections=1) as client:
        ids = [golem.create_promise() for _ in range(3)]
        await asyncio.gather(*(client.complete_json(each, 1) for each in ids))
    events = [event for span in seen.of_kind(SpanKind.INTERNAL) for event in span.events]
    assert events
    assert {"golem.gate.wait"} == {event.name for event in events}
    assert all(
        0 < float(str((event.attributes or {})["golem.gate.seconds_waited"])) < 5
        for event in events
    )


async def test_durations_are_measured(golem: FakeGolem, seen: Telemetry) -> None:
    """In seconds, with the attributes of the conventions."""
    golem.fail_next(503)
    async with client_of(golem, seen) as client:
        await client.complete_json(golem.create_promise(), 1)
    points = seen.points()
    assert {"golem.client.completion.duration", "http.client.request.duration"} == set(points)
    (call,) = points["golem.client.completion.duration"]
    assert {"golem.promise.outcome": "fulfilled"} == dict(call.attributes)
    assert 0 < call.sum < 5
    requests = [dict(each.attributes) for each in points["http.client.request.duration"]]
    assert [("503", 503), (None, 200)] == [
        (each.get("error.type"), each["http.response.status_code"]) for each in requests
    ]
    assert {"http.request.method", "server.address", "server.port"} < requests[0].keys()
    assert 0.005 == call.explicit_bounds[0]


class Raising:
    """An observer that fails wherever it can."""

    def __init__(self, where: str) -> None:
        self.where = where

    def call(self, event: CallEvent) -> AbstractContextManager[Any] | None:  # noqa: ARG002
        if self.where == "call":
            raise ValueError(PAYLOAD)
        return None if self.where == "attempt" else self

    def attempt(self, event: AttemptEvent) -> AbstractContextManager[Any]:  # noqa: ARG002
        if self.where == "attempt":
            raise ValueError(PAYLOAD)
        return self

    def __enter__(self) -> None:
        if self.where == "enter":
            raise ValueError(PAYLOAD)

    def __exit__(self, *_: object) -> None:
        raise ValueError(PAYLOAD)


@pytest.mark.parametrize("where", ["call", "attempt", "enter", "exit"])
async def test_an_observer_that_raises_is_logged_once_and_harms_nothing(
    where: str, golem: FakeGolem, seen: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Other observers see everything all the same."""
    bad = Raising(where)
    observers: list[telemetry.Observer] = [bad, seen.observer]
    async with GolemClient(golem.url, token=golem.token, observers=observers) as client:
        for _ in range(3):
            done = await client.complete_json(golem.create_promise(), 1)
            assert done.by_this_call
    assert 1 == len([each for each in caplog.records if "observer" in each.getMessage()])
    assert PAYLOAD not in caplog.text
    assert 6 == len(seen.spans)


class Adding:
    """An observer that adds headers."""

    def __init__(self, headers: dict[Any, Any]) -> None:
        self.headers = headers

    def call(self, _: CallEvent) -> None:
        return None

    def attempt(self, event: AttemptEvent) -> None:
        event.headers.update(self.headers)


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nb"}, {"X": None}, {1: "x"}, {"a b": "x"}, {"authorization": "Bearer no"}],
    ids=["line break", "no text", "no name", "white space", "the token's"],
)
async def test_a_header_that_an_observer_must_not_add_harms_nothing(
    headers: dict[Any, Any], golem: FakeGolem, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out and logged once; other observers' headers go out."""
    observers = [Adding({"X-Good": "yes"}), Adding(headers)]
    async with GolemClient(golem.url, token=golem.token, observers=observers) as client:
        for _ in range(2):
            assert (await client.complete_json(golem.create_promise(), 1)).by_this_call
    assert ["yes", "yes"] == [request.headers["x-good"] for request in golem.requests]
    assert 1 == len([each for each in caplog.records if "observer" in each.getMessage()])


def test_each_of_many_short_lived_observers_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A new observer can have the address of one that is gone."""
    for _ in range(20):
        with observed([Raising("call")], "call", CallEvent(None)):
            pass
    assert 20 == len(caplog.records)


class Reporter:
    """An observer that reads the locals of an error's frames, as reporters of errors do."""

    def __init__(self) -> None:
        self.shown = ""
        self.errors: list[str] = []

    @contextmanager
    def call(self, event: CallEvent) -> Iterator[None]:
        yield
        self._report(event.error)

    @contextmanager
    def attempt(self, event: AttemptEvent) -> Iterator[None]:
        yield
        self._report(event.error)

    def _report(self, error: BaseException | None) -> None:
        self.errors.append(str(error))
        for each in (error, sys.exception()):
            frames = each.__traceback__ if each is not None else None
            while frames is not None:
                if frames.tb_frame.f_code.co_filename != __file__:
                    self.shown += repr(list(frames.tb_frame.f_locals.values()))
                frames = frames.tb_next


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_an_observer_that_reports_errors_sees_neither_token_nor_payload(
    how: str, golem: FakeGolem
) -> None:
    """What the caller gets has its traceback."""
    golem.stall_next(applied=True) if how == "cancelled" else golem.fail_next(500)
    reporter, promise_id = Reporter(), golem.create_promise()
    async with GolemClient(
        golem.url, token=golem.token, observers=[reporter], retry=RetryPolicy.none()
    ) as client:
        task = asyncio.create_task(client.complete_json(promise_id, {"card": PAYLOAD}))
        await arrival_at(golem)
        if how == "cancelled":
            task.cancel()
        with pytest.raises((GolemError, asyncio.CancelledError)) as raised:
            await task
    assert [] == [word for word in (golem.token, PAYLOAD) if word in reporter.shown]
    assert 2 == len(reporter.errors)
    assert "_observed" in [entry.name for entry in raised.traceback]
    if how == "failed":
        assert str(promise_id) in reporter.errors[-1]


ACCEPTING = """
import asyncio, sys
from opentelemetry.sdk.trace import TracerProvider
from golem_client.outbox import Outbox
from golem_client.webhooks import Complete, Webhook
async def main(how, path, promise_id):
    tracer = TracerProvider().get_tracer("a web app")
    with tracer.start_as_current_span("accept") as span:
        context = span.get_span_context()
        trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        async with await Outbox.open(path) as outbox:
            if how == "in a span":
                await outbox.complete_json(promise_id, 1)
    async with await Outbox.open(path) as outbox:
        hook = Webhook(lambda *_: True, lambda _: Complete(promise_id, 1), to=outbox)
        if how == "by a webhook":
            await hook.receive({"traceparent": trace}, b"{}")
    print(trace)
asyncio.run(main(*sys.argv[1:]))
"""


class TestTraces:
    """The traces that the outbox and webhooks carry on."""

    def test_there_is_no_trace_outside_of_a_span(self) -> None:
        assert telemetry.current_trace() is None

    async def test_a_delivery_links_to_the_span_that_accepted_it(
        self, golem: FakeGolem, seen: Telemetry, tmp_path: Path
    ) -> None:
        """By way of the database."""
        promise_id = golem.create_promise()
        with seen.tracer.start_as_current_span("accept", kind=SpanKind.SERVER) as accepting:
            async with await Outbox.open(tmp_path / "golem.sqlite") as outbox:
                await outbox.complete_json(promise_id, 1)
        async with (
            await Outbox.open(tmp_path / "golem.sqlite") as outbox,
            client_of(golem, seen) as client,
            outbox.delivering(client),
        ):
            await outbox.wait(promise_id, timeout=30)
        assert [accepting.get_span_context().span_id] == [
            link.context.span_id for link in seen.call.links
        ]
        assert seen.call.parent is None

    @pytest.mark.parametrize("how", ["in a span", "by a webhook"])
    async def test_a_delivery_links_to_a_span_of_another_process(
        self, how: str, golem: FakeGolem, seen: Telemetry, tmp_path: Path
    ) -> None:
        """Which only accepts, and so has no client and no observer of ours."""
        promise_id, path = golem.create_promise(), tmp_path / "golem.sqlite"
        accepting = Child("-c", ACCEPTING, how, str(path), str(promise_id))
        printed, _ = await asyncio.to_thread(accepting.communicate)
        async with (
            await Outbox.open(path) as outbox,
            client_of(golem, seen) as client,
            outbox.delivering(client),
        ):
            await outbox.wait(promise_id, timeout=30)
        (link,) = seen.call.links
        assert printed.decode().split("-")[1:3] == [
            f"{link.context.trace_id:032x}",
            f"{link.context.span_id:016x}",
        ]

    @pytest.mark.parametrize("trace_text", [None, "", "garbage", "00-0-0-00", TRACEPARENT + "é"])
    async def test_what_is_no_trace_links_to_nothing(
        self, trace_text: str | None, golem: FakeGolem, seen: Telemetry
    ) -> None:
        with telemetry.linked_to(trace_text):
            async with client_of(golem, seen) as client:
                await client.complete_json(golem.create_promise(), 1)
        assert () == tuple(seen.call.links)

    async def test_an_incoming_trace_goes_on(self, golem: FakeGolem, seen: Telemetry) -> None:
        with telemetry.continuing({"traceparent": TRACEPARENT, "baggage": "user=ada"}):
            async with client_of(golem, seen) as client:
                await client.complete_json(golem.create_promise(), 1)
        assert TRACEPARENT.split("-")[1] == f"{context_of(seen.call).trace_id:032x}"
        assert "baggage" not in golem.requests[0].headers

    async def test_a_webhook_goes_on_with_the_trace_of_its_request(
        self, golem: FakeGolem, seen: Telemetry
    ) -> None:
        """In a framework that no instrumentation has read the header for."""
        promise_id = golem.create_promise()
        async with client_of(golem, seen) as client:
            hook = Webhook(lambda *_: True, lambda _: Complete(promise_id, 1), to=client)
            found = await hook.receive([("Traceparent", TRACEPARENT)], b"{}")
        assert 204 == found.status
        assert TRACEPARENT.split("-")[1] == f"{context_of(seen.call).trace_id:032x}"

    def test_a_current_span_wins_over_an_incoming_trace(self, seen: Telemetry) -> None:
        """An instrumented framework has read the header itself; errors are its own to record."""
        with (
            seen.tracer.start_as_current_span("a request") as request,
            suppress(ValueError),
            telemetry.continuing({"traceparent": TRACEPARENT}),
        ):
            assert trace.get_current_span() is request
            raise ValueError(NAME)
        assert NAME not in seen.spans[0].to_json()


async def test_debug_logs_and_asyncios_debug_mode_show_no_secret(
    golem: FakeGolem, seen: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A logger at DEBUG for everything; the lines have the promise and the attempt as extras."""
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    golem.fail_next(503)
    async with client_of(golem, seen) as client:
        await client.complete_json(golem.create_promise(worker_name=NAME), {"card": PAYLOAD})
    loop.set_debug(False)
    shown = caplog.text + repr([vars(each) for each in caplog.records])
    assert "Executing <" in shown  # asyncio's own words about slow callbacks
    assert [] == [word for word in (golem.token, PAYLOAD) if word in shown]
    ours = [each for each in caplog.records if each.name == "golem_client"]
    assert [1, 1, 2] == [getattr(each, "golem_attempt", None) for each in ours]
    assert all(NAME in getattr(each, "golem_promise", "") for each in ours)


def test_the_example_prints_its_spans_and_its_events() -> None:
    """Two attempts of one call, below the service's own span."""
    example = Path(__file__).parent.parent / "examples" / "observed_service.py"
    command = [sys.executable, "-W", "error", str(example)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ("", 0) == (run.stderr, run.returncode)
    lines = run.stdout.splitlines()
    assert [
        '"name": "POST",',
        '"name": "POST",',
        '"name": "golem.promise.complete",',
        '"name": "approve the order",',
    ] == [line.strip() for line in lines if line.startswith('    "name":')]
    assert [
        '{"event": "attempt", "number": 1, "status": 503}',
        '{"event": "attempt", "number": 2, "status": 200}',
        '{"event": "call", "outcome": "fulfilled"}',
    ] == [line.removeprefix("event ") for line in lines if line.startswith("event ")]
