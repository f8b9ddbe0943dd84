"""The collector beside a real vLLM: one valid page under OpenTelemetry names."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.catalogue import (
    KV_CACHE_UTILIZATION,
    REQUEST_DURATION,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
)

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

EXPECTED = (
    KV_CACHE_UTILIZATION,
    REQUEST_DURATION,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
)


@pytest.fixture(name="merged", scope="module")
def _merged(vllm: str, page_after_traffic: Callable[[str], str]) -> str:
    page_after_traffic(vllm)
    done = subprocess.run(
        [sys.executable, "-m", "firsttoken", "collect", "--once", "--source", f"engine={vllm}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def families(page: str) -> dict[str, Metric]:
    """The families of a page, a counter by the name of its series."""
    found = {}
    for family in text_string_to_metric_families(page):
        found[family.name + ("_total" if family.type == "counter" else "")] = family
    return found


def test_the_engines_metrics_come_out_under_their_convention_names(merged: str) -> None:
    """With the type that the catalogue says, and a value in every series."""
    found = families(merged)

    for metric in EXPECTED:
        family = found[metric.prometheus]
        assert family.type == metric.instrument.prometheus_type
        assert family.samples
        assert all(sample.labels["gen_ai_request_model"] == "tiny" for sample in family.samples)


def test_no_metric_of_the_engine_is_left_under_its_own_name_that_has_a_better_one(
    merged: str,
) -> None:
    """What is renamed is not there twice."""
    assert "vllm:time_to_first_token_seconds" not in families(merged)


def test_promtool_finds_no_fault_in_what_was_renamed(merged: str) -> None:
    """Its lint complains of vLLM's own names, colons above all; of ours it may not."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=merged, capture_output=True, text=True, check=False
    )
    complaints = (done.stdout + done.stderr).splitlines()

    assert [line for line in complaints if line.startswith(("gen_ai", "firsttoken"))] == []
    assert not [line for line in complaints if "error" in line.lower()]
