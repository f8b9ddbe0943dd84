"""Is a candidate faster or slower than a baseline, or is what differs no more than chance?

Each quantity's relative difference has an interval from a block bootstrap.  Where both sides ran
the same schedule, their requests were due at the same moments, so that the same blocks are drawn
on both sides and what the schedule itself did to both cancels out.  Several runs a side add what
differs from run to run.  That many quantities are looked at is made up for by Holm's method.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from firsttoken.loadgen import bootstrap, series
from firsttoken.loadgen.bootstrap import Floats, Statistic
from firsttoken.loadgen.judge import Objective, wilson
from firsttoken.loadgen.normal import p_value, t_quantile, z_quantile
from firsttoken.loadgen.records import Record, Run

__all__ = [
    "Difference",
    "Quantity",
    "Verdict",
    "compare",
    "holm",
    "overall",
    "quantities",
    "unlike",
]

Verdict = Literal["better", "worse", "no difference shown", "too little data"]
_SEED = 20_240_607
_FEWEST_BINS = 10
_RARE = 0.05
# Settings that say where a load goes or how it is made, not what it is.
_BESIDE_THE_POINT = {"headers", "model", "prompt_source", "seed", "tokenizer"}


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """Something to compare: a series of each run and a statistic of it.

    ``quantile`` is None for a mean.  ``of`` is the unit of the value.
    """

    name: str
    unit: str
    higher_is_better: bool
    values: Callable[[Run], Floats]
    quantile: float | None = None

    @property
    def statistic(self) -> Statistic:
        """The statistic of the series."""
        return bootstrap.mean() if self.quantile is None else bootstrap.quantile(self.quantile)

    def influence(self, values: Floats) -> Floats:
        """What the error of the statistic is made of: the values, or which are above a quantile."""
        if self.quantile is None:
            return values
        above = (values > np.nanquantile(values, self.quantile)).astype(np.float64)
        above[np.isnan(values)] = np.nan
        return above

    @property
    def fewest(self) -> int:
        """Values without which nothing is said: an interval for a quantile q has its upper end
        among n values only where q^n is below 2.5 %."""
        if self.quantile is None:
            return _FEWEST_BINS
        return max(_FEWEST_BINS, math.ceil(math.log(0.025) / math.log(self.quantile)))


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Estimate:
    """A log ratio with its standard error."""

    baseline: float
    candidate: float
    ratio: float
    error: float
    freedom: float


def quantities(objectives: Sequence[Objective] = ()) -> tuple[Quantity, ...]:
    """What is compared, in the order of a report; goodput only where there are objectives."""

    def latency(label: str, value: Callable[[Record], float | None], *shares: float) -> None:
        for share in shares:
            name = f"{label} p{share * 100:g}"
            found.append(
                Quantity(name, "s", False, lambda run: series.per_request(run, value), share)
            )

    found: list[Quantity] = []
    latency("TTFT", lambda r: r.ttft, 0.5, 0.95, 0.99)
    latency("TPOT", lambda r: r.tpot, 0.5, 0.95)
    latency("ITL of a request, its p99,", series.worst_gap, 0.95)
    latency("E2E", lambda r: r.e2e, 0.5, 0.95)
    found.append(Quantity("output rate", "tokens/s", True, series.output_tokens))
    found.append(Quantity("request rate", "requests/s", True, series.completed))
    if objectives:
        found.append(
            Quantity("goodput", "requests/s", True, lambda run: series.good(run, objectives))
        )
    return tuple(found)


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
    found = [_estimate(quantity, baseline, candidate) for quantity in wanted]
    failures = _failures(baseline, candidate, confidence)
    raw = [1.0 if one is None else p_value(_score(one), one.freedom) for one in found]
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


def unlike(baseline: Sequence[Run], candidate: Sequence[Run]) -> list[str]:
    """Why two sides cannot be compared: what was asked of them differs, a sentence each."""
    found = []
    first, second = ({run.model for run in side} for side in (baseline, candidate))
    if first != second:
        found.append(f"model: {', '.join(sorted(first))} against {', '.join(sorted(second))}")
    loads = [{_canonical(run) for run in side} for side in (baseline, candidate)]
    if loads[0] != loads[1] or len(loads[0]) > 1:
        found += _settings_apart(baseline[0], candidate[0]) or ["load: the repetitions differ"]
    hashes = [{run.schedule_hash for run in side} for side in (baseline, candidate)]
    if not found and not hashes[0] & hashes[1]:
        found.append(
            f"schedule: {', '.join(sorted(hashes[0]))} against {', '.join(sorted(hashes[1]))}"
            " (another seed?)"
        )
    return found


def _canonical(run: Run) -> str:
    return repr(sorted((k, repr(v)) for k, v in run.load.items() if k not in _BESIDE_THE_POINT))


def _settings_apart(one: Run, other: Run) -> list[str]:
    keys = sorted({*one.load, *other.load} - _BESIDE_THE_POINT)
    return [
        f"{key}: {one.load.get(key)} against {other.load.get(key)}"
        for key in keys
        if one.load.get(key) != other.load.get(key)
    ]


# --- Estimates ------------------------------------------------------------------------------------


def _estimate(
    quantity: Quantity, baseline: Sequence[Run], candidate: Sequence[Run]
) -> _Estimate | None:
    """The log ratio of both sides; None where there is too little to say anything."""
    sides = [[quantity.values(run) for run in side] for side in (baseline, candidate)]
    for side in sides:
        if any(np.sum(~np.isnan(values)) < quantity.fewest for values in side):
            return None
    values = [[float(quantity.statistic(one[None])[0]) for one in side] for side in sides]
    if min(*values[0], *values[1]) <= 0:
        return None
    paired = _pairs(baseline, candidate, *sides)
    logs = [np.log(side) for side in values]
    if paired:
        variances = [_paired_variance(quantity, b, c) for b, c in zip(*sides, strict=True)]
        error, freedom = _welch([_together(logs[1] - logs[0], variances)])
    else:
        parts = [
            _together(log, [_variance(quantity, one) for one in side])
            for log, side in zip(logs, sides, strict=True)
        ]
        error, freedom = _welch(parts)
    if not math.isfinite(error):
        return None
    middle = [float(np.exp(log.mean())) for log in logs]
    return _Estimate(middle[0], middle[1], float(logs[1].mean() - logs[0].mean()), error, freedom)


def _pairs(
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    left: Sequence[Floats],
    right: Sequence[Floats],
) -> bool:
    """Whether the runs of both sides belong together: the same open-loop schedules in order."""
    return len(baseline) == len(candidate) and all(
        b.open_loop
        and b.schedule_hash == c.schedule_hash
        and not (b.interrupted or c.interrupted)
        and len(x) == len(y)
        for b, c, x, y in zip(baseline, candidate, left, right, strict=True)
    )


def _replicates(quantity: Quantity, values: Floats, places: bootstrap.Places) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(bootstrap.replicate(values, places, quantity.statistic)))


def _variance(quantity: Quantity, values: Floats) -> tuple[float, float]:
    """The variance of a run's log statistic, and its degrees of freedom: the blocks less one."""
    length = bootstrap.block_length(quantity.influence(values))
    places = bootstrap.draws(len(values), length, np.random.default_rng(_SEED))
    with np.errstate(invalid="ignore"):
        variance = np.var(_replicates(quantity, values, places), ddof=1)
    return float(variance), max(2.0, len(values) / length - 1)


def _paired_variance(quantity: Quantity, left: Floats, right: Floats) -> tuple[float, float]:
    """The same of the difference of two runs, of which the same blocks are drawn."""
    parts = [quantity.influence(one) for one in (left, right)]
    # What drifted on one side alone shows in the difference, where both share the same schedule.
    length = max(bootstrap.block_length(one) for one in (*parts, parts[1] - parts[0]))
    places = bootstrap.draws(len(left), length, np.random.default_rng(_SEED))
    with np.errstate(invalid="ignore"):
        difference = _replicates(quantity, right, places) - _replicates(quantity, left, places)
        variance = np.var(difference, ddof=1)
    return float(variance), max(2.0, len(left) / length - 1)


def _together(estimates: Floats, parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The variance of the mean of several runs, and its degrees of freedom.

    What runs differ by, where that is more than the variance within them explains, counts too;
    the freedom falls from that of their blocks towards the number of runs less one.
    """
    count = len(estimates)
    within = sum(variance for variance, _ in parts) / count
    if not math.isfinite(within):  # a statistic that a draw cannot have, such as a rate of zero
        return math.inf, 1.0
    if within < 1e-24:  # the same requests at the same times
        return 0.0, math.inf
    freedom = (within * count) ** 2 / sum(variance**2 / free for variance, free in parts)
    between = float(np.var(estimates, ddof=1)) if count > 1 else 0.0
    if between <= within:
        return within / count, freedom
    freedom = between**2 / ((between - within) ** 2 / (count - 1) + within**2 / freedom)
    return between / count, freedom


def _welch(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / freedom for variance, freedom in parts)  # Welch and Satterthwaite
    return math.sqrt(total), total**2 / below if below > 0 else math.inf


def _score(one: _Estimate) -> float:
    if one.error <= 1e-12:
        return 0.0 if abs(one.ratio) <= 1e-9 else math.inf
    return one.ratio / one.error


# --- Verdicts -------------------------------------------------------------------------------------


def _difference(
    quantity: Quantity, one: _Estimate | None, p: float, confidence: float, threshold: float
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
