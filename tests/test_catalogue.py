"""The catalogue: names of the conventions as they are, extensions that can be told from them."""

import re

import pytest

from firsttoken import attributes, catalogue
from firsttoken.catalogue import METRICS, Instrument, Metric, Requirement, Stability

# From the registries of the conventions: GenAI (gen-ai-dev/1.42.0-dev) and hardware (v1.44.0).
CONVENTIONS = {
    "gen_ai.server.request.duration": (Instrument.HISTOGRAM, "s"),
    "gen_ai.server.time_per_output_token": (Instrument.HISTOGRAM, "s"),
    "gen_ai.server.time_to_first_token": (Instrument.HISTOGRAM, "s"),
    "hw.energy": (Instrument.COUNTER, "J"),
    "hw.errors": (Instrument.COUNTER, "{error}"),
    "hw.fan.speed": (Instrument.GAUGE, "rpm"),
    "hw.fan.speed_ratio": (Instrument.GAUGE, "1"),
    "hw.gpu.io": (Instrument.COUNTER, "By"),
    "hw.gpu.memory.limit": (Instrument.UPDOWNCOUNTER, "By"),
    "hw.gpu.memory.usage": (Instrument.UPDOWNCOUNTER, "By"),
    "hw.gpu.memory.utilization": (Instrument.GAUGE, "1"),
    "hw.gpu.utilization": (Instrument.GAUGE, "1"),
    "hw.power": (Instrument.GAUGE, "W"),
    "hw.status": (Instrument.UPDOWNCOUNTER, "1"),
    "hw.temperature": (Instrument.GAUGE, "Cel"),
    "hw.temperature.limit": (Instrument.GAUGE, "Cel"),
    "hw.voltage": (Instrument.GAUGE, "V"),
    "http.server.request.duration": (Instrument.HISTOGRAM, "s"),
}
DURATION_BUCKETS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip


def test_what_is_called_a_convention_is_one_with_its_instrument_and_unit() -> None:
    found = {
        metric.name: (metric.instrument, metric.unit)
        for metric in METRICS
        if metric.stability is Stability.CONVENTION
    }

    assert found == CONVENTIONS


@pytest.mark.parametrize(
    ("name", "prometheus"),
    [
        ("gen_ai.server.time_to_first_token", "gen_ai_server_time_to_first_token_seconds"),
        ("gen_ai.server.time_per_output_token", "gen_ai_server_time_per_output_token_seconds"),
        ("gen_ai.server.request.duration", "gen_ai_server_request_duration_seconds"),
        ("gen_ai.server.tokens.processed", "gen_ai_server_tokens_processed_total"),
        ("gen_ai.server.requests.running", "gen_ai_server_requests_running"),
        ("gen_ai.server.kv_cache.utilization", "gen_ai_server_kv_cache_utilization_ratio"),
        ("hw.gpu.utilization", "hw_gpu_utilization_ratio"),
        ("hw.gpu.memory.utilization", "hw_gpu_memory_utilization_ratio"),
        ("hw.gpu.memory.usage", "hw_gpu_memory_usage_bytes"),
        ("hw.gpu.memory.limit", "hw_gpu_memory_limit_bytes"),
        ("hw.gpu.io", "hw_gpu_io_bytes_total"),
        ("hw.power", "hw_power_watts"),
        ("hw.energy", "hw_energy_joules_total"),
        ("hw.temperature", "hw_temperature_celsius"),
        ("hw.errors", "hw_errors_total"),
        ("hw.status", "hw_status"),
    ],
)
def test_the_prometheus_names(name: str, prometheus: str) -> None:
    metric = catalogue.find(name)

    assert metric is not None
    assert metric.prometheus == prometheus


def test_the_conventions_bucket_advice() -> None:
    assert catalogue.REQUEST_DURATION.buckets == pytest.approx(DURATION_BUCKETS)
    assert catalogue.TIME_TO_FIRST_TOKEN.buckets[:3] == (0.001, 0.005, 0.01)
    assert catalogue.TIME_PER_OUTPUT_TOKEN.buckets[-1] == 2.5


def test_no_two_entries_share_a_name_in_either_form() -> None:
    for names in ([m.name for m in METRICS], [m.prometheus for m in METRICS]):
        assert sorted(set(names)) == sorted(names)


def test_no_entrys_histogram_or_counter_series_are_another_entrys() -> None:
    families = {metric.prometheus for metric in METRICS}
    for metric in METRICS:
        if metric.instrument is Instrument.HISTOGRAM:
            assert not families & {
                f"{metric.prometheus}_{end}" for end in ("bucket", "sum", "count")
            }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_an_entry_is_well_formed(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*([.][a-z0-9_]+)+", metric.name)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert list(metric.buckets) == sorted(set(metric.buckets))
    labels = [attribute.label for attribute in metric.attributes]
    assert len(set(labels)) == len(labels)
    assert not {"le", "quantile", "job", "instance", "__name__"} & set(labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_required_attributes_are_those_of_the_conventions(metric: Metric) -> None:
    required = {a.name for a in metric.attributes if a.requirement is Requirement.REQUIRED}
    if metric.name.startswith("gen_ai."):
        assert {"gen_ai.operation.name", "gen_ai.provider.name"} <= required
    elif metric.name.startswith("hw.") and metric.name != "hw.gpu.count":
        assert "hw.id" in required


def test_extensions_of_attributes_can_be_told_from_the_conventions() -> None:
    names = {
        attribute.name: attributes.is_extension(attribute)
        for metric in METRICS
        for attribute in metric.attributes
    }

    assert not names["gen_ai.request.model"]
    assert not names["hw.gpu.task"]
    assert not names["network.io.direction"]
    assert names["gen_ai.server.engine.id"]
    assert names["hw.gpu.pipe"]


def test_an_unknown_name_is_not_found() -> None:
    assert catalogue.find("gen_ai.server.nothing") is None
