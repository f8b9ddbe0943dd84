"""Objectives against records: what share of the issued requests kept a promise.

Every request due in the measured window counts; one that failed kept no promise.  A request whose
answer was too short for a metric (TPOT and ITL need two tokens) is left out of that metric.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Literal, get_args

from firsttoken.config import format_duration, parse_duration
from firsttoken.errors import UsageError
from firsttoken.loadgen.record import Record, Run
from firsttoken.loadgen.summary import percentile

__all__ = [
    "Attainment",
    "Metric",
    "Objective",
    "goodput",
    "judge",
    "keeps",
    "measured_value",
    "parse_objective",
    "wilson",
]

Metric = Literal["ttft", "tpot", "itl", "e2e", "success"]
_Z95 = 1.959963984540054
_OBJECTIVE = re.compile(r"(?P<metric>[a-z0-9]+)(?:<(?P<threshold>[^@]+))?@(?P<target>[0-9.]+)%?")


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """A promise: in ``target`` (0..1) of all requests ``metric`` is at most ``threshold`` seconds.

    ``itl`` is a request's 99th-percentile gap; ``success`` has no threshold.
    """

    name: str
    metric: Metric
    threshold: float | None
    target: float

    def __str__(self) -> str:
        limit = "" if self.threshold is None else f"<{format_duration(self.threshold)}"
        return f"{self.metric}{limit}@{self.target * 100:g}"


@dataclasses.dataclass(frozen=True, slots=True)
class Attainment:
    """How far an objective was kept; ``low`` and ``high`` are Wilson's 95 % interval.

    ``met`` is None, and ``attained`` not a number, when no request counts.
    """

    objective: Objective
    attained: float
    count: int
    good: int
    bad: int
    low: float
    high: float
    met: bool | None


def judge(run: Run, objectives: Sequence[Objective]) -> tuple[Attainment, ...]:
    """Each objective's attainment over the requests due in the measured window."""
    return tuple(_attainment(run.measured, objective) for objective in objectives)


def goodput(run: Run, objectives: Sequence[Objective]) -> float:
    """Requests per second of the measured window that succeeded and met every objective."""
    seconds = run.measured_seconds
    if seconds <= 0:
        return 0.0
    good = sum(r.ok and all(keeps(r, o) is not False for o in objectives) for r in run.measured)
    return good / seconds


def parse_objective(text: str) -> Objective:
    """The objective in a text such as ``ttft<500ms@95`` or ``success@99.5``.  Raises UsageError."""
    found = _OBJECTIVE.fullmatch(text.replace(" ", ""))
    problem = f"objective {text!r}: expected METRIC<DURATION@PERCENT such as ttft<500ms@95"
    if found is None:
        raise UsageError(problem)
    metric, limit = found["metric"], found["threshold"]
    for known in get_args(Metric):
        if metric == known:
            break
    else:
        raise UsageError(f"objective {text!r}: metric must be one of {', '.join(get_args(Metric))}")
    if (metric == "success") != (limit is None):
        raise UsageError(problem if limit is None else f"objective {text!r}: success has no limit")
    try:
        target = float(found["target"])
        threshold = None if limit is None else parse_duration(limit)
    except ValueError as exc:
        raise UsageError(f"objective {text!r}: {exc}") from None
    if not 0 < target <= 100 or (threshold is not None and threshold <= 0):
        raise UsageError(f"objective {text!r}: limit above 0 and percentage in 0..100 expected")
    return Objective(text, known, threshold, target / 100)


def wilson(good: float, count: float, z: float = _Z95) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % by default; (0, 1) when nothing was counted.

    ``z`` is the quantile of its confidence, and counts may be of effective requests, not whole.
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if count == 0:
        return 0.0, 1.0
    share, z2 = good / count, z * z
    centre = share + z2 / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    scale = 1 + z2 / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
    # At the ends the bound is exact; the arithmetic above would miss it by a rounding.
    return (0.0 if good == 0 else low), (1.0 if good == count else high)


def _attainment(records: Sequence[Record], objective: Objective) -> Attainment:
    kept = [keeps(record, objective) for record in records]
    good, bad = kept.count(True), kept.count(False)
    count = good + bad
    low, high = wilson(good, count)
    # 1e-9: 19 of 20 meets 95 %, whatever 0.95 is in binary.
    met = None if count == 0 else good >= objective.target * count - 1e-9
    attained = good / count if count else math.nan
    return Attainment(objective, attained, count, good, bad, low, high, met)


def keeps(record: Record, objective: Objective) -> bool | None:
    """Whether a request kept a promise; None where its metric is not defined for it."""
    if not record.ok:
        return False
    if objective.threshold is None:
        return True
    value = measured_value(record, objective.metric)
    return None if value is None else value <= objective.threshold


def measured_value(record: Record, metric: Metric) -> float | None:
    """A request's value of a metric in seconds; None where it has none, as for success."""
    if metric == "ttft":
        return record.ttft
    if metric == "tpot":
        return record.tpot
    if metric == "itl":
        return percentile(sorted(record.gaps), 0.99) if record.gaps else None
    return record.e2e
