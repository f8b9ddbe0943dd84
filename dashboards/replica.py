"""LLM / Replica: which engine is the odd one out, and what it is doing."""

from functools import partial

from firsttoken import promql
from firsttoken.catalogue import (
    ENGINE,
    KV_CACHE_UTILIZATION,
    PREEMPTIONS,
    REQUEST_MODEL,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
)
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.board import (
    Board,
    Section,
    expressions,
    link_to,
    reported,
    service_notes,
)
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.measures import WINDOW
from firsttoken.dashboards.panels import (
    COSTLY_POINTS,
    instant,
    legend_of,
    query,
    stat,
    table,
    timeseries,
)
from firsttoken.dashboards.service import outage_tile
from firsttoken.dashboards.style import BAD, GOOD, WARN, by_name, steps, values
from firsttoken.promql import Scope
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-replica"
MOST = 20
"""Lines in a chart at most: those that are highest over the time range."""
ROWS = 100
LETTERS = "ABCDEFGHIJ"


def _balance(scope: Scope) -> dict[str, str]:
    """How uneven the batches of one model are, for the model where they are most so."""
    label = scope.vocabulary.label(REQUEST_MODEL.name)
    each = scope.kept(*scope.by, REQUEST_MODEL.name)
    series = promql.selector(REQUESTS_RUNNING, each, window=measures.WINDOW)
    running = f"sum{each.grouping()} (avg_over_time({series}))"
    mean = f"(avg by ({label}) ({running}) > 0)"
    return {
        name: measures.or_idle(f"max({spread} by ({label}) ({running}) / {mean})", _any(scope))
        for name, spread in (("largest over mean", "max"), ("variation", "stddev"))
    }


def _any(scope: Scope) -> str:
    return promql.gauge(REQUESTS_RUNNING, scope.kept())


def _evenness(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say whether the replicas are there and share the load."""
    each = scope.kept("instance", ENGINE.name)
    resets = promql.selector(TOKENS_PROCESSED, measures.of_kind(scope, "output"), window="$__range")
    restarted = f"sum(max by (instance) (resets({resets})))"
    return reported(
        lambda: outage_tile(scope),
        lambda: stat(
            "Restarts",
            "Engines whose counters began again within the time range shown.",
            [query(restarted, "restarts")],
            "short",
            decimals=0,
            thresholds=steps((None, GOOD), (1, WARN)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
        lambda: stat(
            "Imbalance",
            "Requests in the largest batch over the mean of its model's replicas. 1 is even; 2 "
            "means that one replica does twice its share, and its users wait for it.",
            [query(_balance(each)["largest over mean"], "imbalance")],
            "short",
            decimals=2,
            thresholds=steps((None, GOOD), (1.5, WARN), (3, BAD)),
        ),
        lambda: stat(
            "Variation",
            "Standard deviation of the batch sizes over their mean. 0 is even. It lasts above 0.5 "
            "when the routing does not see the load, or when sessions stick to a replica.",
            [query(_balance(each)["variation"], "variation")],
            "percentunit",
            decimals=0,
            thresholds=steps((None, GOOD), (0.5, WARN)),
        ),
    )


def _worst(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say how bad it is where it is worst."""
    each = scope.kept("instance", ENGINE.name)
    return reported(
        lambda: stat(
            "Waiting",
            "Requests that wait on the chosen replicas, now.",
            [query(promql.gauge(REQUESTS_WAITING, scope), "waiting")],
            "short",
        ),
        lambda: stat(
            "Fullest KV cache",
            "Usage of the KV cache of the fullest replica. Near 100 % requests wait or are "
            "preempted.",
            [query(promql.gauge(KV_CACHE_UTILIZATION, scope, "max"), "usage")],
            "percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
            thresholds=steps((None, GOOD), (0.85, WARN), (0.97, BAD)),
        ),
        lambda: stat(
            "Worst TTFT p95",
            "95th percentile of the time to first token on the replica where it is highest.",
            [instant(f"max({measures.p95(TIME_TO_FIRST_TOKEN, each)})", "p95")],
            "s",
        ),
        lambda: stat(
            "Worst TPOT p95",
            "95th percentile of the time per output token on the replica where it is highest.",
            [instant(f"max({measures.p95(TIME_PER_OUTPUT_TOKEN, each)})", "p95")],
            "s",
        ),
    )


def _links() -> dict[str, object]:
    here = "&var-instance=${__data.fields.Instance}"
    logs = (
        '/explore?schemaVersion=1&panes={"a":{"datasource":"${logs}","queries":[{"refId":"A",'
        '"expr":"{pod=\\"${__data.fields.Pod}\\"}"}],'
        '"range":{"from":"${__from}","to":"${__to}"}}}'
    )
    traces = (
        '/explore?schemaVersion=1&panes={"a":{"datasource":"${traces}","queries":[{"refId":"A",'
        '"queryType":"traceql","query":"{resource.k8s.pod.name=\\"${__data.fields.Pod}\\"}"}],'
        '"range":{"from":"${__from}","to":"${__to}"}}}'
    )
    return {
        "id": "links",
        "value": [
            link_to("This replica only", UID, "job", "namespace", extra=here),
            link_to("Its GPUs", "firsttoken-gpu", "job", "namespace", extra=here),
            {"title": "Its logs", "url": logs, "targetBlank": True},
            {"title": "Its traces", "url": traces, "targetBlank": True},
        ],
    }


def _replicas(scope: Scope) -> tuple[Panel, ...]:
    each = scope.kept("instance", "pod", ENGINE.name)
    keys = f"instance, pod, {scope.vocabulary.label(ENGINE.name)}"

    def panel() -> Panel:
        slowest = ""
        if scope.vocabulary.reports(TIME_TO_FIRST_TOKEN):
            first_token = measures.p95(TIME_TO_FIRST_TOKEN, each)
            rank = f"{first_token} or -1 * {promql.gauge(REQUESTS_RUNNING, each)}"
            slowest = f" and on ({keys}) topk({ROWS}, {rank})"
        columns = expressions(
            {
                "Running": lambda: promql.gauge(REQUESTS_RUNNING, each),
                "Waiting": lambda: promql.gauge(REQUESTS_WAITING, each),
                "KV cache": lambda: promql.gauge(KV_CACHE_UTILIZATION, each, "max"),
                "Requests": lambda: measures.finished(each),
                "Output tokens/s": lambda: measures.tokens(each, "output"),
                "Error share": lambda: measures.error_share(each),
                "TTFT p95": lambda: measures.p95(TIME_TO_FIRST_TOKEN, each),
                "TPOT p95": lambda: measures.p95(TIME_PER_OUTPUT_TOKEN, each),
                "Preemptions": lambda: promql.rate(PREEMPTIONS, WINDOW, each),
            }
        )
        return table(
            "Replicas",
            "One line an engine rank of an instance, at most the "
            f"{ROWS} with the slowest first tokens. Follow an instance to see it alone, to its "
            "GPUs, its logs or its traces. The odd one out is the one to look at.",
            [instant(f"({text}){slowest}", shape="table") for text in columns.values()],
            height=9,
            columns={
                "instance": "Instance",
                "pod": "Pod",
                scope.vocabulary.label(ENGINE.name): "Rank",
                **{f"Value #{LETTERS[i]}": name for i, name in enumerate(columns)},
            },
            sort_by="TTFT p95" if "TTFT p95" in columns else next(iter(columns)),
            descending=True,
            overrides=[
                by_name("Instance", _links()),
                *measures.column_formats(columns),
            ],
        )

    return reported(panel)


def _chart(
    scope: Scope,
    title: str,
    text: str,
    expression: str,
    unit: str,
    *,
    most: float | None = None,
    idle_too: bool = False,
) -> Panel:
    """A line for each replica that is high; with ``idle_too`` also for those that are low."""
    keys = ("instance", scope.vocabulary.label(ENGINE.name))
    shown = [measures.highest(MOST // 2 if idle_too else MOST, expression, *keys)]
    which = f"The {MOST} replicas that are highest over the time range."
    if idle_too:
        shown.append(measures.lowest(MOST // 2, expression, *keys))
        which = (
            f"The {MOST // 2} replicas that are highest over the time range, and the "
            f"{MOST // 2} that are lowest."
        )
    return timeseries(
        title,
        f"{text} {which}",
        [query(" or ".join(f"({one})" for one in shown), legend_of(*keys))],
        unit,
        maximum=most,
        many=True,
    )


def _charts(scope: Scope) -> tuple[Panel, ...]:
    each = scope.kept("instance", ENGINE.name)
    chart = partial(_chart, scope)
    return reported(
        lambda: chart(
            "Running by replica",
            "Requests in each batch. Lines that lie together are an even load; one at 0 while "
            "others work gets no requests, or is stuck.",
            promql.gauge(REQUESTS_RUNNING, each),
            "short",
            idle_too=True,
        ),
        lambda: chart(
            "Waiting by replica",
            "Requests that wait on each replica. One alone: routing. All: capacity.",
            promql.gauge(REQUESTS_WAITING, each),
            "short",
        ),
        lambda: chart(
            "KV cache by replica",
            "Usage of each KV cache. The fullest one is where requests are preempted first.",
            promql.gauge(KV_CACHE_UTILIZATION, each, "max"),
            "percentunit",
            most=1,
        ),
        lambda: chart(
            "Mean TTFT by replica",
            "Mean time to first token of each replica; the table has the percentiles, which for "
            "hundreds of replicas over a day would take seconds to compute.",
            measures.mean(TIME_TO_FIRST_TOKEN, each),
            "s",
        ),
        lambda: chart(
            "Mean TPOT by replica",
            "Mean time per output token of each replica. One replica alone that is slow at an "
            "equal batch is a hardware question.",
            measures.mean(TIME_PER_OUTPUT_TOKEN, each),
            "s",
        ),
        lambda: chart(
            "Output tokens/s by replica",
            "Tokens generated per second by each replica.",
            measures.tokens(each, "output"),
            "short",
            idle_too=True,
        ),
    )


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = variables.replica_scope(vocabulary)
    each = scope.kept("instance", ENGINE.name)

    def balance() -> Panel:
        return timeseries(
            "Balance",
            "Largest batch over the mean, and the variation of all batches. 1 and 0 are even.",
            [query(expression, name) for name, expression in _balance(each).items()],
            "short",
            width=24,
            height=6,
            points=COSTLY_POINTS,
        )

    return Board(
        uid=UID,
        title="LLM / Replica",
        description="Each engine beside the others: load, latency, cache, balance.",
        variables=[
            *variables.replica_variables(vocabulary),
            variables.other_source("logs", "Logs", "loki"),
            variables.other_source("traces", "Traces", "tempo"),
        ],
        sections=(
            Section("", (*_evenness(scope), *_worst(scope), *_replicas(scope))),
            Section("Load and latency", _charts(scope)),
            Section("Balance over time", reported(balance)),
        ),
        notes=service_notes(scope),
    )
