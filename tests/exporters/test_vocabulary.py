"""Rules for a Prometheus that scrapes the source itself, under the source's own names."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firsttoken import catalogue, promql
from firsttoken.errors import ConfigError
from firsttoken.exporters import page, profile
from firsttoken.promql import Matcher, Scope
from firsttoken.rules import output, scenarios
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile
from firsttoken.vocabulary import NotReportedError, Operator, Vocabulary, passes

Evaluate = Callable[[list[tuple[str, str]], str, float], None]

PAGES = Path(__file__).parents[1] / "data" / "pages"
VLLM = profile.load("vllm")


def families(name: str) -> tuple[page.Family, ...]:
    return page.parse((PAGES / name).read_text())


def direct(name: str) -> Vocabulary:
    """What a Prometheus that scrapes this page knows the metrics as."""
    return profile.vocabulary(VLLM, (family.name for family in families(name)))


def objectives(*metrics: str) -> SloFile:
    latencies = [
        {"name": m, "kind": "latency", "metric": m, "threshold": "1s", "target": 99}
        for m in metrics
    ]
    failures = {"name": "available", "kind": "availability", "target": 99.5}
    return SloFile.model_validate(
        {
            "version": "firsttoken/v1",
            "service": "chat",
            "period": "7d",
            "source": "vllm",
            "objectives": [*latencies, failures],
            "packs": ["stall", "absence", "saturation"],
        }
    )


@pytest.mark.parametrize("name", ["vllm-0.9.0.txt", "vllm-0.10.2.txt", "vllm-0.32.0.txt"])
def test_the_rules_read_series_that_the_page_has(tmp_path: Path, name: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(output.rule_file(rule_groups(objectives("ttft", "itl", "e2e"), direct(name))))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    has = set(re.findall(r"^([a-zA-Z_:][\w:]*)", (PAGES / name).read_text(), re.MULTILINE))

    assert done.returncode == 0, done.stdout + done.stderr
    read = set(re.findall(r"vllm:\w+", file.read_text()))
    assert {series.removesuffix("_bucket") for series in read} > {
        "vllm:time_to_first_token_seconds",
        "vllm:request_success_total",
    }
    assert read - has == set()
    assert "gen_ai_" not in file.read_text()


def test_the_rules_fire_and_rest_as_they_should_on_a_vllms_own_series() -> None:
    newest = profile.vocabulary(VLLM)

    assert scenarios.run(objectives("ttft"), newest, Options(30), None) > 0


def test_an_older_page_without_a_metric_is_said_to_lack_it() -> None:
    with pytest.raises(ConfigError, match=r"vllm does not report .*time_per_output_token"):
        rule_groups(objectives("tpot"), direct("vllm-0.9.0.txt"))


def test_of_old_and_new_names_on_one_page_only_one_is_read() -> None:
    found = direct("vllm-0.10.2.txt").find(catalogue.INTER_TOKEN_LATENCY, {})

    assert [variant.series for variant in found] == ["vllm:inter_token_latency_seconds"]


def test_a_counter_has_its_total_whether_the_page_was_parsed_or_not() -> None:
    parsed = direct("vllm-0.32.0.txt").find(catalogue.PREEMPTIONS, {})
    written = profile.vocabulary(VLLM, ["vllm:num_preemptions_total"])

    assert parsed[0].series == "vllm:num_preemptions_total"
    assert written.find(catalogue.PREEMPTIONS, {}) == parsed


def test_units_that_differ_come_with_their_factor() -> None:
    dcgm = profile.vocabulary(profile.load("dcgm"))
    (used,) = dcgm.find(catalogue.GPU_MEMORY_USAGE, {})

    assert used.series == "DCGM_FI_DEV_FB_USED"
    assert used.scale == 1024**2


# --- Series that only some labels make the metric -------------------------------------------------


def rate(source: str, *matchers: Matcher) -> str:
    scope = Scope(matchers, vocabulary=profile.vocabulary(profile.load(source)))
    return promql.rate(catalogue.REQUESTS_FINISHED, "5m", scope)


def test_failures_are_read_apart_from_what_else_their_family_says() -> None:
    failed = Matcher("gen_ai.response.finish_reason", "error")

    assert rate("tgi", failed) == 'sum (rate(tgi_request_failure{err!~"validation"}[5m]))'
    assert rate("triton", failed) == (
        'sum (rate(nv_inference_request_failure{reason!~"CANCELED"}[5m]))'
    )


def test_a_family_whose_series_fail_is_no_success(evaluate: Evaluate) -> None:
    """Of 10 successes, 5 failures and 1 mistake of a client in a minute, 15 ended."""
    given = Matcher("gen_ai.response.finish_reason", "abort", "!=")

    evaluate(
        [
            ("tgi_request_success", "0+10x10"),
            ('tgi_request_failure{err="overloaded"}', "0+5x10"),
            ('tgi_request_failure{err="validation"}', "0+1x10"),
        ],
        f"{rate('tgi', given)} * 60",
        15,
    )


def test_what_its_family_fixes_is_kept_out_by_a_matcher_too(evaluate: Evaluate) -> None:
    """Of 10 successes, 5 failures and 2 clients that left in a minute, 15 count."""
    given = Matcher("gen_ai.response.finish_reason", "abort", "!=")

    evaluate(
        [
            ('nv_inference_request_success{model="m"}', "0+10x10"),
            ('nv_inference_request_failure{model="m",reason="BACKEND"}', "0+5x10"),
            ('nv_inference_request_failure{model="m",reason="CANCELED"}', "0+2x10"),
        ],
        f"{rate('triton', given)} * 60",
        15,
    )


def test_only_streamed_requests_have_a_time_to_first_token() -> None:
    scope = Scope(vocabulary=profile.vocabulary(profile.load("sglang")))

    assert promql.count_rate(catalogue.TIME_TO_FIRST_TOKEN, "5m", scope) == (
        'sum (rate(sglang:time_to_first_token_seconds_count{is_streaming=~"(?i)|true"}[5m]))'
    )


def test_a_part_of_a_histogram_is_the_counter_that_a_source_lacks() -> None:
    output = Matcher("gen_ai.token.type", "output")
    scope = Scope((output,), vocabulary=profile.vocabulary(profile.load("tgi")))

    assert promql.rate(catalogue.TOKENS_PROCESSED, "5m", scope) == (
        "sum (rate(tgi_request_generated_tokens_sum[5m]))"
    )


def test_what_no_one_selector_can_read_is_refused() -> None:
    """Both queues of Triton wait, but only one of the families has a label for it."""
    scope = Scope(vocabulary=profile.vocabulary(profile.load("triton")))

    with pytest.raises(NotReportedError, match="in what one selector can read"):
        promql.gauge(catalogue.REQUESTS_WAITING, scope)


def test_an_attribute_that_a_source_never_says_selects_nothing() -> None:
    with pytest.raises(NotReportedError):
        rate("tgi", Matcher("gen_ai.request.model", "m"))


@pytest.mark.parametrize(
    ("operator", "pattern", "value", "passed"),
    [
        ("=", "a", "a", True),
        ("=", "a", "", False),
        ("!=", "a", "", True),
        ("=~", "a|b", "b", True),
        ("=~", "a", "ab", False),
        ("!~", "a|b", "c", True),
        ("!~", "a|b", "a", False),
    ],
)
def test_matchers_are_prometheus(
    operator: Operator, pattern: str, value: str, passed: bool
) -> None:
    assert passes(operator, pattern, value) is passed
