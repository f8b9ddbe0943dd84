"""Sends spans with OpenTelemetry's own exporters, over gRPC or HTTP."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from firsttoken.errors import NotJudgedError, UsageError

__all__ = ["PROTOCOLS", "Protocol", "export"]

Protocol = Literal["grpc", "http/protobuf"]
PROTOCOLS: tuple[Protocol, ...] = ("grpc", "http/protobuf")
BATCH = 512
TIMEOUT_S = 10.0


def export(
    spans: Sequence[ReadableSpan],
    endpoint: str,
    protocol: Protocol = "grpc",
    headers: Mapping[str, str] | None = None,
) -> int:
    """Send the spans; returns how many arrived, which is fewer where a batch was refused.

    ``endpoint`` is ``http://HOST:PORT``, or ``https://``; over HTTP the path is ``/v1/traces``
    unless it has one.  Raises UsageError for another address, NotJudgedError when nothing arrived.
    """
    # The exporters log each failed try; here the outcome is one sentence.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    exporter = _exporter(endpoint, protocol, dict(headers or {}))
    arrived = 0
    try:
        for start in range(0, len(spans), BATCH):
            batch = spans[start : start + BATCH]
            if exporter.export(batch) is SpanExportResult.SUCCESS:
                arrived += len(batch)
            elif not arrived:
                break
    finally:
        exporter.shutdown()
    if spans and not arrived:
        raise NotJudgedError(f"{endpoint}: no spans could be delivered over {protocol}")
    return arrived


def _exporter(endpoint: str, protocol: Protocol, headers: dict[str, str]) -> SpanExporter:
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"endpoint {endpoint!r}: expected http://HOST:PORT or https://HOST:PORT")
    if protocol == "grpc":
        lower = {name.lower(): value for name, value in headers.items()}
        plain = url.scheme == "http"
        return GrpcSpanExporter(endpoint=endpoint, insecure=plain, headers=lower, timeout=TIMEOUT_S)
    whole = endpoint if url.path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces"
    return HttpSpanExporter(endpoint=whole, headers=headers, timeout=TIMEOUT_S)
