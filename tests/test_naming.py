"""OpenTelemetry names as Prometheus names: the rules of the specification and its translator."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.naming import dotted_name, label_name, prometheus_name, unit_suffix

UCUM = st.sampled_from(
    ["", "1", "s", "ms", "By", "By/s", "%", "{request}", "{token}/s", "Cel", "m"]
)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("By", "bytes"),
        ("KiBy", "kibibytes"),
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("Cel", "celsius"),
        ("Hz", "hertz"),
        ("J", "joules"),
        ("W", "watts"),
        ("%", "percent"),
        ("m/s", "meters_per_second"),
        ("By/min", "bytes_per_minutes"),
        ("m/m", "meters_per_minute"),
        ("{token}/s", "per_second"),
        ("{request}", ""),
        ("1", ""),
        ("", ""),
        ("rpm", "rpm"),
        ("°F", "F"),
    ],
)
def test_units_become_words(unit: str, words: str) -> None:
    assert unit_suffix(unit) == words


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("system.filesystem.usage", "By", "system_filesystem_usage_bytes"),
        ("system.network.dropped", "{packet}", "system_network_dropped"),
        ("redis.latest_fork", "us", "redis_latest_fork_microseconds"),
        ("speed", "m/s", "speed_meters_per_second"),
        ("hw.gpu.utilization", "1", "hw_gpu_utilization_ratio"),
        ("hit_ratio", "1", "hit_ratio"),
        ("hw.fan.speed", "rpm", "hw_fan_speed_rpm"),
        ("process.memory.bytes.used", "By", "process_memory_bytes_used"),
        ("double__underscore..dots", "", "double_underscore_dots"),
        ("0to10", "", "_0to10"),
        (":foo::bar", "", ":foo::bar"),
        ("temperature", "°F", "temperature_F"),
    ],
)
def test_gauges(name: str, unit: str, expected: str) -> None:
    assert prometheus_name(name, unit, gauge=True) == expected


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("system.io", "By", "system_io_bytes_total"),
        ("requests.total", "{request}", "requests_total"),
        ("requests_total", "", "requests_total"),
        ("cpu.time", "s", "cpu_time_seconds_total"),
        ("hw.energy", "J", "hw_energy_joules_total"),
        ("share", "1", "share_total"),
    ],
)
def test_counters_end_in_total_once_and_have_no_ratio(name: str, unit: str, expected: str) -> None:
    assert prometheus_name(name, unit, counter=True) == expected


def test_histograms_and_levels_of_unit_one_have_no_ratio() -> None:
    assert prometheus_name("hw.status", "1") == "hw_status"


def test_the_dotted_name_keeps_its_dots_and_has_the_same_suffixes() -> None:
    assert dotted_name("hw.gpu.io", "By", counter=True) == "hw.gpu.io_bytes_total"


@given(st.text(min_size=1), UCUM, st.booleans(), st.booleans())
def test_whatever_the_name_the_result_is_one_that_prometheus_takes(
    name: str, unit: str, counter: bool, gauge: bool
) -> None:
    translated = prometheus_name(f"a{name}", unit, counter=counter, gauge=gauge)

    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", translated)
    assert "__" not in translated


@given(
    st.from_regex(r"[a-z]{1,5}([._][a-z]{1,5}){0,3}", fullmatch=True),
    st.sampled_from(["", "1", "s", "By", "%", "{request}"]),
    st.booleans(),
)
def test_a_translated_name_translates_to_itself(name: str, unit: str, counter: bool) -> None:
    once = prometheus_name(name, unit, counter=counter)

    assert prometheus_name(once, unit, counter=counter) == once


@pytest.mark.parametrize(
    ("attribute", "label"),
    [
        ("gen_ai.request.model", "gen_ai_request_model"),
        ("k8s.pod.name", "k8s_pod_name"),
        ("0day", "key_0day"),
        ("a-b", "a_b"),
    ],
)
def test_attributes_become_labels(attribute: str, label: str) -> None:
    assert label_name(attribute) == label


@given(st.text(min_size=1))
def test_whatever_the_attribute_the_label_is_one_that_prometheus_takes(attribute: str) -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label_name(attribute))
