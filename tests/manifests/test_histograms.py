"""The engine is started with a bucket bound on every objective's threshold."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.manifests.bundle import Bundle
from firsttoken.manifests.histograms import custom_buckets, with_bounds
from firsttoken.rules.buckets import VLLM, problems
from firsttoken.rules.slo import Latency, SloFile

SLO = yaml.safe_load((Path(__file__).parents[2] / "examples" / "slo.yaml").read_text())
NOW = (0, 32)


def slo(*objectives: tuple[str, str], **changes: Any) -> SloFile:
    shapes = [
        {"name": f"o{i}", "kind": "latency", "metric": metric, "threshold": text, "target": 95}
        for i, (metric, text) in enumerate(objectives)
    ]
    return SloFile.model_validate(SLO | {"objectives": shapes} | changes)


def flag(*objectives: tuple[str, str], **changes: Any) -> dict[str, list[float]]:
    made = custom_buckets(with_bounds(slo(*objectives, **changes), NOW))
    assert made is not None
    found: dict[str, list[float]] = json.loads(made)
    return found


def test_thresholds_on_the_engines_own_bounds_need_no_flag() -> None:
    assert custom_buckets(with_bounds(slo(("ttft", "500ms"), ("tpot", "50ms")), NOW)) is None


def test_a_threshold_between_bounds_becomes_one_and_the_others_stay() -> None:
    found = flag(("ttft", "300ms"))

    assert list(found) == ["time_to_first_token"]
    assert found["time_to_first_token"] == sorted([*map(float, VLLM["ttft"]), 0.3])


def test_histograms_of_one_family_share_their_bounds() -> None:
    found = flag(("tpot", "40ms"), ("itl", "60ms"), ("e2e", "3s"), ("queue", "700ms"))

    assert {0.04, 0.06} <= set(found["inter_token_latency"])
    assert {3.0, 0.7} <= set(found["request_latency"])
    assert set(found) == {"inter_token_latency", "request_latency"}


def test_bounds_of_the_objective_file_replace_the_engines_own() -> None:
    found = flag(("ttft", "300ms"), buckets={"ttft": ["100ms", "1s"]})

    assert found == {"time_to_first_token": [0.1, 0.3, 1.0]}


METRICS = st.sampled_from(sorted(VLLM))
MILLISECONDS = st.integers(min_value=1, max_value=10_000_000)


@given(st.lists(st.tuples(METRICS, MILLISECONDS), min_size=1, max_size=8))
def test_any_objectives_can_then_be_measured_exactly(choices: list[tuple[str, int]]) -> None:
    made = with_bounds(slo(*((metric, f"{count}ms") for metric, count in choices)), NOW)

    assert problems(made) == []
    for bounds in json.loads(custom_buckets(made) or "{}").values():
        assert bounds == sorted(set(bounds))
        assert bounds[0] > 0
    for objective in made.objectives:
        assert isinstance(objective, Latency)
        flagged = made.buckets.get(objective.metric, VLLM[objective.metric])
        assert objective.threshold in flagged
        assert Decimal(repr(float(objective.threshold))) == objective.threshold


@pytest.mark.parametrize("threshold", ["300ms", "500ms"])
def test_flag_and_rules_agree(threshold: str, make: Callable[..., Bundle]) -> None:
    objective = {
        "name": "ttft", "kind": "latency", "metric": "ttft", "threshold": threshold, "target": 95
    }  # fmt: skip
    made = make(SLO | {"objectives": [objective]})
    arguments = json.dumps(made.engine[-1]["spec"]["template"]["spec"]["containers"][0]["args"])

    assert f'le=\\"0.{threshold[0]}\\"' in json.dumps(made.monitoring[1])
    assert ("--custom-histogram-buckets" in arguments) == (threshold == "300ms")
