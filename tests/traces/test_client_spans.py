"""The load generator's spans: by the conventions, sampled at the end, accepted by a receiver."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as definitions
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from tests.traces.conftest import record, run_of

from firsttoken.errors import NotJudgedError, UsageError
from firsttoken.loadgen.identity import identify, span_id
from firsttoken.loadgen.records import Run
from firsttoken.otlp.receiver import Receiver
from firsttoken.otlp.store import Store
from firsttoken.otlp.values import Span, SpanKind, Status
from firsttoken.traces.clientspans import QUEUE_SPAN, Keep, client_spans, kept
from firsttoken.traces.commands import trace
from firsttoken.traces.conventions import CLIENT, FIRST_TOKEN, SENT, SERVER, problems
from firsttoken.traces.export import Protocol, export

FAILED = record(7, error="http 503", error_class="http", status=503, first=None, last=None)
BROKEN = record(8, error="connection lost", error_class="reset", status=None, first=None)


def received(run: Run, protocol: Protocol = "grpc") -> list[Span]:
    """The spans of a run, after a journey over the wire."""
    store = Store()

    async def session() -> None:
        async with Receiver(store) as receiver:
            to = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
            spans = client_spans(run, kept(run.records, Keep()))
            assert await asyncio.to_thread(export, spans, to, protocol) == len(spans)

    asyncio.run(session())
    return list(store.spans)


def clients(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.kind is SpanKind.CLIENT]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_request_is_a_client_span_by_the_conventions(protocol: Protocol) -> None:
    run = run_of(record(1), record(2, session="s1", model="other"), FAILED, BROKEN)

    found = clients(received(run, protocol))

    assert [problems(span, CLIENT) for span in found] == [[]] * 4
    assert [span.name for span in found] == ["chat tiny", "chat other", "chat tiny", "chat tiny"]
    assert [span.trace_id for span in found] == [r.trace_id for r in run.records]
    assert all(span.span_id == span_id(span.trace_id) for span in found)
    assert found[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.max_tokens": 10,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.response.time_to_first_chunk": pytest.approx(0.19),
        "gen_ai.usage.input_tokens": 4,
        "gen_ai.usage.output_tokens": 10,
        "server.address": "127.0.0.1",
        "server.port": 8000,
        "firsttoken.request.index": 1,
        "firsttoken.request.phase": "measure",
    }
    assert found[2].attributes["error.type"] == "503"
    assert found[3].attributes["error.type"] == "reset"
    assert [span.status for span in found] == [Status.UNSET] * 2 + [Status.ERROR] * 2


def test_a_span_covers_what_the_user_waited_and_marks_the_first_token() -> None:
    spans = received(run_of(record(2, sent=2.5, first=2.75)))

    (client,) = clients(spans)
    zero = round(1_795_691_990.25 * 1e9)
    assert (client.start, client.end) == (zero + 2_000_000_000, zero + 3_010_000_000)
    assert [(e.name, e.time - zero) for e in client.events] == [
        (SENT, 2_500_000_000),
        (FIRST_TOKEN, 2_750_000_000),
    ]
    (wait,) = [span for span in spans if span.name == QUEUE_SPAN]
    assert (wait.parent_id, wait.trace_id) == (client.span_id, client.trace_id)
    assert wait.seconds == 0.5


def test_the_failed_and_the_slowest_are_kept_at_any_ratio() -> None:
    records = [record(i) for i in range(1, 200)]
    records[50] = record(51, ended=60.0)
    records[60] = record(61, first=61.99)
    records[70] = record(71, error="timeout", error_class="timeout")

    chosen = kept(records, Keep(ratio=0.0, slowest=1))

    assert [r.index for r in chosen] == [51, 61, 71]
    assert len(kept(records, Keep(ratio=1.0))) == 199
    assert 40 <= len(kept(records, Keep(ratio=0.3, slowest=0))) <= 80
    assert kept([record(1, sent=None)], Keep()) == ()


def test_a_trace_is_kept_by_its_id_as_opentelemetry_does() -> None:
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    records = [record(i) for i in range(300)]
    theirs = TraceIdRatioBased(0.25)

    ours = {r.index for r in kept(records, Keep(0.25, 0))}

    assert ours == {
        r.index
        for r in records
        if theirs.should_sample(None, int(r.trace_id or "", 16), "").decision.is_sampled()  # type: ignore[no-untyped-call]
    }


def test_declared_names_are_those_of_opentelemetrys_own_definitions() -> None:
    """The conventions' own package, and not this project's reading of them."""
    known = {
        value
        for module in (definitions, error_attributes, server_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    entries = {entry.name: entry for entry in (*CLIENT.attributes, *SERVER.attributes)}

    assert {n for n, entry in entries.items() if not entry.extension} <= known
    assert not {n for n, entry in entries.items() if entry.extension} & known
    operations = {member.value for member in definitions.GenAiOperationNameValues}
    assert set(entries["gen_ai.operation.name"].attribute.values) <= operations


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": SpanKind.INTERNAL}, "kind is INTERNAL, not CLIENT"),
        ({"name": "POST /v1"}, "the name is 'POST /v1', not the operation and the model"),
        ({"attributes": {}}, "gen_ai.operation.name is required, but missing"),
        ({"extra": {"gen_ai.system": "vllm"}}, "gen_ai.system is not declared"),
        ({"extra": {"server.port": "80"}}, "server.port is '80', which is no int"),
        (
            {"extra": {"gen_ai.operation.name": "talk"}},
            "gen_ai.operation.name is 'talk', which is none of chat, text_completion, embeddings",
        ),
        ({"status": Status.ERROR}, "error.type is required of a span that failed"),
    ],
)
def test_the_check_finds_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    from dataclasses import replace

    (good,) = clients(received(run_of(record(1))))
    if extra := change.pop("extra", None):
        change = {"attributes": {**good.attributes, **extra}}

    assert problem in problems(replace(good, **change), CLIENT)


def test_traceparent_is_sent_only_when_asked_for() -> None:
    plain, traced = identify("n", 1), identify("n", 1, tracing=True)

    assert plain.headers == (("X-Request-Id", plain.trace_id),)
    assert traced.trace_id == plain.trace_id
    assert traced.headers[1:] == (
        ("traceparent", f"00-{plain.trace_id}-{span_id(plain.trace_id)}-01"),
    )


def test_nobody_there_is_one_sentence() -> None:
    run = run_of(record(1))
    with pytest.raises(UsageError, match="expected http://HOST:PORT"):
        export(client_spans(run, run.records), "jaeger:4317")


def test_the_command_sends_a_share_and_says_what_it_cost(saved: Callable[[Run], Path]) -> None:
    path = saved(run_of(*(record(i) for i in range(20)), FAILED))
    store = Store()

    async def session() -> Any:
        async with Receiver(store) as receiver:
            arguments = ["export", str(path), "--endpoint", receiver.http_endpoint]
            options = ["--protocol", "http/protobuf", "--ratio", "0", "--slowest", "2"]
            return await asyncio.to_thread(CliRunner().invoke, trace, [*arguments, *options])

    result = asyncio.run(session())
    assert result.exit_code == 0, result.output
    assert "of 21 requests sent in" in result.output
    indexes = {s.attributes["firsttoken.request.index"] for s in clients(list(store.spans))}
    assert 7 in indexes
    assert len(indexes) <= 5


def test_the_join_command_reads_records_and_spans(
    saved: Callable[[Run], Path], tmp_path: Path
) -> None:
    run = run_of(record(1), record(2))
    trace_id = record(1).trace_id
    attributes = [
        {"key": f"gen_ai.latency.{name}", "value": {"doubleValue": value}}
        for name, value in (
            ("e2e", 0.9),
            ("time_in_queue", 0.05),
            ("time_in_model_prefill", 0.1),
            ("time_in_model_decode", 0.7),
        )
    ]
    span = {
        "traceId": trace_id,
        "spanId": "ab" * 8,
        "parentSpanId": span_id(trace_id or ""),
        "name": "llm_request",
        "kind": 2,
        "attributes": attributes,
    }
    spans = tmp_path / "spans.jsonl"
    spans.write_text(
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\nnot json\n"
    )
    arguments = ["join", str(saved(run)), str(spans)]

    text = CliRunner().invoke(trace, arguments)
    data = json.loads(CliRunner().invoke(trace, [*arguments, "--json"]).stdout)

    assert "1 of 2 requests joined" in text.output
    assert "the server says nothing of request 2" in text.output
    assert "decode" in text.output
    assert data["mean"]["decode"] == 0.7
    assert data["slowest"][0]["trace_id"] == trace_id
    assert data["client_only"] == [2]


def test_a_join_of_nothing_says_what_was_forgotten(
    saved: Callable[[Run], Path], tmp_path: Path
) -> None:
    spans = tmp_path / "spans.jsonl"
    spans.write_text("")

    result = CliRunner().invoke(trace, ["join", str(saved(run_of(record(1)))), str(spans)])

    assert isinstance(result.exception, NotJudgedError)
    assert "--tracing" in str(result.exception)
