"""Numbers of tokens: within their bounds, and distributed as said."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firsttoken.loadgen.distributions import (
    Distribution,
    Fixed,
    Lognormal,
    Normal,
    Quantiles,
    Uniform,
    draw,
    largest,
)


@given(
    st.one_of(
        st.builds(Fixed, tokens=st.integers(1, 999)),
        st.builds(Uniform, low=st.integers(1, 50), high=st.integers(50, 999)),
        st.builds(
            Normal,
            low=st.integers(1, 50),
            high=st.integers(50, 999),
            mean=st.floats(0.1, 2000),
            stddev=st.floats(0, 500),
        ),
        st.builds(
            Lognormal,
            low=st.integers(1, 50),
            high=st.integers(50, 999),
            median=st.floats(0.1, 2000),
            sigma=st.floats(0, 5),
        ),
        st.builds(
            lambda tokens: Quantiles(at=dict(zip((0, 0.5, 0.9, 1), sorted(tokens), strict=True))),
            st.lists(st.integers(1, 999), min_size=4, max_size=4),
        ),
    ),
    st.integers(),
)
def test_a_length_is_within_its_bounds(distribution: Distribution, seed: int) -> None:
    match distribution:
        case Fixed(tokens=tokens):
            low = tokens
        case Quantiles(at=at):
            low = min(at.values())
        case _:
            low = distribution.low
    assert low <= draw(distribution, random.Random(seed)) <= largest(distribution)


def test_a_lognormal_has_its_median() -> None:
    distribution = Lognormal(median=200, sigma=0.5, low=1, high=10_000)
    stream = random.Random(3)
    values = [draw(distribution, stream) for _ in range(4000)]
    assert statistics.median(values) == pytest.approx(200, rel=0.05)
    assert statistics.fmean(values) == pytest.approx(200 * 2.71828 ** (0.5**2 / 2), rel=0.05)


def test_quantiles_are_those_that_were_measured() -> None:
    distribution = Quantiles(at={0: 10, 0.5: 100, 0.9: 1000, 1: 5000})
    stream = random.Random(7)
    values = sorted(draw(distribution, stream) for _ in range(8000))
    assert values[4000] == pytest.approx(100, rel=0.05)
    assert values[7200] == pytest.approx(1000, rel=0.05)
    assert 10 <= values[0] < 15
    assert 4500 < values[-1] <= 5000


@pytest.mark.parametrize(
    "at", [{}, {0: 5}, {0.1: 5, 1: 9}, {0: 5, 0.9: 9}, {0: 9, 1: 5}, {0: 1, 1: 2, 1.5: 3}]
)
def test_quantiles_that_say_too_little_or_fall_are_refused(at: dict[float, int]) -> None:
    with pytest.raises(ValidationError):
        Quantiles(at=at)
