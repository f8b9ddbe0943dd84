"""LLM / GPU: every vendor's GPUs under one vocabulary, each beside the others."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from firsttoken import promql
from firsttoken.catalogue import (
    ENERGY,
    GPU_MEMORY_FREE,
    GPU_MEMORY_LIMIT,
    GPU_MEMORY_USAGE,
    GPU_UTILIZATION,
    GPU_XID_LAST,
    HW_ID,
    HW_MODEL,
    HW_VENDOR,
    POWER,
    TEMPERATURE,
    Metric,
)
from firsttoken.dashboards import variables
from firsttoken.dashboards.board import Board, Section, link_to, panel_link, reported, service_notes
from firsttoken.dashboards.gpu_detail import INDEX, KEY, NO_XID, activity, gpu_chart, nvidia, wear
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.measures import WINDOW
from firsttoken.dashboards.panels import (
    DEAREST_POINTS,
    instant,
    query,
    stat,
    table,
)
from firsttoken.dashboards.style import BAD, GOOD, WARN, by_name, gauge_cell, steps, values
from firsttoken.promql import Matcher, Scope
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-gpu"
TASK = "hw.gpu.task"
LISTED = (GPU_UTILIZATION, POWER, GPU_MEMORY_USAGE)
"""The GPUs to choose from are those with the first of these that the source has."""
LETTERS = "ABCDEFGHIJ"
ROWS = 100
_HOT = steps((None, GOOD), (80, WARN), (90, BAD))


def memory_share(scope: Scope) -> str:
    """Used GPU memory over all of it; the total is the limit, or used and free together."""
    used = promql.gauge(GPU_MEMORY_USAGE, scope)
    wholes = []  # the whole over the used part: it reads each series once
    if scope.vocabulary.reports(GPU_MEMORY_LIMIT):
        wholes.append(f"{promql.gauge(GPU_MEMORY_LIMIT, scope)} / {used}")
    if scope.vocabulary.reports(GPU_MEMORY_FREE):
        wholes.append(f"(1 + {promql.gauge(GPU_MEMORY_FREE, scope)} / {used})")
    return f"1 / ({' or '.join(wholes)})" if wholes else used


def computing(scope: Scope, metric: Metric) -> Scope:
    """The scope without the video units, which have a utilisation of their own and stand idle.

    Not every exporter says what its utilisation is of; where it does not, it is the GPU's.
    """
    if metric is not GPU_UTILIZATION:
        return scope
    if scope.vocabulary is SEMCONV:
        return scope.matching(Matcher(TASK, "general|", "=~"))
    return scope.matching(Matcher(TASK, "general"))


def busy(scope: Scope, aggregation: Literal["avg", "min", "max"]) -> str:
    """Utilisation of the GPUs for general computation."""
    return promql.gauge(GPU_UTILIZATION, computing(scope, GPU_UTILIZATION), aggregation)


def energy_rate(scope: Scope) -> str:
    """Watts by the energy counter, which misses no peak between two scrapes."""
    return promql.rate(ENERGY, WINDOW, scope)


def _use(scope: Scope) -> tuple[Panel, ...]:
    """How many GPUs there are, and how much of them is used."""
    each = scope.kept(*KEY)
    return reported(
        lambda: stat(
            "GPUs reporting",
            "GPUs whose metrics arrive. Fewer than there should be: a GPU that fell off the bus "
            "stops reporting instead of saying so. 0: the GPU exporter is down, or not a source.",
            [query(f"count({promql.gauge(GPU_UTILIZATION, each, 'max')}) or vector(0)", "GPUs")],
            "short",
            graph=True,
            thresholds=steps((None, BAD), (1, GOOD)),
            mappings=[values({"0": ("NONE", BAD)})],
            links=[panel_link(link_to("Data quality", "firsttoken-data-quality", "job"))],
        ),
        lambda: stat(
            "Mean utilisation",
            "Share of time in which the GPUs were busy, mean over the chosen ones. Busy is not "
            "productive: a decode of one request can read 100 %.",
            [query(busy(scope, "avg"), "utilisation")],
            "percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
        ),
        lambda: stat(
            "Idlest GPU",
            "Utilisation of the GPU with the lowest. Under load a GPU near 0 is not used: look at "
            "its replica.",
            [query(busy(scope, "min"), "utilisation")],
            "percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
        ),
        lambda: stat(
            "Fullest memory",
            "Used memory of the fullest GPU. An engine takes nearly all of it at its start for "
            "the KV cache: high is normal and no reason to act.",
            [query(f"max({memory_share(each)})", "memory")],
            "percentunit",
            decimals=0,
            minimum=0,
            maximum=1,
        ),
    )


def _strain(scope: Scope) -> tuple[Panel, ...]:
    """What they draw, how hot they are, and what their driver complained of."""
    each = scope.kept(*KEY)
    return reported(
        lambda: stat(
            "Power",
            "Power drawn by the chosen GPUs together; idle ones draw a part of it too.",
            [query(promql.gauge(POWER, scope), "power")],
            "watt",
        ),
        lambda: stat(
            "Hottest",
            "The highest temperature of any sensor. GPUs slow down near their limit, which "
            "depends on the model and lies around 85 to 95 °C.",
            [query(promql.gauge(TEMPERATURE, scope, "max"), "temperature")],
            "celsius",
            decimals=0,
            thresholds=_HOT,
        ),
        lambda: stat(
            "GPUs with XID",
            "NVIDIA GPUs whose driver has reported an error since the exporter started. The code "
            "stays until then: see since when below. 48, 63, 64, 74, 79, 94, 95 mean hardware.",
            [query(f"count({promql.gauge(GPU_XID_LAST, each, 'max')} > 0) "
                   f"or 0 * {promql.gauge(GPU_XID_LAST, scope)}", "GPUs")],
            "short",
            thresholds=steps((None, GOOD), (1, BAD)),
            mappings=[NO_XID],
        ),
        lambda: stat(
            "Energy",
            "Energy used by the chosen GPUs in the time range, from their own counters.",
            [instant(f"sum(increase({promql.selector(ENERGY, scope, window='$__range')}))")],
            "joule",
        ),
    )  # fmt: skip


def _columns(each: Scope) -> dict[str, tuple[str, str]]:
    """What the table says of each GPU: expression and unit, by heading."""
    known = {
        "Utilisation": (GPU_UTILIZATION, "percentunit"),
        "Power": (POWER, "watt"),
        "Temperature": (TEMPERATURE, "celsius"),
        "XID": (GPU_XID_LAST, "short"),
    }
    columns = {
        name: (promql.gauge(metric, computing(each, metric), "max"), unit)
        for name, (metric, unit) in known.items()
        if each.vocabulary.reports(metric)
    }
    columns["Memory"] = (memory_share(each), "percentunit")
    columns["Used"] = (promql.gauge(GPU_MEMORY_USAGE, each), "bytes")
    return columns


def _formats(columns: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    link = link_to("Its replica", "firsttoken-replica", "job", extra="&var-instance=${__value.raw}")
    return [
        by_name("Instance", {"id": "links", "value": [link]}),
        by_name("XID", {"id": "mappings", "value": [NO_XID]}),
        *(
            by_name(name, {"id": "custom.width", "value": width})
            for name, width in (("Index", 70), ("GPU", 376), ("Vendor", 90), ("Model", 200))
        ),
        *(
            by_name(
                name,
                {"id": "unit", "value": unit},
                {"id": "decimals", "value": 0 if unit != "bytes" else 1},
                {"id": "noValue", "value": "n/a"},
                *(gauge_cell() if unit == "percentunit" else ()),
            )
            for name, (_, unit) in columns.items()
        ),
    ]


def _table(scope: Scope) -> tuple[Panel, ...]:
    each = scope.kept(*KEY, HW_VENDOR.name, HW_MODEL.name)
    vocabulary = scope.vocabulary

    def panel() -> Panel:
        columns = _columns(each)
        busiest = ""
        if vocabulary.reports(GPU_UTILIZATION):
            keys = ", ".join(("instance", *(vocabulary.label(name) for name in KEY[1:])))
            rank = f"{busy(each, 'max')} or 0 * {promql.gauge(GPU_MEMORY_USAGE, each)}"
            busiest = f" and on ({keys}) topk({ROWS}, {rank})"
        return table(
            "GPUs",
            f"One line a GPU or MIG slice, at most the {ROWS} busiest. An empty cell is a value "
            "that this GPU does not report, which is not 0. Follow an instance to the replica that "
            "uses the GPU.",
            [instant(f"({text}){busiest}", shape="table") for text, _ in columns.values()],
            height=9,
            columns={
                "instance": "Instance",
                vocabulary.label(INDEX): "Index",
                vocabulary.label(HW_ID.name): "GPU",
                vocabulary.label(HW_VENDOR.name): "Vendor",
                vocabulary.label(HW_MODEL.name): "Model",
                **{f"Value #{LETTERS[i]}": name for i, name in enumerate(columns)},
            },
            sort_by="Utilisation",
            descending=True,
            overrides=_formats(columns),
        )

    return reported(panel)


def _charts(scope: Scope) -> tuple[Panel, ...]:
    each = scope.kept(*KEY)
    chart = partial(gpu_chart, scope)
    return reported(
        lambda: chart(
            "Utilisation",
            "Share of time in which each GPU was busy. All high and latency rising: capacity.",
            busy(each, "max"),
            "percentunit",
            most=1,
        ),
        lambda: chart(
            "Memory",
            "Share of its memory that each GPU uses. A step without a restart of the engine is "
            "another process on the GPU.",
            memory_share(each),
            "percentunit",
            most=1,
            points=DEAREST_POINTS,
        ),
        lambda: chart(
            "Temperature",
            "The hottest sensor of each GPU. A rise at an equal load is cooling.",
            promql.gauge(TEMPERATURE, each, "max"),
            "celsius",
        ),
        lambda: chart(
            "Power",
            "Power drawn by each GPU. A flat top is the power limit.",
            promql.gauge(POWER, each, "max"),
            "watt",
            width=12,
        ),
        lambda: chart(
            "Power by the energy counter",
            "The rate of the energy counter: as power, but no peak between scrapes is missed.",
            energy_rate(each),
            "watt",
            width=12,
        ),
    )


def board(vocabulary: Vocabulary = SEMCONV) -> Board:
    """The dashboard for one vocabulary."""
    scope = variables.gpu_scope(vocabulary)
    listed = next((metric for metric in LISTED if vocabulary.reports(metric)), LISTED[0])
    return Board(
        uid=UID,
        title="LLM / GPU",
        description="Utilisation, memory, power, temperature and errors of the GPUs.",
        variables=variables.gpu_variables(vocabulary, listed),
        sections=(
            Section("", (*_use(scope), *_strain(scope), *_table(scope))),
            Section("Each GPU over time", _charts(scope)),
            Section("What they are busy with", activity(scope), collapsed=True),
            Section("Errors and throttling", wear(scope), collapsed=True),
            Section("NVIDIA", nvidia(scope), collapsed=True),
        ),
        # Engines have no vendor and no GPU to be chosen by.
        notes=service_notes(Scope(vocabulary=vocabulary, extra=variables.targets())),
    )
