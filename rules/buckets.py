"""A latency objective on classic buckets is exact only where its threshold is a bound."""

from bisect import bisect_left
from decimal import Decimal
from typing import Literal

from firsttoken.rules.bounds import ENGINES, LatencyKey, version_of
from firsttoken.rules.objectives import told
from firsttoken.rules.slo import AnyObjective, Goodput, Latency, SloFile

__all__ = ["FAMILY", "VLLM", "bounds_of", "problems", "snapped"]

VLLM = ENGINES["vllm"].bounds
FAMILY: dict[LatencyKey, str] = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "itl": "inter_token_latency",
    "e2e": "request_latency",
    "queue": "request_latency",
}
"""The histograms of vLLM whose bounds ``--custom-histogram-buckets`` sets together."""


def bounds_of(slo: SloFile, metric: LatencyKey) -> tuple[Decimal, ...] | None:
    """The bounds of a metric's histogram in seconds, ascending; None when they are not known.

    Empty for a metric of which the engine has no histogram.
    """
    if metric in slo.buckets:
        return tuple(sorted(slo.buckets[metric]))
    if slo.engine == "other" or slo.histograms == "native":
        return None
    version = version_of(slo.engine_version) if slo.engine_version else None
    return ENGINES[slo.engine].at(version).get(metric, ())


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
    if not bounds:
        return f"objective {objective.name}: {slo.engine} has no histogram of {objective.metric}"
    neighbours = _neighbours(objective.threshold, bounds)
    near = " and ".join(told(bound) for bound in neighbours if bound is not None)
    text = (
        f"objective {objective.name}: threshold {told(objective.threshold)} is not a bucket bound"
        f" of {objective.metric}; near are {near} (--snap takes one of them)"
    )
    engine = ENGINES.get(slo.engine)
    flag = engine.flags.get(objective.metric) if engine else None
    if engine is None or flag is None:
        return text
    if slo.engine_version and version_of(slo.engine_version) < engine.since:
        since = ".".join(map(str, engine.since))
        return f"{text}; {slo.engine} can be given more bounds from {since} on"
    listed = [format(bound, "f") for bound in sorted({*bounds, objective.threshold})]
    given = flag.replace("{bounds}", ",".join(listed)).replace("{spaced}", " ".join(listed))
    return f"{text}; or start {slo.engine} with {given} and list the bounds under" + (
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
