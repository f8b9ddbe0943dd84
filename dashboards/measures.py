"""Expressions that several dashboards share, over one scope.

Each gives NaN where the series exist and nothing happened ("no traffic"), and nothing at all where
no series exists ("not reported").
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from firsttoken import promql
from firsttoken.catalogue import (
    DECODE_DURATION,
    FINISH_REASON,
    KV_CACHE_UTILIZATION,
    PREFILL_DURATION,
    QUEUE_DURATION,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    TOKEN_TYPE,
    TOKENS_PROCESSED,
    Metric,
    find,
)
from firsttoken.dashboards.grafana import Query
from firsttoken.dashboards.panels import query
from firsttoken.dashboards.style import by_name, gauge_cell
from firsttoken.promql import Matcher, Scope

__all__ = [
    "PHASES",
    "QUANTILES",
    "WINDOW",
    "answering",
    "column_formats",
    "distribution",
    "entry",
    "error_share",
    "finished",
    "highest",
    "kv_usage",
    "lowest",
    "mean",
    "of_kind",
    "or_idle",
    "p95",
    "quantiles",
    "tokens",
    "within",
]

WINDOW = "$__rate_interval"
QUANTILES = (("p50", Decimal("0.5")), ("p95", Decimal("0.95")), ("p99", Decimal("0.99")))
PHASES: Mapping[str, Metric] = {
    "queue": QUEUE_DURATION,
    "prefill": PREFILL_DURATION,
    "decode": DECODE_DURATION,
}


def entry(name: str) -> Metric:
    """A metric that few panels show, by its name in the catalogue."""
    metric = find(name)
    if metric is None:
        raise ValueError(f"the catalogue has no {name}")
    return metric


COLUMNS: Mapping[str, tuple[str, int]] = {
    "Running": ("short", 0),
    "Waiting": ("short", 0),
    "KV cache": ("percentunit", 0),
    "Requests": ("reqps", 2),
    "Output tokens/s": ("short", 0),
    "Error share": ("percentunit", 2),
    "TTFT p95": ("s", 1),
    "TPOT p95": ("s", 1),
    "Preemptions": ("ops", 2),
}
"""Unit and decimals of a column, the same in every table."""


def column_formats(names: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
    """Field overrides that give columns of these names their unit."""
    return tuple(
        by_name(
            name,
            {"id": "unit", "value": COLUMNS[name][0]},
            {"id": "decimals", "value": COLUMNS[name][1]},
            *(gauge_cell() if name == "KV cache" else ()),
        )
        for name in names
    )


def or_idle(value: str, traffic: str) -> str:
    """``value``, or NaN where there is none and the ``traffic`` series exist."""
    return f"{value} or {traffic} * NaN"


def mean(metric: Metric, scope: Scope) -> str:
    """A histogram's mean; 0/0 is NaN, which says that nothing happened."""
    total = promql.sum_rate(metric, WINDOW, scope)
    return f"({total}) / ({promql.count_rate(metric, WINDOW, scope)})"


def p95(metric: Metric, scope: Scope) -> str:
    """A histogram's 95th percentile."""
    return promql.quantile(Decimal("0.95"), metric, WINDOW, scope)


def quantiles(metric: Metric, scope: Scope) -> list[Query]:
    """Median, 95th and 99th percentile, and the mean."""
    found = [
        query(promql.quantile(share, metric, WINDOW, scope), name) for name, share in QUANTILES
    ]
    return [*found, query(mean(metric, scope), "mean")]


def distribution(metric: Metric, scope: Scope) -> str:
    """Observations in each bucket, for a heatmap."""
    series = promql.selector(metric, scope, suffix="_bucket", window=WINDOW)
    return f"sum by (le) (increase({series}))"


def finished(scope: Scope, reason: str | None = None) -> str:
    """Requests that ended per second, all or those of one reason."""
    chosen = scope.matching(Matcher(FINISH_REASON.name, reason)) if reason else scope
    return promql.rate(REQUESTS_FINISHED, WINDOW, chosen)


def error_share(scope: Scope) -> str:
    """The share of ended requests that ended with an error; client aborts are not errors.

    It is 0/0, NaN, where none ended.
    """
    ended = finished(scope)
    failed = f"({finished(scope, 'error')} or 0 * {ended})"
    return f"{failed} / ({ended})"


def kv_usage(scope: Scope) -> list[Query]:
    """KV cache usage over the engines: fullest, mean and emptiest."""
    metric = KV_CACHE_UTILIZATION
    return [
        query(promql.gauge(metric, scope, "max"), "fullest"),
        query(promql.gauge(metric, scope, "avg"), "mean"),
        query(promql.gauge(metric, scope, "min"), "emptiest"),
    ]


def tokens(scope: Scope, kind: str) -> str:
    """Tokens per second: ``input`` or ``output``."""
    return promql.rate(TOKENS_PROCESSED, WINDOW, of_kind(scope, kind))


def of_kind(scope: Scope, kind: str) -> Scope:
    """The scope of one type of token."""
    return scope.matching(Matcher(TOKEN_TYPE.name, kind))


def within(metric: Metric, bound: str, scope: Scope) -> str:
    """The share of requests not above a bucket's bound; those that failed count against it."""
    series = promql.selector(metric, scope, suffix="_bucket", window=WINDOW, le=f'le="{bound}"')
    good = f"sum{scope.grouping()} (rate({series}))"
    measured = promql.count_rate(metric, WINDOW, scope)
    every = f"({measured} + ({finished(scope, 'error')} or 0 * {measured}))"
    return f"({good}) / ({every})"


def highest(most: int, value: str, *labels: str) -> str:
    """Of a value that ``labels`` keep apart, the series that are highest over the time range.

    ``topk`` alone picks anew at each step: over a day every series has its turn.
    """
    return f"({value}) and on ({', '.join(labels)}) topk({most}, {_over_range(value)})"


def lowest(most: int, value: str, *labels: str) -> str:
    """As ``highest``, the series that are lowest over the time range."""
    return f"({value}) and on ({', '.join(labels)}) bottomk({most}, {_over_range(value)})"


_BARE = re.compile(r"(?P<series>[a-zA-Z_:][\w:]*\{[^{}]*\}|(?P<any>\{[^{}]*\}))(?!\[)")


def _over_range(value: str) -> str:
    """The same value of the time range as a whole, computed once: rates over it, and means.

    Series of several names keep them, so that no two become one, and give their newest value.
    """

    def whole(found: re.Match[str]) -> str:
        function = "last_over_time" if found["any"] else "avg_over_time"
        return f"{function}({found['series']}[$__range] @ end())"

    rates = value.replace(f"[{WINDOW}]", "[$__range] @ end()")
    return _BARE.sub(whole, rates)


def answering(scope: Scope) -> str:
    """The number of engine instances whose metrics arrive; 0, never nothing, in an outage."""
    instances = promql.gauge(REQUESTS_RUNNING, scope.kept("instance"), "count")
    return f"count({instances}) or vector(0)"
