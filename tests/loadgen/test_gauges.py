"""The load generator measures itself over the same window as the server."""

import asyncio
import random
import time

import pytest

from firsttoken.loadgen.gauges import Gauges, at_least
from firsttoken.loadgen.summary import percentile


def test_only_the_measured_window_counts() -> None:
    gauges = Gauges(lambda: 0.0, 1.0, 2.0)
    for intended, at in ((0.5, 9.0), (1.0, 1.5), (1.5, 1.4), (2.0, 9.0)):
        gauges.took_up(intended, at)
        gauges.held_back(intended)
    found = gauges.result()
    assert (found.lag_max, found.held_back) == (0.5, 2)


def test_a_blocked_loop_is_seen() -> None:
    async def work() -> Gauges:
        start = time.perf_counter()
        gauges = Gauges(lambda: time.perf_counter() - start, 0.0, 10.0)
        watching = asyncio.create_task(gauges.watch())
        for _ in range(5):
            time.sleep(0.05)  # noqa: ASYNC251 (blocking is what is to be seen)
            await asyncio.sleep(0.012)
        watching.cancel()
        return gauges

    assert asyncio.run(work()).result().late_wakeups > 0.03


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
