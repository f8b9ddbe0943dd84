"""Compliance: how far each objective was kept over a time, from what Prometheus recorded."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from firsttoken import recorded
from firsttoken.config import format_duration
from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus, Series

__all__ = ["FORMATS", "Line", "collect", "render"]

_HEAD = ("service", "objective", "of", "target", "attained", "budget left", "worst", "at", "trend")
_NOT_SHOWN = {recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, "__name__"}


@dataclass(frozen=True, slots=True)
class Line:
    """One objective of one model; shares are 0 to 1, times unix seconds.

    ``attained`` and what follows are None where nothing was measured.  ``trend`` is the share of
    the second half of the time less that of the first.  ``covered`` is the share of the time for
    which Prometheus has data.
    """

    service: str
    objective: str
    of: str
    target: float
    attained: float | None = None
    budget_left: float | None = None
    worst: float | None = None
    worst_at: float | None = None
    trend: float | None = None
    events: float = 0.0
    covered: float = 0.0

    @property
    def kept(self) -> bool | None:
        """Whether the objective was met; None where nothing was measured."""
        return None if self.attained is None else self.attained >= self.target - 1e-12


def collect(prometheus: Prometheus, start: float, end: float) -> tuple[Line, ...]:
    """A line for every objective and model between two times, which are unix seconds.

    Raises NotJudgedError where Prometheus has no objectives, QueryError where it cannot be asked.
    """
    window = 3600 if end - start >= 6 * 3600 else 300
    name = format_duration(window)
    # A value at t covers the window before it, so the first one that counts is a window later.
    span = (start + window, max(end, start + window), float(window))
    targets = {
        (one.labels.get("service", ""), one.labels.get("slo", "")): one.last
        for one in prometheus.query(
            f"last_over_time({recorded.OBJECTIVE}[{max(60, int(end - start))}s])", at=end
        )
    }
    if not targets:
        raise NotJudgedError(
            f"Prometheus at {prometheus.url} has no objectives ({recorded.OBJECTIVE}) for that"
            " time; are the generated rules loaded?"
        )
    totals = _by_labels(prometheus.query_range(recorded.total(name), *span))
    bads = _by_labels(prometheus.query_range(recorded.bad(name), *span))
    steps = int((span[1] - span[0]) / window) + 1
    lines = [
        _line(dict(labels), target, points, bads.get(labels, {}), window, steps)
        for (service, slo), target in targets.items()
        for labels, points in _of(totals, service, slo)
    ]
    lines += [
        Line(service, slo, "", target)
        for (service, slo), target in targets.items()
        if not _of(totals, service, slo)
    ]
    return tuple(sorted(lines, key=lambda line: (line.service, line.objective, line.of)))


_Key = frozenset[tuple[str, str]]
_Points = dict[float, float]


def _by_labels(series: Iterable[Series]) -> dict[_Key, _Points]:
    return {
        frozenset((k, v) for k, v in one.labels.items() if k != "__name__"): dict(one.points)
        for one in series
    }


def _of(totals: Mapping[_Key, _Points], service: str, slo: str) -> list[tuple[_Key, _Points]]:
    own = {("service", service), ("slo", slo)}
    return [(labels, points) for labels, points in totals.items() if own <= labels]


def _line(
    labels: dict[str, str], target: float, totals: _Points, bads: _Points, window: int, steps: int
) -> Line:
    head = Line(
        labels["service"], labels["slo"],
        ", ".join(value for key, value in sorted(labels.items()) if key not in _NOT_SHOWN), target,
        events=sum(totals.values()) * window, covered=min(1.0, len(totals) / steps),
    )  # fmt: skip
    attained = _share(totals, bads, list(totals))
    if attained is None:
        return head
    busy = [at for at, total in totals.items() if total > 0]
    worst = max(busy, key=lambda at: bads.get(at, 0.0) / totals[at])
    times = sorted(totals)
    middle = len(times) // 2
    halves = [_share(totals, bads, part) for part in (times[:middle], times[middle:])]
    trend = None if halves[0] is None or halves[1] is None else halves[1] - halves[0]
    return Line(
        head.service, head.objective, head.of, target, attained,
        1 - (1 - attained) / (1 - target), 1 - bads.get(worst, 0.0) / totals[worst], worst, trend,
        head.events, head.covered,
    )  # fmt: skip


def _share(totals: _Points, bads: _Points, times: Sequence[float]) -> float | None:
    """The share of good events, weighted by events."""
    total = sum(totals[at] for at in times)
    return None if total <= 0 else 1 - sum(bads.get(at, 0.0) for at in times) / total


def _percent(share: float | None, sign: str = "") -> str:
    return "-" if share is None else f"{share * 100:{sign}.3f}".rstrip("0").rstrip(".") + " %"


def _cells(line: Line) -> tuple[str, ...]:
    at = "-"
    if line.worst_at is not None:
        at = datetime.fromtimestamp(line.worst_at, UTC).strftime("%Y-%m-%d %H:%MZ")
    kept = {True: "", False: " (missed)", None: " (no data)"}[line.kept]
    return (
        line.service, line.objective, line.of, _percent(line.target),
        _percent(line.attained) + kept, _percent(line.budget_left), _percent(line.worst), at,
        _percent(line.trend, "+"),
    )  # fmt: skip


def _table(lines: Sequence[Line]) -> str:
    rows = [_HEAD, *map(_cells, lines)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in rows
    )


def _markdown(lines: Sequence[Line]) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_cells, lines)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows
    )


def _html(lines: Sequence[Line]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>\n"

    style = (
        "body{font-family:sans-serif}table{border-collapse:collapse}"
        "th,td{border:1px solid #ccc;padding:.3em .6em;text-align:left}"
    )
    body = "".join(row(_cells(line), "td") for line in lines)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Objectives</title>'
        f"<style>{style}</style></head><body><h1>Objectives</h1>\n<table>\n{row(_HEAD, 'th')}{body}"
        "</table></body></html>\n"
    )


def _json(lines: Sequence[Line]) -> str:
    shown = [asdict(line) | {"kept": line.kept} for line in lines]
    return json.dumps({"version": 1, "objectives": shown}, indent=2) + "\n"


FORMATS = {"table": _table, "markdown": _markdown, "html": _html, "json": _json}


def render(lines: Sequence[Line], form: str) -> str:
    """The lines in one of ``FORMATS``."""
    return FORMATS[form](lines)
