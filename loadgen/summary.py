"""A run in numbers: counts, rates, distributions."""

import bisect
import dataclasses
import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from firsttoken.loadgen import order
from firsttoken.loadgen.record import INTERRUPTED, Record, Run

__all__ = ["Distribution", "Summary", "distribution", "percentile", "summarise"]

PERCENTILES = (0.5, 0.9, 0.95, 0.99)
LATENCIES = ("ttft", "scheduled_ttft", "tpot", "e2e", "scheduled_e2e", "lag")
Interval = tuple[float | None, float | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Distribution:
    """What a set of values looks like; percentiles as ``percentile`` has them."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """The measured window: times in seconds, rates per second.

    Latencies are those of successful requests due in the window; ``failed`` counts failures by
    error.  ``request_rate`` and ``output_rate`` are what was *served* in the window: answers that
    ended in it, and output tokens that arrived in it, whenever their requests began.
    ``input_rate`` counts a prompt when its first token comes.  Concurrency is the mean number of
    requests between being due (offered) or sent (achieved) and their end.  ``intervals`` has a
    95 % interval for each percentile of each latency of a request, by order statistics; an end is
    None where there are too few requests for it.
    """

    seconds: float
    requests: int
    ok: int
    failed: dict[str, int]
    offered_rate: float
    request_rate: float
    input_rate: float
    output_rate: float
    prompt_tokens: int
    output_tokens: int
    offered_concurrency: float
    achieved_concurrency: float
    ttft: Distribution | None
    scheduled_ttft: Distribution | None
    tpot: Distribution | None
    itl: Distribution | None
    e2e: Distribution | None
    scheduled_e2e: Distribution | None
    lag: Distribution | None
    intervals: dict[str, dict[str, Interval]] = dataclasses.field(default_factory=dict)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The exact percentile of ascending values, linear between neighbours (Hyndman and Fan's 7).

    Raises ValueError without values.
    """
    if not ordered:
        raise ValueError("no values")
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return min(high, low + (high - low) * (place - below))


def distribution(values: Iterable[float | None]) -> Distribution | None:
    """The distribution of the values that there are; None without any."""
    return _of(sorted(value for value in values if value is not None))


def summarise(run: Run) -> Summary:
    """The run's measured window in numbers, in one pass over its records."""
    counted = _Counted(*run.measure)
    for record in run.records:
        counted.add(record)
    seconds = run.measured_seconds
    per_second = 1 / seconds if seconds else 0.0
    latencies = {name: _sorted(values) for name, values in counted.values.items()}
    return Summary(
        seconds=seconds,
        requests=counted.requests,
        ok=counted.ok,
        failed=dict(sorted(counted.failed.items(), key=lambda item: (-item[1], item[0]))),
        offered_rate=counted.requests * per_second,
        request_rate=counted.ended * per_second,
        input_rate=counted.read * per_second,
        output_rate=counted.written * per_second,
        prompt_tokens=counted.prompt_tokens,
        output_tokens=counted.output_tokens,
        offered_concurrency=counted.offered * per_second,
        achieved_concurrency=counted.achieved * per_second,
        **{name: _of(ordered) for name, ordered in latencies.items()},
        itl=_of_gaps(counted.gaps),
        intervals={
            name: {
                f"p{share * 100:g}": order.interval(ordered, len(ordered), share)
                for share in PERCENTILES
            }
            for name, ordered in latencies.items()
            if ordered
        },
    )


class _Counted:
    """What a summary needs of each record: a few numbers, and gaps by the microsecond."""

    def __init__(self, start: float, end: float) -> None:
        self._start, self._end = start, end
        self.values = {name: array("d") for name in LATENCIES}
        self.gaps: Counter[int] = Counter()
        self.failed: Counter[str] = Counter()
        self.requests = self.ok = self.ended = 0
        self.read = self.prompt_tokens = self.output_tokens = 0
        self.written = self.offered = self.achieved = 0.0

    def add(self, record: Record) -> None:
        """Take one of the run's records, whenever it was due."""
        start, end = self._start, self._end
        if record.ok and record.ended is not None:
            self.ended += start <= record.ended < end
        if record.first is not None and start <= record.first < end:
            self.read += record.prompt_tokens or 0
        self.written += _tokens_within(record, start, end)
        self.offered += _overlap(record.intended, record.ended, start, end)
        self.achieved += _overlap(record.sent, record.ended, start, end)
        if not start <= record.intended < end or record.error == INTERRUPTED:
            return
        self.requests += 1
        self._keep("lag", record.lag)
        if record.error is not None:
            self.failed[record.error] += 1
            return
        self.ok += 1
        self.prompt_tokens += record.prompt_tokens or 0
        self.output_tokens += record.output_tokens or 0
        self.gaps.update((np.asarray(record.gaps) * 1e6).round().astype(np.int64).tolist())
        for name in LATENCIES[:-1]:
            self._keep(name, getattr(record, name))

    def _keep(self, name: str, value: float | None) -> None:
        if value is not None:
            self.values[name].append(value)


def _sorted(values: "array[float]") -> "array[float]":
    """The same array, ascending: a list of a million numbers would take 32 MB for each latency."""
    np.frombuffer(values).sort()
    return values


def _of(ordered: Sequence[float]) -> Distribution | None:
    if not ordered:
        return None
    p50, p90, p95, p99 = (percentile(ordered, share) for share in PERCENTILES)
    mean = sum(ordered) / len(ordered)
    return Distribution(len(ordered), mean, p50, p90, p95, p99, ordered[0], ordered[-1])


def _of_gaps(gaps: Mapping[int, int]) -> Distribution | None:
    """The distribution of values that are counted in microseconds."""
    if not gaps:
        return None
    values = sorted(gaps)
    ends = list(itertools.accumulate(gaps[value] for value in values))

    def at(rank: int) -> float:
        return values[bisect.bisect_right(ends, rank)] * 1e-6

    count = ends[-1]
    found = []
    for share in PERCENTILES:
        place = share * (count - 1)
        low, high = at(int(place)), at(min(int(place) + 1, count - 1))
        found.append(min(high, low + (high - low) * (place - int(place))))
    mean = sum(value * times for value, times in gaps.items()) * 1e-6 / count
    p50, p90, p95, p99 = found
    return Distribution(count, mean, p50, p90, p95, p99, values[0] * 1e-6, values[-1] * 1e-6)


def _overlap(begin: float | None, finish: float | None, start: float, end: float) -> float:
    if begin is None or finish is None:
        return 0.0
    return max(0.0, min(finish, end) - max(begin, start))


def _tokens_within(record: Record, start: float, end: float) -> float:
    """Output tokens that arrived in the window, taking them as evenly spread in the answer."""
    if record.first is None or record.last is None or not record.output_tokens:
        return 0.0
    if record.last <= record.first:
        return float(record.output_tokens) if start <= record.first < end else 0.0
    span = record.last - record.first
    return record.output_tokens * _overlap(record.first, record.last, start, end) / span
