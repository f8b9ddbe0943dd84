"""LLM / Capacity: how much load the engines carry, at which latency, and what it costs."""

from firsttoken import promql
from firsttoken.catalogue import (
    ENERGY,
    GPU_UTILIZATION,
    HW_ID,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKENS_PROCESSED,
    Metric,
)
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.board import Board, Section, reported, service_notes
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.measures import WINDOW
from firsttoken.dashboards.panels import COSTLY_POINTS, instant, query, stat, text, timeseries
from firsttoken.dashboards.scatter import xy_chart
from firsttoken.dashboards.style import colours, objective_line
from firsttoken.promql import Scope
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-capacity"
ABOUT = (
    "A load test shows the knee: raise the load step by step and watch where throughput stops "
    "rising and latency starts. Load tests are marked on every chart when the load generator is "
    "told of this Grafana. Points of an ordinary day show only as much as was asked."
)


def gpus(vocabulary: Vocabulary) -> Scope:
    """The GPUs in the chosen place: they carry no model, so they cannot be chosen by it."""
    return Scope(vocabulary=vocabulary, extra=variables.target_matchers(*variables.PLACE))


def gpu_count(vocabulary: Vocabulary) -> str:
    """How many GPUs report; nothing when none does."""
    each = gpus(vocabulary).kept("instance", HW_ID.name)
    return f"count({promql.gauge(GPU_UTILIZATION, each, 'max')})"


def watts(vocabulary: Vocabulary) -> str:
    """Power of the GPUs by their energy counters."""
    return promql.rate(ENERGY, WINDOW, gpus(vocabulary))


def _output(scope: Scope) -> str:
    return measures.tokens(scope, "output")


def cost(scope: Scope) -> str:
    """Price of a million output tokens at ``$price`` a GPU and hour, idle GPUs paid for too."""
    output = _output(scope)
    count = gpu_count(scope.vocabulary)
    value = f"{count} * $price / ({output} * 3600 / 1e6 > 0)"
    return measures.or_idle(value, f"{output} * {count}")


def per_joule(scope: Scope) -> str:
    """Output tokens for each joule of the GPUs; nothing where no energy is reported."""
    output, power = _output(scope), watts(scope.vocabulary)
    return measures.or_idle(f"{output} / ({power} > 0)", f"{output} * {power}")


def _throughput(scope: Scope) -> tuple[Panel, ...]:
    """Tiles of what the engines do and have been seen to do."""
    peak = f"max_over_time(({_output(scope)})[$__range:$__interval])"
    return reported(
        lambda: stat(
            "Output tokens/s",
            "Tokens generated per second by the chosen engines, now.",
            [query(_output(scope), "tokens/s")],
            "short",
            width=4,
        ),
        lambda: stat(
            "Highest tokens/s in range",
            "The most output tokens per second in the time range: what the engines have been "
            "seen to do, which is a lower bound of what they can.",
            [instant(peak, "tokens/s")],
            "short",
            width=4,
        ),
        lambda: stat(
            "Load against highest",
            "Output tokens now over the highest in range. It says how much headroom is known "
            "only if the range holds a load test that went to the limit.",
            [instant(f"{_output(scope)} / ({peak} > 0) or {_output(scope)} * NaN", "load")],
            "percentunit",
            width=4,
            decimals=0,
            minimum=0,
        ),
    )


def _efficiency(scope: Scope) -> tuple[Panel, ...]:
    """Tiles of what it takes: GPUs, energy, money."""
    vocabulary = scope.vocabulary
    return reported(
        lambda: stat(
            "Output tokens/s per GPU",
            "Tokens generated per second over the GPUs that report in the chosen place.",
            [query(f"{_output(scope)} / {gpu_count(vocabulary)}", "tokens/s")],
            "short",
            width=4,
            decimals=1,
        ),
        lambda: stat(
            "Tokens per joule",
            "Output tokens for each joule that the GPUs used; hosts and cooling are not counted.",
            [query(per_joule(scope), "tokens/J")],
            "short",
            width=4,
            decimals=3,
        ),
        lambda: stat(
            "Cost of 1M tokens",
            "Price of a million output tokens with the price of a GPU and hour given at the top; "
            "idle time is paid for, so it falls as the load rises. In the currency of that price.",
            [query(cost(scope), "cost")],
            "short",
            width=4,
            decimals=2,
        ),
    )


def _knees(scope: Scope) -> tuple[Panel, ...]:
    running = promql.gauge(REQUESTS_RUNNING, scope)

    def p95(metric: Metric) -> str:
        return measures.p95(metric, scope)

    return reported(
        lambda: xy_chart(
            "TTFT against throughput",
            "One point a time step. Latency that rises while throughput does not is the knee: to "
            "the right of it there is no capacity left.",
            query(_output(scope), "output tokens/s"),
            query(p95(TIME_TO_FIRST_TOKEN), "TTFT p95"),
            x_name="output tokens/s",
            y_name="TTFT p95",
            x_unit="short",
            y_unit="s",
        ),
        lambda: xy_chart(
            "TPOT against throughput",
            "One point a time step. Each answer streams slower as the batch grows: where it "
            "crosses the objective is the load that can be promised.",
            query(_output(scope), "output tokens/s"),
            query(p95(TIME_PER_OUTPUT_TOKEN), "TPOT p95"),
            x_name="output tokens/s",
            y_name="TPOT p95",
            x_unit="short",
            y_unit="s",
        ),
        lambda: xy_chart(
            "Throughput against concurrency",
            "One point a time step. A straight line is room left; a flat top is saturation.",
            query(running, "running requests"),
            query(_output(scope), "output tokens/s"),
            x_name="running requests",
            y_name="output tokens/s",
            x_unit="short",
            y_unit="short",
        ),
        lambda: xy_chart(
            "TTFT against waiting",
            "One point a time step. Latency that follows the queue is capacity; latency without "
            "a queue is prefill.",
            query(promql.gauge(REQUESTS_WAITING, scope), "waiting requests"),
            query(p95(TIME_TO_FIRST_TOKEN), "TTFT p95"),
            x_name="waiting requests",
            y_name="TTFT p95",
            x_unit="short",
            y_unit="s",
        ),
    )


def _requests(scope: Scope) -> tuple[Panel, ...]:
    return reported(
        lambda: timeseries(
            "Requests in the engines",
            "Requests in the running batches and waiting for one.",
            [
                query(promql.gauge(REQUESTS_RUNNING, scope), "running"),
                query(promql.gauge(REQUESTS_WAITING, scope), "waiting"),
            ],
            "short",
            overrides=colours("running", "waiting"),
        ),
        lambda: timeseries(
            "TTFT p95",
            "95th percentile with the strictest objective as a dashed line: headroom is the "
            "distance between them.",
            [
                query(measures.p95(TIME_TO_FIRST_TOKEN, scope), "p95"),
                query(variables.threshold(TIME_TO_FIRST_TOKEN), "objective"),
            ],
            "s",
            points=COSTLY_POINTS,
            overrides=[*colours("p95"), objective_line()],
        ),
        lambda: timeseries(
            "Tokens per request",
            "Mean tokens of a request, taken in and generated. Load tests are comparable only at "
            "equal lengths.",
            [
                query(
                    measures.or_idle(
                        f"{measures.tokens(scope, kind)} / ({measures.finished(scope)} > 0)",
                        measures.finished(scope),
                    ),
                    kind,
                )
                for kind in ("input", "output")
            ],
            "short",
            overrides=colours("input", "output"),
        ),
    )


def _yield(scope: Scope) -> tuple[Panel, ...]:
    return reported(
        lambda: timeseries(
            "Output tokens/s, now and a week before",
            "The same hour of the week before as a second line: growth, or a quieter day.",
            [
                query(_output(scope), "now"),
                query(_week_before(scope), "a week before"),
            ],
            "short",
        ),
        lambda: timeseries(
            "Tokens per joule",
            "Output tokens for each joule of the GPUs. It rises with the batch: idle GPUs draw "
            "power too.",
            [query(per_joule(scope), "tokens/J")],
            "short",
        ),
        lambda: timeseries(
            "Cost of 1M output tokens",
            "With the price of a GPU and hour given at the top. Peaks are idle time.",
            [query(cost(scope), "cost")],
            "short",
        ),
    )


def _week_before(scope: Scope) -> str:
    series = promql.selector(TOKENS_PROCESSED, measures.of_kind(scope, "output"), window=WINDOW)
    return f"sum(rate({series} offset 1w))"


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = variables.engine_scope(vocabulary)
    about = text(ABOUT, title="How to read this")
    price = variables.textbox("price", "Price per GPU and hour", "2.50")
    return Board(
        uid=UID,
        title="LLM / Capacity",
        description="Throughput against latency, headroom, energy and cost.",
        variables=[
            *variables.service_variables(vocabulary),
            *([price] if vocabulary.reports(GPU_UTILIZATION) else []),
        ],
        sections=(
            Section("", (*_throughput(scope), *_efficiency(scope), *_knees(scope), about)),
            Section("Over time", (*_requests(scope), *_yield(scope))),
        ),
        notes=service_notes(scope),
        since="now-6h",
    )
