"""Whether a step in which all looks good was only lucky: how far its queue wandered.

At the edge of what can be served the number in flight is a random walk that the arrivals drive and
that an empty queue reflects.  The further below that edge, the harder it is driven back; its excess
over the empty queue is then exponential in the long run, with the mean variance / (2 drift)
(Kingman 1961; Harrison, Brownian Motion and Stochastic Flow Systems, 1985, chapter 5).  So an
objective that is missed in the long run has a queue whose mean excess is at least so large that
requests are late as often as the objective forbids; and such a queue seldom stays short throughout
a step.  How seldom follows from the area under the path of reflected Brownian motion.

What makes times vary together although no queue grows, such as a machine whose own speed drifts,
wanders over a small part of both, and is no reason to doubt.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firsttoken.loadgen.judge import Objective, measured_value
from firsttoken.loadgen.record import Record

__all__ = ["luck"]

Floats = NDArray[np.float64]
_BATCHES = 200
"""Into so many means the path of a queue is cut, of at least ``_SMALLEST`` requests each."""
_SMALLEST = 10
_AIRY = 1.0188 / 2 ** (1 / 3)
_AREA = math.sqrt(27 / (4 * _AIRY**3))
"""The mean of reflected Brownian motion over unit time is below m with a probability of
exp(-1 / (_AREA m)^2), to leading order, where 1.0188 is the first zero of Airy's derivative
(Takács, On the distribution of the integral of the absolute value of Brownian motion, 1993)."""
_PULL = 1.2
"""What a drift adds to that, in its stationary means: 1 for a strong one, simulated for the rest.

Both together are simulated to be right within a tenth for drifts up to 4 square roots of time."""


def luck(
    records: Sequence[Record],
    objective: Objective,
    rate: float,
    dispersed: float,
    confidence: float,
) -> float:
    """How long the queue was, in what would still exclude luck: above 1 it may have been lucky.

    Up to 1, so short a queue would be seen with a probability of at most (1 - ``confidence``) / 2
    if the objective were missed in the long run.  ``records`` are at least 20, in the order in
    which they were due, ``rate`` is their number a second, ``dispersed`` how their number varies.
    """
    done = [record for record in records if record.ok and record.ttft is not None]
    length = np.array([record.ttft for record in done], dtype=np.float64)
    values = length
    if objective.metric in ("tpot", "itl", "e2e"):
        # The queue may be among the running: by Little's law, as if all answers were equally long.
        pace = np.array([record.tpot or 0.0 for record in done])
        tokens = np.mean([max(0, (record.output_tokens or 0) - 1) for record in done])
        length = length + pace * tokens
        values = np.array([measured_value(record, objective.metric) or 0.0 for record in done])
    queue = rate * float(np.mean(_excess(length)))
    walk = math.sqrt(len(done) * dispersed / math.log(2 / (1 - confidence))) / _AREA
    return queue / walk + _PULL * _nearness(values, objective, failed=len(records) - len(done))


def _excess(values: Floats) -> Floats:
    """By how much each of the means of consecutive values is above the least of them."""
    edges = _edges(len(values))
    means: Floats = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    excess: Floats = means - means.min()
    return excess


def _edges(count: int) -> NDArray[np.int64]:
    batches = min(_BATCHES, count // _SMALLEST)
    return np.arange(batches + 1) * count // batches


def _nearness(values: Floats, objective: Objective, failed: int) -> float:
    """The mean excess of what is judged, in those with which the objective would be missed."""
    if objective.threshold is None:
        return 0.0
    excess = _excess(values)
    slow = np.repeat(excess, np.diff(_edges(len(values))))
    room = np.maximum(0.0, objective.threshold - (values - slow))
    allowed = (1 - objective.target) * (len(values) + failed) - failed
    low, high = objective.threshold * 1e-4, objective.threshold * 1e4
    for _ in range(40):
        mean = math.sqrt(low * high)
        late = float(np.sum(np.exp(-room / mean)))
        low, high = (low, mean) if late > allowed else (mean, high)
    return float(np.mean(excess)) / low
