"""Client against server over the same requests, and why the two may differ.

Both sides are taken over every request of the run, warm-up included, because a server's counters
know no warm-up.  Counts must be equal.  Means may differ by 5 % of the server's and 5 ms; what is
beyond that is *explained* by something that was measured itself, or it is a *mismatch*.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from firsttoken import catalogue
from firsttoken.catalogue import FINISH_REASON, TOKEN_TYPE, Metric
from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.summary import percentile
from firsttoken.report.schema import Comparison
from firsttoken.validate.page import Histogram, Window

__all__ = ["Evidence", "compare"]

RELATIVE = 0.05
ABSOLUTE_S = 0.005
QUANTILES = (0.5, 0.95)
_UNFINISHED = ("abort", "error")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured apart and makes the two sides differ, in seconds.

    ``round_trip``: of a request that does no work.  ``lateness``: how late the client's event
    loop woke up, at its 99th percentile.
    """

    round_trip: float = 0.0
    lateness: float = 0.0


@dataclass(frozen=True, slots=True)
class _Latency:
    name: str
    metric: Metric
    values: tuple[float, ...]
    sides: str


def compare(run: Run, window: Window, evidence: Evidence) -> tuple[Comparison, ...]:
    """Counts, means and quantiles of both sides, each with its explanation."""
    answered = [record for record in run.records if record.ok]
    lost = len(run.records) - len(answered)
    latencies = _latencies(run.records)
    return (
        _requests(window, len(answered), lost),
        _tokens(window, "input", [record.prompt_tokens for record in answered], lost),
        _tokens(window, "output", [record.output_tokens for record in answered], lost),
        *(_mean(latency, window, evidence) for latency in latencies),
        *(
            row
            for latency in latencies
            for quantile in QUANTILES
            if (row := _quantile(latency, window, quantile)) is not None
        ),
    )


def _latencies(records: Sequence[Record]) -> tuple[_Latency, ...]:
    answered = [record for record in records if record.ok]
    # The server's TPOT histogram has a 0 for an answer of one token; so has this side here.
    tpot = [record.tpot if record.tpot is not None else 0.0 for record in answered]
    return (
        _Latency(
            "TTFT",
            catalogue.TIME_TO_FIRST_TOKEN,
            tuple(record.ttft for record in records if record.ttft is not None),
            "The client counts from the request's last byte to the first content it receives, the"
            " server from the request's arrival to the engine's first token.",
        ),
        _Latency(
            "TPOT",
            catalogue.TIME_PER_OUTPUT_TOKEN,
            tuple(tpot),
            "Both divide the time after the first token by the tokens after it; the client takes"
            " the times at which chunks arrive.",
        ),
        _Latency(
            "E2E",
            catalogue.REQUEST_DURATION,
            tuple(record.e2e for record in answered if record.e2e is not None),
            "The client counts to the end of the response, the server to the engine's last token.",
        ),
    )


# --- Counts ---------------------------------------------------------------------------------------


def _requests(window: Window, client: int, lost: int) -> Comparison:
    reasons = window.by_label(catalogue.REQUESTS_FINISHED, FINISH_REASON.label)
    server = None
    if reasons:
        server = sum(count for reason, count in reasons.items() if reason not in _UNFINISHED)
    sides = "Requests answered in full, by both sides."
    return _count("requests", "requests", client, server, lost, sides)


def _tokens(window: Window, kind: str, counts: Sequence[int | None], lost: int) -> Comparison:
    name = f"{kind} tokens"
    server = window.counter(catalogue.TOKENS_PROCESSED, **{TOKEN_TYPE.label: kind})
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return Comparison(
            name=name, unit="tokens", client=None, server=server, tolerance=0.0,
            status="not_compared",
            explanation=f"{len(counts) - len(known)} answers came without the server's usage.",
        )  # fmt: skip
    sides = "The client adds up the usage of every answer, the server counts as it works."
    return _count(name, "tokens", sum(known), server, lost, sides)


def _count(
    name: str, unit: str, client: int, server: float | None, lost: int, sides: str
) -> Comparison:
    status, explanation = "agrees", sides
    if server is None:
        status, explanation = "not_compared", "The server does not report it."
    elif server != client:
        more = server > client
        difference = f"{abs(server - client):,.0f} {unit} {'more' if more else 'fewer'}"
        if lost and more:
            status = "explained"
            explanation = (
                f"The server has {difference}: {lost} requests failed or were broken off at the"
                " client, and the server worked on them too."
            )
        else:
            status = "mismatch"
            explanation = f"The server has {difference}. " + (
                "Something else uses this engine, or it counts requests that are not the client's."
                if more
                else "It was restarted in between, or more than one engine answers at the target"
                " and only one of them is scraped."
            )
    return Comparison.model_validate(
        {
            "name": name, "unit": unit, "client": float(client), "server": server,
            "tolerance": 0.0, "status": status, "explanation": explanation,
        }
    )  # fmt: skip


# --- Latencies ------------------------------------------------------------------------------------


def _mean(latency: _Latency, window: Window, evidence: Evidence) -> Comparison:
    name = f"mean {latency.name}"
    histogram = window.histogram(latency.metric)
    client = sum(latency.values) / len(latency.values) if latency.values else None
    server = histogram.mean if histogram else None
    if client is None or server is None or histogram is None:
        why = "The client has no value." if client is None else "The server does not report it."
        return Comparison(
            name=name, unit="s", client=client, server=server, tolerance=0.0,
            status="not_compared", explanation=why,
        )  # fmt: skip
    tolerance = RELATIVE * server + ABSOLUTE_S
    status, why = "agrees", latency.sides
    if abs(client - server) > tolerance:
        status, why = _beyond(latency, client, histogram, tolerance, evidence)
    return Comparison.model_validate(
        {
            "name": name, "unit": "s", "client": client, "server": server,
            "tolerance": tolerance, "status": status, "explanation": why,
        }
    )  # fmt: skip


def _beyond(
    latency: _Latency, client: float, histogram: Histogram, tolerance: float, evidence: Evidence
) -> tuple[str, str]:
    """Status and reason of means that differ by more than the tolerance."""
    server = histogram.total / histogram.count
    difference = client - server
    shown = f"{abs(difference) * 1000:.1f} ms"
    if histogram.count != len(latency.values):
        mine = len(latency.values)
        return "explained", (
            f"They differ by {shown}, and not over the same requests: the server counted"
            f" {histogram.count:,.0f}, the client {mine:,}."
        )
    if difference < 0:
        return "mismatch", (
            f"The client measured {shown} less than the server, which no network explains:"
            " another engine may be the one that is scraped."
        )
    if difference <= tolerance + evidence.round_trip + evidence.lateness:
        return "explained", (
            f"The client measured {shown} more: a request that does no work already takes"
            f" {evidence.round_trip * 1000:.1f} ms, and the client's event loop woke up to"
            f" {evidence.lateness * 1000:.1f} ms late."
        )
    return "mismatch", (
        f"The client waited {shown} longer than the server says. The server's clock begins when"
        " its API server has read the request and stops at the engine: look for what is around it,"
        " such as a proxy or gateway, a connection limit, or an API server short of CPU."
    )


def _quantile(latency: _Latency, window: Window, quantile: float) -> Comparison | None:
    """An exact quantile against the bucket that holds the server's; never a mismatch by itself."""
    histogram = window.histogram(latency.metric)
    bucket = histogram.bucket_of(quantile) if histogram else None
    if bucket is None or histogram is None or not latency.values:
        return None
    client = percentile(sorted(latency.values), quantile)
    lower, upper = bucket
    finite = upper if math.isfinite(upper) else lower
    tolerance = RELATIVE * finite + ABSOLUTE_S
    inside = lower - tolerance <= client <= upper + tolerance
    end = f"{upper:g} s" if math.isfinite(upper) else "infinity"
    text = f"The server knows it only as somewhere from {lower:g} s to {end}, one bucket"
    return Comparison(
        name=f"p{quantile * 100:g} {latency.name}",
        unit="s",
        client=client,
        server=_interpolated(histogram, quantile, lower, upper),
        tolerance=tolerance,
        status="agrees" if inside else "explained",
        explanation=f"{text}; the client's exact value lies in it."
        if inside
        else f"{text}; with {histogram.count:,.0f} requests the neighbouring one may hold it, and"
        " the means above say whether the sides really differ.",
    )


def _interpolated(histogram: Histogram, quantile: float, lower: float, upper: float) -> float:
    """What Prometheus' ``histogram_quantile`` gives: linear in the bucket."""
    if not math.isfinite(upper):
        return lower
    counts = dict(histogram.buckets)
    below = max((count for bound, count in histogram.buckets if bound <= lower), default=0.0)
    within = counts[upper] - below
    return lower + (upper - lower) * (
        (quantile * histogram.count - below) / within if within else 1
    )
