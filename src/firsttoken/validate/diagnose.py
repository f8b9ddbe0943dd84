"""Why an objective was missed, and what to do: from the server's own stages and levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firsttoken import catalogue
from firsttoken.report.schema import Objective, Point
from firsttoken.report.series import KV_CACHE
from firsttoken.validate.page import Window

__all__ = ["Stages", "advice", "stages"]

_HALF = 0.5
_FULL = 0.95


@dataclass(frozen=True, slots=True)
class Stages:
    """Where requests spent their time on the server, mean seconds; and what the load did to it."""

    queue: float | None
    prefill: float | None
    decode: float | None
    preemptions: float
    fullest: float | None
    """The KV cache's highest utilisation, from 0 to 1."""

    @property
    def named(self) -> dict[str, float]:
        """The mean seconds of those stages that the server reports, in their order."""
        every = {"queue": self.queue, "prefill": self.prefill, "decode": self.decode}
        return {name: seconds for name, seconds in every.items() if seconds is not None}


def stages(window: Window, series: Mapping[str, Sequence[Point]]) -> Stages:
    """The stages between two pages; ``series`` are the server's over time."""

    def mean(metric: catalogue.Metric) -> float | None:
        histogram = window.histogram(metric)
        return histogram.mean if histogram else None

    return Stages(
        mean(catalogue.QUEUE_DURATION),
        mean(catalogue.PREFILL_DURATION),
        mean(catalogue.DECODE_DURATION),
        window.counter(catalogue.PREEMPTIONS) or 0.0,
        max((value for _, value in series.get(KV_CACHE, ())), default=None),
    )


def advice(
    judged: Sequence[Objective], failures: Mapping[str, int], found: Stages | None
) -> tuple[str, ...]:
    """One sentence or two for each cause that the numbers point at."""
    missed = {objective.metric for objective in judged if objective.status == "missed"}
    told: list[str] = []
    if found is not None:
        if missed & {"ttft", "queue", "e2e"}:
            told += _first_token(found)
        if missed & {"tpot", "itl", "e2e"}:
            told += _tokens(found)
        if missed and ((found.fullest or 0.0) > _FULL or found.preemptions):
            told.append(_cache(found))
    if failures and missed:
        common, count = max(failures.items(), key=lambda item: item[1])
        told.append(
            f"Look into the failures first: {sum(failures.values())} requests failed, most often"
            f" with “{common}” ({count}); a failed request meets no objective."
        )
    return tuple(dict.fromkeys(told))


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _first_token(found: Stages) -> list[str]:
    if found.queue is None or found.prefill is None:
        return []
    together = found.queue + found.prefill
    if together <= 0:
        return []
    spent = (
        f"Before its first token a request waited {_ms(found.queue)} in the queue and computed its"
        f" prompt for {_ms(found.prefill)}, on average."
    )
    if found.queue > _HALF * together:
        return [
            f"{spent} The queue dominates: this load is more than the engine can take at once. Add"
            " replicas, send less, or raise the limits on running sequences and batched tokens"
            " (vLLM: --max-num-seqs, --max-num-batched-tokens) if the KV cache has room."
        ]
    return [
        f"{spent} Prefill dominates: prompts are long for this engine, or it computes them slowly."
        " Check for a throttled or shared GPU, reuse prompt beginnings (prefix caching), shorten"
        " prompts, or spread the model over more GPUs (tensor parallelism)."
    ]


def _tokens(found: Stages) -> list[str]:
    if found.decode is None:
        return []
    return [
        f"Decoding an answer took {_ms(found.decode)} on average. Every running request makes each"
        " step longer: lower the concurrency for each replica (vLLM: --max-num-seqs), keep long"
        " prompts from holding up steps (--max-num-batched-tokens), quantise the weights, or use a"
        " GPU with more memory bandwidth."
    ]


def _cache(found: Stages) -> str:
    parts = []
    if found.fullest is not None:
        parts.append(f"the KV cache was up to {found.fullest:.0%} full")
    if found.preemptions:
        parts.append(f"{found.preemptions:,.0f} requests lost their cache to others (preemption)")
    text = " and ".join(parts)
    return (
        f"{text[:1].upper()}{text[1:]}: give the cache more memory (vLLM:"
        " --gpu-memory-utilization), limit the model's length (--max-model-len), or add replicas."
    )
