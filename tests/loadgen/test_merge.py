"""Shards' records as the one run they were, with what is missing said."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firsttoken.errors import UsageError
from firsttoken.loadgen.merge import Lost, merge, worst
from firsttoken.loadgen.plan import Planned, Session, Synthetic
from firsttoken.loadgen.record import Generator, Run
from firsttoken.loadgen.records import read
from firsttoken.loadgen.shards import Clock

Make = Callable[..., Any]


@pytest.fixture
def shard(make_run: Make, make_record: Make) -> Callable[..., Run]:
    """Shard ``index`` of 2, whose requests were due at the given times."""

    def make(index: int, *times: float, of: int = 2, **changes: Any) -> Run:
        mine = {"index": index, "of": of, "run": "r1", "host": f"node-{index}"}
        records = [make_record(at, index=index + of * number) for number, at in enumerate(times)]
        load = {"arrivals": {"kind": "poisson", "rate": 1.0}, "shard": mine}
        run: Run = make_run(*records, **{"load": load, **changes})
        return run

    return make


def plan(count: int) -> Callable[[], Iterator[Session]]:
    return lambda: (
        (Planned(Synthetic(5), 5, index=number, intended=number),) for number in range(count)
    )


def test_shards_become_the_run_that_they_were(shard: Callable[..., Run]) -> None:
    merged = merge([shard(1, 1.0, 3.0), shard(0, 0.0, 2.0)], plan(4))
    assert [(r.index, r.intended) for r in merged.records] == [
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
    ]
    assert merged.measure == (0.0, 10.0)
    assert not merged.interrupted
    assert "shard" not in merged.load
    assert [(s.index, s.host, s.asked, s.planned, s.missing) for s in merged.shards] == [
        (0, "node-0", 2, 2, 0),
        (1, "node-1", 2, 2, 0),
    ]


def test_times_are_aligned_by_when_each_shard_began(shard: Callable[..., Run]) -> None:
    merged = merge([shard(0, 0.0, started=1000.5), shard(1, 1.0, started=1000.0)])
    late = next(record for record in merged.records if record.index == 0)
    assert (late.intended, late.sent, late.first, late.ended) == (0.5, 0.5, 0.6, 1.0)
    assert late.ttft == pytest.approx(0.1)
    assert merged.started == 1000.0
    # Both measured from when the later began to when the earlier ended.
    assert merged.measure == (0.5, 10.0)
    assert [s.started for s in merged.shards] == [0.5, 0.0]


def test_a_shard_that_broke_off_ends_the_measured_window_and_is_counted(
    shard: Callable[..., Run],
) -> None:
    broken = shard(
        1, 1.0, interrupted=True, stopped="the records file was cut off", measure=(0.0, 2.5)
    )
    merged = merge([shard(0, 0.0, 2.0, 4.0), broken], plan(6))
    assert merged.interrupted
    assert merged.measure == (0.0, 2.5)
    assert merged.shards[1].missing == 2
    assert merged.stopped == (
        "shard 1 of 2 the records file was cut off: 2 of its 3 sessions are missing"
    )


def test_a_shard_without_records_is_missing_with_its_whole_share(
    shard: Callable[..., Run],
) -> None:
    merged = merge([shard(0, 0.0, 2.0)], plan(4))
    assert merged.interrupted
    assert merged.shards[1].missing == merged.shards[1].planned == 2
    assert merged.stopped == "shard 1 of 2 has no records: 2 of its 2 sessions are missing"


def test_what_is_known_of_a_lost_worker_is_said(shard: Callable[..., Run]) -> None:
    merged = merge(
        [shard(0, 0.0, 2.0), shard(1, 1.0)],
        plan(4),
        lost={1: Lost(1.8, "was lost after 1.8 s")},
        clocks={1: (Clock(0.25, 0.001), 0.002)},
    )
    assert merged.measure == (0.0, 1.8)
    result = merged.shards[1]
    assert (result.lost, result.missing) == ("was lost after 1.8 s", 1)
    assert (result.clock_offset, result.clock_error, result.clock_drift) == (0.25, 0.001, 0.002)


def test_in_a_closed_loop_nothing_is_planned(shard: Callable[..., Run]) -> None:
    closed = {"arrivals": {"kind": "closed", "concurrency": 2}}
    runs = []
    for index in (0, 1):
        run = shard(index, 0.5)
        runs.append(shard(index, 0.5, load={**closed, "shard": run.load["shard"]}))
    merged = merge(runs, plan(9))
    assert [s.planned for s in merged.shards] == [None, None]


def test_a_merged_run_is_written_and_read_back(shard: Callable[..., Run], tmp_path: Any) -> None:
    from firsttoken.loadgen.writer import Writer

    merged = merge([shard(0, 0.0), shard(1, 1.0)], plan(2))
    file = tmp_path / "merged.jsonl"
    with Writer(file) as writer:
        writer.begin(merged)
        for record in merged.records:
            writer.add(record)
        writer.end(merged)
    assert read(file).shards == merged.shards


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schedule_hash": "1" * 16}, "different plans"),
        ({"target": "http://other"}, "different targets"),
        ({"model": "other"}, "different models"),
        ({"load": {}}, "not of a shard"),
        ({"load": {"shard": {"index": 1, "of": 2, "run": "r2", "host": ""}}}, "different runs"),
        ({"load": {"shard": {"index": 0, "of": 2, "run": "r1", "host": ""}}}, "there twice"),
    ],
)
def test_records_of_other_runs_are_refused(
    shard: Callable[..., Run], change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        merge([shard(0, 0.0), shard(1, 1.0, **change)])
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([])


def test_generators_are_judged_by_the_one_that_fared_worst() -> None:
    one = Generator(cpu_share=0.5, lag_p99=0.001, held_back=2)
    other = Generator(cpu_share=0.2, lag_p99=0.004, held_back=3)
    assert worst([one, other]) == Generator(cpu_share=0.5, lag_p99=0.004, held_back=5)
