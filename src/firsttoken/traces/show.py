"""The join and the cold start, for people and for machines."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from firsttoken.traces.join import ORDER, Breakdown, By, Joined, Parts
from firsttoken.traces.startup import Phase

__all__ = ["joined_json", "joined_lines", "start_json", "start_lines"]

_HEADS = ("request", "E2E", "TTFT", *ORDER)
_BAR = 24


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{round(seconds * 1000, 1) + 0.0:.1f}"  # never -0.0


def joined_json(joined: Joined, count: int, by: By) -> dict[str, Any]:
    """Everything about a join as JSON data; times in seconds."""
    mean = joined.mean
    return {
        "requests": len(joined.requests),
        "client_only": list(joined.client_only),
        "server_only": joined.server_only,
        "misparented": joined.misparented,
        "mean": asdict(mean) if mean else None,
        "explained_min": min((r.parts.explained for r in joined.requests), default=None),
        "slowest": [asdict(r) for r in joined.slowest(count, by)],
    }


def joined_lines(joined: Joined, count: int, by: By) -> Iterable[str]:
    """The mean breakdown and the slowest requests as lines of text, in milliseconds."""
    total = len(joined.requests) + len(joined.client_only)
    yield f"{len(joined.requests)} of {total} requests joined with the server's spans"
    if joined.client_only:
        yield f"  the server says nothing of {_listed(joined.client_only)}"
    if joined.server_only:
        yield f"  {joined.server_only} server spans are of other requests"
    if joined.misparented:
        yield f"  {joined.misparented} server spans are not children of the request's span"
    mean = joined.mean
    if mean is None:
        return
    yield ""
    yield f"mean of {_ms(mean.total)} ms (scheduled E2E), of which the server {_ms(mean.server)} ms"
    for name in ORDER:
        yield _bar(name, mean, getattr(mean, name))
    yield ""
    yield f"slowest by {by.upper()}, in ms"
    rows = [_HEADS, *(_row(request) for request in joined.slowest(count, by))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for row in rows:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _listed(indexes: tuple[int, ...]) -> str:
    shown = ", ".join(str(index) for index in indexes[:10])
    more = f" and {len(indexes) - 10} more" if len(indexes) > 10 else ""
    return f"{'request' if len(indexes) == 1 else 'requests'} {shown}{more}"


def _bar(name: str, mean: Parts, seconds: float) -> str:
    share = seconds / mean.total if mean.total > 0 else 0.0
    bar = "█" * round(max(0.0, share) * _BAR)
    return f"  {name:<10}{_ms(seconds):>9} ms {round(share, 3) + 0.0:>6.1%}  {bar}".rstrip()


def _row(request: Breakdown) -> tuple[str, ...]:
    parts = (_ms(getattr(request.parts, name)) for name in ORDER)
    return (f"{request.index} {request.trace_id}", _ms(request.e2e), _ms(request.ttft), *parts)


def start_json(phase: Phase) -> dict[str, Any]:
    """A cold start as JSON data; times in seconds."""
    return {
        "name": phase.name,
        "process": phase.process,
        "offset": round(phase.offset, 6),
        "seconds": round(phase.seconds, 6),
        "own": round(phase.own, 6),
        "phases": [start_json(below) for below in phase.phases],
    }


def start_lines(root: Phase) -> Iterable[str]:
    """A cold start as an indented tree; times in seconds."""
    rows = [(f"{'  ' * depth}{phase.name}", phase.process, phase) for depth, phase in root.walk()]
    wide = max(len(name) for name, _, _ in rows)
    where = max(len(process) for _, process, _ in rows)
    yield f"{'phase':<{wide}}  {'process':<{where}}  {'at s':>8}  {'took s':>8}  {'own s':>8}"
    for name, process, phase in rows:
        times = f"{phase.offset:>8.2f}  {phase.seconds:>8.2f}  {phase.own:>8.2f}"
        yield f"{name:<{wide}}  {process:<{where}}  {times}"
