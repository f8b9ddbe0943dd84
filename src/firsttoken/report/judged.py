"""An objective held against what was counted: its status, margin and interval."""

from collections.abc import Callable

from firsttoken.loadgen import order
from firsttoken.loadgen.judge import wilson
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import percentile
from firsttoken.report.schema import Objective
from firsttoken.report.words import percent

__all__ = ["FEWEST", "judged", "located"]

FEWEST = 10
"""Fewer measured requests than this judge nothing, save that they are clearly too slow."""


def judged(result: Objective, good: int, count: int) -> Objective:
    """The objective with its status, attained share, 95 % interval, and a word on chance."""
    share, (low, high) = good / count, wilson(good, count)
    met = good >= result.target * count - 1e-9
    detail = ""
    # Few that are all bad still show that an engine is too slow; few that are good show nothing.
    too_few = count < FEWEST and (met or high >= result.target)
    if too_few:
        detail = f"{count} requests are too few; at least {FEWEST} are needed"
    elif met and low < result.target:
        detail = (
            f"met, but {count} requests cannot show it for certain: the true share may be as low as"
            f" {percent(low)}"
        )
    elif not met and high >= result.target:
        detail = f"missed, but within chance: the true share may be as high as {percent(high)}"
    status = "not_judged" if too_few else "passed" if met else "missed"
    return result.model_copy(
        update={
            "status": status, "attained": share, "good": good, "count": count,
            "low": low, "high": high, "margin": share - result.target, "detail": detail,
        }
    )  # fmt: skip


def located(result: Objective, run: Run) -> Objective:
    """The objective with the latency that its share of all requests kept, and its interval."""
    if result.threshold is None or result.metric not in _VALUES:
        return result
    value_of = _VALUES[result.metric]
    ordered: list[float] = []
    count = 0
    for record in run.measured:
        value = value_of(record) if record.ok else None
        if value is not None:
            ordered.append(value)
        count += value is not None or not record.ok
    ordered.sort()
    low, high = order.interval(ordered, count, result.target)
    value = order.quantile(ordered, count, result.target)
    return result.model_copy(update={"value": value, "value_low": low, "value_high": high})


def _itl(record: Record) -> float | None:
    return percentile(sorted(record.gaps), 0.99) if record.gaps else None


_VALUES: dict[str, Callable[[Record], float | None]] = {
    "ttft": lambda record: record.ttft,
    "tpot": lambda record: record.tpot,
    "itl": _itl,
    "e2e": lambda record: record.e2e,
}
