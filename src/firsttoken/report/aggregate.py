"""Records made few enough to draw: what goes into a figure, whatever the length of the run.

Pure functions from a run's records to points, bins and cells; times are seconds since the run's
start.
"""

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firsttoken.loadgen.records import Record
from firsttoken.loadgen.summary import percentile
from firsttoken.report import axis

__all__ = [
    "Bin",
    "binned",
    "cumulative",
    "density",
    "edges",
    "in_flight",
    "levels",
    "per_bin",
    "per_second",
    "token_rate",
    "trend",
]

Point = tuple[float, float]
MOST_BINS = 120
ECDF_POINTS = 400


@dataclass(frozen=True, slots=True)
class Bin:
    """The values of one stretch of x, as quantiles; ``at`` is its middle."""

    at: float
    left: float
    right: float
    count: int
    p5: float
    p50: float
    p95: float
    p99: float
    greatest: float


def edges(end: float, start: float = 0.0, most: int = MOST_BINS) -> tuple[float, ...]:
    """Bounds of bins of whole seconds, at most so many, that cover a stretch of time."""
    width = max(1, math.ceil((end - start) / most))
    return tuple(start + i * width for i in range(math.ceil((end - start) / width) + 1))


def binned(points: Iterable[Point], bounds: Sequence[float]) -> list[Bin]:
    """The points by the bin of their x, those bins left out that hold none."""
    found: dict[int, list[float]] = {}
    last = len(bounds) - 2
    for x, y in points:
        found.setdefault(min(last, max(0, bisect.bisect_right(bounds, x) - 1)), []).append(y)
    return [
        _bin(bounds[place], bounds[place + 1], sorted(values))
        for place, values in sorted(found.items())
    ]


def _bin(left: float, right: float, ordered: Sequence[float]) -> Bin:
    p5, p50, p95, p99 = (percentile(ordered, share) for share in (0.05, 0.5, 0.95, 0.99))
    return Bin((left + right) / 2, left, right, len(ordered), p5, p50, p95, p99, ordered[-1])


def trend(points: Iterable[Point], most: int = 12, fewest: int = 8) -> list[Bin]:
    """The points in bins of x that hold as many each: how y depends on x."""
    ordered = sorted(points)
    number = max(1, min(most, len(ordered) // fewest))
    bounds = sorted({ordered[(len(ordered) - 1) * i // number][0] for i in range(number + 1)})
    if len(bounds) < 2:
        bounds = [bounds[0], bounds[0] + 1.0] if bounds else [0.0, 1.0]
    return binned(ordered, bounds)


def cumulative(values: Sequence[float], total: int) -> list[Point]:
    """The empirical distribution of ascending values as steps: (value, share of ``total``).

    ``total`` is more than there are values where some requests never had one.
    """
    if not values or not total:
        return []
    stride = max(1, len(values) // ECDF_POINTS)
    # The tails are kept whole: that is where objectives are missed.
    tail = max(0, len(values) - ECDF_POINTS // 4)
    ranks = sorted({*range(0, len(values), stride), *range(tail, len(values))})
    return [(values[rank], (rank + 1) / total) for rank in ranks]


def in_flight(records: Iterable[Record]) -> list[Point]:
    """How many requests were sent and not ended, as steps over time."""
    events = sorted(
        moment
        for record in records
        if record.sent is not None and record.ended is not None
        for moment in ((record.sent, 1), (record.ended, -1))
    )
    level, found = 0, []
    for moment, change in events:
        level += change
        found.append((moment, float(level)))
    return found


def levels(steps: Sequence[Point], spans: Iterable[tuple[float, float]]) -> list[float]:
    """The mean of a step function over each span of time."""
    times = [moment for moment, _ in steps]
    areas = [0.0]
    for (moment, held), (after, _) in itertools.pairwise(steps):
        areas.append(areas[-1] + held * (after - moment))

    def area(moment: float) -> float:
        place = bisect.bisect_right(times, moment) - 1
        if place < 0:
            return 0.0
        return areas[place] + steps[place][1] * (moment - times[place])

    def level(moment: float) -> float:
        place = bisect.bisect_right(times, moment) - 1
        return steps[place][1] if place >= 0 else 0.0

    return [
        (area(end) - area(start)) / (end - start) if end > start else level(start)
        for start, end in spans
    ]


def per_second(moments: Iterable[float], bounds: Sequence[float]) -> list[Point]:
    """How many a second fell into each bin: (middle, rate)."""
    counts = per_bin(moments, bounds)
    return [
        ((left + right) / 2, count / (right - left))
        for count, (left, right) in zip(counts, itertools.pairwise(bounds), strict=True)
    ]


def per_bin(moments: Iterable[float], bounds: Sequence[float]) -> list[int]:
    """How many fell into each bin."""
    last = len(bounds) - 2
    counts = Counter(
        min(last, max(0, bisect.bisect_right(bounds, moment) - 1)) for moment in moments
    )
    return [counts[place] for place in range(len(bounds) - 1)]


def token_rate(records: Iterable[Record], bounds: Sequence[float]) -> list[Point]:
    """Output tokens a second in each bin; a chunk carries its answer's mean number of tokens."""
    start, width, last = bounds[0], bounds[1] - bounds[0], len(bounds) - 2
    totals = [0.0] * (last + 1)
    for record in records:
        if record.first is None or not record.output_tokens or not record.chunks:
            continue
        share, moment = record.output_tokens / record.chunks, record.first
        totals[min(last, int((moment - start) / width))] += share
        for gap in record.gaps:
            moment += gap
            totals[min(last, int((moment - start) / width))] += share
    return [
        ((left + right) / 2, total / (right - left))
        for total, (left, right) in zip(totals, itertools.pairwise(bounds), strict=True)
    ]


def density(
    points: Iterable[Point], x: axis.Axis, y: axis.Axis, columns: int, rows: int
) -> list[tuple[float, float, float, float, int]]:
    """How many points fell into each cell of a grid over two axes: (left, right, low, high, count).

    Empty cells are left out.
    """
    counts = Counter(
        (
            min(columns - 1, int(x.place(a) * columns)),
            min(rows - 1, int(y.place(b) * rows)),
        )
        for a, b in points
    )

    def bounds(on: axis.Axis, place: int, number: int) -> tuple[float, float]:
        low, high = place / number, (place + 1) / number
        if on.log:
            ratio = on.high / on.low
            return on.low * ratio**low, on.low * ratio**high
        return on.low + low * (on.high - on.low), on.low + high * (on.high - on.low)

    return [
        (*bounds(x, column, columns), *bounds(y, row, rows), count)
        for (column, row), count in sorted(counts.items())
    ]
