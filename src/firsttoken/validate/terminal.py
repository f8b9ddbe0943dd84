"""The verdict on the terminal: compact, and where to read more."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from firsttoken.report.schema import Report
from firsttoken.report.suite import SuiteReport
from firsttoken.report.words import percent
from firsttoken.validate.progress import MARKS

__all__ = ["show", "show_suite"]

_COLOURS = {"passed": "green", "missed": "red", "failed": "red", "not_judged": "yellow"}


def show(report: Report, out: Path, console: Console) -> None:
    """Objectives, checks, the verdict last but for the address of the report."""
    console.print()
    if report.objectives:
        console.print(_objectives(report))
    if report.checks:
        console.print(_checks(report))
    verdict = report.verdict
    colour = _COLOURS[verdict.status]
    word = verdict.status.replace("_", " ").upper()
    console.print(f"[bold {colour}]{word}[/]  {_plain(verdict.headline)}", soft_wrap=True)
    for line in verdict.advice:
        console.print(f"→ {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def show_suite(suite: SuiteReport, out: Path, console: Console) -> None:
    """Every scenario, then the verdict of all."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "scenario", "expected", "came of it"):
        table.add_column(heading, overflow="fold")
    for one in suite.scenarios:
        mark, colour = MARKS[one.status]
        came = "; ".join(one.reasons) if one.reasons else "as expected"
        table.add_row(f"[{colour}]{mark}[/]", one.name, _plain(one.expected), _plain(came))
    console.print()
    console.print(table)
    verdict = suite.verdict
    word = verdict.status.replace("_", " ").upper()
    colour = _COLOURS[verdict.status]
    console.print(f"[bold {colour}]{word}[/]  {_plain(verdict.headline)}", soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def _objectives(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "objective", "attained", "wanted", "requests", "server says"):
        table.add_column(heading, justify="left" if heading in ("", "objective") else "right")
    for one in report.objectives:
        mark, colour = MARKS[one.status]
        table.add_row(
            f"[{colour}]{mark}[/]",
            f"{_plain(one.name)}: {_plain(one.promise)}",
            "–" if one.attained is None else percent(one.attained),
            f"{one.target * 100:g} %",
            "–" if one.count is None else f"{one.count:,}",
            "–" if one.server_attained is None else percent(one.server_attained),
        )
    return table


def _checks(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in report.checks:
        mark, colour = MARKS[check.status]
        text = _plain(check.summary)
        if check.status == "skipped":
            text = f"skipped: {text}"
        table.add_row(f"[{colour}]{mark}[/]", check.name, text)
        for detail in check.details[:3]:
            table.add_row("", "", f"[dim]{_plain(detail)}[/]")
    return table


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
