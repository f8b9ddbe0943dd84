"""The page of a run: by the conventions for generative AI clients, with the records' values."""

from collections.abc import Mapping

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics as conventions
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.traces.conftest import record

from firsttoken.loadgen.page import Tally, text
from firsttoken.naming import prometheus_name

UNITS = {
    conventions.GEN_AI_CLIENT_OPERATION_DURATION: "s",
    conventions.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK: "s",
    conventions.GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK: "s",
    conventions.GEN_AI_CLIENT_TOKEN_USAGE: "{token}",
}
GAPS = (0.01, 0.02, 0.02, 0.3, 7.0)
REQUIRED = {"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"}


@pytest.fixture(name="families")
def _families() -> Mapping[str, Metric]:
    tally = Tally()
    tally.add(record(1, gaps=GAPS), "tiny", "chat")
    tally.add(
        record(2, gaps=GAPS, model="other", error="timeout", error_class="timeout"), "tiny", "chat"
    )
    return {each.name: each for each in text_string_to_metric_families(text(tally, "vllm"))}


def test_names_are_the_conventions(families: Mapping[str, Metric]) -> None:
    assert set(families) == {
        prometheus_name(name, unit, counter=False, gauge=False) for name, unit in UNITS.items()
    }
    assert {family.type for family in families.values()} == {"histogram"}


def test_every_series_has_the_attributes_that_the_conventions_require(
    families: Mapping[str, Metric],
) -> None:
    for family in families.values():
        for sample in family.samples:
            assert sample.labels.keys() >= REQUIRED
            assert sample.labels["gen_ai_provider_name"] == "vllm"
    tokens = families["gen_ai_client_token_usage"].samples
    kinds = {sample.labels["gen_ai_token_type"] for sample in tokens}
    assert kinds == {member.value for member in attributes.GenAiTokenTypeValues}


def test_values_are_the_records(families: Mapping[str, Metric]) -> None:
    duration = families["gen_ai_client_operation_duration_seconds"].samples
    sums = {s.labels["gen_ai_request_model"]: s.value for s in duration if s.name.endswith("_sum")}
    failed = {s.labels.get("error_type") for s in duration}

    assert sums == pytest.approx({"tiny": record(1).e2e, "other": record(2).e2e})
    assert failed == {None, "timeout"}


def test_each_chunk_after_the_first_is_observed(families: Mapping[str, Metric]) -> None:
    chunks = families["gen_ai_client_operation_time_per_output_chunk_seconds"].samples
    of_one = [s for s in chunks if s.labels["gen_ai_request_model"] == "tiny"]

    assert {s.value for s in of_one if s.name.endswith("_count")} == {len(GAPS)}
    for sample in of_one:
        if sample.name.endswith("_bucket"):
            assert sample.value == sum(gap <= float(sample.labels["le"]) for gap in GAPS)


def test_a_process_adds_what_another_has_counted() -> None:
    one, two, both = Tally(), Tally(), Tally()
    one.add(record(1), "tiny", "chat")
    two.add(record(2), "tiny", "chat")
    for index in (1, 2):
        both.add(record(index), "tiny", "chat")
    one.merge(two)

    assert text(one, "vllm") == text(both, "vllm")
