"""Whether a step in which all looks good may only have been lucky: on queues with a known truth."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.luck import luck
from firsttoken.loadgen.record import Record

RATE, CONFIDENCE = 100.0, 0.95
OBJECTIVE = parse_objective("ttft<500ms@90")
Make = Callable[..., Record]


def records(make_record: Make, waits: Sequence[float], pace: Sequence[float] | None = None) -> Any:
    """Requests of 11 tokens, that came ``RATE`` a second and took so long to their first token."""
    rows = []
    for number, wait in enumerate(waits):
        at = number / RATE
        end = at + wait + 10 * (pace[number] if pace is not None else 0.01)
        rows.append(
            make_record(at, first=at + wait, last=end, ended=end, output_tokens=11, chunks=11)
        )
    return rows


def waits(seed: int, count: int, drift: float) -> list[float]:
    """25 ms, and a queue that Poisson arrivals drive and ``drift`` requests each drive back."""
    stream = np.random.default_rng(seed)
    steps = stream.standard_normal(count) - drift
    path = stream.exponential(1 / (2 * drift)) + np.cumsum(steps)
    queue = path - np.minimum.accumulate(np.minimum(path, 0.0))
    return (0.025 + queue / RATE).tolist()  # type: ignore[no-any-return]


def doubt(rows: Sequence[Record], dispersed: float = 1.0, text: str = "ttft<500ms@90") -> float:
    return luck(rows, parse_objective(text), RATE, dispersed, CONFIDENCE)


def test_a_queue_that_misses_the_objective_is_seldom_taken_for_one_that_holds(
    make_record: Make,
) -> None:
    """At the capacity itself one request in ten waits 475 ms and more: the mean follows from it.

    Of 80 such steps 2 are to be taken for good, and 6 or more once in a hundred times.
    """
    mean = 47.5 / math.log(10)
    taken = sum(
        doubt(records(make_record, waits(seed, 2000, 1 / (2 * mean)))) <= 1 for seed in range(80)
    )

    assert taken < 6


def test_a_server_that_is_well_below_its_limit_is_believed(make_record: Make) -> None:
    """Its times vary together, but each request drives its queue back by 0.15 requests."""
    believed = sum(doubt(records(make_record, waits(seed, 2000, 0.15))) <= 1 for seed in range(40))

    assert believed >= 36


def test_a_drift_of_the_servers_own_speed_is_no_queue(make_record: Make) -> None:
    swaying = [0.03 * (1 + 0.1 * math.sin(number / 150)) for number in range(2000)]

    assert doubt(records(make_record, swaying)) < 0.1
    assert doubt(records(make_record, swaying), text="success@99") < 0.1


def test_what_wanders_close_to_the_objective_may_reach_it(make_record: Make) -> None:
    """However few requests that is: 27 to 47 ms are far from 500, and not from 50."""
    wandering = [0.037 + 0.01 * math.sin(number / 150) for number in range(2000)]

    assert doubt(records(make_record, wandering)) < 0.3
    assert doubt(records(make_record, wandering), text="ttft<50ms@90") > 1


def test_bursts_explain_longer_queues(make_record: Make) -> None:
    """So that the same queue says less against luck the more even its arrivals are."""
    rows = records(make_record, waits(3, 2000, 0.03))

    assert doubt(rows, dispersed=4.0) < doubt(rows)


def test_a_queue_among_the_running_shows_in_the_time_for_each_token(make_record: Make) -> None:
    """All share the server: the first token comes at once, and the others the later the more."""
    queue = [wait - 0.025 for wait in waits(1, 2000, 0.01)]
    pace = [0.01 + wait / 10 for wait in queue]
    rows = records(make_record, [0.01] * len(pace), pace)

    assert doubt(rows) < 0.1
    assert doubt(rows, text="tpot<60ms@90") > 1


def test_requests_that_failed_leave_less_room(make_record: Make) -> None:
    """With 7 of 100 failed, 3 may be late instead of 10."""
    rows = records(make_record, waits(2, 2000, 0.1))
    failed = [
        make_record(20 + number / RATE, first=None, last=None, ended=20.1, error="http 500")
        for number in range(150)
    ]

    assert doubt(rows + failed) > doubt(rows) + 0.05
