"""A run in numbers."""

import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import distribution, percentile, summarise

Make = Callable[..., Record]
MakeRun = Callable[..., Run]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2), st.integers(1, 99))
def test_percentiles_are_those_of_the_standard_library(values: list[float], per: int) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")[per - 1]
    assert percentile(sorted(values), per / 100) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise_and_stay_within_the_values(
    values: list[float], one: float, other: float
) -> None:
    ordered = sorted(values)
    low, high = sorted((one, other))
    assert ordered[0] <= percentile(ordered, low) <= percentile(ordered, high) <= ordered[-1]


def test_a_distribution_leaves_out_what_did_not_happen() -> None:
    found = distribution([1.0, None, 3.0])
    assert found is not None
    assert (found.count, found.mean, found.p50, found.min, found.max) == (2, 2.0, 2.0, 1.0, 3.0)
    assert distribution([None]) is None
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_counts_and_rates_are_of_the_window(make_run: MakeRun, make_record: Make) -> None:
    run = make_run(
        make_record(-1.0),  # warm-up
        *(make_record(float(at)) for at in range(8)),
        make_record(8.0, error="http 503", first=None, last=None, output_tokens=None),
    )
    found = summarise(run)
    assert (found.requests, found.ok, found.failed) == (9, 8, {"http 503": 1})
    assert found.offered_rate == pytest.approx(0.9)
    assert found.request_rate == pytest.approx(0.8)
    assert (found.prompt_tokens, found.output_tokens) == (80, 40)
    assert found.output_rate == pytest.approx(4.0)
    assert found.input_rate == pytest.approx(8.0)
    assert found.ttft is not None
    assert found.ttft.count == 8
    assert found.itl is not None
    assert found.itl.count == 32


def test_output_rate_counts_what_arrived_in_the_window(
    make_run: MakeRun, make_record: Make
) -> None:
    # 100 tokens over 8 s to 12 s, of which the window has seen half.
    crossing = make_record(7.5, first=8.0, last=12.0, ended=12.0, output_tokens=100)
    found = summarise(make_run(crossing))
    assert found.output_rate == pytest.approx(5.0)
    assert found.request_rate == 0


def test_concurrency_is_little_and_counts_waiting_apart(
    make_run: MakeRun, make_record: Make
) -> None:
    held = make_record(0.0, sent=5.0, first=6.0, last=10.0, ended=10.0)
    found = summarise(make_run(held))
    assert found.offered_concurrency == pytest.approx(1.0)
    assert found.achieved_concurrency == pytest.approx(0.5)


def test_an_empty_run_has_numbers_too(make_run: MakeRun) -> None:
    found = summarise(make_run(measure=(5.0, 5.0)))
    assert (found.requests, found.request_rate, found.ttft) == (0, 0.0, None)


def test_gaps_that_are_counted_have_the_percentiles_of_their_values(
    make_run: MakeRun, make_record: Make
) -> None:
    gaps = [[0.0201, 0.0199, 0.05], [0.02, 0.0203], [0.001]]
    found = summarise(make_run(*(make_record(1.0, gaps=some) for some in gaps))).itl
    known = distribution(gap for some in gaps for gap in some)
    assert found is not None
    assert known is not None
    for name in ("count", "mean", "p50", "p90", "p95", "p99", "min", "max"):
        assert getattr(found, name) == pytest.approx(getattr(known, name), abs=1e-9)


def test_a_percentile_of_few_requests_has_no_upper_end(
    make_run: MakeRun, make_record: Make
) -> None:
    few, many = (
        summarise(
            make_run(*(make_record(5.0, first=5.0 + number / count) for number in range(count)))
        ).intervals["ttft"]
        for count in (100, 1000)
    )
    assert few["p99"][1] is None
    assert few["p50"][0] is not None
    low, high = many["p99"]
    assert low is not None
    assert high is not None
    assert 0.98 < low < 0.99 < high < 1.0
