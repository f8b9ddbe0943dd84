"""Objectives: shares of issued requests, failures included, with their certainty."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.errors import UsageError
from firsttoken.loadgen.judge import Objective, goodput, judge, parse_objective, wilson
from firsttoken.loadgen.records import Record, Run

Make = Callable[..., Record]
MakeRun = Callable[..., Run]
TTFT = Objective("ttft", "ttft", 0.2, 0.95)


def test_a_failure_is_bad_for_every_objective(make_run: MakeRun, make_record: Make) -> None:
    run = make_run(*[make_record()] * 19, make_record(error="http 503"))
    for objective in (TTFT, Objective("ok", "success", None, 0.95)):
        (one,) = judge(run, [objective])
        assert (one.count, one.good, one.bad, one.attained) == (20, 19, 1, 0.95)
        assert one.met is True
    assert judge(run, [Objective("ok", "success", None, 0.951)])[0].met is False


def test_a_limit_itself_is_kept_and_above_it_is_not(make_run: MakeRun, make_record: Make) -> None:
    run = make_run(make_record(first=0.2), make_record(first=0.2000001))
    assert judge(run, [TTFT])[0].good == 1


@pytest.mark.parametrize(
    ("metric", "value"), [("ttft", 0.25), ("tpot", 0.0625), ("itl", 0.09), ("e2e", 0.75)]
)
def test_each_metric_is_held_against_its_limit(
    make_run: MakeRun, make_record: Make, metric: str, value: float
) -> None:
    run = make_run(make_record(first=0.25, last=0.5, ended=0.75, gaps=(0.09,)))
    under, over = (
        Objective(metric, metric, limit, 0.5)  # type: ignore[arg-type]
        for limit in (value * 1.001, value * 0.999)
    )
    assert [one.met for one in judge(run, [under, over])] == [True, False]


def test_a_requests_itl_is_its_99th_percentile_gap(make_run: MakeRun, make_record: Make) -> None:
    run = make_run(make_record(gaps=(0.01,) * 199 + (5.0,)))
    assert judge(run, [Objective("itl", "itl", 0.02, 0.9)])[0].met is True


def test_an_answer_too_short_for_a_metric_is_left_out_of_it(
    make_run: MakeRun, make_record: Make
) -> None:
    run = make_run(make_record(output_tokens=1, gaps=()), make_record())
    tpot = Objective("tpot", "tpot", 0.2, 0.9)
    assert judge(run, [tpot])[0].count == 1
    assert goodput(run, [tpot]) == pytest.approx(2 / 10)


def test_without_requests_nothing_is_said(make_run: MakeRun) -> None:
    (one,) = judge(make_run(), [TTFT])
    assert one.met is None
    assert math.isnan(one.attained)
    assert (one.low, one.high) == (0.0, 1.0)


def test_goodput_counts_requests_that_kept_every_promise(
    make_run: MakeRun, make_record: Make
) -> None:
    slow, failed = make_record(first=0.3), make_record(error="timeout")
    run = make_run(make_record(), make_record(), slow, failed)
    assert goodput(run, [TTFT]) == pytest.approx(0.2)
    assert goodput(run, []) == pytest.approx(0.3)
    assert goodput(make_run(measure=(1.0, 1.0)), [TTFT]) == 0


@pytest.mark.parametrize(
    ("good", "count", "low", "high"),
    # Worked out by hand from the formula with z = 1.959964.
    [(5, 10, 0.236593, 0.763407), (95, 100, 0.888248, 0.978460), (0, 10, 0.0, 0.277533)],
)
def test_the_interval_is_wilsons(good: int, count: int, low: float, high: float) -> None:
    assert wilson(good, count) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_interval_holds_the_share_and_is_within_bounds(first: int, second: int) -> None:
    good, count = min(first, second), max(first, second)
    low, high = wilson(good, count)
    assert 0 <= low < high <= 1
    if count:
        assert low <= good / count <= high


def test_objectives_are_read_from_text() -> None:
    assert parse_objective("ttft<500ms@95") == Objective("ttft<500ms@95", "ttft", 0.5, 0.95)
    assert parse_objective(" e2e < 1m30s @ 99.5% ").threshold == 90
    assert parse_objective("success@99").threshold is None
    assert str(parse_objective("tpot<50ms@95")) == "tpot<50ms@95"


@pytest.mark.parametrize(
    "text",
    ["", "ttft", "ttft@95", "ttft<@95", "ttft<x@95", "ttft<1s@0", "ttft<1s@101", "queue<1s@9",
     "success<1s@9", "ttft<0s@9", "ttft<1s@1.2.3"],
)  # fmt: skip
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="objective"):
        parse_objective(text)
