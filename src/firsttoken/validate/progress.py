"""The steps as they happen: redrawn in place on a terminal, one line a step elsewhere."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from firsttoken.report.schema import Status, Step

__all__ = ["MARKS", "Lines", "LiveSteps", "Progress", "view"]

MARKS: dict[Status, tuple[str, str]] = {
    "passed": ("✓", "green"),
    "missed": ("✗", "red"),
    "failed": ("✗", "red"),
    "skipped": ("–", "yellow"),
    "not_judged": ("?", "yellow"),
}


class Progress(Protocol):
    """Who is told how far the run is."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""

    def begin(self, name: str) -> None:
        """A step begins."""

    def update(self, text: str) -> None:
        """The step that runs got further."""

    def end(self, step: Step) -> None:
        """A step ended."""


class Lines:
    """One line for each step that ended, and one every ten seconds of a long one."""

    EVERY_S = 10.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to undo."""

    def begin(self, name: str) -> None:
        """Remember the name; short steps say nothing before they end."""
        self._name, self._said = name, time.monotonic()

    def update(self, text: str) -> None:
        """Say how far a long step is, now and then."""
        if time.monotonic() - self._said >= self.EVERY_S:
            self._said = time.monotonic()
            self._console.print(f"  … {self._name}: {text}", highlight=False, markup=False)

    def end(self, step: Step) -> None:
        """Say how the step ended."""
        mark, _ = MARKS[step.status]
        text = f"{mark} {step.name} ({step.seconds:.1f} s)"
        detail = f": {step.detail}" if step.detail else ""
        self._console.print(text + detail, highlight=False, markup=False, soft_wrap=True)


class LiveSteps:
    """All steps in place, the running one with a spinner."""

    def __init__(self, console: Console) -> None:
        self._ended: list[Step] = []
        self._name = ""
        self._text = ""
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._name = ""
        self._live.__exit__(kind, error, trace)

    def begin(self, name: str) -> None:
        """Show the step as running."""
        self._name, self._text = name, ""

    def update(self, text: str) -> None:
        """Show how far it is."""
        self._text = text

    def end(self, step: Step) -> None:
        """Show how it ended."""
        self._ended.append(step)
        self._name = ""

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column()
        table.add_column(no_wrap=True)
        table.add_column(justify="right", style="dim", no_wrap=True)
        table.add_column(style="dim")
        for step in self._ended:
            mark, colour = MARKS[step.status]
            table.add_row(
                f"[{colour}]{mark}[/]", step.name, f"{step.seconds:.1f} s", _plain(step.detail)
            )
        if self._name:
            table.add_row(self._spinner, self._name, "", _plain(self._text))
        return table


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def view(console: Console) -> Progress:
    """The view that fits where stderr goes."""
    return LiveSteps(console) if console.is_terminal else Lines(console)
