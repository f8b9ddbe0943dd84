"""Comparison of records: what is shown, what is not, and who may be compared."""

import dataclasses
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.compare import Difference, compare, holm, overall
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.likeness import unlike
from firsttoken.loadgen.records import Record, Run

Side = Callable[..., Run]


@pytest.fixture(name="side")
def _side(make_record: Callable[..., Record], make_run: Callable[..., Run]) -> Side:
    """A run of 400 requests; ``factor`` slows all tokens after the first, ``bad`` of them fail."""

    def side(seed: int, factor: float = 1.0, bad: int = 0, level: float = 0.0) -> Run:
        stream = random.Random(seed)
        records = []
        for number in range(400):
            at = number / 40
            first = at + stream.lognormvariate(-2.3 + level, 0.2)
            last = first + factor * stream.lognormvariate(-1 + level, 0.1)
            error = "http 500" if number < bad else None
            records.append(
                make_record(at, index=number, first=first, last=last, ended=last, error=error)
            )
        return make_run(*records)

    return side


def row(rows: tuple[Difference, ...], name: str) -> Difference:
    return next(one for one in rows if one.quantity == name)


def test_a_slower_candidate_is_worse_and_a_regression(side: Side) -> None:
    rows = compare([side(1)], [side(2, 1.1)])

    tpot = row(rows, "TPOT p50")
    assert (tpot.verdict, tpot.regression) == ("worse", True)
    assert tpot.change == pytest.approx(0.1, abs=0.03)
    assert tpot.low is not None
    assert tpot.high is not None
    assert 0 < tpot.low < tpot.high
    assert overall(rows) == "worse"
    assert row(rows, "TTFT p50").verdict != "worse"


def test_a_faster_candidate_is_better_and_no_regression(side: Side) -> None:
    rows = compare([side(1)], [side(2, 0.9)])

    assert overall(rows) == "better"
    assert not any(one.regression for one in rows)


def test_the_same_records_show_no_difference(side: Side) -> None:
    rows = compare([side(1)], [side(1)], [parse_objective("ttft<200ms@95")])

    assert overall(rows) == "no difference shown"
    assert {one.change for one in rows if one.change is not None} == {0.0}


def test_worse_by_less_than_the_threshold_is_shown_but_no_regression(side: Side) -> None:
    rows = compare([side(1)], [side(2, 1.1)], threshold=0.3)

    assert row(rows, "TPOT p50").verdict == "worse"
    assert not row(rows, "TPOT p50").regression


def test_too_few_values_for_a_percentile_say_so(side: Side) -> None:
    """300 requests have no interval for a 99th percentile; nothing has one without requests."""
    few = [dataclasses.replace(run, records=run.records[:300]) for run in (side(1), side(2))]
    none = dataclasses.replace(side(1), records=())

    assert row(compare([few[0]], [few[1]]), "TTFT p99").verdict == "too little data"
    assert row(compare([few[0]], [few[1]]), "TTFT p99").note == "needs 368 values a run"
    assert overall(compare([none], [none])) == "too little data"


def test_what_could_hide_a_regression_is_too_little_data(side: Side) -> None:
    found = row(compare([side(1)], [side(2)], threshold=0.001), "TTFT p95")

    assert found.verdict == "too little data"
    assert "worse would go unseen" in found.note


def test_more_failures_are_a_regression(side: Side) -> None:
    found = row(compare([side(1, bad=2)], [side(2, bad=30)]), "failed requests")

    assert (found.verdict, found.regression) == ("worse", True)
    assert found.change == pytest.approx(28 / 400)
    assert row(compare([side(1, bad=2)], [side(2, bad=4)]), "failed requests").verdict == (
        "no difference shown"
    )


def test_runs_that_differ_among_themselves_widen_the_interval(side: Side) -> None:
    """A machine whose runs differ by 20 % shows no difference of 5 %, however long they are."""
    levels = (0.0, 0.2, -0.2, 0.1)
    steady = compare([side(n) for n in range(4)], [side(n + 10, 1.05) for n in range(4)])
    shaky = compare(
        [side(n, level=level) for n, level in enumerate(levels)],
        [side(n + 10, 1.05, level=-level) for n, level in enumerate(levels)],
    )

    assert row(steady, "TPOT p50").verdict == "worse"
    assert row(shaky, "TPOT p50").verdict != "worse"


def test_only_like_is_compared_with_like(side: Side) -> None:
    one = side(1)
    load = {**one.load, "arrivals": {"kind": "poisson", "rate": 2.0}}
    assert unlike([one], [side(2)]) == []
    assert unlike([one], [dataclasses.replace(one, model="other")]) == ["model: tiny against other"]
    assert "arrivals: " in unlike([one], [dataclasses.replace(one, load=load)])[0]
    (apart,) = unlike([one], [dataclasses.replace(one, schedule_hash="1" * 16)])
    assert apart.startswith("schedule: ")


def test_repetitions_may_have_seeds_of_their_own(side: Side) -> None:
    runs = [
        dataclasses.replace(side(1), schedule_hash=f"{n:016}", load={**side(1).load, "seed": n})
        for n in range(3)
    ]

    assert unlike(runs, list(reversed(runs))) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holms_values_keep_their_order_and_are_no_smaller(values: list[float]) -> None:
    adjusted = holm(values)

    assert all(b >= a for a, b in zip(values, adjusted, strict=True))
    assert all(0 <= b <= 1 for b in adjusted)
    order = sorted(range(len(values)), key=lambda n: values[n])
    assert [adjusted[n] for n in order] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1.0, len(values) * min(values)))
