"""What is drawn adds up to what was recorded."""

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.records import Record
from firsttoken.report import aggregate, axis

PLAIN = Record(
    0, 0.0, 0.0, None, None, None, 0, None, None, None, 200, None, None, (), "measure"
)  # fmt: skip


def record(sent: float, ttft: float, gaps: Sequence[float], tokens: int) -> Record:
    first = sent + ttft
    return dataclasses.replace(
        PLAIN, sent=sent, first=first, last=first + sum(gaps), ended=first + sum(gaps) + 0.001,
        chunks=1 + len(gaps), output_tokens=tokens, gaps=tuple(gaps),
    )  # fmt: skip


RECORDS = st.lists(
    st.builds(
        record, st.floats(0, 50), st.floats(0.001, 5),
        st.lists(st.floats(0, 0.5), max_size=8), st.integers(1, 40),
    ),
    min_size=1, max_size=25,
)  # fmt: skip
POINTS = st.lists(st.tuples(st.floats(0, 99), st.floats(0.001, 10)), min_size=1, max_size=200)


@given(RECORDS)
def test_tokens_per_second_add_up_to_the_tokens_of_all_answers(records: list[Record]) -> None:
    bounds = aggregate.edges(80.0)
    rates = aggregate.token_rate(records, bounds)

    width = bounds[1] - bounds[0]
    assert sum(rate * width for _, rate in rates) == pytest.approx(
        sum(one.output_tokens or 0 for one in records)
    )


@given(RECORDS)
def test_requests_in_flight_begin_and_end_at_none(records: list[Record]) -> None:
    steps = aggregate.in_flight(records)

    assert min(level for _, level in steps) >= 0
    assert max(level for _, level in steps) <= len(records)
    assert steps[-1][1] == 0


@given(RECORDS)
def test_the_mean_level_of_all_time_is_the_time_that_requests_took(records: list[Record]) -> None:
    (mean,) = aggregate.levels(aggregate.in_flight(records), [(0.0, 200.0)])

    assert mean * 200 == pytest.approx(sum(one.e2e or 0.0 for one in records), rel=1e-6)


@given(POINTS)
def test_every_point_is_in_one_bin_and_one_cell(points: list[tuple[float, float]]) -> None:
    bins = aggregate.binned(points, aggregate.edges(99.0))
    cells = aggregate.density(
        points, axis.linear([x for x, _ in points]), axis.logarithmic([y for _, y in points]), 20, 9
    )

    assert sum(one.count for one in bins) == len(points)
    assert sum(count for *_, count in cells) == len(points)
    assert max(one.greatest for one in bins) == max(y for _, y in points)


@given(POINTS)
def test_bins_of_a_trend_hold_every_point(points: list[tuple[float, float]]) -> None:
    assert sum(one.count for one in aggregate.trend(points)) == len(points)


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=3000), st.integers(0, 50))
def test_a_distribution_rises_to_the_share_that_was_answered(
    values: list[float], failed: int
) -> None:
    steps = aggregate.cumulative(sorted(values), len(values) + failed)

    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(len(values) / (len(values) + failed))
    assert steps[-1][0] == max(values), "the slowest is never left out"
    assert len(steps) <= 1000


def test_a_long_run_has_no_more_bins_than_a_short_one() -> None:
    assert len(aggregate.edges(7 * 86400.0)) <= aggregate.MOST_BINS + 2
    assert aggregate.edges(3.5) == (0.0, 1.0, 2.0, 3.0, 4.0)
