"""When a load is stopped before its time: from its records, as they are written."""

from pathlib import Path
from typing import Any

from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.writer import Writer
from firsttoken.loadtest.step import Ask, Hopeless
from firsttoken.validate.load import State

ASK = Ask(rate=10.0, duration=10.0, warmup=2.0)
OBJECTIVES = (parse_objective("ttft<200ms@90"),)


def watch(file: Path) -> Hopeless:
    return Hopeless(file, OBJECTIVES, ASK, in_flight_max=64)


def test_twice_as_many_failures_as_allowed_are_hopeless(made_up: Any, tmp_path: Path) -> None:
    """Of the 100 requests 10 may fail: from 31 on nothing is left to hope for."""
    file = tmp_path / "records.jsonl"
    slow = [made_up.record(n, 2.0 + n / 10, 2.5 + n / 10, 3.0 + n / 10, 4, 8) for n in range(40)]
    watcher = watch(file)
    assert watcher.why(State()) is None  # nothing is written yet
    with Writer(file) as writer:
        writer.begin(made_up.run_of([], 2.0, 12.0))
        for one in slow[:30]:
            writer.add(one)
        writer.flush()
        assert watcher.why(State()) is None
        writer.add(slow[30])
        writer.flush()
        assert "31 requests had already failed" in (watcher.why(State()) or "")


def test_the_warm_up_does_not_count(made_up: Any, tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    with Writer(file) as writer:
        writer.begin(made_up.run_of([], 2.0, 12.0))
        for number in range(100):
            writer.add(made_up.record(number, 1.0, 1.5, 1.6, 4, 8))

    assert watch(file).why(State()) is None


def test_as_many_in_flight_as_are_allowed_are_hopeless(tmp_path: Path) -> None:
    """Once what the server completes meanwhile was measured for two seconds."""
    watcher = watch(tmp_path / "none.jsonl")
    assert watcher.why(State(elapsed=3.9, in_flight=64)) is None
    reason = watcher.why(State(elapsed=4.0, in_flight=64))

    assert reason is not None
    assert "max_in_flight" in reason
