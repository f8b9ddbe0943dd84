"""A compliance report as a table, Markdown, HTML or JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources

import jinja2

from firsttoken.config import format_duration
from firsttoken.rules.report import Line, Report

__all__ = ["FORMATS", "render"]

_HEAD = (
    *("service", "objective", "of", "target", "attained", "budget left", "worst", "at", "trend"),
    *("events", "bad", "covered"),
)
_WORDS = {True: "met", False: "missed", None: "no data"}


def _percent(share: float | None, sign: str = "") -> str:
    return "-" if share is None else f"{share * 100:{sign}.3f}".rstrip("0").rstrip(".") + " %"


def _count(events: float) -> str:
    return f"{events:,.0f}"


def _moment(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def _title(report: Report) -> str:
    hours = f", {report.hours}" if report.hours else ""
    return f"{_moment(report.start)} to {_moment(report.end)}{hours}"


def _verdict(report: Report) -> str:
    count = dict.fromkeys(_WORDS.values(), 0)
    for line in report.lines:
        count[_WORDS[line.kept]] += 1
    rest = [f"{count[word]} {word}" for word in ("missed", "no data") if count[word]]
    of = f"{count['met']} of {len(report.lines)} objectives met"
    return "; ".join([of, *rest])


def _cells(line: Line) -> tuple[str, ...]:
    kept = {True: "", False: " (missed)", None: " (no data)"}[line.kept]
    return (
        line.service, line.objective, line.of, _percent(line.target),
        _percent(line.attained) + kept, _percent(line.budget_left), _percent(line.worst),
        _moment(line.worst_at), _percent(line.trend, "+"), _count(line.events),
        _count(line.bad_events), _percent(line.covered),
    )  # fmt: skip


def _table(report: Report) -> str:
    rows = [_HEAD, *map(_cells, report.lines)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    body = "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in rows
    )
    return f"{_title(report)}: {_verdict(report)}\n\n{body}"


def _markdown(report: Report) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_cells, report.lines)]
    body = "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows
    )
    return f"## Objectives, {_title(report)}\n\n{_verdict(report)}.\n\n{body}"


def _json(report: Report) -> str:
    shown = [asdict(line) | {"kept": line.kept} for line in report.lines]
    head = {"version": 1, "start": report.start, "end": report.end, "part": report.part,
            "hours": report.hours, "kept": report.kept}  # fmt: skip
    return json.dumps({**head, "objectives": shown}, indent=2) + "\n"


# --- HTML ---------------------------------------------------------------------------------------

_WIDTH, _HEIGHT = 200.0, 36.0


def _promise(line: Line) -> str:
    if line.threshold is not None:
        return f"{line.kind}, within {format_duration(line.threshold)}"
    return line.kind


def _bars(line: Line) -> list[dict[str, float | str]]:
    """One bar a part of the time: as high as the budget that it used, at its own pace.

    The line across is what the objective allows; what is above twice that is cut.
    """
    if not line.course:
        return []
    width = _WIDTH / len(line.course)
    bars: list[dict[str, float | str]] = []
    for place, share in enumerate(line.course):
        used = 0.0 if share is None else (1 - share) / (1 - line.target)
        height = max(1.0, min(used / 2, 1.0) * _HEIGHT)
        kind = "none" if share is None else "over" if used > 1 else "in"
        bars.append({
            "x": round(place * width, 2), "width": round(max(1.0, width - 1.5), 2),
            "y": round(_HEIGHT - height, 2), "height": round(height, 2), "kind": kind,
            "said": "no data" if share is None else _percent(share),
        })  # fmt: skip
    return bars


def _left(line: Line) -> float:
    """How much of the bar of the budget is full, in percent."""
    return 0.0 if line.budget_left is None else max(0.0, min(1.0, line.budget_left)) * 100


def _html(report: Report) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": _percent, "count": _count, "moment": _moment, "promise": _promise,
        "bars": _bars, "left": _left,
    }  # fmt: skip
    source = resources.files(__package__).joinpath("templates", "report.html").read_text("utf-8")
    return environment.from_string(source).render(
        report=report, title=_title(report), verdict=_verdict(report), words=_WORDS,
        services=sorted({line.service for line in report.lines}), part=_part(report.part),
        width=_WIDTH, height=_HEIGHT,
    )  # fmt: skip


def _part(seconds: float) -> str:
    return "day" if seconds == 86400 else format_duration(seconds)


FORMATS: dict[str, Callable[[Report], str]] = {
    "table": _table, "markdown": _markdown, "html": _html, "json": _json
}  # fmt: skip


def render(report: Report, form: str) -> str:
    """The report in one of ``FORMATS``."""
    return FORMATS[form](report)
