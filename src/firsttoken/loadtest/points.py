"""A load's records as one point of a curve, with intervals by the block bootstrap."""

import math
from collections.abc import Callable, Sequence

from firsttoken.loadgen import series
from firsttoken.loadgen.bootstrap import interval
from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.judge import Objective, goodput
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import distribution, summarise
from firsttoken.loadtest.schema import Latency, Point, Seen
from firsttoken.loadtest.step import Ask

__all__ = ["front", "knee", "point"]


def point(
    run: Run, ask: Ask, objectives: Sequence[Objective], seen: Seen | None, records: str,
    confidence: float = 0.95,
) -> Point:  # fmt: skip
    """The point of a load that was run."""
    summary = summarise(run)
    good = goodput(run, objectives) if objectives else None
    span = interval(series.good(run, objectives), None, confidence) if objectives else None
    return Point(
        rate=ask.rate,
        concurrency=ask.concurrency,
        prompt_tokens=ask.prompt_tokens,
        output_tokens=ask.output_tokens,
        seconds=run.measured_seconds,
        requests=summary.requests,
        failed=summary.requests - summary.ok,
        offered_rate=summary.offered_rate,
        request_rate=summary.request_rate,
        input_rate=summary.input_rate,
        output_rate=summary.output_rate,
        in_flight=summary.achieved_concurrency,
        goodput=good,
        goodput_low=span[0] if span else None,
        goodput_high=span[1] if span else None,
        ttft=_latency(run, lambda record: record.ttft, confidence),
        tpot=_latency(run, lambda record: record.tpot, confidence),
        e2e=_latency(run, lambda record: record.e2e, confidence),
        e2e_mean=summary.e2e.mean if summary.e2e else None,
        bottleneck=bottleneck(run, objectives),
        seen=seen,
        records=records,
    )


def _latency(
    run: Run, value: Callable[[Record], float | None], confidence: float
) -> Latency | None:
    values = series.per_request(run, value)
    found = distribution(None if math.isnan(one) else float(one) for one in values)
    if found is None:
        return None
    p50, p95 = (interval(values, share, confidence) for share in (0.5, 0.95))
    return Latency(
        p50=found.p50,
        p50_low=p50[0] if p50 else None,
        p50_high=p50[1] if p50 else None,
        p95=found.p95,
        p95_low=p95[0] if p95 else None,
        p95_high=p95[1] if p95 else None,
        p99=found.p99,
    )


def front(gains: Sequence[float | None], costs: Sequence[float | None]) -> tuple[int, ...]:
    """The Pareto front: those that no other beats in both, by their numbers from 0.

    More of ``gains`` and less of ``costs`` is better; what has no value is not on it.
    """
    known = [
        (gain, cost, number)
        for number, (gain, cost) in enumerate(zip(gains, costs, strict=True))
        if gain is not None and cost is not None
    ]
    return tuple(
        number
        for gain, cost, number in known
        if not any(
            other_gain >= gain and other_cost <= cost and (other_gain, other_cost) != (gain, cost)
            for other_gain, other_cost, _ in known
        )
    )


def knee(points: Sequence[Point]) -> float | None:
    """The offered rate with the most throughput per latency; None below three points.

    L. Kleinrock, "Power and deterministic rules of thumb", 1979: beyond it latency grows faster
    than throughput does.
    """
    powers = {one.offered_rate: one.request_rate / one.e2e_mean for one in points if one.e2e_mean}
    return max(powers, key=lambda rate: powers[rate]) if len(powers) >= 3 else None
