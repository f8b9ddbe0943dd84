"""Keeps what a receiver was sent: bounded, as values, for those who wait for it."""

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from firsttoken.otlp.decode import log_records, points, spans
from firsttoken.otlp.values import LogRecord, Point, Span

__all__ = ["Store"]

_MOST = 1_000_000
T = TypeVar("T")


class Store:
    """A sink that keeps the newest spans, points and records; what had to go is counted."""

    def __init__(self, most: int = _MOST) -> None:
        self._spans: deque[Span] = deque(maxlen=most)
        self._points: deque[Point] = deque(maxlen=most)
        self._logs: deque[LogRecord] = deque(maxlen=most)
        self.requests = 0
        self.dropped = 0

    def __call__(self, message: Message) -> None:
        """Keep what an export request carries."""
        self.requests += 1
        if isinstance(message, ExportTraceServiceRequest):
            self._keep(self._spans, spans(message))
        elif isinstance(message, ExportMetricsServiceRequest):
            self._keep(self._points, points(message))
        elif isinstance(message, ExportLogsServiceRequest):
            self._keep(self._logs, log_records(message))

    def _keep(self, kept: deque[T], more: Iterator[T]) -> None:
        for item in more:
            self.dropped += len(kept) == kept.maxlen
            kept.append(item)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans in the order of their arrival."""
        return tuple(self._spans)

    @property
    def points(self) -> tuple[Point, ...]:
        """The metric points in the order of their arrival."""
        return tuple(self._points)

    @property
    def logs(self) -> tuple[LogRecord, ...]:
        """The log records in the order of their arrival."""
        return tuple(self._logs)
