"""Intervals of percentiles from order statistics."""

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen import order


def at_most(number: int, count: int, share: float) -> float:
    """The binomial distribution, added up plainly."""
    return sum(
        math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(number + 1)
    )


@pytest.mark.parametrize(
    ("count", "share"), [(20, 0.5), (100, 0.5), (100, 0.95), (300, 0.99), (1000, 0.99)]
)
def test_each_rank_is_the_nearest_that_is_safe(count: int, share: float) -> None:
    low, high = order.ranks(count, share)

    assert low is not None
    assert at_most(low - 1, count, share) <= 0.025 < at_most(low, count, share)
    if high is None:
        assert at_most(count - 1, count, share) < 0.975
    else:
        assert at_most(high - 2, count, share) < 0.975 <= at_most(high - 1, count, share)


def test_three_hundred_requests_have_no_upper_end_for_a_99th_percentile() -> None:
    assert order.ranks(300, 0.99)[1] is None
    assert order.ranks(1000, 0.99) == (983, 997)


@given(st.integers(1, 3000), st.floats(0.01, 0.999))
def test_the_lower_rank_is_never_above_the_upper(count: int, share: float) -> None:
    low, high = order.ranks(count, share)

    assert low is None or 1 <= low <= count
    assert high is None or 1 <= high <= count
    assert low is None or high is None or low <= high


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """95 of 100, of a distribution whose truth is known."""
    draw, truth = random.Random(7), NormalDist().inv_cdf(0.9)
    covered = 0
    for _ in range(1000):
        values = sorted(draw.gauss(0, 1) for _ in range(200))
        low, high = order.interval(values, 200, 0.9)
        assert low is not None
        assert high is not None
        covered += low <= truth <= high

    assert covered >= 940


def test_requests_that_never_had_a_value_push_the_quantile_out() -> None:
    values = [float(n) for n in range(1, 91)]

    assert order.quantile(values, 90, 0.95) == 86.0
    assert order.quantile(values, 100, 0.9) == 90.0
    assert order.quantile(values, 100, 0.95) is None
    assert order.interval(values, 100, 0.95)[1] is None


def test_no_values_have_no_interval() -> None:
    assert order.interval([], 0, 0.95) == (None, None)
    assert order.quantile([], 0, 0.95) is None
