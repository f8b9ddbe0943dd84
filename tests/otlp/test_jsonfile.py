"""Files of OTLP/JSON: what is written is read back whole, and a bad line costs itself only."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from firsttoken.errors import ConfigError
from firsttoken.otlp.decode import spans
from firsttoken.otlp.jsonfile import Writer, from_json, read, to_json
from firsttoken.otlp.signals import LOGS, METRICS, TRACES

SCALARS = st.one_of(
    st.text().map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
    # JSON has one NaN, without the bits that a double's may carry.
    st.floats().map(lambda v: AnyValue(double_value=math.nan if math.isnan(v) else v)),
    st.binary().map(lambda v: AnyValue(bytes_value=v)),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3).map(
        lambda values: AnyValue(array_value=ArrayValue(values=values))
    ),
)
NANOS = st.integers(0, 2**64 - 1)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Any export request with one span."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    pairs = draw(st.dictionaries(st.text(), VALUES, max_size=3))
    resource_spans.resource.attributes.extend(KeyValue(key=k, value=v) for k, v in pairs.items())
    span = resource_spans.scope_spans.add().spans.add(
        trace_id=draw(st.binary(min_size=16, max_size=16)),
        span_id=draw(st.binary(min_size=8, max_size=8)),
        parent_span_id=draw(st.sampled_from([b"", b"12345678"])),
        name=draw(st.text()),
        kind=draw(st.integers(0, 5)),
        start_time_unix_nano=draw(NANOS),
        end_time_unix_nano=draw(NANOS),
    )
    span.attributes.extend(
        KeyValue(key=k, value=v)
        for k, v in draw(st.dictionaries(st.sampled_from(["traceId", "a", ""]), VALUES)).items()
    )
    return request


@given(requests())
def test_every_request_comes_back_as_it_was(request_: ExportTraceServiceRequest) -> None:
    text = to_json(request_)

    assert "\n" not in text
    again = from_json(text, TRACES)
    # NaN differs from itself, its bytes do not.
    assert again.SerializeToString(deterministic=True) == request_.SerializeToString(
        deterministic=True
    )


def test_ids_are_hexadecimal_and_enums_are_numbers() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes(range(16)), span_id=bytes(range(8)), kind=2
    )

    (span,) = json.loads(to_json(request))["resourceSpans"][0]["scopeSpans"][0]["spans"]

    assert span["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert span["spanId"] == "0001020304050607"
    assert span["kind"] == 2


def one_span(name: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, name=name
    )
    return request


def test_a_bad_line_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "spans.jsonl"
    with Writer(path) as writer:
        writer.add(one_span("a"))
    with path.open("ab") as file:
        file.write(b'\xff\xfe{"resourceSpans"\n[]\n{"resourceSpans":[{"scopeSpans":[{"spans":[')
        file.write(b'{"traceId":"zz"}]}]}]}\n{"other":1}\n\n')
    with Writer(path) as writer:  # a second run adds to the file
        writer.add(one_span("b"))

    found = read(path)

    assert [s.name for r in found.requests for s in spans(r)] == ["a", "b"]
    assert len(found.problems) == 4
    assert found.problems[0] == "line 2: not JSON"
    assert "expected one of resourceSpans, resourceMetrics, resourceLogs" in found.problems[3]


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ('{\n  "resourceSpans": []\n}\n', TRACES),
        ('{"resourceMetrics": []}', METRICS),
        ('{"resourceLogs": []}', LOGS),
    ],
)
def test_a_file_may_be_one_request(tmp_path: Path, text: str, signal: Any) -> None:
    path = tmp_path / "one.json"
    path.write_text(text)

    (request,) = read(path).requests

    assert isinstance(request, signal.request)


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none")
