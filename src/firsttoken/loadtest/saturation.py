"""What of the server was at its limit first, from its own metrics along the curve."""

from collections.abc import Sequence

from firsttoken.loadtest.schema import Cost, Point, Saturation, Seen

__all__ = ["cost", "saturation"]

_FULL = 0.95
_QUEUED = 0.5
_PLATEAU = 1.5
"""How much the number running differs between samples, of which a load has few."""


def saturation(points: Sequence[Point]) -> Saturation:
    """The resource that is at its limit at the lowest rate.

    KV cache: 95 % of it in use, or preemptions.  Batch: requests wait although the KV cache has
    room, and never more ran: a step is full.  Whether of sequences or of tokens no server says, and
    both stop at a number running that is always the same.  Queue: requests wait although more ran
    at other rates, so that only tokens can be what fills a step.  GPU: busy 95 % of the time while
    nothing waits.

    A request that comes in the middle of a step waits for its end on an idle server, too.  So
    those count as waiting that are twice as many as come during the TTFT of the lowest rate.
    """
    seen = [(one, one.seen) for one in sorted(points, key=_rate) if one.seen is not None]
    if not seen:
        return Saturation(what="unknown", explanation="the server's metrics could not be read")
    most_running = max((one.running_max or 0.0 for _, one in seen), default=0.0)
    at_rest = next((one.ttft.p50 for one in sorted(points, key=_rate) if one.ttft), 0.0)
    for at, one in seen:
        found = _limit(one, most_running, max(_QUEUED, 2 * at_rest * _rate(at)))
        if found is not None:
            what, why = found
            return Saturation.model_validate(
                {"what": what, "at_rate": _rate(at), "explanation": why}
            )
    return Saturation(what="unknown", explanation="nothing of what the server reports was full")


def _limit(one: Seen, most_running: float, queued: float) -> tuple[str, str] | None:
    if (one.kv_cache_max or 0.0) >= _FULL or (one.preemptions or 0.0) > 0:
        share = f"{one.kv_cache_max:.0%} of it in use" if one.kv_cache_max is not None else "full"
        lost = f", {one.preemptions:.0f} preemptions" if one.preemptions else ""
        return "KV cache", f"the KV cache was the first to be full: {share}{lost}"
    if (one.waiting_mean or 0.0) >= queued:
        waiting = f"{one.waiting_mean:.1f} requests waited on average"
        if one.running_max and one.running_max * _PLATEAU >= most_running:
            tokens = f" of {one.step_tokens:.0f} tokens" if one.step_tokens else ""
            return "batch", (
                f"{waiting} while {one.running_max:.0f} ran, hardly fewer than ever, and the KV"
                f" cache had room: the engine's steps{tokens} were full. Their limit on sequences"
                " (vLLM: --max-num-seqs) or on tokens (--max-num-batched-tokens) is reached"
            )
        return "queue", (
            f"{waiting} while far fewer ran than at other rates: prompts wait for their part of a"
            " step's tokens (vLLM: --max-num-batched-tokens)"
        )
    if (one.gpu_utilization or 0.0) >= _FULL:
        return "GPU", f"the GPUs were busy {one.gpu_utilization:.0%} of the time, and none waited"
    return None


def _rate(one: Point) -> float:
    return one.offered_rate


def cost(at: Point, rate: float, *, gpus: int | None, price: float | None) -> Cost | None:
    """What serving ``rate`` requests a second costs, from the point measured nearest below it.

    ``price`` is of one GPU for an hour.  None where neither GPUs, price nor power are known.
    """
    seen = at.seen
    known = gpus or (seen.gpus if seen else None)
    watts = seen.power if seen else None
    if not at.request_rate or (known is None and watts is None):
        return None
    scale = rate / at.request_rate
    output, both = at.output_rate * scale, (at.output_rate + at.input_rate) * scale
    per_second = price * known / 3600 if price is not None and known else None
    return Cost(
        gpus=known,
        requests_per_gpu=rate / known if known else None,
        output_tokens_per_gpu=output / known if known else None,
        price_per_gpu_hour=price,
        price_per_million_output_tokens=_per_million(per_second, output),
        price_per_million_tokens=_per_million(per_second, both),
        watts=watts,
        output_tokens_per_joule=at.output_rate / watts if watts else None,
    )


def _per_million(per_second: float | None, tokens_per_second: float) -> float | None:
    return per_second / tokens_per_second * 1e6 if per_second and tokens_per_second else None
