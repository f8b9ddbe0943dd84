"""Whether a run was a fair measurement: which lateness of the generator is material."""

import dataclasses
from collections.abc import Callable

import pytest

from firsttoken.loadgen.fairness import bottleneck, loosened, only_late
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.records import Generator, Record, Run

Make = Callable[..., Record]
MakeRun = Callable[..., Run]


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (Generator(), None),
        (Generator(cpu_share=0.95), "95% of its core"),
        (Generator(held_back=3), "max_in_flight is 8"),
        (Generator(lag_p99_low=0.004), None),
        (Generator(lag_p99=0.006, lag_p99_low=0.0055), "6.0 ms late"),
        (Generator(lag_p99=0.006, lag_p99_low=0.0045), None),
        (Generator(late_wakeups=0.011), "event loop was 11.0 ms late"),
        (Generator(late_wakeups=0.009), None),
    ],
)
def test_a_run_of_an_overloaded_generator_is_not_trusted(
    make_run: MakeRun, make_record: Make, own: Generator, why: str | None
) -> None:
    found = bottleneck(make_run(make_record(), generator=own))
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found


def test_lag_is_small_beside_a_long_ttft(make_run: MakeRun, make_record: Make) -> None:
    slow = make_record(first=2.0)
    assert bottleneck(make_run(slow, generator=Generator(lag_p99_low=0.09))) is None
    assert bottleneck(make_run(slow, generator=Generator(lag_p99_low=0.11))) is not None


def test_a_closed_loop_is_not_held_back(make_run: MakeRun, make_record: Make) -> None:
    closed = {"arrivals": {"kind": "closed", "concurrency": 2}}
    run = make_run(make_record(), load=closed, generator=Generator(held_back=3))
    assert bottleneck(run) is None


@pytest.mark.parametrize(
    ("objectives", "late", "material"),
    [
        (["ttft<500ms@95"], 0.024, False),
        (["ttft<500ms@95"], 0.026, True),
        (["e2e<10s@95", "ttft<500ms@95"], 0.026, True),
        (["success@99"], 0.049, False),
        (["success@99"], 0.051, True),
        (["success@99", "ttft<100ms@95"], 0.006, True),
        # 41 tokens within 10 ms each: the last is due 400 ms after the first.
        (["tpot<10ms@95"], 0.019, False),
        (["tpot<10ms@95"], 0.021, True),
    ],
)
def test_lateness_is_measured_against_what_is_judged(
    make_run: MakeRun, make_record: Make, objectives: list[str], late: float, material: bool
) -> None:
    """A lag of a few milliseconds says nothing where the objective is half a second."""
    run = make_run(
        make_record(output_tokens=41), generator=Generator(lag_p99=late, lag_p99_low=late)
    )

    assert bottleneck(run) is not None
    assert (bottleneck(run, [parse_objective(one) for one in objectives]) is None) != material


def test_lateness_is_told_from_a_busy_core(make_run: MakeRun, make_record: Make) -> None:
    late, busy = Generator(lag_p99=0.1, lag_p99_low=0.1), Generator(cpu_share=0.95)
    both = dataclasses.replace(late, cpu_share=0.95)

    found = {own: only_late(make_run(make_record(), generator=own)) for own in (late, busy, both)}
    assert found == {late: True, busy: False, both: False}
    assert not only_late(make_run(make_record(), generator=Generator()))


def test_what_lateness_may_have_added_is_taken_off(make_run: MakeRun, make_record: Make) -> None:
    run = make_run(
        make_record(output_tokens=11), generator=Generator(lag_p99=0.02, late_wakeups=0.03)
    )
    objectives = [parse_objective(one) for one in ("ttft<100ms@95", "tpot<10ms@95", "success@99")]

    fair = [one.threshold for one in loosened(run, objectives)]
    assert fair == [pytest.approx(0.13), pytest.approx(0.013), None]
