"""What was full first, and what serving costs: by hand for each kind."""

from typing import Any

import pytest

from firsttoken.loadtest.points import front, knee
from firsttoken.loadtest.saturation import cost, saturation
from firsttoken.loadtest.schema import Latency, Point, Seen


def at(rate: float, seen: Seen | None = None, **changes: Any) -> Point:
    values: dict[str, Any] = {
        "seconds": 10, "requests": 100, "failed": 0, "offered_rate": rate, "request_rate": rate,
        "input_rate": 300 * rate, "output_rate": 100 * rate, "in_flight": rate, "seen": seen,
        "records": "records.jsonl",
    }  # fmt: skip
    return Point(**{**values, **changes})


CALM = Seen(running_max=8, waiting_mean=0, kv_cache_max=0.3, gpu_utilization=0.7)


@pytest.mark.parametrize(
    ("full", "what"),
    [
        (Seen(running_max=20, waiting_mean=3, kv_cache_max=0.97), "KV cache"),
        (Seen(running_max=20, waiting_mean=0, kv_cache_max=0.9, preemptions=4), "KV cache"),
        (Seen(running_max=16, waiting_mean=3, kv_cache_max=0.4), "batch"),
        (Seen(running_max=9, waiting_mean=3, kv_cache_max=0.4), "queue"),
        (Seen(running_max=9, waiting_mean=0, kv_cache_max=0.4, gpu_utilization=0.98), "GPU"),
    ],
)
def test_the_resource_that_is_full_at_the_lowest_rate_is_named(full: Seen, what: str) -> None:
    """Above it all sorts of things are full."""
    everything = Seen(running_max=16, waiting_mean=90, kv_cache_max=1.0, gpu_utilization=1.0)

    found = saturation([at(4, everything), at(1, CALM), at(2, full)])
    assert (found.what, found.at_rate) == (what, 2)


def test_a_full_step_names_both_of_its_limits_and_what_they_hold() -> None:
    """A real vLLM ran 13 of 512 tokens in: its 2,048 tokens a step were full, not its sequences."""
    full = Seen(running_max=13, waiting_mean=1.25, kv_cache_max=0.01, step_tokens=2043.7)

    found = saturation([at(22, CALM), at(33, full)])
    assert found.what == "batch"
    assert "13 ran" in found.explanation
    assert "2044 tokens" in found.explanation
    assert "--max-num-seqs" in found.explanation
    assert "--max-num-batched-tokens" in found.explanation


def test_a_few_more_running_at_another_rate_are_chance() -> None:
    """Two seconds apart, 5 and 7 of 8 sequences are seen to run where all 8 are in use."""
    points = [at(157, Seen(running_max=5, waiting_mean=75)), at(370, Seen(running_max=7))]

    assert saturation(points).what == "batch"


def test_waiting_for_the_end_of_a_step_is_no_queue() -> None:
    """At 23 requests/s and 27 ms to the first token at rest 0.6 waited: as many come meanwhile."""
    quick = Latency(p50=0.027, p95=0.03, p99=0.03)
    rest = at(1, CALM, ttft=quick)

    assert saturation([rest, at(23, Seen(running_max=2, waiting_mean=0.6))]).what == "unknown"
    assert saturation([rest, at(23, Seen(running_max=2, waiting_mean=1.3))]).what == "queue"


def test_without_the_servers_metrics_nothing_is_claimed() -> None:
    assert saturation([at(1), at(2)]).what == "unknown"
    assert saturation([at(1, CALM)]).what == "unknown"


def test_price_and_power_by_hand() -> None:
    """Two GPUs at 3.60 an hour serve 10 requests/s of 100 tokens out and 300 in at 500 W."""
    found = cost(at(10, Seen(power=500, gpus=2)), 10, gpus=None, price=3.6)

    assert found is not None
    assert found.gpus == 2
    assert found.requests_per_gpu == 5
    assert found.output_tokens_per_gpu == 500
    assert found.price_per_million_output_tokens == pytest.approx(0.002 / 1000 * 1e6)
    assert found.price_per_million_tokens == pytest.approx(0.002 / 4000 * 1e6)
    assert found.output_tokens_per_joule == 2


def test_without_gpus_there_is_no_cost() -> None:
    assert cost(at(10), 10, gpus=None, price=3.6) is None


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    assert front([100, 200, 150, 90, None], [10, 20, 30, 12, 1]) == (0, 1)
    assert front([100, 100], [10, 10]) == (0, 1)


def test_the_knee_is_where_throughput_per_latency_is_highest() -> None:
    points = [at(1, e2e_mean=0.5), at(8, e2e_mean=0.8), at(10, e2e_mean=3.0)]

    assert knee(points) == 8
    assert knee(points[:2]) is None
