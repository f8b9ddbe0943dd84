"""How far a load test is, and its report in every form."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from firsttoken.loadtest import forms
from firsttoken.loadtest.schema import CapacityReport, ComparisonReport, Point, StepResult

__all__ = ["Line", "command_line", "write"]


def command_line(folder: Path) -> str:
    arguments = sys.argv[1:] if "load" in sys.argv else []
    named = [] if "--out" in arguments else ["--out", str(folder)]
    return shlex.join(["firsttoken", *arguments, *named])


class Line:
    """How far it is, on stderr: a line redrawn on a terminal, and one for each load that ended."""

    def __init__(self, check: Callable[[], None]) -> None:
        """``check`` raises when the user has asked to stop."""
        self._check = check
        self._terminal = sys.stderr.isatty()

    def told(self, text: str) -> None:
        """Redraw how far the load is; nothing where stderr is no terminal."""
        self._check()
        if self._terminal:
            click.echo(f"\r\x1b[2K{text[:110]}", nl=False, err=True)

    def step(self, one: StepResult) -> None:
        """A step of a search ended."""
        at = one.point
        self._say(
            f"step {one.number}: {at.offered_rate or one.planned_rate:.3g} requests/s"
            f" ({at.requests:,} requests): {one.verdict}: {one.reason}"
        )

    def point(self, one: Point) -> None:
        """A load of a sweep ended."""
        load = f"rate {one.rate:g}" if one.rate is not None else f"{one.concurrency} users"
        latency = f", TTFT p95 {one.ttft.p95 * 1000:.3g} ms" if one.ttft else ""
        self._say(f"{load}: {one.output_rate:.3g} tokens/s{latency}, {one.failed} failed")

    def end(self) -> None:
        """Take the redrawn line away."""
        if self._terminal:
            click.echo("\r\x1b[2K", nl=False, err=True)

    def _say(self, text: str) -> None:
        self.end()
        click.echo(text, err=True)
        self._check()


def write(report: forms.Report, folder: Path | None, name: str, form: str | None) -> None:
    """Every form into the folder, and the one that is asked for to stdout."""
    texts: dict[str, Callable[[], str]] = {
        "json": lambda: report.model_dump_json(indent=2) + "\n",
        "md": lambda: forms.as_markdown(report),
        "csv": lambda: forms.as_csv(report),
        "junit": lambda: forms.as_junit(report),
    }
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            file = "junit.xml" if kind == "junit" else f"{name}.{kind}"
            (folder / file).write_text(text(), encoding="utf-8")
        if not isinstance(report, ComparisonReport):
            # matplotlib takes a second to import: only where something is drawn.
            from firsttoken.loadtest import plots

            figure = (
                plots.capacity_figure(report)
                if isinstance(report, CapacityReport)
                else plots.sweep_figure(report)
            )
            plots.save(figure, folder / name)
    if form is None:
        forms.show(report, Console())
    else:
        click.echo(texts[form](), nl=False)
