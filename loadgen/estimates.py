"""How much two sides of a comparison differ in a quantity, and how certain that is.

Each quantity's relative difference has an interval from a block bootstrap.  Where both sides ran
the same schedule, their requests were due at the same moments, so that the same blocks are drawn
on both sides and what the schedule itself did to both cancels out.  Several runs a side add what
differs from run to run.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from firsttoken.loadgen import bootstrap
from firsttoken.loadgen.bootstrap import Floats
from firsttoken.loadgen.quantities import Quantity
from firsttoken.loadgen.record import Run

__all__ = ["Estimate", "estimate"]

_SEED = 20_240_607


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A log ratio with its standard error."""

    baseline: float
    candidate: float
    ratio: float
    error: float
    freedom: float

    @property
    def score(self) -> float:
        """How many standard errors the ratio is from none."""
        if self.error <= 1e-12:
            return 0.0 if abs(self.ratio) <= 1e-9 else math.inf
        return self.ratio / self.error


def estimate(
    quantity: Quantity, baseline: Sequence[Run], candidate: Sequence[Run]
) -> Estimate | None:
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
    return Estimate(middle[0], middle[1], float(logs[1].mean() - logs[0].mean()), error, freedom)


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
    places = bootstrap.draws(
        len(values), length, np.random.default_rng(_SEED), bootstrap.VARIANCE_ROWS
    )
    with np.errstate(invalid="ignore"):
        variance = np.var(_replicates(quantity, values, places), ddof=1)
    return float(variance), max(2.0, len(values) / length - 1)


def _paired_variance(quantity: Quantity, left: Floats, right: Floats) -> tuple[float, float]:
    """The same of the difference of two runs, of which the same blocks are drawn."""
    parts = [quantity.influence(one) for one in (left, right)]
    # What drifted on one side alone shows in the difference, where both share the same schedule.
    length = max(bootstrap.block_length(one) for one in (*parts, parts[1] - parts[0]))
    places = bootstrap.draws(
        len(left), length, np.random.default_rng(_SEED), bootstrap.VARIANCE_ROWS
    )
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
