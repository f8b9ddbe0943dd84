"""One step at one rate: when it decides, when it does not, and what it says of it."""

import dataclasses
import random
from collections.abc import Callable

import pytest

from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.steady import assess, dispersion, growth, needed

OBJECTIVE = parse_objective("ttft<200ms@90")


@pytest.fixture(name="step")
def _step(make_record: Callable[..., Record], make_run: Callable[..., Run]) -> Callable[..., Run]:
    """A step of 1,000 requests in 100 s whose TTFT a function of the request's number gives."""

    def step(ttft: Callable[[int], float], ended: Callable[[int], float] | None = None) -> Run:
        records = []
        for number in range(1000):
            at = number / 10
            first = at + ttft(number)
            end = at + ended(number) if ended else first + 0.4
            records.append(make_record(at, first=first, last=end, ended=max(first, end)))
        return make_run(*records, measure=(0.0, 100.0))

    return step


def test_few_slow_requests_hold_and_many_fail(step: Callable[..., Run]) -> None:
    stream = random.Random(1)
    good = step(lambda _: 0.3 if stream.random() < 0.04 else 0.1 + stream.random() / 20)
    bad = step(lambda _: 0.3 if stream.random() < 0.2 else 0.1 + stream.random() / 20)

    assert assess(good, [OBJECTIVE], 0.95).verdict == "holds"
    failed = assess(bad, [OBJECTIVE], 0.95)
    assert failed.verdict == "fails"
    assert "ttft<200ms@90 holds for" in failed.reason


def test_bursty_arrivals_explain_more_of_what_piles_up(step: Callable[..., Run]) -> None:
    """A quarter of the burstiness doubles what chance explains, and quadruples the requests."""
    run = step(lambda _: 0.1)
    bursty = dataclasses.replace(
        run, load={"arrivals": {"kind": "gamma", "rate": 10, "burstiness": 0.25}}
    )
    plain, more = growth(run, 0.95), growth(bursty, 0.95)

    assert plain is not None
    assert more is not None
    assert more.explained == pytest.approx(2 * plain.explained)
    fourfold = needed([OBJECTIVE], 0.95, 0.05, dispersion(bursty.load["arrivals"]))
    assert fourfold == pytest.approx(4 * needed([OBJECTIVE], 0.95, 0.05), abs=4)


def test_what_is_close_to_the_target_is_undecided(step: Callable[..., Run]) -> None:
    stream = random.Random(2)
    judged = assess(step(lambda _: 0.3 if stream.random() < 0.1 else 0.1), [OBJECTIVE], 0.95)

    assert judged.verdict == "undecided"
    assert "does not tell whether 90 % do" in judged.reason


def test_slow_requests_in_a_row_say_less_than_scattered_ones(step: Callable[..., Run]) -> None:
    """The same share: one long queue is one observation, and its interval is wide."""
    scattered = assess(step(lambda n: 0.3 if n % 25 == 0 else 0.1), [OBJECTIVE], 0.95)
    together = assess(step(lambda n: 0.3 if 400 <= n < 440 else 0.1), [OBJECTIVE], 0.95)

    (one,), (other,) = scattered.evidence, together.evidence
    assert one.attained == other.attained == 0.96
    assert other.effective < one.effective / 5
    assert scattered.verdict == "holds"
    assert together.verdict == "undecided"


def test_a_lucky_step_near_the_limit_decides_nothing(step: Callable[..., Run]) -> None:
    """All requests are good, but their times drift as those of a server near its limit do."""
    judged = assess(step(lambda n: 0.1 + 0.08 * abs((n % 500) / 250 - 1)), [OBJECTIVE], 0.95)

    assert judged.evidence[0].attained == 1
    assert judged.verdict == "undecided"
    assert judged.leaning == "holds"
    assert judged.reason.startswith("too short for a steady state")


def test_a_queue_that_grows_fails_whatever_the_latencies_are(step: Callable[..., Run]) -> None:
    run = step(lambda _: 0.1, ended=lambda n: 0.4 + n / 50)

    grown = growth(run, 0.95)
    assert grown is not None
    assert grown.shown
    judged = assess(run, [OBJECTIVE], 0.95)
    assert judged.verdict == "fails"
    assert judged.reason.startswith("no steady state")


def test_a_closed_loop_has_no_queue_that_could_grow(step: Callable[..., Run]) -> None:
    run = step(lambda _: 0.1, ended=lambda n: 0.4 + n / 50)
    closed = dataclasses.replace(run, load={"arrivals": {"kind": "closed", "concurrency": 4}})

    assert assess(closed, [OBJECTIVE], 0.95).growth is None


def test_nothing_measured_is_undecided(make_run: Callable[..., Run]) -> None:
    judged = assess(make_run(), [OBJECTIVE], 0.95)

    assert (judged.verdict, judged.leaning) == ("undecided", "fails")


def test_stricter_targets_and_more_precision_need_more_requests() -> None:
    ninety, rare = parse_objective("ttft<1s@90"), parse_objective("success@99.9")

    assert needed([ninety], 0.95, 0.05) > needed([ninety], 0.95, 0.1)
    assert needed([rare], 0.95, 0.1) > needed([ninety], 0.95, 0.1)
    assert needed([ninety], 0.99, 0.05) > needed([ninety], 0.95, 0.05)
