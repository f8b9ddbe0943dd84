"""The load generator measures itself over the same window as the server."""

import random

import pytest

from firsttoken.loadgen.gauges import Gauges, at_least
from firsttoken.loadgen.summary import percentile


def test_only_the_measured_window_counts() -> None:
    gauges = Gauges(1.0, 2.0)
    for intended, at in ((0.5, 9.0), (1.0, 1.5), (1.5, 1.4), (2.0, 9.0)):
        gauges.took_up(intended, at)
    for now, late in ((0.9, 5.0), (1.0, 0.125), (1.9, 0.25), (2.0, 5.0)):
        gauges.tick(now, late)
    found = gauges.result(held_back=2)
    assert (found.lag_max, found.held_back) == (0.5, 2)
    assert 0.12 < found.late_wakeups <= 0.25


def test_few_values_bound_a_percentile_from_below_only_when_they_must() -> None:
    one_outlier = sorted([0.0] * 119 + [1.0])
    assert at_least(one_outlier, 0.99) == 0.0
    assert at_least(sorted([0.0] * 110 + [1.0] * 10), 0.99) == 1.0
    assert at_least([], 0.99) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_below_the_percentile_and_near_it_for_many(seed: int) -> None:
    stream = random.Random(seed)
    values = sorted(stream.random() for _ in range(5000))
    bound = at_least(values, 0.99)
    assert bound <= percentile(values, 0.99)
    assert bound == pytest.approx(0.99, abs=0.01)
