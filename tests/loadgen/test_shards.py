"""Shares of a plan add up to it, and clocks are compared as well as can be."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.errors import UsageError
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.shards import Probe, Shard, clock, parse_shard, parse_start
from firsttoken.loadgen.workload import plan


@given(st.integers(1, 12), st.integers(0, 500))
def test_parts_add_up(of: int, count: int) -> None:
    parts = [Shard(index, of).part(count) for index in range(of)]
    assert sum(parts) == count
    assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize("of", [1, 2, 4, 7])
def test_every_session_of_a_plan_is_one_shard_s_and_as_it_was(of: int) -> None:
    load = LoadFile.model_validate({"arrivals": {"kind": "poisson", "rate": 20}, "duration": 10})
    whole = list(plan(load))
    dealt = [list(Shard(index, of).deal(plan(load))) for index in range(of)]
    assert sorted(itertools.chain(*dealt), key=lambda session: session[0].index) == whole
    assert {len(share) for share in dealt} <= {len(whole) // of, len(whole) // of + 1}


def test_users_and_places_are_shared() -> None:
    load = LoadFile.model_validate({"arrivals": {"kind": "closed", "concurrency": 10}})
    parts = [Shard(index, 4).load(load) for index in range(4)]
    assert [part.arrivals.model_dump()["concurrency"] for part in parts] == [3, 3, 2, 2]
    assert sum(part.max_in_flight for part in parts) == load.max_in_flight
    with pytest.raises(UsageError, match="10 users are too few for so many shards"):
        Shard(10, 11).load(load)


def test_a_shard_is_told_by_number_or_by_the_job() -> None:
    assert parse_shard("2/4", {}) == Shard(2, 4)
    assert parse_shard("job/4", {"JOB_COMPLETION_INDEX": "3"}) == Shard(3, 4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("4/4", "counted from 0 to 3"),
        ("1", "expected K/N"),
        ("a/4", "expected K/N"),
        ("0/0", "counted from 0 to 0"),
        ("job/4", "JOB_COMPLETION_INDEX says no number"),
    ],
)
def test_a_shard_that_is_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse_shard(text, {})


@given(
    st.floats(-1000, 1000),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)), min_size=1, max_size=10),
)
def test_a_clock_s_offset_is_right_within_its_error(
    offset: float, ways: list[tuple[float, float]]
) -> None:
    """Whatever the ways there and back take, and however unlike they are."""
    now = 100.0
    probes = []
    for there, back in ways:
        probes.append(Probe(now, now + there + offset, now + there + back))
        now += 1
    found = clock(probes)
    assert abs(found.offset - offset) <= found.error + 1e-9
    assert found.error == pytest.approx(min(there + back for there, back in ways) / 2)


def test_a_shard_is_shared_among_processes_without_a_gap() -> None:
    whole = set(range(60))
    parts = [
        set(range(60)[shard.index :: shard.of])
        for index in range(3)
        for shard in (Shard(index, 3).within(number, 2) for number in range(2))
    ]
    assert set().union(*parts) == whole
    assert sum(map(len, parts)) == 60


@given(st.floats(1e9, 2e9), st.floats(0, 54))
def test_processes_that_are_ready_within_a_minute_agree_on_its_end(
    now: float, later: float
) -> None:
    start = parse_start("every:1m", now)
    assert start % 60 == 0
    assert 5 <= start - now < 65.01
    if now + later + 5 <= start:
        assert parse_start("every:1m", now + later) == start


def test_a_start_is_a_moment() -> None:
    assert parse_start("2026-11-26T12:00:00Z", 0) == 1795694400.0
    assert parse_start("1795694400.5", 0) == 1795694400.5
    for text, problem in (
        ("noon", "expected a time such as"),
        ("2026-11-26T12:00:00", "say which zone"),
        ("every:1s", "at least every:5s"),
        ("every:x", "expected a time such as"),
    ):
        with pytest.raises(UsageError, match=problem):
            parse_start(text, 0)
