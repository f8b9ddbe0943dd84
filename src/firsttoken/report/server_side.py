"""Figures of what the server reported: queue, KV cache, batch, GPUs, and where the time went."""

import itertools
from collections.abc import Sequence

from firsttoken.loadgen.records import Run
from firsttoken.report import aggregate, axis, series
from firsttoken.report.figure import Figure, Key, Panel, Table
from firsttoken.report.over_time import phases
from firsttoken.report.schema import Point, Report
from firsttoken.report.words import seconds

__all__ = ["batch", "cache", "gpu", "queue", "stages"]

_TONES = {
    "network": "muted",
    "admission": "violet",
    "queue": "bad",
    "prefill": "server",
    "decode": "client",
    "delivery": "violet",
    "tail": "teal",
    "elsewhere": "muted",
}
_ROWS = 24
_OWN = (
    "Mean of a request, warm-up included; elsewhere is what the client waited beyond the server’s"
    " stages: network, HTTP, the API server."
)
_TRACED = "Mean of a measured request, from its client’s record and its server’s span."


def queue(report: Report, run: Run, x: axis.Axis) -> Figure:
    """What the client waits for, and what the server works on or has waiting."""
    bounds = aggregate.edges(x.high)
    steps = aggregate.in_flight(run.records)
    held = aggregate.levels(steps, itertools.pairwise(bounds))
    client = list(zip(bounds, [*held, held[-1]], strict=True))
    running = report.series.get(series.RUNNING, ())
    waiting = report.series.get(series.WAITING, ())
    values = [v for _, v in (*client, *running, *waiting)]
    panel = Panel(x, axis.linear(values, wanted=4), 170, "requests")
    phases(panel, run)
    panel.line(client, "client", step=True)
    panel.line(running, "server", step=True)
    panel.line(waiting, "bad", step=True)
    keys = [Key("line", "client", "in flight (client)")]
    if running:
        keys.append(Key("line", "server", "running (server)"))
    if waiting:
        keys.append(Key("line", "bad", "waiting (server)"))
    spans = [(float(t), float(t + 1)) for t in _moments(x)]
    levels = aggregate.levels(steps, spans)
    rows = tuple(
        (f"{start:.0f} s", f"{level:.1f}", _near(running, start), _near(waiting, start))
        for (start, _), level in zip(spans, levels, strict=True)
    )
    return Figure(
        "queue", "In flight, running and waiting",
        "A queue that grows while the number running does not is a server at its limit.",
        panel.html("queue", "Requests in flight, running and waiting over time", "See the table."),
        Table(("at", "in flight", "running", "waiting"), rows), tuple(keys),
    )  # fmt: skip


def _moments(x: axis.Axis) -> list[float]:
    step = max(1.0, (x.high - x.low) / _ROWS)
    return [x.low + i * step for i in range(int((x.high - x.low) / step))]


def _near(points: Sequence[Point], moment: float, text: axis.Text = axis.count) -> str:
    """The last value until a moment, in words."""
    before = [value for at, value in points if at <= moment]
    return text(round(before[-1], 3)) if before else "–"


def _levels(
    report: Report, run: Run, x: axis.Axis, name: str, title: str, caption: str, label: str,
    shown: Sequence[tuple[str, str, str]], text: axis.Text, most: float | None = None,
) -> Figure | None:  # fmt: skip
    """Some of the server's series over time: (series, tone, words) each."""
    found = [
        (report.series[key], tone, words) for key, tone, words in shown if report.series.get(key)
    ]
    if not found:
        return None
    values = [value for points, _, _ in found for _, value in points]
    panel = Panel(x, axis.linear(values, text=text, most=most, wanted=4), 150, label)
    phases(panel, run)
    for points, tone, _ in found:
        panel.line(points, tone, step=True)
    rows = tuple(
        (f"{moment:.0f} s", *(_near(points, moment, text) for points, _, _ in found))
        for moment in _moments(x)
    )
    return Figure(
        name, title, caption,
        panel.html(name, f"{title} over time", "See the table."),
        Table(("at", *(words for _, _, words in found)), rows),
        tuple(Key("line", tone, words) for _, tone, words in found),
    )  # fmt: skip


def cache(report: Report, run: Run, x: axis.Axis) -> Figure | None:
    """How full the KV cache was, and how much of the prompts it already held."""
    used = [value for _, value in report.series.get(series.KV_CACHE, ())]
    hits = [value for _, value in report.series.get(series.HIT_RATIO, ())]
    return _levels(
        report, run, x, "kv-cache", "KV cache",
        "Near 100 % requests wait for memory, or lose theirs to others (preemption).",
        "share of the KV cache",
        (
            (series.KV_CACHE, "server", "in use"),
            (series.HIT_RATIO, "teal", "prefix hits, of prompt tokens"),
        ),
        axis.share, most=1.0 if max([*used, *hits], default=0.0) > 0.3 else None,
    )  # fmt: skip


def batch(report: Report, run: Run, x: axis.Axis) -> Figure | None:
    """How many tokens a step of the engine computed."""
    return _levels(
        report, run, x, "batch", "Batch",
        "Mean tokens in one step of the engine: decoding adds one for each running request, prefill"
        " whole pieces of prompts.",
        "tokens per step", ((series.BATCH, "server", "tokens per step"),), axis.count,
    )  # fmt: skip


def gpu(report: Report, run: Run, x: axis.Axis) -> Figure | None:
    """How busy the GPUs were."""
    power = report.series.get(series.GPU_POWER, ())
    drawn = f" Together they drew {max(v for _, v in power):,.0f} W at most." if power else ""
    return _levels(
        report, run, x, "gpu", "GPUs",
        f"As the GPU exporter reports them, over all GPUs it shows.{drawn}",
        "share", (
            (series.GPU_BUSY, "server", "busy, mean"),
            (series.GPU_BUSIEST, "violet", "busy, the busiest"),
            (series.GPU_MEMORY, "teal", "memory in use"),
        ), axis.share, most=1.0,
    )  # fmt: skip


def stages(report: Report, run: Run) -> Figure | None:
    """Where a request's time went, as the server's own stages have it."""
    spans = [r.e2e for r in run.records if r.ok and r.e2e is not None]
    if not report.stages or not spans:
        return None
    parts, told = dict(report.stages), _TRACED
    if "network" not in parts:  # nothing but the server's own histograms
        whole, told = sum(spans) / len(spans), _OWN
        parts["elsewhere"] = max(0.0, whole - sum(parts.values()))
    total = sum(parts.values()) or 1.0
    places, left = [], 0.0
    for name, value in parts.items():
        width = 100 * value / total
        places.append(
            f'<rect class="bar {_TONES.get(name, "teal")}" x="{left:.2f}%" width="{width:.2f}%"'
            ' y="0" height="30"/>'
        )
        left += width
    rows = tuple(
        (name, seconds(value), axis.share(round(value / total, 4))) for name, value in parts.items()
    )
    listed = "".join(
        f'<li><span class="key area {_TONES.get(name, "teal")}"></span>{name}'
        f"<strong>{took}</strong><small>{part}</small></li>"
        for name, took, part in rows
    )
    title = ", ".join(f"{name} {took}" for name, took, _ in rows)
    body = (
        f'<svg class="stack" role="img" aria-labelledby="stages-t" width="100%" height="30">'
        f'<title id="stages-t">Mean time of a request: {title}</title>{"".join(places)}</svg>'
        f'<ul class="parts">{listed}</ul>'
    )
    return Figure(
        "stages", "Where the time went",
        told,
        body, Table(("stage", "mean", "share"), rows),
    )  # fmt: skip
