"""LLM / Service: traffic, errors, latency and saturation of the chosen models."""

from firsttoken import promql
from firsttoken.catalogue import (
    FINISH_REASON,
    INTER_TOKEN_LATENCY,
    KV_CACHE_UTILIZATION,
    PREEMPTIONS,
    QUEUE_DURATION,
    REQUEST_DURATION,
    REQUEST_MODEL,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    Metric,
)
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.board import (
    Board,
    Section,
    expressions,
    link_to,
    panel_link,
    reported,
    service_notes,
)
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.measures import WINDOW
from firsttoken.dashboards.panels import (
    DEAREST_POINTS,
    heatmap,
    instant,
    query,
    stat,
    table,
    timeseries,
)
from firsttoken.dashboards.style import (
    BAD,
    GOOD,
    WARN,
    by_name,
    colours,
    objective_line,
    steps,
    values,
)
from firsttoken.promql import Scope
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["UID", "board", "outage_tile"]

UID = "firsttoken-service"
BOUNDS = (("ttft", TIME_TO_FIRST_TOKEN, "0.5"), ("tpot", TIME_PER_OUTPUT_TOKEN, "0.05"))
"""Variables that choose a bucket bound: name, histogram, and the bound at first."""
INTERPOLATED = (
    "Percentiles are interpolated inside a bucket: they are as exact as the bucket is narrow."
)
LATENCIES = (
    (
        TIME_TO_FIRST_TOKEN,
        "Time to first token",
        "From the arrival of a request to its first token: waiting and prefill. High with a queue: "
        "not enough capacity. High without one: long prompts, or a slow prefill.",
    ),
    (
        TIME_PER_OUTPUT_TOKEN,
        "Time per output token",
        "How fast an answer streams: per request, the time after the first token over the tokens "
        "after it. Rises with the batch; a jump at an equal load is the engine or the GPU.",
    ),
    (
        REQUEST_DURATION,
        "Request duration",
        "From the arrival of a request to the end of its answer. It grows with the length of the "
        "answers: judge it together with tokens per request.",
    ),
)


def outage_tile(scope: Scope) -> Panel:
    """The tile that is red when no engine answers."""
    return stat(
        "Engines answering",
        "Instances whose metrics arrive. 0 is a total outage, or a Prometheus that cannot reach "
        "them; it stays red for as long as it lasts. Look at Data quality next.",
        [query(measures.answering(scope), "answering")],
        "short",
        graph=True,
        thresholds=steps((None, BAD), (1, GOOD)),
        mappings=[values({"0": ("NONE", BAD)})],
        links=[panel_link(link_to("Data quality", "firsttoken-data-quality", "job"))],
    )


def _latency_tile(metric: Metric, title: str, scope: Scope) -> Panel:
    return stat(
        f"{title} p95",
        f"95th percentile of the last minutes, all chosen models together. {INTERPOLATED} "
        "Whether it is good enough is for the objectives to say.",
        [query(measures.p95(metric, scope), "p95")],
        "s",
    )


def _tiles(scope: Scope) -> tuple[Panel, ...]:
    return reported(
        lambda: outage_tile(scope),
        lambda: stat(
            "Requests",
            "Requests that ended per second, whatever their reason.",
            [query(measures.finished(scope), "requests")],
            "reqps",
            decimals=2,
        ),
        lambda: stat(
            "Error share",
            "Share of ended requests that ended with an error. Requests that were refused before "
            "the engine saw them, and those that clients aborted, are not among them.",
            [query(measures.error_share(scope), "errors")],
            "percentunit",
            decimals=2,
            minimum=0,
            maximum=1,
            thresholds=steps((None, GOOD), (0.001, WARN), (0.01, BAD)),
        ),
        lambda: _latency_tile(TIME_TO_FIRST_TOKEN, "TTFT", scope),
        lambda: _latency_tile(TIME_PER_OUTPUT_TOKEN, "TPOT", scope),
        lambda: _latency_tile(REQUEST_DURATION, "E2E", scope),
        lambda: stat(
            "Waiting",
            "Requests that wait for a place in the batch, now. A queue that does not empty within "
            "a minute means that more arrives than is served.",
            [query(promql.gauge(REQUESTS_WAITING, scope), "waiting")],
            "short",
        ),
        lambda: stat(
            "Fullest KV cache",
            "Usage of the KV cache of the fullest engine. Near 100 % requests wait or are "
            "preempted.",
            [query(promql.gauge(KV_CACHE_UTILIZATION, scope, "max"), "usage")],
            "percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
            thresholds=steps((None, GOOD), (0.85, WARN), (0.97, BAD)),
        ),
    )


def _latency(scope: Scope) -> tuple[Panel, ...]:
    def panel(metric: Metric, title: str, text: str) -> Panel:
        return timeseries(
            title,
            f"{text} {INTERPOLATED} The dashed line is the strictest objective of the rules.",
            [
                *measures.quantiles(metric, scope),
                query(variables.threshold(metric), "objective"),
            ],
            "s",
            height=9,
            points=DEAREST_POINTS,
            overrides=[*colours("p50", "p95", "p99", "mean"), objective_line()],
        )

    return reported(
        *(
            lambda metric=metric, title=title, text=text: panel(metric, title, text)
            for metric, title, text in LATENCIES
        )
    )


def _traffic(scope: Scope) -> tuple[Panel, ...]:
    reason = scope.vocabulary.label(FINISH_REASON.name)
    return reported(
        lambda: timeseries(
            "Requests by how they ended",
            "Requests per second by reason: a natural stop, the length limit, an abort by the "
            "client, an error. Aborts that rise with latency are users who gave up.",
            [
                query(
                    promql.rate(REQUESTS_FINISHED, WINDOW, scope.kept(FINISH_REASON.name)),
                    f"{{{{{reason}}}}}",
                )
            ],
            "reqps",
            stacked=True,
            overrides=colours("stop", "length", "abort", "error"),
        ),
        lambda: timeseries(
            "Tokens per second",
            "Prompt tokens taken in and tokens generated, per second. The load in the unit that "
            "the hardware works in.",
            [query(measures.tokens(scope, kind), kind) for kind in ("input", "output")],
            "short",
            overrides=colours("input", "output"),
        ),
        lambda: timeseries(
            "Mean time per phase",
            "Where the time of a request goes on average: waiting, prefill, decode. The phase that "
            "grew is the one to look at. Means, because percentiles do not add up.",
            [query(measures.mean(metric, scope), name) for name, metric in measures.PHASES.items()],
            "s",
            stacked=True,
            overrides=colours(*measures.PHASES),
        ),
    )


def _at_the_door(scope: Scope) -> tuple[Panel, ...]:
    """What the HTTP server answers, which the engine may never have seen."""
    server = Scope(vocabulary=scope.vocabulary, extra=variables.targets())
    status = "http.response.status_class"
    shown = f"{{{{{scope.vocabulary.label(status)}}}}}"
    return reported(
        lambda: timeseries(
            "HTTP responses",
            "Responses per second by class of status, of all routes and models of the chosen "
            "instances. 4xx are mistakes of clients, or limits; 5xx are failures that the engine "
            "may know nothing of.",
            [
                query(
                    promql.rate(
                        measures.entry("http.server.requests"), WINDOW, server.kept(status)
                    ),
                    shown,
                )
            ],
            "reqps",
            width=12,
            stacked=True,
            overrides=colours("2xx", "4xx", "5xx"),
        ),
        lambda: timeseries(
            "Rejected requests",
            "Requests per second that a limit of the engine's queue refused, by limit. They are "
            "in no latency, and their clients must try again.",
            [
                query(
                    promql.rate(
                        measures.entry("gen_ai.server.requests.rejected"),
                        WINDOW,
                        scope.kept("error.type"),
                    ),
                    f"{{{{{scope.vocabulary.label('error.type')}}}}}",
                )
            ],
            "reqps",
            width=12,
            always=(0, 1),
        ),
    )


def _saturation(scope: Scope) -> tuple[Panel, ...]:
    return reported(
        lambda: timeseries(
            "Requests in the engines",
            "Requests in the running batches and waiting for one. Waiting above 0 for long is "
            "saturation.",
            [
                query(promql.gauge(REQUESTS_RUNNING, scope), "running"),
                query(promql.gauge(REQUESTS_WAITING, scope), "waiting"),
            ],
            "short",
            stacked=True,
            overrides=colours("running", "waiting"),
        ),
        lambda: timeseries(
            "KV cache usage",
            "Usage over the engines: fullest, mean and emptiest. Far apart: the load is not "
            "balanced; see Replica.",
            measures.kv_usage(scope),
            "percentunit",
            maximum=1,
        ),
        lambda: timeseries(
            "Preemptions",
            "Running requests per second that lost their KV cache and must be computed again. "
            "Lasting preemptions mean that the cache is too small for this batch.",
            [query(promql.rate(PREEMPTIONS, WINDOW, scope), "preemptions")],
            "ops",
            always=(0, 1),
        ),
    )


def _bounds(scope: Scope) -> tuple[Panel, ...]:
    def panel(metric: Metric, title: str, variable: str) -> Panel:
        return timeseries(
            title,
            "Share of requests within the bound chosen at the top, one of the histogram's own, so "
            "that the share is exact. Requests that failed count as not within it.",
            [query(measures.within(metric, f"${variable}", scope), "within")],
            "percentunit",
            width=12,
            minimum=None,
            maximum=1,
        )

    return reported(
        lambda: panel(TIME_TO_FIRST_TOKEN, "TTFT within the chosen bound", "ttft"),
        lambda: panel(TIME_PER_OUTPUT_TOKEN, "TPOT within the chosen bound", "tpot"),
    )


def _models(scope: Scope) -> tuple[Panel, ...]:
    model = scope.vocabulary.label(REQUEST_MODEL.name)
    each = scope.kept(REQUEST_MODEL.name)

    def panel() -> Panel:
        columns = expressions(
            {
                "Requests": lambda: measures.finished(each),
                "Output tokens/s": lambda: measures.tokens(each, "output"),
                "Error share": lambda: measures.error_share(each),
                "TTFT p95": lambda: measures.p95(TIME_TO_FIRST_TOKEN, each),
                "TPOT p95": lambda: measures.p95(TIME_PER_OUTPUT_TOKEN, each),
                "Waiting": lambda: promql.gauge(REQUESTS_WAITING, each),
                "KV cache": lambda: promql.gauge(KV_CACHE_UTILIZATION, each, "max"),
            }
        )
        letters = "ABCDEFGHIJ"
        heading = {f"Value #{letters[i]}": name for i, name in enumerate(columns)}
        link = link_to(
            "This model only", UID, "job", "namespace", extra="&var-model=${__value.raw}"
        )
        return table(
            "Models",
            "One line a model. Follow a name to see that model alone.",
            [instant(text, shape="table") for text in columns.values()],
            columns={model: "Model", **heading},
            sort_by="Output tokens/s" if "Output tokens/s" in columns else next(iter(columns)),
            descending=True,
            overrides=[
                by_name("Model", {"id": "links", "value": [link]}),
                *measures.column_formats(columns),
            ],
        )

    return reported(panel)


def _heatmaps(scope: Scope) -> tuple[Panel, ...]:
    shown = (
        *((metric, title) for metric, title, _ in LATENCIES),
        (INTER_TOKEN_LATENCY, "Inter-token latency"),
        (QUEUE_DURATION, "Time in the queue"),
    )
    return reported(
        *(
            lambda metric=metric, title=title: heatmap(
                f"{title}, distribution",
                "Requests (for inter-token latency: gaps) in each bucket over time. Two bands are "
                "two kinds of request, or two kinds of replica; a percentile hides that. Engines "
                "report no exemplars: to a slow request's trace the way is its replica's.",
                measures.distribution(metric, scope),
                "s",
            )
            for metric, title in shown
        )
    )


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = variables.engine_scope(vocabulary)
    return Board(
        uid=UID,
        title="LLM / Service",
        description="Traffic, errors, latency and saturation of LLM services.",
        variables=[
            *variables.service_variables(vocabulary),
            *(
                variables.bound(name, f"{name.upper()} bound", metric, scope, default)
                for name, metric, default in BOUNDS
                if vocabulary.reports(metric)
            ),
        ],
        sections=(
            Section("", (*_tiles(scope), *_latency(scope))),
            Section("Traffic", _traffic(scope)),
            Section("At the door", _at_the_door(scope)),
            Section("Saturation", _saturation(scope)),
            Section("By model", _models(scope)),
            Section("Within a bound", _bounds(scope)),
            Section("Distributions", _heatmaps(scope), collapsed=True),
        ),
        notes=service_notes(scope),
    )
