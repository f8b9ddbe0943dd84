"""What OpenTelemetry's exporters send is received whole, and senders are told what went wrong."""

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind as SdkKind

from firsttoken.errors import UsageError
from firsttoken.otlp.background import BackgroundReceiver
from firsttoken.otlp.receiver import BusyError, Receiver
from firsttoken.otlp.signals import TRACES
from firsttoken.otlp.store import Store
from firsttoken.otlp.values import Explicit, SpanKind

RESOURCE = Resource.create({"service.name": "shop"})


def receive(store: Any, work: Callable[[Receiver], Awaitable[None]]) -> None:
    """Run ``work`` against a receiver; blocking exporters belong into ``asyncio.to_thread``."""

    async def session() -> None:
        async with Receiver(store) as receiver:
            await work(receiver)

    asyncio.run(session())


def send_two_spans(exporter: SpanExporter) -> None:
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("till")
    with tracer.start_as_current_span("outer", kind=SdkKind.CLIENT, attributes={"a": [1, 2]}):
        tracer.start_span("inner", attributes={"b": 0.5, "c": True}).end()
    provider.shutdown()


@pytest.mark.parametrize("transport", ["grpc", "http", "http+gzip"])
def test_spans_of_the_sdk_arrive_whole(transport: str) -> None:
    store = Store()

    async def work(receiver: Receiver) -> None:
        exporter: SpanExporter
        if transport == "grpc":
            exporter = GrpcSpanExporter(endpoint=receiver.grpc_endpoint, insecure=True)
        else:
            packed = Compression.Gzip if "gzip" in transport else Compression.NoCompression
            url = f"{receiver.http_endpoint}/v1/traces"
            exporter = OTLPSpanExporter(endpoint=url, compression=packed)
        await asyncio.to_thread(send_two_spans, exporter)

    receive(store, work)

    inner, outer = store.spans
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.trace_id == outer.trace_id
    assert len(inner.trace_id) == 32
    assert inner.parent_id == outer.span_id
    assert outer.parent_id == ""
    assert outer.kind is SpanKind.CLIENT
    assert outer.attributes == {"a": (1, 2)}
    assert inner.attributes == {"b": 0.5, "c": True}
    assert outer.resource["service.name"] == "shop"
    assert outer.scope == "till"
    assert 0 < outer.start <= inner.start <= inner.end <= outer.end


def test_metrics_of_the_sdk_arrive_whole() -> None:
    store = Store()

    def record(endpoint: str) -> None:
        exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
        meter = provider.get_meter("till")
        meter.create_counter("sold", unit="{piece}").add(3, {"what": "tea"})
        meter.create_histogram(
            "wait", unit="s", explicit_bucket_boundaries_advisory=[0.5, 1.0]
        ).record(0.75)
        provider.shutdown()

    receive(store, lambda receiver: asyncio.to_thread(record, receiver.http_endpoint))

    sold, wait = store.points
    assert (sold.name, sold.unit, sold.value) == ("sold", "{piece}", 3)
    assert (sold.kind, sold.monotonic, sold.temporality) == ("sum", True, "cumulative")
    assert sold.attributes == {"what": "tea"}
    assert wait.value == Explicit(1, 0.75, (0.5, 1.0), (0, 1, 0))


def test_logs_of_the_sdk_arrive_whole() -> None:
    store = Store()

    def record(endpoint: str) -> None:
        provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        exporter = OTLPLogExporter(endpoint=f"{endpoint}/v1/logs")
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("till").emit(body="closed", attributes={"by": "hand"})
        provider.shutdown()

    receive(store, lambda receiver: asyncio.to_thread(record, receiver.http_endpoint))

    (line,) = store.logs
    assert (line.body, line.attributes) == ("closed", {"by": "hand"})


async def _post(url: str, body: bytes, **headers: str) -> tuple[int, bytes, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.content_type


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff", {"Content-Type": "application/x-protobuf"}, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"resourceSpans": 1}', {"Content-Type": "application/json"}, 400),
        (b"x", {"Content-Type": "text/plain"}, 415),
        (
            b"no gzip at all",
            {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"},
            400,
        ),
    ],
)
def test_what_is_not_otlp_is_refused_for_good(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    """A sender must not try such a request again."""
    store = Store()

    async def work(receiver: Receiver) -> None:
        answer = await _post(f"{receiver.http_endpoint}/v1/traces", body, **headers)
        assert answer[0] == status
        if answer[2] == "application/x-protobuf":
            assert RpcStatus.FromString(answer[1]).message

    receive(store, work)
    assert store.requests == 0


def test_json_bodies_are_read_and_answered_in_json() -> None:
    store = Store()
    span = (
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"'
        + b"ab" * 16
        + b'","spanId":"'
        + b"cd" * 8
        + b'","name":"x","unknown":1}]}]}]}'
    )

    async def work(receiver: Receiver) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        url = f"{receiver.http_endpoint}/v1/traces"
        assert await _post(url, gzip.compress(span), **headers) == (200, b"{}", "application/json")

    receive(store, work)
    assert [(s.trace_id, s.span_id) for s in store.spans] == [("ab" * 16, "cd" * 8)]


def test_a_sender_tries_again_while_the_receiver_is_busy() -> None:
    store = Store()
    refused = 0

    def at_first_busy(message: Message) -> None:
        nonlocal refused
        if refused < 1:
            refused += 1
            raise BusyError("full")
        store(message)

    async def work(receiver: Receiver) -> None:
        exporter = OTLPSpanExporter(endpoint=f"{receiver.http_endpoint}/v1/traces")
        await asyncio.to_thread(send_two_spans, exporter)

    receive(at_first_busy, work)
    assert refused == 1
    assert len(store.spans) == 2


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    async def session(port: int) -> None:
        async with Receiver(Store(), http_port=port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            asyncio.run(session(port))


def test_a_program_without_an_event_loop_receives_too() -> None:
    store = Store()
    with BackgroundReceiver(store) as receiver:
        send_two_spans(GrpcSpanExporter(endpoint=receiver.grpc_endpoint, insecure=True))

    assert [span.name for span in store.spans] == ["inner", "outer"]
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="cannot listen"),
        BackgroundReceiver(store, http_port=taken.getsockname()[1]),
    ):
        pass


def test_a_store_that_is_full_counts_what_had_to_go() -> None:
    store = Store(most=2)
    request = TRACES.request()
    spans = request.resource_spans.add().scope_spans.add().spans
    for name in "abc":
        spans.add(name=name)

    store(request)

    assert [span.name for span in store.spans] == ["b", "c"]
    assert store.dropped == 1
