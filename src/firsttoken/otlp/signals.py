"""The three signals of OTLP: how each is called on the wire, and its messages."""

from dataclasses import dataclass
from typing import Literal

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

__all__ = ["LOGS", "METRICS", "SIGNALS", "TRACES", "Name", "Signal", "signal_of"]

Name = Literal["traces", "metrics", "logs"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: its name, path, gRPC service, messages and the JSON key of what it carries."""

    name: Name
    service: str
    request: type[Message]
    response: type[Message]
    key: str

    @property
    def path(self) -> str:
        """Where it is posted to over HTTP."""
        return f"/v1/{self.name}"


_COLLECTOR = "opentelemetry.proto.collector"
TRACES = Signal(
    "traces",
    f"{_COLLECTOR}.trace.v1.TraceService",
    traces.ExportTraceServiceRequest,
    traces.ExportTraceServiceResponse,
    "resourceSpans",
)
METRICS = Signal(
    "metrics",
    f"{_COLLECTOR}.metrics.v1.MetricsService",
    metrics.ExportMetricsServiceRequest,
    metrics.ExportMetricsServiceResponse,
    "resourceMetrics",
)
LOGS = Signal(
    "logs",
    f"{_COLLECTOR}.logs.v1.LogsService",
    logs.ExportLogsServiceRequest,
    logs.ExportLogsServiceResponse,
    "resourceLogs",
)
SIGNALS = (TRACES, METRICS, LOGS)


def signal_of(message: Message) -> Signal:
    """The signal that an export request is of; raises TypeError for another message."""
    for signal in SIGNALS:
        if isinstance(message, signal.request):
            return signal
    raise TypeError(f"{type(message).__name__} is no export request")
