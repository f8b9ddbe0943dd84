"""A validation that is given the engine's spans says where requests spent their time."""

import contextlib
from pathlib import Path
from typing import Any, cast

import pytest
from tests.traces.conftest import record, run_of

from firsttoken.errors import UsageError
from firsttoken.loadgen.identity import span_id
from firsttoken.otlp import signals
from firsttoken.otlp.background import BackgroundReceiver
from firsttoken.otlp.jsonfile import read
from firsttoken.report.schema import SlowRequest
from firsttoken.rules import slo
from firsttoken.servers import free_port
from firsttoken.traces.join import Joined
from firsttoken.validate import tracing
from firsttoken.validate.found import Found, Options
from firsttoken.validate.load import load_arguments
from firsttoken.validate.progress import Progress
from firsttoken.validate.stack import Stack
from firsttoken.validate.steps import Session, SkippedError

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="session")
def _session(tmp_path: Path) -> Any:
    options = Options(
        slo=slo.load(ROOT / "examples" / "slo.yaml"),
        out=tmp_path,
        otlp_listen=f"http://127.0.0.1:{free_port()}",
    )
    with contextlib.ExitStack() as exits:
        yield Session(Found(options), Stack(tmp_path, exits), exits, cast(Progress, None))


def sent(endpoint: str, trace_id: str) -> None:
    """What vLLM sends of one request of 0.9 s."""
    import grpc

    request: Any = signals.TRACES.request()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=b"12345678",
            parent_span_id=bytes.fromhex(span_id(trace_id)),
            name="llm_request",
            kind=2,
        )
    )
    for name, seconds in (
        ("e2e", 0.9),
        ("time_to_first_token", 0.24),
        ("time_in_queue", 0.1),
        ("time_in_model_prefill", 0.1),
        ("time_in_model_decode", 0.65),
    ):
        pair = span.attributes.add(key=f"gen_ai.latency.{name}")
        pair.value.double_value = seconds
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        method = f"/{signals.TRACES.service}/Export"
        channel.unary_unary(method, request_serializer=type(request).SerializeToString)(request)


def test_spans_that_come_during_the_run_are_kept_and_joined(session: Session) -> None:
    found = session.found
    told = tracing.receive(session)
    assert found.options.otlp_listen is not None
    assert told.endswith(found.options.otlp_listen)
    found.run = run_of(record(1), record(2))
    for one in found.run.records:
        sent(found.options.otlp_listen, one.trace_id or "")

    assert tracing.join_spans(session) == "2 of 2 requests"

    assert found.joined is not None
    slow = SlowRequest(index=2, at=2.0, worst="")
    (staged,) = tracing.staged((slow,), found.joined)
    assert staged.stages == pytest.approx(
        {
            "schedule lag": 0.01,
            "network": 0.07,
            "admission": 0.04,
            "queue": 0.1,
            "prefill": 0.1,
            "decode": 0.65,
            "delivery": 0.01,
            "tail": 0.03,
        }
    )
    assert "schedule lag" not in tracing.mean_stages(found.joined)
    (check,) = tracing.check(found.joined, "x")
    assert check.status == "passed"
    assert check.summary.startswith("2 of 2 requests joined")
    assert "98.9%" in check.summary
    session.exits.close()
    assert len(read(session.options.out / tracing.SPANS).requests) == 2


def test_without_spans_the_check_says_what_is_amiss() -> None:
    (check,) = tracing.check(None, "127.0.0.1:4317")

    assert check.status == "skipped"
    assert "127.0.0.1:4317" in check.summary
    assert tracing.check(None, None) == ()
    assert tracing.mean_stages(Joined((), (), 0, 0)) == {}


def test_without_an_address_nothing_listens(session: Session) -> None:
    session.found.options = Options(slo=session.options.slo, out=session.options.out)

    with pytest.raises(SkippedError):
        tracing.receive(session)
    assert "--tracing" not in load_arguments("http://x", "m", Path("r"), None)
    assert "--tracing" in load_arguments("http://x", "m", Path("r"), None, tracing=True)


@pytest.mark.parametrize("text", ["4317", "127.0.0.1", ":4317", "127.0.0.1:70000", "x:y"])
def test_an_address_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        tracing.address(text)


def test_an_address_that_is_taken_is_a_mistake(session: Session) -> None:
    _, port = tracing.address(session.options.otlp_listen or "")
    with (
        BackgroundReceiver(lambda _: None, grpc_port=port),
        pytest.raises(UsageError, match="cannot listen"),
    ):
        tracing.receive(session)
