"""Bucket bounds of the engine's histograms, so that each objective's threshold is one of them."""

import json
from decimal import Decimal

from firsttoken.errors import ConfigError
from firsttoken.manifests.flags import CUSTOM_BUCKETS, Release, format_release
from firsttoken.rules.buckets import FAMILY, VLLM, problems
from firsttoken.rules.slo import Latency, LatencyKey, SloFile

__all__ = ["custom_buckets", "with_bounds"]


def with_bounds(slo: SloFile, release: Release) -> SloFile:
    """The objectives with the bounds under ``buckets`` that the engine must be started with.

    A family of histograms that has every threshold already keeps the engine's own bounds.
    Raises ConfigError when bounds are missing and the release cannot be given any, or when the
    objectives are for another engine.
    """
    where = f"objectives of {slo.service}"
    if slo.engine != "vllm":
        raise ConfigError(where, [f"engine is {slo.engine}, but the deployment runs vllm"])
    missing = problems(slo)
    if not missing and not slo.buckets:
        return slo
    if release < CUSTOM_BUCKETS:
        since = f"(from vLLM {format_release(CUSTOM_BUCKETS)}; this is {format_release(release)})"
        given = [f"buckets: {', '.join(slo.buckets)} cannot be set {since}"] if slo.buckets else []
        raise ConfigError(where, [f"{sentence} {since}" for sentence in missing] or given)
    families = {key: FAMILY[key] for key in VLLM}
    changed = {families[key] for key in slo.buckets} | {
        families[objective.metric]
        for objective in slo.objectives
        if isinstance(objective, Latency) and objective.threshold not in VLLM[objective.metric]
    }
    bounds = {
        key: _family_bounds(slo, family) for key, family in families.items() if family in changed
    }
    return slo.model_copy(update={"buckets": bounds})


def _family_bounds(slo: SloFile, family: str) -> tuple[Decimal, ...]:
    """The bounds of a family: those given for any of its metrics or the defaults; thresholds."""
    keys: list[LatencyKey] = [key for key in VLLM if FAMILY[key] == family]
    found: set[Decimal] = set()
    for key in keys:
        found.update(slo.buckets.get(key, ()))
    if not found:
        found.update(VLLM[keys[0]])
    found.update(
        objective.threshold
        for objective in slo.objectives
        if isinstance(objective, Latency) and FAMILY[objective.metric] == family
    )
    return tuple(sorted(found))


def custom_buckets(slo: SloFile) -> str | None:
    """The value of ``--custom-histogram-buckets`` for ``slo.buckets``; None when there are none."""
    families = {FAMILY[key]: [float(bound) for bound in slo.buckets[key]] for key in slo.buckets}
    return json.dumps(families, sort_keys=True, separators=(",", ":")) if families else None
