"""What runs are compared by: a series of each run, and a statistic of it."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from firsttoken.loadgen import bootstrap, series
from firsttoken.loadgen.bootstrap import Floats, Statistic
from firsttoken.loadgen.judge import Objective
from firsttoken.loadgen.record import Record, Run

__all__ = ["Quantity", "quantities"]

_FEWEST_BINS = 10


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
