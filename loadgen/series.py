"""A run as series of numbers, one a request or one a moment, for statistics on them."""

from collections.abc import Callable, Sequence

import numpy as np

from firsttoken.loadgen.bootstrap import Floats
from firsttoken.loadgen.judge import Objective, keeps
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import percentile

__all__ = ["completed", "failed", "good", "output_tokens", "per_request", "worst_gap"]

_BINS = 60
_SHORTEST_BIN_S = 0.5


def per_request(run: Run, value: Callable[[Record], float | None]) -> Floats:
    """A value of each measured request in the order in which they were due.

    NaN where there is none, as for every request that failed.
    """
    return np.array([_or_nan(value(r) if r.ok else None) for r in _in_order(run)])


def worst_gap(record: Record) -> float | None:
    """The 99th percentile of a request's own gaps between tokens, in seconds."""
    return percentile(sorted(record.gaps), 0.99) if record.gaps else None


def failed(run: Run) -> Floats:
    """1 for each measured request that failed, else 0."""
    return np.array([0.0 if record.ok else 1.0 for record in _in_order(run)])


def completed(run: Run) -> Floats:
    """Requests a second that ended well, over the measured window in equal spans of time."""
    ends = [r.ended for r in run.records if r.ok and r.ended is not None]
    return _rates(run, ends)


def good(run: Run, objectives: Sequence[Objective]) -> Floats:
    """Requests a second that met every objective, by when they were due."""
    due = [
        r.intended
        for r in run.measured
        if r.ok and all(keeps(r, objective) is not False for objective in objectives)
    ]
    return _rates(run, due)


def output_tokens(run: Run) -> Floats:
    """Output tokens a second; those of an answer are taken as evenly spread over it."""
    edges = _edges(run)
    rows = [
        (r.first, r.last, r.output_tokens)
        for r in run.records
        if r.first is not None and r.last is not None and r.output_tokens
    ]
    if not rows or len(edges) < 2:
        return np.zeros(max(0, len(edges) - 1))
    first, last, tokens = np.array(rows, dtype=np.float64).T
    span = np.maximum(last - first, 1e-9)
    until = [float(np.sum(tokens * np.clip((edge - first) / span, 0, 1))) for edge in edges]
    return np.asarray(np.diff(until) / np.diff(edges))


def _in_order(run: Run) -> list[Record]:
    return sorted(run.measured, key=lambda record: (record.intended, record.index))


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _edges(run: Run) -> Floats:
    start, end = run.measure
    bins = int(min(_BINS, (end - start) / _SHORTEST_BIN_S))
    return np.linspace(start, end, bins + 1) if bins > 0 else np.array([])


def _rates(run: Run, moments: Sequence[float]) -> Floats:
    edges = _edges(run)
    if len(edges) < 2:
        return np.array([])
    counts, _ = np.histogram(np.array(moments, dtype=np.float64), edges)
    return np.asarray(counts / np.diff(edges))
