"""What is sent when depends on the seed alone."""

import itertools
import statistics

import pytest

from firsttoken.loadgen.distributions import Fixed
from firsttoken.loadgen.schedule import arrivals
from firsttoken.loadgen.settings import Closed, Constant, LoadFile
from firsttoken.loadgen.workload import plan, schedule_hash


def poisson(**changes: object) -> LoadFile:
    return LoadFile.model_validate(
        {"arrivals": {"kind": "poisson", "rate": 20}, "duration": 100, "warmup": 0, **changes}
    )


def test_one_seed_gives_one_schedule_and_another_another() -> None:
    assert arrivals(poisson(seed=1)) == arrivals(poisson(seed=1))
    assert schedule_hash(poisson(seed=1)) == schedule_hash(poisson(seed=1))
    assert arrivals(poisson(seed=1)) != arrivals(poisson(seed=2))
    assert schedule_hash(poisson(seed=1)) != schedule_hash(poisson(seed=2))


def test_other_lengths_leave_the_arrivals_as_they_were() -> None:
    long = poisson(prompt_tokens={"kind": "uniform", "low": 1, "high": 9})
    assert arrivals(long) == arrivals(poisson())
    assert schedule_hash(long) != schedule_hash(poisson())


def test_poisson_arrivals_are_exponential_at_the_rate() -> None:
    times = arrivals(poisson())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(1 / 20, rel=0.1)
    assert statistics.stdev(gaps) == pytest.approx(1 / 20, rel=0.15)
    assert all(0 <= time < 100 for time in times)


def test_constant_arrivals_are_at_equal_distances() -> None:
    load = LoadFile(arrivals=Constant(rate=4), warmup=0.5, duration=0.5)
    assert list(arrivals(load)) == [0.0, 0.25, 0.5, 0.75]


def test_a_closed_loop_has_no_times_but_a_hash() -> None:
    few, many = (LoadFile(arrivals=Closed(concurrency=count)) for count in (2, 3))
    assert not arrivals(few)
    assert schedule_hash(few) != schedule_hash(many)


def test_a_closed_loop_s_plan_goes_on_without_end() -> None:
    load = LoadFile(prompt_tokens=Fixed(tokens=5))
    assert [first.prompt.tokens for (first,) in itertools.islice(plan(load), 3)] == [5, 5, 5]
