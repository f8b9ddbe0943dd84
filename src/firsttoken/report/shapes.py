"""Figures without time: distributions with their objectives, and what latency depends on."""

import bisect
from collections.abc import Sequence

from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import percentile
from firsttoken.report import aggregate, axis
from firsttoken.report.figure import Figure, Key, Panel, Table
from firsttoken.report.over_time import DOTS, value_of
from firsttoken.report.schema import Objective, Report
from firsttoken.report.words import percent, seconds

__all__ = ["distribution", "gaps", "tpot_by_concurrency", "ttft_by_prompt"]

_NAMES = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "e2e": "end-to-end latency",
}
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_MOST_GAPS = 200_000


def distribution(report: Report, run: Run, metric: str) -> Figure | None:
    """The share of requests that were answered within each latency, with objective and server."""
    counted = [r for r in run.measured if not r.ok or value_of(r, metric) is not None]
    values = sorted(v for r in counted if r.ok and (v := value_of(r, metric)) is not None)
    if not values:
        return None
    limits = [o for o in report.objectives if o.metric == metric and o.threshold is not None]
    scheduled = _scheduled(run, metric)
    lowest = values[0]
    buckets = [
        (bound, part)
        for bound, part in report.histograms.get(metric, ())
        if lowest / 2 <= bound <= 2 * values[-1]
    ]
    everything = [*values, *scheduled[-1:], *(o.threshold or 0.0 for o in limits)]
    panel = Panel(
        axis.logarithmic([*everything, *(bound for bound, _ in buckets)]),
        axis.linear([1.0], text=axis.share, most=1.0, wanted=5), 210,
        "share of requests within",
    )  # fmt: skip
    for objective in limits:
        panel.limit(objective.threshold or 0.0, axis.span(objective.threshold or 0.0), upright=True)
        panel.line(
            [(panel.x.low, objective.target), (panel.x.high, objective.target)], "bad", kind="dash"
        )
    if scheduled:
        panel.line(_closed(scheduled, len(counted), panel), "violet", step=True, kind="line thin")
    panel.line(_closed(values, len(counted), panel), "client", step=True)
    panel.rings(buckets, "server")
    keys = [Key("line", "client", "client")]
    if scheduled:
        keys.append(Key("line", "violet", "from the moment it was due"))
    if buckets:
        keys.append(Key("ring", "server", "server’s buckets"))
    if limits:
        keys.append(Key("dash", "bad", "objective"))
    return Figure(
        f"{metric}-distribution", f"Distribution of {metric.upper()}",
        _caption(metric, values, counted, limits),
        panel.html(
            f"{metric}-ecdf", f"Empirical distribution of {_NAMES[metric]}",
            f"{len(values)} of {len(counted)} requests were answered; the table has percentiles.",
        ),
        _percentiles("share of the answered", metric.upper(), values),
        tuple(keys),
    )  # fmt: skip


def _percentiles(share: str, name: str, ordered: Sequence[float]) -> Table:
    rows = tuple((axis.share(s), seconds(percentile(ordered, s))) for s in _SHARES)
    return Table((share, name), rows)


def _scheduled(run: Run, metric: str) -> list[float]:
    """Latencies from the schedule, where that could have been missed and it shows."""
    if metric not in ("ttft", "e2e") or not run.open_loop:
        return []
    chosen = [
        r.scheduled_ttft if metric == "ttft" else r.scheduled_e2e for r in run.measured if r.ok
    ]
    return sorted(value for value in chosen if value is not None)


def _closed(values: Sequence[float], total: int, panel: Panel) -> list[tuple[float, float]]:
    """The distribution's steps from the left end of the axis to its right one."""
    found = aggregate.cumulative(values, total)
    return [(panel.x.low, 0.0), *found, (panel.x.high, found[-1][1])]


def _caption(
    metric: str, values: Sequence[float], counted: Sequence[Record], limits: Sequence[Objective]
) -> str:
    parts = [f"Measured requests by their {_NAMES[metric]}, on a log scale."]
    for objective in limits:
        within = bisect.bisect_right(values, objective.threshold or 0.0) / len(counted)
        parts.append(
            f"{percent(within)} are within {axis.span(objective.threshold or 0.0)},"
            f" where the dashed lines ask for {objective.target * 100:g} %."
        )
    if len(values) < len(counted):
        missing = len(counted) - len(values)
        parts.append(f"The curve ends below 100 %, because {missing:,} requests failed.")
    return " ".join(parts)


def gaps(run: Run) -> Figure | None:
    """The distribution of the time from chunk to chunk."""
    every = [gap for r in run.measured if r.ok for gap in r.gaps]
    stride = max(1, len(every) // _MOST_GAPS)
    positive = sorted(gap for gap in every[::stride] if gap > 1e-5)
    if len(positive) < 2:
        return None
    together = sum(gap <= 1e-5 for gap in every[::stride]) / len(every[::stride])
    panel = Panel(
        axis.logarithmic(positive), axis.linear([1.0], text=axis.share, most=1.0), 210,
        "share of gaps within",
    )  # fmt: skip
    panel.line(_closed(positive, len(positive), panel), "client", step=True)
    joined = (
        f" {percent(together)} of all chunks came together with the one before." if together else ""
    )
    return Figure(
        "itl-distribution", "Distribution of ITL",
        f"Time between successive chunks of an answer: steps to the right are stalls that a reader"
        f" sees.{joined}",
        panel.html("itl-ecdf", "Empirical distribution of inter-token latency",
                   "The table has percentiles."),
        _percentiles("share", "ITL", positive),
        (Key("line", "client", "client"),),
    )  # fmt: skip


# --- What it depends on ---------------------------------------------------------------------------


def ttft_by_prompt(report: Report, run: Run) -> Figure | None:
    """TTFT against the length of the prompt."""
    points = [
        (float(r.prompt_tokens), r.ttft)
        for r in run.measured
        if r.ok and r.prompt_tokens and r.ttft is not None
    ]
    return _dependence(
        report, points, "ttft", "ttft-prompt", "TTFT against prompt length", "prompt tokens",
        "A line that rises with the prompt is prefill; a spread above it is the queue.",
    )  # fmt: skip


def tpot_by_concurrency(report: Report, run: Run) -> Figure | None:
    """TPOT against the mean number of requests that were in flight beside it."""
    chosen = [
        r for r in run.measured
        if r.ok and r.tpot is not None and r.first is not None and r.last is not None
    ]  # fmt: skip
    beside = aggregate.levels(
        aggregate.in_flight(run.records), [(r.first or 0.0, r.last or 0.0) for r in chosen]
    )
    points = [(level, r.tpot or 0.0) for level, r in zip(beside, chosen, strict=True)]
    return _dependence(
        report, points, "tpot", "tpot-concurrency", "TPOT against concurrency",
        "requests in flight while it was answered",
        "How much each request more slows down all others: where it turns up, the batch is full.",
    )  # fmt: skip


def _dependence(
    report: Report, points: Sequence[tuple[float, float]], metric: str, name: str, title: str,
    along: str, caption: str,
) -> Figure | None:  # fmt: skip
    if len(points) < 2:
        return None
    limits = [o for o in report.objectives if o.metric == metric and o.threshold is not None]
    near = [o for o in limits if (o.threshold or 0.0) <= 4 * max(y for _, y in points)]
    ys = [y for _, y in points] + [o.threshold or 0.0 for o in near]
    panel = Panel(
        axis.linear([x for x, _ in points], title=along, wanted=6),
        axis.linear(ys, text=axis.span), 210, metric.upper(),
    )  # fmt: skip
    if len(points) > DOTS:
        cells = aggregate.density(points, panel.x, panel.y, 60, 30)
        most = max(count for *_, count in cells)
        panel.cells(((*place, (count / most) ** 0.5) for *place, count in cells), "client")
    else:
        panel.dots(points, "client", "dots faint")
    found = aggregate.trend(points)
    panel.line([(one.at, one.p50) for one in found], "ink")
    panel.line([(one.at, one.p95) for one in found], "violet")
    for objective in near:
        panel.limit(objective.threshold or 0.0, f"objective {objective.name}")
    rows = tuple(
        (f"{one.left:,.0f}–{one.right:,.0f}", f"{one.count:,}", seconds(one.p50), seconds(one.p95))
        for one in found
    )
    return Figure(
        name, title, caption,
        panel.html(name, title, f"{len(points)} requests; the table has medians."),
        Table((along, "requests", "median", "p95"), rows),
        (Key("dot", "client", "a request"), Key("line", "ink", "median"),
         Key("line", "violet", "p95")),
    )  # fmt: skip
