"""From OTLP's protobuf messages to values."""

from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    DataPointFlags,
)

from firsttoken.otlp.values import (
    Attributes,
    Event,
    Explicit,
    LogRecord,
    Point,
    Quantiles,
    Span,
    SpanKind,
    Status,
    Temporality,
    Value,
)

__all__ = ["attributes", "log_records", "points", "spans"]

_TEMPORALITIES: dict[int, Temporality] = {
    AGGREGATION_TEMPORALITY_CUMULATIVE: "cumulative",
    AGGREGATION_TEMPORALITY_DELTA: "delta",
}


def _value(any_value: Any) -> Value:
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(_value(item) for item in any_value.array_value.values)
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    found: Value = getattr(any_value, kind)
    return found


def attributes(pairs: Any) -> Attributes:
    """A list of key-value messages as a mapping; of two values of one key the last counts."""
    return {pair.key: _value(pair.value) for pair in pairs}


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans of an export request."""
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name
            for span in scope_spans.spans:
                yield _span(span, resource, scope)


def _span(span: Any, resource: Attributes, scope: str) -> Span:
    known = span.kind in SpanKind._value2member_map_
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=SpanKind(span.kind) if known else SpanKind.UNSPECIFIED,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=attributes(span.attributes),
        events=tuple(
            Event(e.name, e.time_unix_nano, attributes(e.attributes)) for e in span.events
        ),
        status=Status(span.status.code) if span.status.code in (1, 2) else Status.UNSET,
        status_message=span.status.message,
        resource=resource,
        scope=scope,
    )


def points(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    """The data points of an export request."""
    for resource_metrics in request.resource_metrics:
        resource = attributes(resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                data = getattr(metric, kind)
                for point in data.data_points:
                    yield Point(
                        name=metric.name,
                        unit=metric.unit,
                        description=metric.description,
                        kind=kind,
                        attributes=attributes(point.attributes),
                        time=point.time_unix_nano,
                        start=point.start_time_unix_nano,
                        value=_point_value(kind, point),
                        temporality=_TEMPORALITIES.get(getattr(data, "aggregation_temporality", 0)),
                        monotonic=getattr(data, "is_monotonic", False),
                        resource=resource,
                        scope=scope_metrics.scope.name,
                    )


def _point_value(kind: str, point: Any) -> float | int | Explicit | Quantiles | None:
    if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        return None
    if kind in ("gauge", "sum"):
        which = point.WhichOneof("value")
        found: float | int | None = getattr(point, which) if which else None
        return found
    if kind == "histogram":
        return Explicit(
            count=point.count,
            sum=point.sum if point.HasField("sum") else None,
            bounds=tuple(point.explicit_bounds),
            counts=tuple(point.bucket_counts),
        )
    if kind == "summary":
        values = tuple((pair.quantile, pair.value) for pair in point.quantile_values)
        return Quantiles(point.count, point.sum, values)
    return None


def log_records(request: ExportLogsServiceRequest) -> Iterator[LogRecord]:
    """The log records of an export request."""
    for resource_logs in request.resource_logs:
        resource = attributes(resource_logs.resource.attributes)
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                yield LogRecord(
                    time=record.time_unix_nano,
                    observed=record.observed_time_unix_nano,
                    severity=record.severity_number,
                    severity_text=record.severity_text,
                    body=_value(record.body),
                    attributes=attributes(record.attributes),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    resource=resource,
                    scope=scope_logs.scope.name,
                )
