"""Figures with the time of the run along the page: latency, load, errors, the client's own lag."""

import math
from collections.abc import Sequence

from firsttoken.loadgen.records import Record, Run
from firsttoken.report import aggregate, axis
from firsttoken.report.figure import Figure, Key, Lane, Panel, Table, lanes
from firsttoken.report.schema import Objective, Report
from firsttoken.report.series import OUTPUT_RATE
from firsttoken.report.words import rate, seconds

__all__ = [
    "DOTS",
    "errors",
    "heatmap",
    "lag",
    "latency",
    "phases",
    "throughput",
    "value_of",
]

DOTS = 2000
"""More requests than this are drawn as bands: dots would only hide one another."""
_TABLE_ROWS = 24
_NEAR = 3.0


def value_of(record: Record, metric: str) -> float | None:
    """A request's TTFT, TPOT or E2E, in seconds."""
    found = {"ttft": record.ttft, "tpot": record.tpot, "e2e": record.e2e}
    return found[metric]


def phases(panel: Panel, run: Run, *, words: bool = True) -> None:
    """The stretches that are not measured, shaded."""
    start, end = run.measure
    if start > 0:
        panel.span(0.0, start, "warm-up" if words else "")
    if panel.x.high - end > 0.02 * panel.x.high:
        panel.span(end, panel.x.high, "drain" if words else "")


def _lanes(report: Report) -> list[Lane]:
    tones = {"alert": "bad", "restart": "bad", "fault": "warn", "source": "warn", "stop": "bad"}
    return [
        Lane(event.text, tones.get(event.kind, "muted"), event.start, event.end or event.start)
        for event in report.events
        if event.kind != "phase"
    ]


def _limits(report: Report, metric: str) -> list[Objective]:
    return [o for o in report.objectives if o.metric == metric and o.threshold is not None]


def _words(objective: Objective) -> str:
    within = axis.span(objective.threshold or 0.0)
    return f"objective {objective.name}: {objective.target * 100:g} % within {within}"


def _rows(bins: Sequence[aggregate.Bin]) -> list[aggregate.Bin]:
    return list(bins[:: max(1, math.ceil(len(bins) / _TABLE_ROWS))])


# --- Latency --------------------------------------------------------------------------------------


def latency(report: Report, run: Run, x: axis.Axis) -> Figure:
    """TTFT and TPOT of every request against time, with phases and events."""
    failed = [r.sent for r in run.records if not r.ok and r.sent is not None]
    body = [lanes(x, _lanes(report), "latency-events")]
    bounds = aggregate.edges(x.high)
    rows: dict[str, list[aggregate.Bin]] = {}
    for metric in ("ttft", "tpot"):
        points = [
            (record.sent, value)
            for record in run.records
            if record.ok and record.sent is not None and (value := value_of(record, metric))
        ]
        rows[metric] = aggregate.binned(points, bounds)
        body.append(_panel(report, run, x, metric, points, rows[metric], failed))
    keys = _keys(len(run.records), len(failed))
    return Figure(
        "latency", "Latency over time",
        "At the moment a request was sent: above, the time to its first token; below, the time"
        " for each token after it."
        + (" Shaded: not measured." if run.measure[0] > 0 else ""),
        "".join(body),
        _latency_table(rows),
        (*keys, Key("dash", "bad", "objective")) if report.objectives else tuple(keys),
        wide=True,
    )  # fmt: skip


def _panel(
    report: Report, run: Run, x: axis.Axis, metric: str, points: Sequence[tuple[float, float]],
    bins: Sequence[aggregate.Bin], failed: Sequence[float],
) -> str:  # fmt: skip
    limits = _limits(report, metric)
    most = max((one.greatest for one in bins), default=0.0)
    # A far objective would flatten all that happened: then it is only named, at the upper edge.
    near = [o.threshold or 0.0 for o in limits if (o.threshold or 0.0) <= _NEAR * most]
    shown = [most * (1.0 if near else 1.25), *near]
    panel = Panel(
        x, axis.linear(shown, text=axis.span, wanted=4), 170, metric.upper(),
        bottom=metric == "tpot",
    )  # fmt: skip
    phases(panel, run, words=metric == "ttft")
    if len(run.records) > DOTS:
        _bands(panel, bins)
    else:
        panel.dots(points, "client")
    panel.dots(((moment, 0.0) for moment in failed[:DOTS]), "bad", "crosses")
    for objective in limits:
        panel.limit(objective.threshold or 0.0, _words(objective))
    return panel.html(
        f"latency-{metric}",
        f"{metric.upper()} of every request against time",
        f"{len(points)} requests from {x.low:.0f} s to {x.high:.0f} s; the table below has the"
        " figures.",
    )


def _keys(requests: int, failed: int) -> list[Key]:
    keys = (
        [Key("area", "client", "middle 90 %"), Key("line", "client", "median"),
         Key("line", "violet", "p99"), Key("dot", "client", "slowest of each interval")]
        if requests > DOTS
        else [Key("dot", "client", "a request")]
    )  # fmt: skip
    if failed:
        keys.append(Key("dot", "bad", f"failed ({failed:,})"))
    return keys


def _bands(panel: Panel, bins: Sequence[aggregate.Bin]) -> None:
    panel.area([(one.at, one.p5, one.p95) for one in bins], "client")
    panel.line([(one.at, one.p50) for one in bins], "client")
    panel.line([(one.at, one.p99) for one in bins], "violet")
    panel.dots([(one.at, one.greatest) for one in bins], "client")


def _latency_table(rows: dict[str, list[aggregate.Bin]]) -> Table:
    others = {one.left: one for one in rows["tpot"]}
    lines = []
    for one in _rows(rows["ttft"]):
        other = others.get(one.left)
        lines.append(
            (
                f"{one.left:.0f}–{one.right:.0f} s", f"{one.count:,}",
                seconds(one.p50), seconds(one.p95), seconds(one.greatest),
                seconds(other.p50 if other else None), seconds(other.p95 if other else None),
                seconds(other.greatest if other else None),
            )
        )  # fmt: skip
    head = ("sent", "answered", "TTFT median", "p95", "greatest", "TPOT median", "p95", "greatest")
    return Table(head, tuple(lines))


def heatmap(report: Report, run: Run, x: axis.Axis) -> Figure | None:
    """How many requests had which TTFT when."""
    points = [(r.sent, r.ttft) for r in run.records if r.ok and r.sent is not None and r.ttft]
    limits = _limits(report, "ttft")
    if len(points) < 2:
        return None
    y = axis.logarithmic([*(v for _, v in points), *(o.threshold or 0 for o in limits)])
    columns = min(60, max(12, int(len(points) / 6)))
    cells = aggregate.density(points, x, y, columns, 22)
    most = max(count for *_, count in cells)
    panel = Panel(x, y, 234, "TTFT, log scale")
    panel.cells(
        (
            (left, right, low, high, math.sqrt(count / most))
            for left, right, low, high, count in cells
        ),
        "client",
    )
    for objective in limits:
        panel.limit(objective.threshold or 0.0, axis.span(objective.threshold or 0.0))
    rows = [
        (f"{left:.0f}–{right:.0f} s", f"{seconds(low)} to {seconds(high)}", f"{count:,}")
        for left, right, low, high, count in sorted(cells, key=lambda cell: -cell[4])[:_TABLE_ROWS]
    ]
    return Figure(
        "heatmap", "TTFT as a heatmap",
        f"The darker a cell, the more requests: up to {most:,}. Two bands are two kinds of"
        " requests; a band that climbs is a queue that grows.",
        panel.html("heatmap", "Requests by time and TTFT", f"{len(points)} requests in a grid."),
        Table(("sent", "TTFT", "requests"), tuple(rows)),
        (Key("area", "client", "requests"), Key("dash", "bad", "objective"))
        if limits
        else (Key("area", "client", "requests"),),
    )  # fmt: skip


# --- Load -----------------------------------------------------------------------------------------


def throughput(report: Report, run: Run, x: axis.Axis) -> Figure:
    """Tokens and requests a second, as they came to the client and as the server counted them."""
    bounds = aggregate.edges(x.high)
    tokens = aggregate.token_rate(run.records, bounds)
    server = report.series.get(OUTPUT_RATE, ())
    sent = aggregate.per_second((r.sent for r in run.records if r.sent is not None), bounds)
    answered = aggregate.per_second(
        (r.ended for r in run.records if r.ok and r.ended is not None), bounds
    )
    above = Panel(
        x, axis.linear([v for _, v in (*tokens, *server)], wanted=4), 150,
        "output tokens per second", bottom=False,
    )  # fmt: skip
    phases(above, run)
    above.line(_stairs(tokens, bounds), "client", step=True)
    above.line(server, "server")
    below = Panel(
        x, axis.linear([v for _, v in (*sent, *answered)], wanted=3), 110, "requests per second"
    )
    phases(below, run, words=False)
    below.line(_stairs(sent, bounds), "muted", step=True)
    below.line(_stairs(answered, bounds), "client", step=True)
    stride = max(1, math.ceil(len(tokens) / _TABLE_ROWS))
    rows = [
        (f"{bounds[i]:.0f} s", rate(tokens[i][1]), rate(sent[i][1]), rate(answered[i][1]))
        for i in range(0, len(tokens), stride)
    ]
    keys = [Key("line", "client", "at the client"), Key("line", "muted", "requests sent")]
    if server:
        keys.insert(1, Key("line", "server", "as the server counts"))
    return Figure(
        "throughput", "Throughput",
        "Output tokens as they arrived, and requests as they were sent and answered.",
        above.html("throughput-t", "Output tokens per second over time", "Figures in the table.")
        + below.html("throughput-r", "Requests per second over time", "Figures in the table."),
        Table(("from", "output tokens/s", "requests sent/s", "answered/s"), tuple(rows)),
        tuple(keys),
    )  # fmt: skip


def _stairs(
    points: Sequence[tuple[float, float]], bounds: Sequence[float]
) -> list[tuple[float, float]]:
    """Bins as steps that begin at their left bound."""
    stairs = [(left, value) for left, (_, value) in zip(bounds, points, strict=False)]
    return [*stairs, (bounds[-1], points[-1][1])] if points else []


def errors(run: Run, x: axis.Axis) -> Figure | None:
    """Failures over time by what went wrong; None where there were none."""
    failed: dict[str, list[float]] = {}
    for record in run.records:
        moment = record.sent if record.sent is not None else record.intended
        if record.error is not None:
            failed.setdefault(record.error, []).append(moment)
    if not failed:
        return None
    bounds = aggregate.edges(x.high, most=60)
    ranked = sorted(failed.items(), key=lambda item: -len(item[1]))
    named = dict(ranked[:3])
    others = [moment for _, moments in ranked[3:] for moment in moments]
    if others:
        named["others"] = others
    stacked = [0.0] * (len(bounds) - 1)
    counts = {name: aggregate.per_bin(moments, bounds) for name, moments in named.items()}
    highest = max(sum(column) for column in zip(*counts.values(), strict=True))
    panel = Panel(x, axis.linear([highest], wanted=4), 150, "failed requests")
    phases(panel, run)
    keys = []
    for (name, column), tone in zip(
        counts.items(), ("bad", "warn", "violet", "muted"), strict=False
    ):
        panel.bars(
            [
                (bounds[i], bounds[i + 1], stacked[i], stacked[i] + count)
                for i, count in enumerate(column)
            ],
            tone,
        )
        stacked = [base + count for base, count in zip(stacked, column, strict=True)]
        keys.append(Key("area", tone, f"{name} ({sum(column):,})"))
    rows = [(name, f"{len(moments):,}", f"{min(moments):.1f} s", f"{max(moments):.1f} s")
            for name, moments in ranked]  # fmt: skip
    return Figure(
        "errors", "Errors",
        "Failed requests at the moment they were sent, by what went wrong.",
        panel.html("errors", "Failed requests over time", f"{sum(stacked):.0f} failures."),
        Table(("error", "requests", "first", "last"), tuple(rows)),
        tuple(keys),
    )  # fmt: skip


def lag(report: Report, run: Run, x: axis.Axis) -> Figure | None:
    """How late the client itself sent what was due."""
    points = [(r.intended, r.lag) for r in run.records if r.lag is not None]
    if not points or not run.open_loop:
        return None
    bins = aggregate.binned(points, aggregate.edges(x.high, most=60))
    panel = Panel(
        x, axis.linear([one.greatest for one in bins], text=axis.span, wanted=4), 150,
        "sent later than due",
    )  # fmt: skip
    phases(panel, run)
    panel.line([(one.at, one.p50) for one in bins], "client")
    panel.line([(one.at, one.greatest) for one in bins], "violet")
    rows = [
        (f"{one.left:.0f}–{one.right:.0f} s", f"{one.count:,}", seconds(one.p50), seconds(one.p99),
         seconds(one.greatest))
        for one in _rows(bins)
    ]  # fmt: skip
    own = report.generator
    said = ""
    if own is not None and own.cpu_share is not None:
        said = f" It used {own.cpu_share * 100:.0f} % of a core."
    return Figure(
        "lag", "The load generator’s own lag",
        f"How much later than due a request was sent, connecting included.{said}"
        " A witness that is late itself accuses nobody.",
        panel.html("lag", "Lag of the load generator over time", "Figures in the table."),
        Table(("due", "requests", "median", "p99", "greatest"), tuple(rows)),
        (Key("line", "client", "median"), Key("line", "violet", "greatest")),
    )  # fmt: skip
