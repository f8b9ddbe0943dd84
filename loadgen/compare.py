"""Is a candidate faster or slower than a baseline, or is what differs no more than chance?

Each quantity's difference has an interval, see ``estimates``.  That many quantities are looked at
is made up for by Holm's method.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from firsttoken.loadgen import series
from firsttoken.loadgen.estimates import Estimate, estimate
from firsttoken.loadgen.judge import Objective, wilson
from firsttoken.loadgen.normal import p_value, t_quantile, z_quantile
from firsttoken.loadgen.quantities import Quantity, quantities
from firsttoken.loadgen.record import Run

__all__ = ["Difference", "Verdict", "compare", "holm", "overall"]

Verdict = Literal["better", "worse", "no difference shown", "too little data"]
_RARE = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One quantity of both sides; ``change`` is candidate / baseline - 1, with its interval.

    ``p`` is adjusted for the number of quantities.  ``regression``: worse by the threshold or more.
    """

    quantity: str
    unit: str
    higher_is_better: bool
    baseline: float | None
    candidate: float | None
    change: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict
    regression: bool
    note: str = ""


def compare(
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    objectives: Sequence[Objective] = (),
    *,
    confidence: float = 0.99,
    threshold: float = 0.05,
) -> tuple[Difference, ...]:
    """Every quantity, and the share of requests that failed."""
    wanted = quantities(objectives)
    found = [estimate(quantity, baseline, candidate) for quantity in wanted]
    failures = _failures(baseline, candidate, confidence)
    raw = [1.0 if one is None else p_value(one.score, one.freedom) for one in found]
    adjusted = holm([*raw, failures.p if failures else 1.0])
    rows = [
        _difference(quantity, one, p, confidence, threshold)
        for quantity, one, p in zip(wanted, found, adjusted[:-1], strict=True)
    ]
    return (*rows, _failure_verdict(failures, adjusted[-1], confidence, threshold))


def overall(rows: Sequence[Difference]) -> Verdict:
    """What a comparison comes to: its worst news, else its best, else whether anything is known."""
    verdicts = {row.verdict for row in rows}
    ranked: tuple[Verdict, ...] = ("worse", "better", "no difference shown")
    return next((verdict for verdict in ranked if verdict in verdicts), "too little data")


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (S. Holm, 1979): how likely any one is a false alarm."""
    order = sorted(range(len(values)), key=lambda number: values[number])
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[number]))
        adjusted[number] = highest
    return adjusted


# --- Verdicts -------------------------------------------------------------------------------------


def _difference(
    quantity: Quantity, one: Estimate | None, p: float, confidence: float, threshold: float
) -> Difference:
    common = (quantity.name, quantity.unit, quantity.higher_is_better)
    if one is None:
        note = f"needs {quantity.fewest} values a run"
        return Difference(
            *common, None, None, None, None, None, None, "too little data", False, note
        )
    reach = t_quantile(confidence, one.freedom) * one.error
    low, change, high = (math.expm1(one.ratio + by) for by in (-reach, 0.0, reach))
    harm = -change if quantity.higher_is_better else change
    worst = -low if quantity.higher_is_better else high
    verdict: Verdict = "no difference shown"
    note = ""
    if p < 1 - confidence:
        verdict = "worse" if harm > 0 else "better"
    elif worst > threshold:
        verdict = "too little data"
        note = f"up to {worst:.1%} worse would go unseen"
    regression = verdict == "worse" and harm >= threshold
    return Difference(
        *common, one.baseline, one.candidate, change, low, high, p, verdict, regression, note
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Failures:
    """The share of failed requests on both sides, their difference, and Newcombe's interval."""

    baseline: float
    candidate: float
    low: float
    high: float
    p: float


def _failures(
    baseline: Sequence[Run], candidate: Sequence[Run], confidence: float
) -> _Failures | None:
    """R. G. Newcombe, "Interval estimation for the difference between independent proportions",
    1998, method 10; None without requests."""
    (bad, count), (worse, number) = (_counted(side) for side in (baseline, candidate))
    if not count or not number:
        return None
    z = z_quantile(confidence)
    before, after = bad / count, worse / number
    (l1, u1), (l2, u2) = wilson(bad, count, z), wilson(worse, number, z)
    pooled = (bad + worse) / (count + number)
    error = math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / number))
    return _Failures(
        before,
        after,
        after - before - math.hypot(after - l2, u1 - before),
        after - before + math.hypot(u2 - after, before - l1),
        p_value((after - before) / error) if error else 1.0,
    )


def _failure_verdict(
    one: _Failures | None, p: float, confidence: float, threshold: float
) -> Difference:
    common = ("failed requests", "share", False)
    if one is None:
        none = (None, None, None, None, None, None)
        return Difference(*common, *none, "too little data", False, "no requests")
    verdict: Verdict = "no difference shown"
    note = "difference of shares"
    if p < 1 - confidence:
        verdict = "worse" if one.candidate > one.baseline else "better"
    elif one.high > max(threshold, _RARE):
        verdict = "too little data"
        note = f"{one.high:.1%} more failures would go unseen"
    return Difference(
        *common, one.baseline, one.candidate, one.candidate - one.baseline, one.low, one.high, p,
        verdict, verdict == "worse", note,
    )  # fmt: skip


def _counted(side: Sequence[Run]) -> tuple[float, int]:
    values = [series.failed(run) for run in side]
    return float(sum(one.sum() for one in values)), sum(len(one) for one in values)
