"""What a run shows while it goes: a live view on a terminal, lines elsewhere, JSON for programs."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from firsttoken.loadgen.worker import Snapshot

__all__ = ["Progress", "default_progress", "shown"]

Progress = Literal["live", "lines", "json", "none"]
Watch = Callable[[Snapshot], None]
LINE_S = 10.0
_BAR = 36


def default_progress() -> Progress:
    """A live view on a terminal, a line now and then in a log."""
    return "live" if sys.stderr.isatty() else "lines"


@contextlib.contextmanager
def shown(how: Progress) -> Iterator[Watch | None]:
    """What to give each second's state to; ``live`` and ``lines`` go to stderr, ``json`` to stdout.

    Nothing repaints by itself beside the measurement.
    """
    if how == "none":
        yield None
    elif how == "json":
        yield lambda now: click.echo(json.dumps(now._asdict()))
    elif how == "lines":
        yield _Lines()
    else:
        live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        with live:
            view = _View()
            yield lambda now: live.update(view(now), refresh=True)


class _Rates:
    """Requests and tokens per second since the last state."""

    def __init__(self) -> None:
        self._last: Snapshot | None = None

    def __call__(self, now: Snapshot) -> tuple[float, float]:
        last, self._last = self._last, now
        if last is None or now.elapsed <= last.elapsed:
            return 0.0, 0.0
        span = now.elapsed - last.elapsed
        return (now.done - last.done) / span, (now.output_tokens - last.output_tokens) / span


class _Lines:
    def __init__(self) -> None:
        self._rates = _Rates()
        self._next = LINE_S

    def __call__(self, now: Snapshot) -> None:
        if now.elapsed < self._next:
            return
        self._next = now.elapsed - now.elapsed % LINE_S + LINE_S
        requests, tokens = self._rates(now)
        text = (
            f"{now.elapsed:.0f}/{now.total:.0f} s {now.phase}: {now.done} done,"
            f" {now.in_flight} in flight, {now.failed} failed{_errors(now)};"
            f" {requests:.1f} requests/s, {tokens:.0f} tokens/s;"
            f" TTFT {_ms(now.ttft_p50)} p50 {_ms(now.ttft_p99)} p99,"
            f" TPOT {_ms(now.tpot_p50)} p50 {_ms(now.tpot_p99)} p99; lag p99 {_ms(now.lag_p99)}"
        )
        click.echo(text, err=True)


class _View:
    def __init__(self) -> None:
        self._rates = _Rates()

    def __call__(self, now: Snapshot) -> Group:
        requests, tokens = self._rates(now)
        at = min(now.elapsed, now.total)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(now.phase, style="bold"),
            ProgressBar(now.total, at, width=_BAR),
            f"{at:.0f} of {now.total:.0f} s",
        )
        table = Table.grid(padding=(0, 2))
        table.add_row(
            "requests",
            f"{now.done:,} done, {now.in_flight:,} in flight",
            Text(f"{now.failed:,} failed{_errors(now)}", style="red" if now.failed else "dim"),
        )
        table.add_row("rates", f"{requests:,.1f} requests/s", f"{tokens:,.0f} tokens/s")
        table.add_row("TTFT", f"p50 {_ms(now.ttft_p50)}", f"p99 {_ms(now.ttft_p99)}")
        table.add_row("TPOT", f"p50 {_ms(now.tpot_p50)}", f"p99 {_ms(now.tpot_p99)}")
        table.add_row("generator", f"lag p99 {_ms(now.lag_p99)}", "")
        return Group(head, table)


def _errors(now: Snapshot) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in sorted(now.errors.items()))
    return f" ({listed})" if listed else ""


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"
