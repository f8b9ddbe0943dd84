"""Every request of a load on a real vLLM as one trace with both sides, and in its log."""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from firsttoken.loadgen.identity import span_id
from firsttoken.loadgen.records import Run, read
from firsttoken.otlp.background import BackgroundReceiver
from firsttoken.otlp.store import Store
from firsttoken.otlp.values import Span, SpanKind
from firsttoken.traces.clientspans import Keep, client_spans, kept
from firsttoken.traces.conventions import CLIENT, problems
from firsttoken.traces.export import export
from firsttoken.traces.join import Joined, join
from firsttoken.traces.server import served
from firsttoken.traces.show import joined_lines
from firsttoken.traces.startup import ROOT, cold_starts

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

OUT = Path(__file__).parents[2] / "out"
REQUESTS = 200
LOAD = {
    "version": "firsttoken/v1",
    "arrivals": {"kind": "constant", "rate": 5},
    "duration": "40s",
    "warmup": "0s",
    "prompt_tokens": 64,
    "output_tokens": 64,
    "tracing": True,
}


class Traced(NamedTuple):
    """A load run, the spans of both sides, and what the server logged."""

    run: Run
    clients: tuple[Span, ...]
    servers: tuple[Span, ...]
    joined: Joined
    log: str


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture(name="traced", scope="module")
def _traced(vllm: str, sent_spans: Store, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    folder = tmp_path_factory.mktemp("traced")
    load, records = folder / "load.yaml", folder / "records.jsonl"
    load.write_text(yaml.safe_dump(LOAD))
    command = [sys.executable, "-m", "firsttoken", "load", "run", "--target", vllm]
    done = subprocess.run(
        [*command, "--load", str(load), "--out", str(records)],
        check=False,
        timeout=200,
        stdout=subprocess.DEVNULL,
    )
    # 3: the machine was too busy to say how fast the server is, but not where its time went.
    assert done.returncode in (0, 3)
    run = read(records)
    ids = {record.trace_id for record in run.records}

    def ours() -> tuple[Span, ...]:
        return tuple(span for span in sent_spans.spans if span.trace_id in ids)

    until(lambda: len(ours()) >= REQUESTS)  # the engine sends spans every 5 s
    clients = Store()
    with BackgroundReceiver(clients) as receiver:
        made = client_spans(run, kept(run.records, Keep()))
        assert export(made, receiver.grpc_endpoint, "grpc") == len(made)
    own = tuple(span for span in clients.spans if span.kind is SpanKind.CLIENT)
    log = (OUT / f"vllm-{urlsplit(vllm).port}.log").read_text(errors="replace")
    return Traced(run, own, ours(), join(run.records, served(ours())), log)


def test_every_request_is_a_client_span_and_a_server_span_in_a_trace_of_its_own(
    traced: Traced,
) -> None:
    assert len(traced.run.records) == REQUESTS
    for side in (traced.clients, traced.servers):
        assert Counter(span.trace_id for span in side) == {
            record.trace_id: 1 for record in traced.run.records
        }


def test_the_servers_span_is_the_child_of_the_clients(traced: Traced) -> None:
    clients = {span.trace_id: span for span in traced.clients}

    for span in traced.servers:
        client = clients[span.trace_id]
        assert span.parent_id == client.span_id == span_id(span.trace_id)
        # Both clocks are this machine's.
        assert client.start <= span.start <= span.end <= client.end + 50_000_000


def test_the_clients_spans_are_by_the_conventions(traced: Traced) -> None:
    assert [problem for span in traced.clients for problem in problems(span, CLIENT)] == []


def test_the_join_explains_the_servers_time(traced: Traced) -> None:
    """Of each request: what the server measured is at least 95 % of it."""
    joined = traced.joined
    assert len(joined.requests) == REQUESTS
    assert (joined.client_only, joined.server_only, joined.misparented) == ((), 0, 0)
    for request in joined.requests:
        assert request.parts.total == pytest.approx(request.e2e, abs=1e-6)

    shares = sorted(request.parts.explained for request in joined.requests)
    engine = sorted(
        (parts.queue + parts.prefill + parts.decode) / parts.server
        for parts in (request.parts for request in joined.requests)
    )
    print("\n".join(joined_lines(joined, 3, "e2e")))
    for name, each in (("explained", shares), ("by the engine alone", engine)):
        print(f"{name}: least {each[0]:.3f}, median {each[REQUESTS // 2]:.3f}")
    assert all(request.parts.admission > 0 for request in joined.requests)
    assert shares[0] >= 0.95


def test_a_requests_id_finds_its_lines_in_the_log(traced: Traced) -> None:
    """Of each span's request, and by what the client sent as X-Request-Id."""
    logged = re.findall(r"Received request (chatcmpl-([0-9a-f]{32}))", traced.log)
    by_span = {str(span.attributes["gen_ai.request.id"]) for span in traced.servers}

    assert by_span <= {whole for whole, _ in logged}
    assert {record.trace_id for record in traced.run.records} <= {own for _, own in logged}


def test_the_start_is_told_by_its_trace(vllm: str, sent_spans: Store) -> None:
    (start,) = [phase for phase in cold_starts(sent_spans.spans) if phase.name == ROOT]
    phases = {phase.name: phase for _, phase in start.walk()}

    assert {"EngineCoreProc init", "Executor init", "Load model", "Allocate KV cache"} <= set(
        phases
    )
    assert 0 < phases["Load model"].seconds < start.seconds


def test_the_log_tells_the_start_as_the_trace_does(vllm: str, sent_spans: Store) -> None:
    """Phases within 0.1 s, as vLLM itself says them in its two ways."""
    path = OUT / f"vllm-{urlsplit(vllm).port}.log"
    command = [sys.executable, "-m", "firsttoken", "logs", "show", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    start = yaml.safe_load(done.stdout)["starts"][-1]
    logged = {phase["name"]: phase["seconds"] for phase in start["phases"]}
    roots = [phase for phase in cold_starts(sent_spans.spans) if phase.name == ROOT]
    traced = {phase.name: phase.seconds for _, phase in roots[0].walk()}

    assert start["kv_tokens"] > 0
    assert start["version"] == "0.32.0"
    assert logged["init_engine"] == pytest.approx(traced["Prepare model"], abs=0.1)
    assert logged["load_weights"] == pytest.approx(traced["Load weights"], abs=0.1)
