"""LLM / KV cache: how full it is, what prefix caching saves, what a full cache costs."""

import contextlib

from firsttoken import promql
from firsttoken.catalogue import (
    KV_CACHE_UTILIZATION,
    PREEMPTIONS,
    PREFILL_DURATION,
    PREFIX_CACHE_HITS,
    PREFIX_CACHE_QUERIES,
    REQUESTS_WAITING,
)
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.board import Board, Section, reported, service_notes
from firsttoken.dashboards.grafana import Panel, Query
from firsttoken.dashboards.measures import WINDOW
from firsttoken.dashboards.panels import query, stat, timeseries
from firsttoken.dashboards.scatter import xy_chart
from firsttoken.dashboards.style import BAD, GOOD, WARN, steps
from firsttoken.promql import Matcher, Scope
from firsttoken.vocabulary import SEMCONV, NotReportedError, Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-kv-cache"


def of_tier(scope: Scope, tier: str = "") -> Scope:
    """The engine's own prefix cache, or one outside, which is asked for what the own one lacks."""
    return scope.matching(Matcher("gen_ai.server.cache.tier", tier))


def hit_share(scope: Scope, tier: str = "") -> str:
    """The share of looked-up prompt tokens that a prefix cache had."""
    chosen = of_tier(scope, tier)
    looked_up = promql.rate(PREFIX_CACHE_QUERIES, WINDOW, chosen)
    return f"({promql.rate(PREFIX_CACHE_HITS, WINDOW, chosen)}) / ({looked_up})"


def _saved(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say how full the cache is and what it saves."""
    return reported(
        lambda: stat(
            "Fullest KV cache",
            "Usage of the fullest engine's KV cache. Near 100 % new requests wait, and running "
            "ones are preempted.",
            [query(promql.gauge(KV_CACHE_UTILIZATION, scope, "max"), "usage")],
            "percentunit",
            width=4,
            decimals=0,
            minimum=0,
            maximum=1,
            thresholds=steps((None, GOOD), (0.85, WARN), (0.97, BAD)),
        ),
        lambda: stat(
            "Mean KV cache",
            "Mean usage over the chosen engines. Far below the fullest: the load is not balanced.",
            [query(promql.gauge(KV_CACHE_UTILIZATION, scope, "avg"), "usage")],
            "percentunit",
            width=4,
            decimals=0,
            minimum=0,
            maximum=1,
        ),
        lambda: stat(
            "Prefix cache hits",
            "Share of prompt tokens that the engines found in their own cache. What is good "
            "depends on the prompts: 0 is right when no two share a beginning.",
            [query(hit_share(scope), "hits")],
            "percentunit",
            width=4,
            decimals=1,
            minimum=0,
            maximum=1,
        ),
        lambda: stat(
            "Prompt tokens/s saved",
            "Prompt tokens per second that came from a prefix cache, the engines' own or one "
            "outside.",
            [query(promql.rate(PREFIX_CACHE_HITS, WINDOW, scope), "saved")],
            "short",
            width=4,
        ),
    )


def _lacked(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say what a full cache costs."""
    return reported(
        lambda: stat(
            "Preemptions",
            "Running requests per second that lost their cache. Above 0 for long: raise the "
            "memory for the cache, lower the batch, or add replicas.",
            [query(promql.rate(PREEMPTIONS, WINDOW, scope), "preemptions")],
            "ops",
            width=4,
            decimals=2,
            thresholds=steps((None, GOOD), (0.01, WARN), (1, BAD)),
        ),
        lambda: stat(
            "Waiting",
            "Requests that wait, now. With a full cache they wait for memory, without one for a "
            "place in the batch.",
            [query(promql.gauge(REQUESTS_WAITING, scope), "waiting")],
            "short",
            width=4,
        ),
    )


def _cache(scope: Scope) -> tuple[Panel, ...]:
    by_engine = scope.kept("instance")

    def fullest(expression: str) -> list[Query]:
        return [query(measures.highest(20, expression, "instance"), "{{instance}}")]

    return reported(
        lambda: timeseries(
            "KV cache usage",
            "Fullest, mean and emptiest engine. Far apart: the load is not balanced.",
            measures.kv_usage(scope),
            "percentunit",
            width=12,
            maximum=1,
        ),
        lambda: timeseries(
            "KV cache usage by instance",
            "The 20 fullest instances. One that fills alone gets the long prompts.",
            fullest(promql.gauge(KV_CACHE_UTILIZATION, by_engine, "max")),
            "percentunit",
            width=12,
            maximum=1,
        ),
        lambda: timeseries(
            "Preemptions by instance",
            "Preempted requests per second; the 20 instances with the most. One alone: routing. "
            "All: memory.",
            fullest(promql.rate(PREEMPTIONS, WINDOW, by_engine)),
            "ops",
            width=12,
            always=(0, 1),
        ),
        lambda: xy_chart(
            "Waiting against KV cache usage",
            "One point a time step. A queue only at the right edge waits for memory; a queue at "
            "the left waits for the batch or for prefill.",
            query(promql.gauge(KV_CACHE_UTILIZATION, scope, "max"), "KV cache usage"),
            query(promql.gauge(REQUESTS_WAITING, scope), "waiting"),
            x_name="KV cache usage",
            y_name="waiting",
            x_unit="percentunit",
            y_unit="short",
            height=8,
        ),
    )


def _prefix(scope: Scope) -> tuple[Panel, ...]:
    by_engine = scope.kept("instance")

    def shares() -> list[Query]:
        found = [query(hit_share(scope), "own")]
        with contextlib.suppress(NotReportedError):
            found.append(query(hit_share(scope, "external"), "outside"))
        return found

    def found_and_computed() -> Panel:
        looked_up = promql.rate(PREFIX_CACHE_QUERIES, WINDOW, of_tier(scope))
        hits = promql.rate(PREFIX_CACHE_HITS, WINDOW, scope)
        return timeseries(
            "Prompt tokens/s found and computed",
            "Prompt tokens per second: found in a cache, and left to compute. What is left is what "
            "prefill works on.",
            [query(hits, "found"), query(f"{looked_up} - {hits}", "computed")],
            "short",
            stacked=True,
        )

    return reported(
        lambda: timeseries(
            "Prefix cache hits",
            "Share of the looked-up prompt tokens that were found. It falls when prompts change, "
            "when the cache is too small, or when sessions move between replicas. A cache outside "
            "the engine is asked only for what the own one lacks, so its share is of those.",
            shares(),
            "percentunit",
            maximum=1,
        ),
        found_and_computed,
        lambda: timeseries(
            "Prefix cache hits by instance",
            "Hit share of the 20 instances with the lowest. A replica far below the others does "
            "not get the sessions that it has in its cache.",
            [query(measures.lowest(20, hit_share(by_engine), "instance"), "{{instance}}")],
            "percentunit",
            maximum=1,
        ),
        lambda: timeseries(
            "Mean prefill time",
            "What the prefix cache is for: it falls as hits rise, at equal prompts.",
            [query(measures.mean(PREFILL_DURATION, scope), "prefill")],
            "s",
            width=24,
            height=6,
        ),
    )


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = variables.engine_scope(vocabulary)
    return Board(
        uid=UID,
        title="LLM / KV cache",
        description="KV cache usage, prefix caching and preemption.",
        variables=variables.service_variables(vocabulary),
        sections=(
            Section("", (*_saved(scope), *_lacked(scope), *_cache(scope))),
            Section("Prefix caching", _prefix(scope)),
        ),
        notes=service_notes(scope),
    )
