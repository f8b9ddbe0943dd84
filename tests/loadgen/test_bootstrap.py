"""The block bootstrap held against series whose statistics' variance is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firsttoken.loadgen import bootstrap
from firsttoken.loadgen.normal import p_value, t_quantile, z_quantile


def autoregressive(count: int, memory: float, seed: int) -> bootstrap.Floats:
    generator = np.random.default_rng(seed)
    values = np.empty(count)
    level = 0.0
    for number, shock in enumerate(generator.normal(size=count)):
        level = memory * level + shock
        values[number] = level
    return values


def spread_of_mean(values: bootstrap.Floats) -> float:
    length = bootstrap.block_length(values)
    places = bootstrap.draws(len(values), length, np.random.default_rng(0))
    return float(np.std(bootstrap.replicate(values, places, bootstrap.mean())))


def test_independent_values_are_drawn_one_by_one() -> None:
    values = np.random.default_rng(1).normal(size=2000)

    assert bootstrap.block_length(values) <= 3
    assert spread_of_mean(values) == pytest.approx(1 / np.sqrt(2000), rel=0.2)


@pytest.mark.parametrize("memory", [0.5, 0.8])
def test_values_that_remember_have_the_spread_that_theory_says(memory: float) -> None:
    """The mean of an AR(1) series has the variance 1 / (n (1 - memory)^2)."""
    found = [spread_of_mean(autoregressive(3000, memory, seed)) for seed in range(8)]

    assert np.mean(found) == pytest.approx(1 / (np.sqrt(3000) * (1 - memory)), rel=0.15)


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)),
    st.floats(0.01, 0.99),
    st.booleans(),
)
def test_quantiles_are_numpys_missing_values_left_out(
    values: bootstrap.Floats, share: float, gap: bool
) -> None:
    with_gap = np.append(values, np.nan) if gap else values

    found = float(bootstrap.quantile(share)(with_gap[None])[0])
    assert found == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-6)


def test_an_interval_covers_the_quantile_as_often_as_it_says() -> None:
    true = np.exp(0.5 * 1.6448536)
    hits = 0
    for seed in range(100):
        values = np.exp(0.5 * np.random.default_rng(seed).normal(size=400))
        found = bootstrap.interval(values, 0.95, 0.95)
        assert found is not None
        hits += found[0] <= true <= found[1]

    assert 88 <= hits <= 100


def test_a_quantile_without_values_above_it_has_no_interval() -> None:
    """Of 300 values the 99th percentile's upper end may be beyond them all."""
    values = np.random.default_rng(1).normal(size=300)

    assert bootstrap.interval(values, 0.99, 0.95) is None
    assert bootstrap.interval(values, 0.95, 0.95) is not None
    assert bootstrap.interval(values[:5], None, 0.95) is None


def test_quantiles_of_the_normal_and_of_students_t() -> None:
    """As tables have them."""
    assert z_quantile(0.95) == pytest.approx(1.96, abs=1e-3)
    for freedom, value in ((1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (19, 2.093)):
        assert t_quantile(0.95, freedom) == pytest.approx(value, rel=0.02)
    assert p_value(1.96) == pytest.approx(0.05, abs=1e-3)
    assert p_value(2.093, 19) == pytest.approx(0.05, rel=0.02)
