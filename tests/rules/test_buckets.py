"""Bucket bounds of engines: as their pages have them, and what is said of a threshold between."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from firsttoken.errors import ConfigError
from firsttoken.rules import buckets, output
from firsttoken.rules.bounds import ENGINES, LatencyKey
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.slo import Latency, SloFile, with_source
from firsttoken.sources import vocabulary_of

PAGES = Path(__file__).parents[1] / "data" / "pages"
HISTOGRAMS: dict[LatencyKey, str] = {
    "ttft": "vllm:time_to_first_token_seconds",
    "tpot": "vllm:request_time_per_output_token_seconds",
    "itl": "vllm:inter_token_latency_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
    "queue": "vllm:request_queue_time_seconds",
}


def slo(threshold: str, metric: str = "ttft", **changes: object) -> SloFile:
    objective = {
        "name": "it", "kind": "latency", "metric": metric, "threshold": threshold, "target": 99
    }  # fmt: skip
    head = {"version": "firsttoken/v1", "service": "chat", "period": "30d"}
    return SloFile.model_validate({**head, "objectives": [objective], **changes})


def said(threshold: str, metric: str = "ttft", **changes: object) -> str:
    (sentence,) = buckets.problems(slo(threshold, metric, **changes))
    return sentence


@pytest.mark.parametrize("page", ["vllm-0.10.2.txt", "vllm-0.17.0.txt", "vllm-0.32.0.txt"])
@pytest.mark.parametrize("metric", sorted(HISTOGRAMS))
def test_the_bounds_of_vllm_are_those_of_its_page(page: str, metric: LatencyKey) -> None:
    pattern = rf'^{HISTOGRAMS[metric]}_bucket{{.*le="([0-9.]+)"'
    found = re.findall(pattern, (PAGES / page).read_text(), re.MULTILINE)
    if not found:
        pytest.skip(f"{page} has no {HISTOGRAMS[metric]}")

    assert list(dict.fromkeys(map(Decimal, found))) == list(ENGINES["vllm"].bounds[metric])


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_bounds_ascend_and_are_exact(engine: str) -> None:
    shape = next(one for name, one in ENGINES.items() if name == engine)
    for bounds in (shape.bounds, *(older for _, older in shape.older)):
        for found in bounds.values():
            assert list(found) == sorted(set(found))
            assert all(Decimal(repr(float(bound))) == bound for bound in found)


@pytest.mark.parametrize(
    ("engine", "near", "flag"),
    [
        ("vllm", "250ms and 500ms", '--custom-histogram-buckets \'{"time_to_first_token":[0.001,'),
        ("sglang", "200ms and 400ms", "--bucket-time-to-first-token 0.1 0.2 0.3 0.4"),
        ("trtllm", "250ms and 500ms", None),
        ("triton", "100ms and 500ms", None),
    ],
)
def test_neighbours_and_flag_are_those_of_the_engine(
    engine: str, near: str, flag: str | None
) -> None:
    sentence = said("300ms", engine=engine)

    assert f"near are {near} (--snap takes one of them)" in sentence
    assert (flag in sentence) if flag else ("or start" not in sentence)


def test_the_flag_of_vllm_is_what_its_parser_reads() -> None:
    (given,) = re.findall(r"--custom-histogram-buckets '(.*)' and", said("300ms"))

    bounds = json.loads(given)["time_to_first_token"]
    assert bounds == sorted([*map(float, ENGINES["vllm"].bounds["ttft"]), 0.3])


def test_an_old_vllm_has_other_bounds_and_no_flag() -> None:
    assert buckets.problems(slo("20s")) == []
    sentence = said("20s", engine_version="0.8.3")

    assert "near are 10s" in sentence
    assert sentence.endswith("vllm can be given more bounds from 0.32 on")
    assert buckets.problems(slo("500ms", "e2e")) == []
    assert "near are 1s" in said("500ms", "e2e", engine_version="0.6.3")


def test_a_metric_without_a_histogram_says_so() -> None:
    assert said("1s", engine="tgi") == "objective it: tgi has no histogram of ttft"


def test_the_engine_is_the_one_that_is_scraped() -> None:
    direct = slo("400ms", source="sglang,dcgm")
    other = with_source(slo("500ms"), "sglang")

    assert (direct.engine, buckets.problems(direct)) == ("sglang", [])
    assert "near are 400ms and 600ms" in buckets.problems(other)[0]
    # Triton may have vLLM behind it, and then its bounds.
    assert buckets.problems(with_source(slo("250ms", engine="vllm", source="triton"), None)) == []


def test_a_bound_with_many_digits_is_matched_exactly_and_told_briefly() -> None:
    file = buckets.snapped(slo("1s", "e2e", engine="tgi"), "up")
    (objective,) = file.objectives
    assert isinstance(objective, Latency)
    text = output.rule_file(rule_groups(file))

    assert objective.threshold == Decimal("1.122274146401882")
    assert 'le="1.122274146401882"' in text
    assert "E2E within about 1.122274s" in text


def test_with_native_histograms_any_threshold_will_do() -> None:
    text = output.rule_file(rule_groups(slo("300ms", histograms="native")))

    assert "histogram_fraction(-Inf, 0.3, sum by (gen_ai_request_model)" in text
    assert "_bucket" not in text


def test_of_another_engine_only_given_bounds_are_checked() -> None:
    assert buckets.problems(slo("300ms", engine="other")) == []
    with pytest.raises(ConfigError, match="near are 100ms and 1s"):
        rule_groups(slo("300ms", engine="other", buckets={"ttft": ["100ms", "1s"]}))


def test_a_source_in_milliseconds_has_its_bounds_in_them() -> None:
    file = slo("500ms", source="triton")
    text = output.rule_file(rule_groups(file, vocabulary_of("triton")))

    assert "nv_inference_first_response_histogram_ms_bucket" in text or "vllm:" in text
