"""The pictures of a report: what clients saw over time, with the server's own view beside it."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from firsttoken.config import format_duration
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import percentile
from firsttoken.report.figure import Picture
from firsttoken.report.schema import Objective, Point, Report
from firsttoken.validate.diagnose import KV_CACHE, RUNNING, WAITING
from firsttoken.validate.drawing import COLOURS, axes, style, svg
from firsttoken.validate.observe import OUTPUT_RATE

__all__ = ["in_flight", "pictures", "tokens_per_second"]

BINS = 40


def pictures(report: Report, run: Run) -> tuple[Picture, ...]:
    """All pictures that the data allow, in reading order."""
    if not any(record.ok for record in run.records):
        return ()
    with style():
        drawn = [_latency(report, run)]
        drawn += [
            picture
            for metric in ("ttft", "tpot")
            if (picture := _distribution(report, run, metric)) is not None
        ]
        drawn += [_throughput(report, run), _queue(report, run)]
        if report.series.get(KV_CACHE):
            drawn.append(_cache(report, run))
        if report.stages:
            drawn.append(_stages(report, run))
    return tuple(drawn)


# --- What is drawn --------------------------------------------------------------------------------


def in_flight(run: Run) -> list[Point]:
    """How many requests were sent and not ended, as steps over time."""
    events = sorted(
        [(record.sent, 1) for record in run.records if record.sent is not None]
        + [(r.ended, -1) for r in run.records if r.sent is not None and r.ended is not None]
    )
    level, steps = 0, []
    for moment, change in events:
        level += change
        steps.append((moment, float(level)))
    return steps


def tokens_per_second(run: Run) -> list[Point]:
    """Output tokens that arrived in each whole second; a chunk carries its answer's mean."""
    seconds: dict[int, float] = {}
    for record in run.records:
        if record.first is None or not record.output_tokens or not record.chunks:
            continue
        share, moment = record.output_tokens / record.chunks, record.first
        for gap in (0.0, *record.gaps):
            moment += gap
            seconds[int(moment)] = seconds.get(int(moment), 0.0) + share
    last = max(seconds, default=0)
    return [(second + 0.5, seconds.get(second, 0.0)) for second in range(last + 1)]


def _value(record: Record, metric: str) -> float | None:
    return record.ttft if metric == "ttft" else record.tpot


def _thresholds(report: Report, metric: str) -> list[Objective]:
    return [o for o in report.objectives if o.metric == metric and o.threshold is not None]


# --- Pictures -------------------------------------------------------------------------------------


def _warm_up(axis: Axes, run: Run) -> None:
    start = run.measure[0]
    if start > 0:
        axis.axvspan(0, start, color=COLOURS["shade"], linewidth=0, zorder=0)
        axis.annotate(
            "warm-up",
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -10),
            textcoords="offset points",
            color=COLOURS["muted"],
            fontsize=8.5,
        )


def _limit(axis: Axes, objective: Objective, *, vertical: bool = False) -> None:
    assert objective.threshold is not None  # noqa: S101 (see _thresholds)
    value = objective.threshold * 1000
    text = f"objective: {objective.target * 100:g} % within {format_duration(objective.threshold)}"
    line: Any = {"color": COLOURS["bad"], "linewidth": 1.3, "linestyle": (0, (4, 3))}
    if vertical:
        axis.axvline(value, label=text, **line)
    else:
        axis.axhline(value, label=text, **line)


def _latency(report: Report, run: Run) -> Picture:
    figure, rows = axes(2, width=13.2, height=4.6)
    failed = [r.sent for r in run.records if not r.ok and r.sent is not None]
    for axis, metric in zip(rows, ("ttft", "tpot"), strict=True):
        points = [
            (record.sent, value * 1000)
            for record in run.records
            if record.ok and record.sent is not None and (value := _value(record, metric))
        ]
        axis.scatter(
            [x for x, _ in points], [y for _, y in points], s=9, color=COLOURS["client"],
            alpha=0.75, linewidth=0, label="a request",
        )  # fmt: skip
        if failed:
            axis.scatter(
                failed, [0] * len(failed), s=22, marker="x", color=COLOURS["bad"],
                linewidth=1.2, label=f"{len(failed)} failed", clip_on=False,
            )  # fmt: skip
        limits = _thresholds(report, metric)
        for objective in limits:
            _limit(axis, objective)
        _warm_up(axis, run)
        highest = max([y for _, y in points] + [(o.threshold or 0) * 1000 for o in limits])
        axis.set_ylim(0, 1.18 * highest or 1)
        axis.set_ylabel(f"{metric.upper()} (ms)")
        axis.legend(loc="upper right", ncols=3, bbox_to_anchor=(1, 1.2), borderpad=0)
    rows[-1].set_xlabel("seconds since the first request")
    rows[-1].set_xlim(left=0)
    return svg(
        figure, "latency", "Latency of every request against time",
        "Each point is a request, at the moment it was sent. Above: time to the first token."
        " Below: time for each token after it.",
    )  # fmt: skip


def _distribution(report: Report, run: Run, metric: str) -> Picture | None:
    ordered = sorted(
        value * 1000
        for record in run.measured
        if record.ok and (value := _value(record, metric)) is not None
    )
    if not ordered:
        return None
    limits = _thresholds(report, metric)
    # The slowest of a thousand would squeeze all others into one bar; it is in the last one.
    right = max(percentile(ordered, 0.995), *(1.08 * (o.threshold or 0) * 1000 for o in limits), 1)
    figure, (axis,) = axes(height=2.5)
    counts, edges, _ = axis.hist(
        [min(value, right) for value in ordered], bins=BINS, range=(0, right),
        color=COLOURS["client"], rwidth=0.92,
    )  # fmt: skip
    strictest = min((o.threshold for o in limits if o.threshold), default=None)
    if strictest is not None:
        for bar, edge in zip(axis.patches, edges[:-1], strict=True):
            if edge >= strictest * 1000 - 1e-9:
                bar.set_facecolor(COLOURS["bad"])
    for objective in limits:
        _limit(axis, objective, vertical=True)
    _quantiles(axis, ordered, float(max(counts)))
    axis.set_xlim(0, right)
    axis.set_xlabel(f"{metric.upper()} (ms)")
    axis.set_ylabel("requests")
    if limits:
        axis.legend(loc="upper right", bbox_to_anchor=(1, 1.2), borderpad=0)
    beyond = sum(value > right for value in ordered)
    more = f" The last bar holds {beyond} beyond the scale." if beyond else ""
    name = "time to first token" if metric == "ttft" else "time per output token"
    return svg(
        figure, f"{metric}-distribution", f"Distribution of {metric.upper()}",
        f"Measured requests by their {name}; those beyond the objective are red.{more}",
    )  # fmt: skip


def _quantiles(axis: Axes, ordered: Sequence[float], height: float) -> None:
    axis.set_ylim(0, height * 1.28)
    for share, level in ((0.5, 1.16), (0.95, 1.06)):
        value = percentile(ordered, share)
        axis.plot([value, value], [0, height * level], color=COLOURS["ink"], linewidth=0.9)
        axis.annotate(
            f"p{share * 100:g} {value:.0f}" if value >= 10 else f"p{share * 100:g} {value:.1f}",
            (value, height * level), xytext=(3, -4), textcoords="offset points",
            fontsize=8.5,
        )  # fmt: skip


def _line(axis: Axes, points: Sequence[Point], label: str, colour: str, **more: Any) -> None:
    settings: Any = {"linewidth": 1.5, "drawstyle": "default"} | more
    axis.plot(
        [x for x, _ in points], [y for _, y in points], label=label, color=COLOURS[colour],
        **settings,
    )  # fmt: skip


def _over_time(axis: Axes, run: Run, unit: str) -> None:
    _warm_up(axis, run)
    axis.set_ylim(0, axis.get_ylim()[1] * 1.12)
    axis.set_xlim(left=0)
    axis.set_ylabel(unit)
    axis.set_xlabel("seconds since the first request")
    axis.legend(loc="upper right", ncols=3, bbox_to_anchor=(1, 1.2), borderpad=0)


def _throughput(report: Report, run: Run) -> Picture:
    figure, (axis,) = axes(height=2.5)
    _line(axis, tokens_per_second(run), "client", "client", drawstyle="steps-mid")
    if report.series.get(OUTPUT_RATE):
        _line(axis, report.series[OUTPUT_RATE], "server (Prometheus)", "server")
    _over_time(axis, run, "output tokens per second")
    return svg(
        figure, "throughput", "Throughput",
        "Output tokens as they arrived at the client, and as the server counted them.",
    )  # fmt: skip


def _queue(report: Report, run: Run) -> Picture:
    figure, (axis,) = axes(height=2.5)
    _line(axis, in_flight(run), "in flight (client)", "client", drawstyle="steps-post", linewidth=1)
    for name, colour, label in ((RUNNING, "server", "running"), (WAITING, "bad", "waiting")):
        if report.series.get(name):
            _line(axis, report.series[name], f"{label} (server)", colour, drawstyle="steps-post")
    _over_time(axis, run, "requests")
    return svg(
        figure, "queue", "Requests in flight and in the queue",
        "What the client waits for, and what the server works on or has waiting.",
    )  # fmt: skip


def _cache(report: Report, run: Run) -> Picture:
    figure, (axis,) = axes(height=2.5)
    points = [(moment, value * 100) for moment, value in report.series[KV_CACHE]]
    _line(axis, points, "in use (server)", "server", drawstyle="steps-post")
    _over_time(axis, run, "% of the KV cache")
    top = max(value for _, value in points)
    axis.set_ylim(0, 100 if top > 40 else max(5.0, top * 1.6))
    return svg(
        figure, "kv-cache", "KV cache",
        "Share of the KV cache in use, as the server reports it at each scrape.",
    )  # fmt: skip


def _stages(report: Report, run: Run) -> Picture:
    spans = [r.e2e for r in run.records if r.ok and r.e2e is not None]
    rest = sum(spans) / len(spans) - sum(report.stages.values())
    parts = {**report.stages, "elsewhere": max(0.0, rest)}
    colours = {"queue": "bad", "prefill": "server", "decode": "client", "elsewhere": "muted"}
    figure, (axis,) = axes(height=2.5)
    for place, (name, seconds) in enumerate(reversed(parts.items())):
        axis.barh(place, seconds * 1000, height=0.62, color=COLOURS[colours[name]])
        axis.annotate(
            f"{seconds * 1000:,.1f} ms", (seconds * 1000, place), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    axis.set_yticks(range(len(parts)), list(reversed(parts)))
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.16)
    axis.set_xlim(left=0)
    axis.set_xlabel("mean of a request (ms)")
    return svg(
        figure, "stages", "Where the time went",
        "Mean time of a request in each stage of the server; elsewhere is what the client waited"
        " beyond that: network, HTTP, the API server.",
    )  # fmt: skip
