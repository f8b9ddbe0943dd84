"""A run in numbers: counts, rates, distributions, and whether the generator was the bottleneck."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from firsttoken.loadgen.record import Record, Run

__all__ = ["Distribution", "Summary", "bottleneck", "distribution", "percentile", "summarise"]

CPU_LIMIT = 0.9
LATE_LIMIT_S = 0.005
LATE_LOOP_LIMIT_S = 0.010
LATE_SHARE_OF_TTFT = 0.05


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
    requests between being due (offered) or sent (achieved) and their end.
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
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    p50, p90, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.95, 0.99))
    mean = sum(ordered) / len(ordered)
    return Distribution(len(ordered), mean, p50, p90, p95, p99, ordered[0], ordered[-1])


def summarise(run: Run) -> Summary:
    """The run's measured window in numbers."""
    measured = run.measured
    good = [record for record in measured if record.ok]
    start, end = run.measure
    seconds = run.measured_seconds
    per_second = 1 / seconds if seconds else 0.0
    ended = sum(r.ok and r.ended is not None and start <= r.ended < end for r in run.records)
    read = sum(
        r.prompt_tokens or 0 for r in run.records if r.first is not None and start <= r.first < end
    )
    failed = Counter(record.error for record in measured if record.error is not None)
    return Summary(
        seconds=seconds,
        requests=len(measured),
        ok=len(good),
        failed=dict(sorted(failed.items(), key=lambda item: (-item[1], item[0]))),
        offered_rate=len(measured) * per_second,
        request_rate=ended * per_second,
        input_rate=read * per_second,
        output_rate=sum(_tokens_within(r, start, end) for r in run.records) * per_second,
        prompt_tokens=sum(record.prompt_tokens or 0 for record in good),
        output_tokens=sum(record.output_tokens or 0 for record in good),
        offered_concurrency=per_second
        * sum(_overlap(r.intended, r.ended, start, end) for r in run.records),
        achieved_concurrency=per_second
        * sum(_overlap(r.sent, r.ended, start, end) for r in run.records),
        ttft=distribution(record.ttft for record in good),
        scheduled_ttft=distribution(record.scheduled_ttft for record in good),
        tpot=distribution(record.tpot for record in good),
        itl=distribution(gap for record in good for gap in record.gaps),
        e2e=distribution(record.e2e for record in good),
        scheduled_e2e=distribution(record.scheduled_e2e for record in good),
        lag=distribution(record.lag for record in measured),
    )


def bottleneck(run: Run) -> str | None:
    """Why the run says more of the load generator than of the server; None when it does not."""
    own = run.generator
    median = distribution(record.ttft for record in run.measured if record.ok)
    relative = LATE_SHARE_OF_TTFT * median.p50 if median else 0.0
    limit, loop_limit = max(LATE_LIMIT_S, relative), max(LATE_LOOP_LIMIT_S, relative)
    if own.cpu_share > CPU_LIMIT:
        return f"it used {own.cpu_share:.0%} of its core (limit {CPU_LIMIT:.0%})"
    if run.open_loop and own.held_back:
        most = run.load.get("max_in_flight")
        return f"{own.held_back} requests waited because max_in_flight is {most}"
    # The percentile of few requests hangs on one or two of them: only what is certain counts.
    if own.lag_p99_low > limit:
        return f"it took requests up {_ms(own.lag_p99)} late at p99 (limit {_ms(limit)})"
    if own.late_wakeups > loop_limit:
        return f"its event loop was {_ms(own.late_wakeups)} late at p99 (limit {_ms(loop_limit)})"
    return None


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


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
