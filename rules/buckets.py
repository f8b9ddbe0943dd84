"""Bucket bounds of engines: a latency objective is exact only where its threshold is one.

Source of the table: vLLM 0.32, ``vllm/v1/metrics/buckets.py``.  The collector keeps an engine's
bounds, so the table holds behind it too.
"""

from bisect import bisect_left
from decimal import Decimal
from typing import Literal

from firsttoken.config import format_duration
from firsttoken.rules.slo import AnyObjective, Goodput, Latency, LatencyKey, SloFile

__all__ = ["FAMILY", "VLLM", "bounds_of", "problems", "snapped"]

_LATENCY_BOUNDS = "0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680"
_FIRST_BOUNDS = (
    "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 20 40 80 160 640 2560"
)
_GAP_BOUNDS = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40 80"


def _bounds(text: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(bound) for bound in text.split())


VLLM: dict[LatencyKey, tuple[Decimal, ...]] = {
    "ttft": _bounds(_FIRST_BOUNDS),
    "tpot": _bounds(_GAP_BOUNDS),
    "itl": _bounds(_GAP_BOUNDS),
    "e2e": _bounds(_LATENCY_BOUNDS),
    "queue": _bounds(_LATENCY_BOUNDS),
}
FAMILY: dict[LatencyKey, str] = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "itl": "inter_token_latency",
    "e2e": "request_latency",
    "queue": "request_latency",
}
"""The histograms whose bounds ``--custom-histogram-buckets`` sets together."""


def bounds_of(slo: SloFile, metric: LatencyKey) -> tuple[Decimal, ...] | None:
    """The bounds of a metric's histogram in seconds, ascending; None when they are not known."""
    if metric in slo.buckets:
        return tuple(sorted(slo.buckets[metric]))
    return VLLM[metric] if slo.engine == "vllm" else None


def _neighbours(
    threshold: Decimal, bounds: tuple[Decimal, ...]
) -> tuple[Decimal | None, Decimal | None]:
    place = bisect_left(bounds, threshold)
    below = bounds[place - 1] if place else None
    return below, bounds[place] if place < len(bounds) else None


def problems(slo: SloFile) -> list[str]:
    """A sentence for each threshold that is not a bound: its neighbours, and what adds one."""
    found = []
    for objective in slo.objectives:
        if not isinstance(objective, Latency | Goodput):
            continue
        bounds = bounds_of(slo, objective.metric)
        if bounds is not None and objective.threshold not in bounds:
            found.append(_sentence(slo, objective, bounds))
    return found


def _sentence(slo: SloFile, objective: Latency | Goodput, bounds: tuple[Decimal, ...]) -> str:
    near = " and ".join(
        format_duration(float(bound))
        for bound in _neighbours(objective.threshold, bounds)
        if bound is not None
    )
    text = (
        f"objective {objective.name}: threshold {format_duration(float(objective.threshold))} is"
        f" not a bucket bound of {objective.metric}; near are {near}"
    )
    if slo.engine != "vllm":
        return text
    listed = ",".join(format(bound, "f") for bound in sorted({*bounds, objective.threshold}))
    return (
        f"{text}; or start vLLM with --custom-histogram-buckets"
        f" '{{\"{FAMILY[objective.metric]}\":[{listed}]}}' and list the bounds under"
        f" buckets.{objective.metric}"
    )


def snapped(slo: SloFile, direction: Literal["up", "down"]) -> SloFile:
    """The same file with each threshold moved to the next bound in one direction.

    A threshold that has no bound on that side stays, and ``problems`` names it.
    """
    moved: list[AnyObjective] = []
    for objective in slo.objectives:
        if isinstance(objective, Latency | Goodput):
            bounds = bounds_of(slo, objective.metric)
            if bounds is not None and objective.threshold not in bounds:
                below, above = _neighbours(objective.threshold, bounds)
                bound = above if direction == "up" else below
                if bound is not None:
                    moved.append(objective.model_copy(update={"threshold": bound}))
                    continue
        moved.append(objective)
    return slo.model_copy(update={"objectives": tuple(moved)})
