"""Numbers are right, at every zoom and in every setting; the past is made up, its truth known."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from firsttoken.catalogue import (
    REQUEST_DURATION,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
)
from firsttoken.dashboards.check import check, check_settings
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus

END = 1_790_000_000
Looked = Callable[[Any], AbstractContextManager[Prometheus]]


def test_eight_replicas_of_two_models_on_two_ranks_show_data_in_every_setting(
    past: Any, looked_at: Looked, deployment: Any
) -> None:
    past.seconds, past.step = 900, 30
    deployment(instances=8, models=("llama", "qwen"), ranks=2).write(past)

    with looked_at(past) as prometheus:
        found = check_settings(
            prometheus,
            dashboards()["firsttoken-replica"],
            end=END,
            seconds=900,
            scrape_interval=30,
        )

    assert {"engine=0", "engine=0,1", "model=llama,qwen"} <= set(found)
    assert {r.status for results in found.values() for r in results} == {"data"}


@pytest.mark.parametrize(("seconds", "step"), [(300, 5), (6 * 3600, 30), (2 * 86400, 600)])
def test_panels_have_data_at_every_zoom(
    seconds: int, step: int, past: Any, looked_at: Looked, deployment: Any
) -> None:
    past.seconds, past.step = seconds, step
    deployment(instances=1).write(past)

    with looked_at(past) as prometheus:
        found = check(
            prometheus,
            dashboards()["firsttoken-kv-cache"],
            end=END,
            seconds=seconds,
            scrape_interval=step,
        )

    assert {result.status for result in found} == {"data"}


# --- Values -----------------------------------------------------------------------------------

TRUTH = {  # two engines, each 10 requests/s of 100 prompt and 50 output tokens, 1 % errors
    ("firsttoken-service", "Requests"): 20,
    ("firsttoken-service", "Error share"): 0.01,
    ("firsttoken-service", "Waiting"): 2,
    ("firsttoken-service", "Fullest KV cache"): 0.4,
    ("firsttoken-replica", "Imbalance"): 1,
    ("firsttoken-kv-cache", "Prefix cache hits"): 0.4,
    ("firsttoken-kv-cache", "Prompt tokens/s saved"): 800,
    ("firsttoken-gpu", "GPUs reporting"): 4,
    ("firsttoken-gpu", "Mean utilisation"): 0.8,
    ("firsttoken-gpu", "Fullest memory"): 0.75,
    ("firsttoken-gpu", "Power"): 1600,
    ("firsttoken-gpu", "Energy"): 1600 * 3600,
    ("firsttoken-capacity", "Output tokens/s"): 1000,
    ("firsttoken-capacity", "Highest tokens/s in range"): 1000,
    ("firsttoken-capacity", "Output tokens/s per GPU"): 250,
    ("firsttoken-capacity", "Tokens per joule"): 1000 / 1600,
    ("firsttoken-capacity", "Cost of 1M tokens"): 4 * 2.5 / (1000 * 3600 / 1e6),
    ("firsttoken-slo", "Engines answering"): 2,
    ("firsttoken-slo", "Least budget left"): 1 - 0.01 / 0.05,
    ("firsttoken-slo", "Fastest burn"): 0.01 / 0.05,
    ("firsttoken-slo", "Soonest exhaustion"): 30 * 86400 * 0.8 / 0.2,
}
WITHIN = {"TTFT p95": 0.95, "TPOT p95": 0.0288, "E2E p95": 1.44}
"""95th percentiles of what the deployment observed; right within the bucket that holds them."""
BUCKETS = {
    "TTFT p95": TIME_TO_FIRST_TOKEN.buckets,
    "TPOT p95": TIME_PER_OUTPUT_TOKEN.buckets,
    "E2E p95": REQUEST_DURATION.buckets,
}


def value(prometheus: Prometheus, uid: str, title: str) -> float:
    """The number that a panel shows at the end of the range."""
    shape = dashboards()[uid]
    values = {**View(END - 3600, END, 15).built_in(), **initial(shape)}
    panel = next(p for p in panels(shape) if p["title"] == title)
    found = prometheus.value(expand(panel["targets"][0]["expr"], values), at=END)
    assert found is not None
    return found


def test_the_numbers_are_those_of_the_truth(
    past: Any, looked_at: Looked, deployment: Any, recorded_objective: Any
) -> None:
    deployment(gpus=("nvidia", "amd")).write(past)
    recorded_objective(past)

    with looked_at(past) as prometheus:
        found = {key: value(prometheus, *key) for key in TRUTH}
        quantiles = {title: value(prometheus, "firsttoken-service", title) for title in WITHIN}

    assert found == pytest.approx(TRUTH, rel=0.01)
    for title, truth in WITHIN.items():
        above = min(bound for bound in BUCKETS[title] if bound >= truth)
        below = max(bound for bound in BUCKETS[title] if bound < truth)
        assert below <= quantiles[title] <= above
