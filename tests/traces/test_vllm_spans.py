"""The spans that a real vLLM 0.32 sent: read, normalised, and as a cold start."""

import re
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.traces.conftest import VLLM_SPANS

from firsttoken.otlp.decode import spans
from firsttoken.otlp.jsonfile import read
from firsttoken.otlp.values import Span
from firsttoken.traces.conventions import SERVER, problems
from firsttoken.traces.normalise import normalise
from firsttoken.traces.otelcol import collector_config, statements
from firsttoken.traces.server import served
from firsttoken.traces.startup import cold_starts


def captured() -> list[ExportTraceServiceRequest]:
    """The export requests anew, since normalising changes them."""
    found = read(VLLM_SPANS)
    assert not found.problems
    return [r for r in found.requests if isinstance(r, ExportTraceServiceRequest)]


def all_spans(requests: list[ExportTraceServiceRequest]) -> list[Span]:
    return [span for request in requests for span in spans(request)]


def requests_only(found: list[Span]) -> list[Span]:
    return [span for span in found if span.scope == "vllm.tracing.otel"]


def test_normalised_spans_are_as_the_conventions_want() -> None:
    requests = captured()

    assert sum(normalise(request, "tiny") for request in requests) == 9

    found = requests_only(all_spans(requests))
    assert [problems(span, SERVER) for span in found] == [[]] * 9
    assert {span.name for span in found} == {"chat tiny", "text_completion tiny"}
    assert found[0].attributes["gen_ai.usage.input_tokens"] == 4
    assert found[0].attributes["gen_ai.response.finish_reasons"] == ("length",)
    assert found[0].attributes["gen_ai.response.id"] == f"cmpl-{found[0].trace_id}"
    assert "gen_ai.response.finish_reasons" not in found[1].attributes  # 18 tokens of 20
    assert not [n for span in found for n in span.attributes if ".latency." in n]


def test_spans_as_they_came_are_not_as_the_conventions_want() -> None:
    """What the check is for."""
    said = problems(requests_only(all_spans(captured()))[0], SERVER)

    assert "gen_ai.operation.name is required, but missing" in said
    assert "gen_ai.usage.prompt_tokens is not declared" in said


def test_normalising_twice_changes_nothing_more() -> None:
    once, twice = captured(), captured()
    for request in once:
        normalise(request, "tiny")
    for request in twice:
        normalise(request, "tiny")
        assert normalise(request, "tiny") == 0

    assert once == twice


def test_the_same_times_are_read_before_and_after_normalising() -> None:
    raw = served(all_spans(captured()))
    requests = captured()
    for request in requests:
        normalise(request)

    assert served(all_spans(requests)) == raw
    assert len(raw) == 9
    assert all(0 < s.queue + s.prefill + s.decode <= s.e2e for s in raw)


def test_of_each_request_nearly_all_of_the_servers_time_is_known() -> None:
    """On a machine whose cores were taken by others: the engine alone is down to 77 %."""
    found = served(all_spans(captured()))
    engine = [(s.queue + s.prefill + s.decode) / s.e2e for s in found]
    known = [1 - abs(s.delivery) / s.e2e for s in found]

    assert min(engine) < 0.8
    assert min(known) >= 0.95
    assert all(s.admission > 0 for s in found)


def test_a_cold_start_is_told_as_a_tree_of_phases() -> None:
    (root,) = cold_starts(all_spans(captured()))

    phases = {(depth, phase.name): phase for depth, phase in root.walk()}
    assert root.name == "Overall Loading"
    assert root.seconds == pytest.approx(44.94, abs=0.01)
    assert phases[5, "Loading (CPU)"].seconds == pytest.approx(0.985, abs=0.001)
    assert phases[3, "Prepare model"].seconds == pytest.approx(0.73, abs=0.001)
    assert phases[4, "Allocate KV cache"].process == "Worker_0"
    # Own times of a tree whose branches do not overlap add up to the whole.
    assert sum(phase.own for _, phase in root.walk()) == pytest.approx(root.seconds, abs=0.75)


REPLACE = re.compile(r'replace_pattern\(attributes\["(.+)"\], "(.+)", "(.+)"\)')


class Ottl:
    """The few words of OTTL that the generated statements are made of, on one span."""

    def __init__(self, span: Span) -> None:
        self.name: Any = span.name
        self.attributes = dict(span.attributes)
        self.resource = dict(span.resource)

    def value(self, text: str) -> Any:
        text = text.strip()
        if found := re.fullmatch(r'(resource\.)?attributes\["([^"]+)"\]', text):
            return (self.resource if found[1] else self.attributes).get(found[2])
        if found := re.fullmatch(r'\["([^"]+)"\]', text):
            return (found[1],)
        if found := re.fullmatch(r"Concat\(\[(.+), (.+)\], \"(.*)\"\)", text):
            return found[3].join(str(self.value(found[n])) for n in (1, 2))
        return self.name if text == "name" else {"nil": None}.get(text, yaml.safe_load(text))

    def holds(self, condition: str) -> bool:
        if found := re.fullmatch(r'IsMatch\((.+), "(.+)"\)', condition):
            return re.search(found[2], str(self.value(found[1]))) is not None
        left, operator, right = re.fullmatch(r"(.+) (==|!=) (.+)", condition).groups()  # type: ignore[union-attr]
        return bool(self.value(left) == self.value(right)) == (operator == "==")

    def run(self, statement: str) -> None:
        action, _, conditions = statement.partition(" where ")
        if not all(self.holds(condition) for condition in conditions.split(" and ")):
            return
        if found := re.fullmatch(r"set\((.+?), (.+)\)", action):
            if found[1] == "name":
                self.name = self.value(found[2])
            else:
                self.attributes[found[1][12:-2]] = self.value(found[2])
        elif found := re.fullmatch(r'delete_key\(attributes, "(.+)"\)', action):
            self.attributes.pop(found[1], None)
        elif found := REPLACE.fullmatch(action):
            text = str(self.attributes[found[1]])
            self.attributes[found[1]] = re.sub(found[2], found[3].replace("$$", "\\"), text)
        else:
            raise AssertionError(action)


def test_the_generated_collector_configuration_does_what_our_receiver_does() -> None:
    ours = captured()
    for request in ours:
        resource = request.resource_spans[0].resource
        resource.attributes.add(key="gen_ai.request.model").value.string_value = "tiny"
    theirs = [Ottl(span) for span in requests_only(all_spans(ours))]
    for span in theirs:
        for statement in statements():
            span.run(statement)
    for request in ours:
        normalise(request)

    wanted = requests_only(all_spans(ours))
    assert [(t.name, t.attributes) for t in theirs] == [(s.name, s.attributes) for s in wanted]


def test_every_component_of_the_collector_configuration_is_used_and_defined() -> None:
    config = collector_config("jaeger:4317")
    pipeline = config["service"]["pipelines"]["traces"]

    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(config[kind])
