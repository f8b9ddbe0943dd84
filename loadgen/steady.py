"""One step at one rate: do all objectives hold there, for certain, and in a steady state?

The requests of one step are not independent: while a queue is long, all of them are slow.  An
interval that takes them for independent is too narrow, so that its width follows from the
variance of the means of batches (Law and Carson 1979; Law, Simulation Modeling and Analysis, 9.5),
and Wilson's interval is taken for as many independent requests as would vary as much.  Close to
the limit a server remembers for so long that a whole step may be lucky; that shows in the times to
the first token, which then vary together.  Such a step holds only where its queue was so short that
luck is excluded, see ``luck``.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from firsttoken.loadgen.judge import Objective, keeps, wilson
from firsttoken.loadgen.luck import luck
from firsttoken.loadgen.normal import t_quantile
from firsttoken.loadgen.records import Record, Run

__all__ = ["Evidence", "Growth", "Judgement", "Verdict", "assess", "dispersion", "growth", "needed"]

Verdict = Literal["holds", "fails", "undecided"]
BATCHES = 20
FEWEST_INDEPENDENT = 2.5 * BATCHES
"""A step whose times to the first token are worth fewer independent ones may have been lucky."""
_SMALLEST_BATCH = 10
_CORRELATED = 3
"""How many times more requests are taken than independent ones would need; measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """An objective at one rate: its attainment, and how certain that is.

    ``effective`` is the number of independent requests that would say as much as the ``count``
    requests of the step do; the interval is of the asked confidence.
    """

    objective: Objective
    attained: float
    count: int
    effective: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the whole interval is on one side of the target."""
        if self.low >= self.objective.target - 1e-9:
            return "holds"
        return "fails" if self.high < self.objective.target else "undecided"


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """How the number of requests in flight changed over a step, and what chance explains of it."""

    requests: float
    explained: float
    share: float
    """What grew, as a share of the requests that came meanwhile."""

    @property
    def shown(self) -> bool:
        """Whether more piled up than the randomness of the arrivals explains."""
        return self.requests > self.explained


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What a step comes to; ``leaning`` is what it looks like where it is undecided.

    ``independent``: as many independent requests would vary in TTFT as the step's did.
    """

    verdict: Verdict
    leaning: Literal["holds", "fails"]
    evidence: tuple[Evidence, ...]
    growth: Growth | None
    independent: float
    reason: str


def dispersion(arrivals: Mapping[str, Any]) -> float:
    """The variance of the number of arrivals over a time, in means of it; 1 is Poisson's.

    Gamma distances have a squared coefficient of variation of 1 / burstiness, and so have, over
    many of them, the counts.  A loop that is more regular still meets a server that is not.
    """
    return max(1.0, 1 / arrivals["burstiness"]) if arrivals.get("kind") == "gamma" else 1.0


def needed(
    objectives: Sequence[Objective], confidence: float, precision: float, dispersed: float = 1.0
) -> int:
    """Requests that a step needs to decide, of arrivals whose ``dispersion`` is ``dispersed``.

    A backlog that grows by ``precision`` of the arrivals is beyond their own randomness, the
    square root of their number, from (t / precision)^2 requests on; and a target p can be shown,
    without a single failure, from t^2 p / (1 - p) requests on.  Both are multiplied, because
    requests that follow each other are alike.
    """
    quantile = t_quantile(confidence, BATCHES - 1)
    shown = max((quantile**2 * o.target / (1 - o.target) for o in objectives), default=0.0)
    return math.ceil(_CORRELATED * max((quantile / precision) ** 2 * dispersed, shown))


def assess(run: Run, objectives: Sequence[Objective], confidence: float) -> Judgement:
    """Judge a step from its records."""
    measured = sorted(run.measured, key=lambda record: record.intended)
    evidence = tuple(_evidence(measured, objective, confidence) for objective in objectives)
    grown = growth(run, confidence) if run.open_loop else None
    times = [record.ttft for record in measured if record.ok and record.ttft is not None]
    independent = len(times) / _inflation(times) if times else 0.0

    def judged(verdict: Verdict, leaning: Literal["holds", "fails"], reason: str) -> Judgement:
        return Judgement(verdict, leaning, evidence, grown, independent, reason)

    failing = [one for one in evidence if one.verdict == "fails"]
    if failing:
        return judged("fails", "fails", _missed(failing))
    if grown is not None and grown.shown:
        return judged("fails", "fails", _piled_up(grown))
    short = any(one.attained < one.objective.target - 1e-9 for one in evidence)
    leaning: Literal["holds", "fails"] = "fails" if short or not times else "holds"
    undecided = [one for one in evidence if one.verdict == "undecided"]
    if undecided or not evidence:
        return judged("undecided", leaning, _open(undecided))
    if _batches(len(times)) == BATCHES and independent < FEWEST_INDEPENDENT:
        doubt = _may_be_luck(run, measured, objectives, confidence)
        if doubt:
            return judged("undecided", leaning, doubt)
    return judged("holds", "holds", "every objective is met for certain")


def growth(run: Run, confidence: float) -> Growth | None:
    """How much more was in flight in the last fifth of the window than in its first; None without.

    At the edge of what can be served the number in flight is a random walk that the arrivals
    drive: between the middles of the two fifths, 0.8 of the requests arrive, and their number
    varies by its square root, times that of their ``dispersion``.
    """
    start, end = run.measure
    length = (end - start) / 5
    count = len(run.measured)
    if length <= 0 or count < _SMALLEST_BATCH:
        return None
    first, last = (_in_flight(run.records, at, at + length) for at in (start, end - length))
    varies = 0.8 * count * _dispersed(run)
    explained = t_quantile(confidence, BATCHES - 1) * math.sqrt(varies)
    return Growth(last - first, explained, (last - first) / (0.8 * count))


def _evidence(measured: Sequence[Record], objective: Objective, confidence: float) -> Evidence:
    kept = [value for r in measured if (value := keeps(r, objective)) is not None]
    count, good = len(kept), sum(kept)
    if count == 0:
        return Evidence(objective, math.nan, 0, 0.0, 0.0, 1.0)
    share = good / count
    effective, batches = count / _inflation(kept), _batches(count)
    quantile = t_quantile(confidence, max(2, batches - 1))
    low, high = wilson(share * effective, effective, quantile)
    return Evidence(objective, share, count, effective, low, high)


def _batches(count: int) -> int:
    return min(BATCHES, count // _SMALLEST_BATCH)


def _inflation(values: Sequence[float]) -> float:
    """By how much the mean varies more than that of independent values, from batch means."""
    count, batches = len(values), _batches(len(values))
    mean = sum(values) / count
    alone = sum((value - mean) ** 2 for value in values) / count**2
    if batches < 2 or alone == 0:
        return 1.0
    edges = [number * count // batches for number in range(batches + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    together = sum((one - mean) ** 2 for one in means) / (batches - 1) / batches
    return max(1.0, together / alone)


def _in_flight(records: Sequence[Record], start: float, end: float) -> float:
    """The mean number of requests between being due and their end, over a span of time."""
    total = 0.0
    for record in records:
        ended = record.ended if record.ended is not None else end
        total += max(0.0, min(ended, end) - max(record.intended, start))
    return total / (end - start)


def _missed(failing: Sequence[Evidence]) -> str:
    return "; ".join(
        f"{one.objective.name} holds for {one.attained:.1%} of requests (at most {one.high:.1%},"
        f" {one.objective.target * 100:g} % wanted)"
        for one in failing
    )


def _open(undecided: Sequence[Evidence]) -> str:
    if not undecided:
        return "nothing was measured"
    return "; ".join(
        f"{one.objective.name} holds for {one.low:.1%} to {one.high:.1%} of requests, which does"
        f" not tell whether {one.objective.target * 100:g} % do"
        for one in undecided
    )


def _piled_up(grown: Growth) -> str:
    return (
        f"no steady state: {grown.requests:.0f} more requests in flight at the end than at the"
        f" beginning, of which chance explains {grown.explained:.0f}"
    )


def _may_be_luck(
    run: Run, measured: Sequence[Record], objectives: Sequence[Objective], confidence: float
) -> str:
    """Why a step in which all looks good may only have been lucky; empty if it was not."""
    if not run.open_loop:
        return ""  # no queue that could grow
    rate, dispersed = len(measured) / run.measured_seconds, _dispersed(run)
    for one in objectives:
        lucky = luck(measured, one, rate, dispersed, confidence)
        if lucky > 1:
            return (
                f"too short for a steady state: its queue is {lucky:.1f} times as long on average"
                f" as would show that {one.name} holds in the long run too"
            )
    return ""


def _dispersed(run: Run) -> float:
    return dispersion(run.load.get("arrivals") or {})
