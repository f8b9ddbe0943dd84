"""The reports as Markdown, JUnit and CSV, and on the terminal."""

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from firsttoken.loadtest import tables
from firsttoken.loadtest.schema import CapacityReport, ComparisonReport, SweepReport

__all__ = ["Report", "as_csv", "as_junit", "as_markdown", "show"]

Report = CapacityReport | SweepReport | ComparisonReport
_ILLEGAL = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if code not in (9, 10, 13)}
_STYLES = {
    "holds": "green", "better": "green", "fails": "red", "WORSE": "red bold",
    "undecided": "yellow", "not judged": "yellow", "too little data": "yellow",
}  # fmt: skip


class _Parts(NamedTuple):
    """What a report says, form aside."""

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[tables.Table, ...]
    notes: tuple[str, ...]


def _parts(report: Report) -> _Parts:
    milliseconds = "Latencies in milliseconds."
    if isinstance(report, CapacityReport):
        return _Parts(
            f"Capacity of {report.model} at {report.target}",
            report.headline,
            (("objectives", ", ".join(report.objectives)), *tables.capacity_facts(report)),
            (tables.capacity_table(report),),
            (milliseconds, f"Again: `{report.command}`"),
        )
    if isinstance(report, SweepReport):
        best = report.points[report.best] if report.best is not None else None
        facts = () if best is None else (("most goodput", f"{tables.number(best.goodput)} /s"),)
        unfair = any(one.bottleneck for one in report.points)
        notes: tuple[str, ...] = (
            milliseconds,
            "Front: no other point has more tokens/s and a lower p95.",
        )
        if unfair:
            notes += ("* The load generator was the bottleneck: not to be trusted.",)
        return _Parts(
            f"Sweep of {report.model} at {report.target}",
            f"{len(report.points)} loads.",
            facts,
            (tables.sweep_table(report),),
            (*notes, f"Again: `{report.command}`"),
        )
    return _Parts(
        f"Comparison with {report.baseline.name}",
        report.headline,
        (("verdict", report.verdict), ("regression from", f"{report.threshold:.0%} worse on")),
        tables.comparison_tables(report),
        report.warnings,
    )


# --- For people -----------------------------------------------------------------------------------


def show(report: Report, console: Console) -> None:
    """Print a report on a terminal."""
    parts = _parts(report)
    console.print(f"[bold]{escape(parts.title)}[/]", highlight=False)
    console.print(f"  {escape(parts.headline)}", highlight=False)
    for name, value in parts.facts:
        console.print(f"  [dim]{escape(name)}:[/] {escape(value)}", highlight=False)
    for one in parts.tables:
        table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left")
        for place, column in enumerate(one.columns):
            table.add_column(column, justify="left" if place == 0 else "right")
        for row in one.rows:
            table.add_row(*map(_styled, row))
        console.print(f"\n[bold]{escape(one.title)}[/]" if len(parts.tables) > 1 else "")
        console.print(table)
    for note in parts.notes:
        console.print(f"  [dim]{escape(note)}[/]", highlight=False, soft_wrap=True)


def _styled(cell: str) -> str:
    style = next((style for word, style in _STYLES.items() if cell.startswith(word)), None)
    return f"[{style}]{escape(cell)}[/]" if style else escape(cell)


def as_markdown(report: Report) -> str:
    """The report for a CI job's summary or a comment on a change."""
    parts = _parts(report)
    out = [f"### {_cell(parts.title)}", "", f"**{_cell(parts.headline)}**", ""]
    out += [f"- {name}: {_cell(value)}" for name, value in parts.facts]
    for one in parts.tables:
        out += ["", f"#### {_cell(one.title)}"] if len(parts.tables) > 1 else []
        out += ["", _line(one.columns), _line("---" for _ in one.columns)]
        out += [_line(map(_cell, row)) for row in one.rows]
    out += ["", *(f"{note if '`' in note else _cell(note)}  " for note in parts.notes)]
    return "\n".join(out).rstrip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


# --- For machines ---------------------------------------------------------------------------------


def as_csv(report: Report) -> str:
    """One line a step, point or quantity; columns as in the JSON, nested names with dots."""
    if isinstance(report, CapacityReport):
        rows = [_flat(step) for step in report.steps]
    elif isinstance(report, SweepReport):
        rows = [_flat(one) for one in report.points]
    else:
        rows = [
            {"candidate": one.side.name} | _flat(change)
            for one in report.candidates
            for change in one.changes
        ]
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(model: BaseModel) -> dict[str, Any]:
    flat: dict[str, Any] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                put(f"{name}.{key}" if name else key, inner)
        elif isinstance(value, list | tuple):
            for place, inner in enumerate(value):
                put(f"{name}.{place}", inner)
        else:
            flat[name] = "" if value is None else value

    put("", model.model_dump(mode="json"))
    return flat


def as_junit(report: Report) -> str:
    """The report as test cases: what failed, what could not be judged, and what is well."""
    suites = _suites(report)
    root = ET.Element("testsuites", name="firsttoken load")
    for name, cases in suites:
        suite = ET.SubElement(
            root, "testsuite", name=name, tests=str(len(cases)),
            failures=str(sum(kind == "failure" for _, kind, _ in cases)),
            errors=str(sum(kind == "error" for _, kind, _ in cases)),
            skipped=str(sum(kind == "skipped" for _, kind, _ in cases)),
        )  # fmt: skip
        for case, kind, text in cases:
            element = ET.SubElement(suite, "testcase", classname=name, name=case)
            if kind:
                ET.SubElement(element, kind, message=text.translate(_ILLEGAL))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


_Case = tuple[str, str | None, str]


def _suites(report: Report) -> Sequence[tuple[str, list[_Case]]]:
    if isinstance(report, CapacityReport):
        kind = {0: None, 1: "failure"}.get(report.exit_code, "error")
        return [("capacity", [("capacity", kind, report.headline)])]
    if isinstance(report, SweepReport):
        return [("sweep", [_point_case(report, place) for place in range(len(report.points))])]
    return [
        (one.side.name, [_change_case(change) for change in one.changes])
        for one in report.candidates
    ]


def _point_case(report: SweepReport, place: int) -> _Case:
    one = report.points[place]
    load = f"rate {one.rate:g}" if one.rate is not None else f"{one.concurrency} users"
    lengths = "".join(
        f", {name} {value}"
        for name, value in (("in", one.prompt_tokens), ("out", one.output_tokens))
        if value is not None
    )
    if one.bottleneck:
        return load + lengths, "error", f"the load generator was the bottleneck: {one.bottleneck}"
    if one.requests == one.failed:
        return load + lengths, "failure", f"{one.failed} of {one.requests} requests failed"
    return load + lengths, None, ""


def _change_case(change: Any) -> _Case:
    text = f"{change.verdict}: {tables.change_in_words(change)}"
    if change.regression:
        return change.quantity, "failure", text
    # Too little data for one quantity is no error of the comparison: it is skipped, and says so.
    return change.quantity, "skipped" if change.verdict == "too little data" else None, text
