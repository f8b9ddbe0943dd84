"""Axes: where values lie, and the ticks beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.report import axis

SOME = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


@given(SOME)
def test_every_value_lies_on_a_linear_axis_and_ticks_ascend(values: list[float]) -> None:
    made = axis.linear(values)

    assert made.low == 0
    assert max(values) <= made.high
    places = [made.place(value) for value, _ in made.ticks]
    assert places == sorted(set(places))
    assert 2 <= len(places) <= 12


@given(SOME)
def test_every_value_lies_inside_a_log_axis(values: list[float]) -> None:
    made = axis.logarithmic(values)

    assert all(0 < made.place(value) < 1 for value in values)
    assert len(made.ticks) <= 16
    assert all(made.low <= value <= made.high for value, _ in made.ticks)


@given(st.floats(1e-6, 1e5), st.floats(1.0, 1e5))
def test_equal_ratios_are_equally_long_on_a_log_axis(low: float, ratio: float) -> None:
    made = axis.logarithmic([low, low * ratio * ratio])

    first = made.place(low * ratio) - made.place(low)
    second = made.place(low * ratio * ratio) - made.place(low * ratio)
    assert first == pytest.approx(second, abs=1e-9)


@given(st.floats(0.5, 10 * 86400))
def test_time_has_few_ticks_however_long_the_run(seconds: float) -> None:
    made = axis.time(seconds)

    assert made.place(seconds) <= 1
    assert 1 <= len(made.ticks) <= 13


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0"), (0.0025, "2.5 ms"), (0.25, "250 ms"), (1.0, "1 s"), (12.5, "12.5 s")],
)
def test_latencies_are_written_with_their_unit(seconds: float, text: str) -> None:
    assert axis.span(seconds) == text


def test_values_beyond_an_axis_are_set_to_its_ends() -> None:
    made = axis.linear([10.0], most=10.0)

    assert (made.place(-5.0), made.place(50.0)) == (0.0, 1.0)


def test_nothing_to_draw_still_gives_an_axis() -> None:
    assert axis.linear([]).high > 0
    assert axis.logarithmic([]).high > axis.logarithmic([]).low > 0
