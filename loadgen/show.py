"""A run for people and for programs: terminal table, Markdown, JSON."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.judge import Attainment
from firsttoken.loadgen.order import needed
from firsttoken.loadgen.record import INTERRUPTED, Run, ShardResult
from firsttoken.loadgen.summary import Distribution, Summary

__all__ = ["as_json", "as_markdown", "print_run"]

_LATENCIES = (
    ("TTFT", "ttft"),
    ("TTFT from schedule", "scheduled_ttft"),
    ("TPOT", "tpot"),
    ("ITL", "itl"),
    ("E2E", "e2e"),
    ("E2E from schedule", "scheduled_e2e"),
)
_COLUMNS = ("mean", "p50", "p90", "p95", "p99", "max")
_CERTAIN = "p99, 95 %"


def as_json(
    run: Run, summary: Summary, attained: Sequence[Attainment], good: float | None
) -> dict[str, Any]:
    """The run as JSON data; seconds throughout, None where there is no value."""
    return {
        "version": "firsttoken.load-report/v1",
        "target": run.target,
        "model": run.model,
        "engine": run.engine,
        "started": run.started,
        "measure": list(run.measure),
        "interrupted": run.interrupted,
        "stopped": run.stopped,
        "schedule_hash": run.schedule_hash,
        "load": run.load,
        "summary": dataclasses.asdict(summary),
        "generator": dataclasses.asdict(run.generator),
        "shards": [dataclasses.asdict(shard) for shard in run.shards],
        "bottleneck": bottleneck(run, [one.objective for one in attained]),
        "objectives": [_objective_json(one) for one in attained],
        "goodput": good,
    }


def _objective_json(one: Attainment) -> dict[str, Any]:
    data = dataclasses.asdict(one)
    return {key: None if value != value else value for key, value in data.items()}


def as_markdown(
    run: Run, summary: Summary, attained: Sequence[Attainment], good: float | None
) -> str:
    """The run as Markdown that fits a job summary."""
    out = [f"### Load on {_code(run.model)} at {_code(run.target)}", ""]
    out += [f"- {line}" for line in _lines(run, summary, attained)]
    out += ["", f"| latency (ms) | {' | '.join(_COLUMNS)} | {_CERTAIN} |", "|---" * 8 + "|"]
    for title, cells in _rows(summary):
        out.append(f"| {title} | {' | '.join(cells)} |")
    if attained:
        out += ["", "| objective | attained | 95 % interval | requests | met |", "|---" * 5 + "|"]
        out += [f"| {' | '.join(_objective_cells(one))} |" for one in attained]
        out += ["", f"Goodput: {good:.2f} requests/s" if good is not None else ""]
    return "\n".join(out).rstrip() + "\n"


def print_run(
    console: Console,
    run: Run,
    summary: Summary,
    attained: Sequence[Attainment],
    good: float | None,
) -> None:
    """Print the run as tables."""
    console.print(f"[bold]{escape(run.model)}[/] at {escape(run.target)}", highlight=False)
    for line in _lines(run, summary, attained):
        style = "yellow" if line.startswith(("not to be trusted", "interrupted")) else ""
        console.print(f"  {escape(line)}", style=style, highlight=False)
    table = _table("latency (ms)", *_COLUMNS, _CERTAIN)
    for title, cells in _rows(summary):
        table.add_row(title, *cells)
    if table.row_count:
        console.print(table)
    if attained:
        table = _table("objective", "attained", "95 % interval", "requests", "met")
        for one in attained:
            table.add_row(*map(escape, _objective_cells(one)))
        console.print(table)
        if good is not None:
            console.print(f"  goodput {good:.2f} requests/s", highlight=False)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=True)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _lines(run: Run, summary: Summary, attained: Sequence[Attainment]) -> list[str]:
    """The run's figures besides its latencies, a sentence each."""
    prompt, output = (
        total / summary.ok if summary.ok else 0
        for total in (summary.prompt_tokens, summary.output_tokens)
    )
    lines = [
        f"{summary.requests} requests in {summary.seconds:g} s, {summary.ok} ok,"
        f" {summary.requests - summary.ok} failed",
        f"served {summary.request_rate:.2f} requests/s (offered {summary.offered_rate:.2f}),"
        f" {summary.output_rate:.0f} tokens/s out, {summary.input_rate:.0f} tokens/s in",
        f"per request {prompt:.0f} tokens in, {output:.0f} out;"
        f" {summary.achieved_concurrency:.1f} requests in flight on average",
    ]
    lines += [f"failed: {count} x {error}" for error, count in summary.failed.items()]
    if run.engine:
        lines.append(f"engine: {run.engine}")
    own = run.generator
    lines.append(
        f"load generator: {own.cpu_share:.0%} of a core, lag p99 {own.lag_p99 * 1000:.1f} ms"
        + (f", sockets by {own.reading}" if own.reading else "")
    )
    if run.shards:
        lines.append(_shards(run.shards))
    if why := bottleneck(run, [one.objective for one in attained]):
        lines.append(f"not to be trusted: the load generator was the bottleneck: {why}")
    if run.interrupted:
        cut = sum(record.error == INTERRUPTED for record in run.records)
        lines.append(
            f"interrupted: {run.stopped or 'before its end'}; {cut} requests in flight were cut off"
        )
    return lines


def _shards(shards: Sequence[ShardResult]) -> str:
    """One line on the processes that shared a run."""
    hosts = {shard.host for shard in shards if shard.host}
    text = f"{len(shards)} processes on {len(hosts)} machine{'s' if len(hosts) != 1 else ''}"
    begun = [shard.started for shard in shards if shard.started is not None]
    text += f", started within {(max(begun) - min(begun)) * 1000:.1f} ms"
    clocks = [abs(shard.clock_offset) for shard in shards if shard.clock_offset is not None]
    if clocks:
        error = max(shard.clock_error or 0.0 for shard in shards)
        text += f"; clocks up to {max(clocks) * 1000:.2f} ms apart (± {error * 1000:.2f} ms)"
    return text


def _rows(summary: Summary) -> list[tuple[str, list[str]]]:
    rows = []
    for title, name in _LATENCIES:
        values: Distribution | None = getattr(summary, name)
        if values is not None:
            cells = [_ms(getattr(values, column)) for column in _COLUMNS]
            rows.append((title, [*cells, _certain(summary, name)]))
    return rows


def _certain(summary: Summary, name: str) -> str:
    """Between which bounds the 99th percentile lies, or how many requests would tell."""
    found = summary.intervals.get(name)
    if found is None:  # gaps of one answer say much the same: they are no sample of requests
        return ""
    low, high = found["p99"]
    if high is None:
        return f"of {needed(0.99)}+"
    return f"{_ms(low or 0.0)}–{_ms(high)}"


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _objective_cells(one: Attainment) -> list[str]:
    met = {True: "yes", False: "NO", None: "no requests"}[one.met]
    attained = "-" if math.isnan(one.attained) else f"{one.attained:.2%}"
    interval = f"{one.low:.1%} – {one.high:.1%}"
    return [str(one.objective), attained, interval, str(one.count), met]


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
