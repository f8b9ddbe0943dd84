"""Units, labels, copies and sentinels: what happens to a single series."""

import dataclasses
import math
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken import catalogue
from firsttoken.exporters import page, profile, units
from firsttoken.exporters.check import Series, check
from firsttoken.exporters.schema import Instance
from firsttoken.exporters.table import Profile
from firsttoken.exporters.translation import LabelRules, combine

VLLM = profile.load("vllm")
DCGM = profile.load("dcgm")
UNIT = st.sampled_from(units.ALL)
LABELS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=8), max_size=5
)


def served(source: Profile, text: str) -> dict[str, float]:
    """Name and labels -> value of every series that comes out of a page."""
    report = check(source, page.parse(text))
    assert report.doubled == ()
    return {written(series): series.value for f in report.findings for series in f.series}


def written(series: Series, *without: str) -> str:
    drop = {"gen_ai.operation.name", "gen_ai.provider.name", "hw.vendor", "hw.type", *without}
    labels = sorted((k, v) for k, v in series.attributes.items() if k not in drop)
    return f"{series.name}{{{','.join(f'{k}={v}' for k, v in labels)}}}"


# --- Units ----------------------------------------------------------------------------------------


@given(UNIT, UNIT, UNIT)
def test_factors_multiply_along_a_way_and_back(a: str, b: str, c: str) -> None:
    try:
        ab, bc, ac = units.factor(a, b), units.factor(b, c), units.factor(a, c)
    except units.UnitError:
        return
    assert math.isclose(ab * bc, ac)
    assert math.isclose(units.factor(b, a) * ab, 1)


@given(UNIT)
def test_a_unit_is_itself(unit: str) -> None:
    assert units.factor(unit, unit) == 1


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("MiBy", "By", "1048576"),
        ("MBy", "By", "1000000"),
        ("mJ", "J", "0.001"),
        ("uJ", "J", "0.000001"),
        ("%", "1", "0.01"),
        ("MHz", "Hz", "1000000"),
        ("ms", "s", "0.001"),
        ("us", "s", "0.000001"),
        ("KBy/s", "By/s", "1000"),
        ("W.h", "J", "3600"),
    ],
)
def test_the_factors_that_sources_need(source: str, target: str, factor: str) -> None:
    assert units.factor(source, target) == Decimal(factor)


@pytest.mark.parametrize(
    ("source", "target"), [("MiBy", "s"), ("By", "By/s"), ("s", "1"), ("{token}", "{request}")]
)
def test_what_measures_something_else_does_not_convert(source: str, target: str) -> None:
    with pytest.raises(units.UnitError):
        units.factor(source, target)


@given(st.integers(0, 2**40))
def test_a_scaled_number_is_exact(value: int) -> None:
    found = served(DCGM, f'DCGM_FI_DEV_FB_USED{{gpu="0",UUID="a"}} {value}\n')

    assert list(found.values()) == [value * 1024**2]


def test_a_percentage_becomes_a_ratio_without_the_dirt_of_binary_fractions() -> None:
    found = served(DCGM, 'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="a"} 7\n')

    assert list(found.values()) == [0.07]


def test_a_histogram_in_milliseconds_has_bounds_and_sum_in_seconds_and_counts_as_they_were() -> (
    None
):
    ours = Profile("ours", "Ours", "", (), (), ())
    line = next(line for line in VLLM.lines if line.metric is catalogue.QUEUE_DURATION)
    line = dataclasses.replace(
        line, source="q_ms", names=frozenset({"q_ms"}), scale=Decimal("0.001"),
        superseded_by=frozenset(),
    )  # fmt: skip
    ours = dataclasses.replace(ours, lines=(line,))
    found = served(
        ours,
        "# TYPE q_ms histogram\n"
        'q_ms_bucket{le="250"} 2\nq_ms_bucket{le="+Inf"} 3\nq_ms_sum 1100\nq_ms_count 3\n',
    )

    name = "gen_ai_server_queue_duration_seconds"
    assert found == {
        f"{name}_bucket{{le=0.25}}": 2,
        f"{name}_bucket{{le=+Inf}}": 3,
        f"{name}_sum{{}}": 1.1,
        f"{name}_count{{}}": 3,
    }


# --- Sentinels and copies -------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [9223372036854775794, 9223372036854775792, 140737488355328.0])
def test_dcgms_blanks_are_no_measurements(blank: float) -> None:
    text = f'DCGM_FI_DEV_MEMORY_TEMP{{gpu="0",UUID="a"}} {blank}\n'

    assert served(DCGM, text) == {}


def test_vllms_minus_one_is_no_hit_rate() -> None:
    assert served(VLLM, 'vllm:gpu_prefix_cache_hit_rate{model_name="m"} -1.0\n') == {}


def test_of_the_copies_per_pid_the_live_one_counts() -> None:
    copies = "".join(
        f'vllm:kv_cache_usage_perc{{engine="0",model_name="m",pid="{pid}"}} {value}\n'
        for pid, value in ((1, 0.0), (2, 0.7), (3, 0.0))
    )

    assert list(served(VLLM, copies).values()) == [0.7]


def test_a_boards_value_on_each_slice_comes_out_once_and_a_slices_own_stays() -> None:
    page_text = "".join(
        f'{name}{{gpu="0",UUID="GPU-a",GPU_I_ID="{gi}",GPU_I_PROFILE="3g.40gb"}} {value}\n'
        for name, values in (("DCGM_FI_DEV_POWER_USAGE", (500, 500)),
                             ("DCGM_FI_DEV_FB_USED", (1, 2)))
        for gi, value in zip(("1", "2"), values, strict=True)
    )  # fmt: skip
    found = served(DCGM, page_text)

    assert found["hw_power_watts{hw.gpu.index=0,hw.id=GPU-a}"] == 500
    assert {name: value for name, value in found.items() if "memory" in name} == {
        "hw_gpu_memory_usage_bytes{hw.gpu.index=0,hw.gpu.mig.instance=1,"
        "hw.gpu.mig.profile=3g.40gb,hw.id=GPU-a/gi1,hw.parent=GPU-a}": 1024**2,
        "hw_gpu_memory_usage_bytes{hw.gpu.index=0,hw.gpu.mig.instance=2,"
        "hw.gpu.mig.profile=3g.40gb,hw.id=GPU-a/gi2,hw.parent=GPU-a}": 2 * 1024**2,
    }


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_copies_combine_as_the_profile_says(values: list[float]) -> None:
    assert combine("first", values) == values[0]
    assert combine("max", values) == max(values)
    assert combine("sum", values) == math.fsum(values)
    assert combine("refuse", values) == (values[0] if len(values) == 1 else None)


# --- No two series become one ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        pytest.param(VLLM, 'engine="0",model_name="a"', 'engine="0",model_name="b"', id="models"),
        pytest.param(VLLM, 'engine="0",model_name="a"', 'engine="1",model_name="a"', id="ranks"),
        pytest.param(VLLM, 'model_name="a"', 'model_name="a",ReplicaId="x"', id="Ray replicas"),
        pytest.param(VLLM, 'model_name="a",lora="x"', 'model_name="a",lora="y"', id="LoRA"),
        pytest.param(DCGM, 'gpu="0",UUID="a"', 'gpu="1",UUID="b"', id="GPUs"),
        pytest.param(DCGM, 'UUID="a",pod="p"', 'UUID="a",pod="q"', id="time-sliced pods"),
        pytest.param(
            DCGM, 'UUID="a",GPU_I_ID="1"', 'UUID="a",GPU_I_ID="2"', id="MIG slices"
        ),
        pytest.param(DCGM, 'UUID="a",Hostname="n"', 'UUID="a",Hostname="m"', id="hosts"),
    ],
)  # fmt: skip
def test_two_series_stay_two(source: Profile, first: str, second: str) -> None:
    name = "vllm:num_requests_running" if source is VLLM else "DCGM_FI_DEV_FB_USED"

    assert len(served(source, f"{name}{{{first}}} 1\n{name}{{{second}}} 2\n")) == 2


def test_two_series_that_do_become_one_are_reported() -> None:
    text = 'vllm:num_requests_running{engine="0",model_name="a"} 1\n' * 2
    report = check(VLLM, page.parse(text))

    assert len(report.doubled) == 1


# --- Labels ---------------------------------------------------------------------------------------


@given(LABELS)
def test_a_label_that_no_rule_names_passes_and_no_value_is_lost(labels: dict[str, str]) -> None:
    found = LabelRules().apply(labels)

    assert found == {name: value for name, value in labels.items() if value}


@given(LABELS, LABELS)
def test_different_labels_stay_different(one: dict[str, str], other: dict[str, str]) -> None:
    rules = LabelRules(
        defaults={"gen_ai.operation.name": "chat"},
        rename={"a": "gen_ai.request.model"},
        add={"gen_ai.token.type": "input"},
    )
    same = {k: v for k, v in one.items() if v} == {k: v for k, v in other.items() if v}

    assert (rules.apply(one) == rules.apply(other)) == same


def test_a_label_that_takes_a_conventions_name_is_kept_under_another() -> None:
    rules = LabelRules(add={"hw.type": "gpu"})

    assert rules.apply({"hw_type": "x"}) == {"exported_hw_type": "x", "hw.type": "gpu"}


def test_of_two_labels_for_one_attribute_the_first_with_a_value_counts() -> None:
    rules = LabelRules(rename={"pod": "k8s.pod.name", "exported_pod": "k8s.pod.name"})

    assert rules.apply({"pod": "", "exported_pod": "b"}) == {"k8s.pod.name": "b"}
    assert rules.apply({"pod": "a", "exported_pod": "b"}) == {"k8s.pod.name": "a"}


def test_what_a_series_must_match_is_matched_whole() -> None:
    rules = LabelRules(where={"stage": re.compile("prefill")})

    assert rules.apply({"stage": "prefill"}) is not None
    assert rules.apply({"stage": "prefill_wait"}) is None
    assert rules.apply({}) is None


def test_a_whole_device_is_no_instance() -> None:
    rules = LabelRules(
        rename={"id": "hw.id", "part": "hw.gpu.partition.id"},
        instance=Instance(label="part", suffix="/p", unless={"part": "0"}),
    )

    whole, half = rules.apply({"id": "a", "part": "0"}), rules.apply({"id": "a", "part": "1"})
    assert whole is not None
    assert half is not None
    assert whole["hw.id"] == "a"
    assert half["hw.id"] == "a/p1"
    assert half["hw.parent"] == "a"


# --- Targets --------------------------------------------------------------------------------------


def test_a_target_says_what_its_source_cannot() -> None:
    target = VLLM.for_target({"gen_ai.operation.name": "embeddings", "server.port": "8000"})
    report = check(target, page.parse('vllm:num_requests_running{model_name="m"} 1\n'))
    (series,) = report.findings[0].series

    assert series.attributes == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "m",
        "server.port": "8000",
    }


def test_a_model_of_the_configuration_yields_to_the_sources_own() -> None:
    target = VLLM.for_target({"gen_ai.request.model": "configured"})
    report = check(target, page.parse('vllm:num_requests_running{model_name="own"} 1\n'))

    assert report.findings[0].series[0].attributes["gen_ai.request.model"] == "own"
