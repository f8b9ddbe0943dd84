"""Requests that someone once served: when each came, how long it was, what it had in common.

A trace has lengths and times but no texts.  Where it has hashes of the prompts' blocks, requests
that begin with the same hashes began with the same tokens.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Row", "Skipped", "Trace", "collect", "mean_rate"]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One request of a trace: ``at`` in seconds, lengths in tokens.

    ``blocks`` are the hashes of the prompt's successive blocks, the last of which may be partly
    filled; ``model`` and ``session`` are the trace's own names.
    """

    at: float
    prompt: int
    output: int
    blocks: tuple[int, ...] = ()
    model: str | None = None
    session: str | None = None


class Skipped(NamedTuple):
    """A line of a trace that is no request that can be replayed, and why."""

    line: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """The replayable requests in a stretch of a trace, in the order of their times.

    The stretch begins at 0; ``skipped`` counts what was left out by reason; ``whole``: the trace
    has nothing after it.
    """

    rows: tuple[Row, ...]
    skipped: Mapping[str, int]
    whole: bool = True


def collect(
    found: Iterable[Row | Skipped],
    *,
    start: float = 0.0,
    length: float | None = None,
    longest: int | None = None,
) -> Trace:
    """The stretch of ``length`` seconds from ``start`` seconds after the first request on.

    Requests of more than ``longest`` tokens, prompt and answer together, are left out.  Only the
    stretch is kept, so that a trace of millions of requests need not fit into memory.
    """
    zero: float | None = None
    whole = True
    rows: list[Row] = []
    skipped: Counter[str] = Counter()
    for item in found:
        if isinstance(item, Skipped):
            skipped[item.reason] += 1
            continue
        zero = item.at if zero is None else zero
        at = item.at - zero - start
        if length is not None and at >= length:
            whole = False
            continue
        if at < 0 and start > 0:
            continue
        if longest is not None and item.prompt + item.output > longest:
            skipped[f"longer than {longest} tokens"] += 1
            continue
        rows.append(dataclasses.replace(item, at=at))
    rows.sort(key=lambda row: row.at)
    if rows and rows[0].at < 0:  # out of order: one came before the file's first
        early = rows[0].at
        rows = [dataclasses.replace(row, at=row.at - early) for row in rows]
    return Trace(tuple(rows), dict(skipped), whole)


def mean_rate(rows: tuple[Row, ...]) -> float:
    """Requests per second between the first and the last; 0 where that is no time."""
    span = rows[-1].at - rows[0].at if rows else 0.0
    return (len(rows) - 1) / span if span > 0 else 0.0
