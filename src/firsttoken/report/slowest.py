"""The requests to look at first: those that missed their objective by the most."""

from collections.abc import Sequence

from firsttoken.loadgen.records import Record, Run
from firsttoken.report import aggregate
from firsttoken.report.schema import Objective, SlowRequest
from firsttoken.report.tracelink import link
from firsttoken.report.words import seconds

__all__ = ["slowest"]

MOST = 10


def slowest(
    run: Run, objectives: Sequence[Objective], trace_url: str | None = None
) -> tuple[SlowRequest, ...]:
    """The answered requests that are worst beside their objective; without any, the longest.

    ``trace_url``: where a trace is shown, ``{trace_id}`` in the place of its id.
    """
    limits = [
        (one.metric, one.threshold)
        for one in objectives
        if one.threshold and one.metric in ("ttft", "tpot", "e2e")
    ]
    ranked = sorted(
        ((_worst(record, limits), record) for record in run.measured if record.ok),
        key=lambda item: (-item[0][0], item[1].index),
    )[:MOST]
    chosen = [record for _, record in ranked]
    beside = aggregate.levels(
        aggregate.in_flight(run.records), [(r.sent or 0.0, r.ended or 0.0) for r in chosen]
    )
    return tuple(
        SlowRequest(
            index=record.index,
            at=record.sent if record.sent is not None else record.intended,
            worst=text,
            prompt_tokens=record.prompt_tokens,
            output_tokens=record.output_tokens,
            ttft=record.ttft,
            tpot=record.tpot,
            e2e=record.e2e,
            in_flight=level,
            trace_id=record.trace_id,
            trace_url=link(trace_url, record.trace_id),
        )
        for ((_, text), record), level in zip(ranked, beside, strict=True)
    )


def _worst(record: Record, limits: Sequence[tuple[str, float]]) -> tuple[float, str]:
    """How bad it is, and in words: the greatest multiple of an objective's limit."""
    values = {"ttft": record.ttft, "tpot": record.tpot, "e2e": record.e2e}
    found = [
        (value / limit, f"{metric.upper()} {value / limit:.1f} × its limit")
        for metric, limit in limits
        if (value := values[metric]) is not None
    ]
    whole = record.e2e or 0.0
    return max(found, default=(whole, f"E2E {seconds(whole)}"))
