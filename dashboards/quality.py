"""LLM / Data quality: can the other dashboards be believed."""

from firsttoken import promql
from firsttoken.catalogue import (
    KV_CACHE_UTILIZATION,
    REQUEST_DURATION,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    SOURCE,
    SOURCE_DURATION,
    SOURCE_SAMPLES,
    SOURCE_UP,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
    Instrument,
)
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.board import Board, Section, reported, service_notes
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.known import UNTRANSLATED
from firsttoken.dashboards.panels import (
    instant,
    legend_of,
    query,
    stat,
    state_timeline,
    table,
    timeseries,
)
from firsttoken.dashboards.style import BAD, GOOD, WARN, by_name, steps, values
from firsttoken.promql import Scope
from firsttoken.vocabulary import SEMCONV, NotReportedError, Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-data-quality"
NEEDED = (
    TIME_TO_FIRST_TOKEN,
    TIME_PER_OUTPUT_TOKEN,
    REQUEST_DURATION,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    REQUESTS_FINISHED,
    TOKENS_PROCESSED,
    KV_CACHE_UTILIZATION,
)
"""What the service dashboards cannot do without."""
UP_OR_DOWN = values({"0": ("down", BAD), "1": ("up", GOOD)})


def _standard(name: str) -> str:
    return f"{name}{{{variables.targets()}}}"


def missing(scope: Scope) -> str:
    """One series for each needed metric that no chosen target has, named by a label.

    Raises NotReportedError where the source has no engine at all.
    """
    found = []
    for metric in NEEDED:
        if not scope.vocabulary.reports(metric):
            continue
        suffix = "_count" if metric.instrument is Instrument.HISTOGRAM else ""
        series = promql.selector(metric, scope, suffix=suffix)
        name = promql.quote(metric.name)
        found.append(f'label_replace(absent({series}), "metric", {name}, "", "")')
    if not found:
        raise NotReportedError(NEEDED[0], scope.vocabulary.name)
    return f"max by (metric) ({' or '.join(found)})"


def _arriving(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say whether targets and sources are read."""
    up = _standard(variables.UP)
    return reported(
        lambda: stat(
            "Targets down",
            "Targets of the chosen jobs whose last scrape failed. A target that is not even "
            "discovered any more is not among them: compare the number of targets.",
            [query(f"count({up} == 0) or 0 * count({up})", "down")],
            "short",
            width=4,
            thresholds=steps((None, GOOD), (1, BAD)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
        lambda: stat(
            "Targets",
            "Targets that Prometheus knows of in the chosen place. 0: nothing is discovered.",
            [query(f"count({up}) or vector(0)", "targets")],
            "short",
            graph=True,
            width=4,
            thresholds=steps((None, BAD), (1, GOOD)),
            mappings=[values({"0": ("NONE", BAD)})],
        ),
        lambda: stat(
            "Sources failing",
            "Sources behind a collector whose last scrape was not read whole. The collector leaves "
            "such a source out and serves the others.",
            [
                query(
                    f"count({promql.gauge(SOURCE_UP, scope.kept('instance', SOURCE.name), 'min')}"
                    f" == 0) or 0 * {promql.gauge(SOURCE_UP, scope, 'count')}",
                    "failing",
                )
            ],
            "short",
            width=4,
            thresholds=steps((None, GOOD), (1, BAD)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
    )


def _usable(scope: Scope) -> tuple[Panel, ...]:
    """Tiles that say whether what is read is all, and fresh."""
    up = _standard(variables.UP)
    return reported(
        lambda: stat(
            "Metrics missing",
            "Metrics that the dashboards need and no chosen target has: an older engine, a feature "
            "that is off, or a profile that does not fit. The table below names them.",
            [query(f"count({missing(scope)}) or vector(0)", "missing")],
            "short",
            graph=True,
            width=4,
            thresholds=steps((None, GOOD), (1, WARN)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
        lambda: stat(
            "Slowest scrape",
            "The longest scrape of a chosen target. Near the scrape interval or its time-out, "
            "samples are lost.",
            [query(f"max({_standard('scrape_duration_seconds')})", "duration")],
            "s",
            width=4,
            thresholds=steps((None, GOOD), (1, WARN), (5, BAD)),
        ),
        lambda: stat(
            "Stalest sample",
            "Age of the oldest newest sample of a chosen target. Above two scrape intervals "
            "Prometheus is behind, or clocks differ; negative, a clock is ahead.",
            [instant(f"max(time() - timestamp({up}))", "age")],
            "s",
            width=4,
            thresholds=steps((None, GOOD), (60, WARN), (240, BAD)),
        ),
    )


def _names(scope: Scope) -> tuple[Panel, ...]:
    found = f'{{__name__=~"{UNTRANSLATED}", {variables.targets()}}}'
    untranslated = f"topk(100, count by (__name__, job) ({found}))"
    shown = reported(
        lambda: table(
            "Needed metrics that nobody reports",
            "Each has empty panels elsewhere, which say not reported. Empty is good.",
            [instant(missing(scope), shape="table")],
            width=12,
            columns={"metric": "Metric", "Value": "Targets without"},
            hidden=["Value #A"],
            sort_by="Metric",
            empty="none",
        ),
        lambda: table(
            "Names that were not translated",
            "Engine series that the catalogue has no entry for, which the collector passes on as "
            "they are; or that were scraped past it, or mangled on the way (vllm_ for vllm:). No "
            "other dashboard shows them. A name that one should show is a fault.",
            [instant(untranslated, shape="table")],
            width=12,
            columns={"__name__": "Series", "job": "Job", "Value": "Count", "Value #A": "Count"},
            sort_by="Series",
            overrides=[by_name("Series", {"id": "custom.width", "value": 420})],
            empty="none",
        ),
    )
    # Behind a source that is scraped directly every name is its own.
    return shown if scope.vocabulary is SEMCONV else shown[:1]


def _up_over_time(scope: Scope) -> tuple[Panel, ...]:
    source = scope.vocabulary.label(SOURCE.name)
    each = scope.kept("instance", SOURCE.name)
    return reported(
        lambda: state_timeline(
            "Targets",
            "Whether each target could be scraped. The 30 that were down most are enough to see a "
            "pattern: one, a node, or all.",
            [
                query(
                    measures.lowest(30, _standard(variables.UP), "job", "instance"),
                    legend_of("job", "instance"),
                )
            ],
            mappings=[UP_OR_DOWN],
            width=12,
            height=8,
        ),
        lambda: state_timeline(
            "Sources behind the collectors",
            "Whether the collector read each of its sources whole.",
            [
                query(
                    measures.lowest(30, promql.gauge(SOURCE_UP, each, "min"), "instance", source),
                    legend_of("instance", source),
                )
            ],
            mappings=[UP_OR_DOWN],
            width=12,
            height=8,
        ),
    )


def _cost_over_time(scope: Scope) -> tuple[Panel, ...]:
    source = scope.vocabulary.label(SOURCE.name)
    each = scope.kept("instance", SOURCE.name)
    return reported(
        lambda: timeseries(
            "Scrape duration",
            "How long Prometheus waits for each target; the 20 slowest.",
            [
                query(
                    measures.highest(20, _standard("scrape_duration_seconds"), "job", "instance"),
                    legend_of("job", "instance"),
                )
            ],
            "s",
        ),
        lambda: timeseries(
            "Scrape duration of the sources",
            "How long the collector waits for each source; the 20 slowest. The slowest one decides "
            "how long the collector's own page takes.",
            [
                query(
                    measures.highest(
                        20, promql.gauge(SOURCE_DURATION, each, "max"), "instance", source
                    ),
                    legend_of("instance", source),
                )
            ],
            "s",
        ),
        lambda: timeseries(
            "Samples of the sources",
            "Samples in each source's page; the 20 largest. Steady growth is a label that never "
            "stops taking new values.",
            [
                query(
                    measures.highest(
                        20, promql.gauge(SOURCE_SAMPLES, each, "max"), "instance", source
                    ),
                    legend_of("instance", source),
                )
            ],
            "short",
        ),
    )


def _series(scope: Scope) -> tuple[Panel, ...]:
    def resets() -> str:
        series = promql.selector(
            TOKENS_PROCESSED, measures.of_kind(scope, "output"), window=measures.WINDOW
        )
        return f"sum by (instance) (resets({series})) > 0"

    return reported(
        lambda: timeseries(
            "Samples by job",
            "Samples that Prometheus stores at each scrape, by job. Steady growth is a label that "
            "never stops taking new values.",
            [
                query(
                    f"sum by (job) ({_standard('scrape_samples_post_metric_relabeling')})",
                    "{{job}}",
                )
            ],
            "short",
        ),
        lambda: timeseries(
            "New series by job",
            "Series that had not been there at the scrape before. Peaks are restarts; a steady "
            "flow is a label with ever new values.",
            [query(f"sum by (job) ({_standard('scrape_series_added')})", "{{job}}")],
            "short",
        ),
        lambda: timeseries(
            "Counter resets",
            "Engines whose counters began again. Each is a restart, or two engines behind one "
            "address, which makes every rate wrong.",
            [query(resets(), "{{instance}}")],
            "short",
            bars=True,
            empty="none",
        ),
    )


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = Scope(vocabulary=vocabulary, extra=variables.targets())
    return Board(
        uid=UID,
        title="LLM / Data quality",
        description="Scrapes, sources, missing and untranslated metrics.",
        variables=[*variables.target_variables(), variables.instance()],
        sections=(
            Section("", (*_arriving(scope), *_usable(scope), *_names(scope))),
            Section("Targets and sources", (*_up_over_time(scope), *_cost_over_time(scope))),
            Section("Series", _series(scope)),
        ),
        notes=service_notes(scope),
    )
