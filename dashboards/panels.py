"""The kinds of panel that the dashboards use, each with the defaults of the house."""

from collections.abc import Mapping, Sequence
from typing import Any

import attr

from firsttoken.dashboards.grafana import Panel, Query
from firsttoken.dashboards.style import BLUE, NOT_REPORTED, idle_mapping, steps

__all__ = [
    "COSTLY_POINTS",
    "DEAREST_POINTS",
    "MANY_HEIGHT",
    "bar_gauge",
    "heatmap",
    "instant",
    "legend_of",
    "query",
    "stat",
    "state_timeline",
    "table",
    "text",
    "timeseries",
]

COSTLY_POINTS, DEAREST_POINTS = 400, 180
"""Points at most where each one reads all replicas, and where it reads all their buckets or more.

400 are every scrape of an hour, and every five minutes of a day; 180 every 20 s and ten minutes.
"""
MANY_HEIGHT = 10
"""Grid units below which a legend with a line a series hides the lines."""
Overrides = Sequence[Mapping[str, Any]]


def query(expression: str, legend: str = "", *, shape: str = "time_series") -> Query:
    """A query over the time range; ``shape`` is ``time_series``, ``heatmap`` or ``table``."""
    return Query(expr=expression, legend=legend, format=shape)


def instant(expression: str, legend: str = "", *, shape: str = "time_series") -> Query:
    """A query at the end of the time range."""
    return Query(expr=expression, legend=legend, format=shape, instant=True)


def legend_of(*labels: str) -> str:
    """A legend that shows these labels."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _defaults(unit: str, **settings: object) -> dict[str, Any]:
    given = {"unit": unit, "noValue": NOT_REPORTED, **settings}
    return {key: value for key, value in given.items() if value is not None}


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    width: int = 8,
    height: int = 8,
    minimum: float | None = 0,
    maximum: float | None = None,
    always: tuple[float, float] | None = None,
    stacked: bool = False,
    bars: bool = False,
    overrides: Overrides = (),
    lines: Mapping[str, Any] | None = None,
    many: bool = False,
    points: int | None = None,
    empty: str = NOT_REPORTED,
) -> Panel:
    """Lines over time.

    ``lines`` are thresholds drawn across, ``always`` is a range that the axis shows whatever the
    values (a count that is 0 all the time would have an axis to 100), ``many`` lists the series in
    a table, ``empty`` is shown when there is none.
    """
    custom = _drawn(bars=bars, stacked=stacked) | {
        "thresholdsStyle": {"mode": "dashed" if lines else "off"}
    }
    if always is not None:
        custom |= {"axisSoftMin": always[0], "axisSoftMax": always[1]}
    return Panel(
        kind="timeseries",
        points=points or (COSTLY_POINTS if many else None),
        title=title,
        description=description,
        targets=list(queries),
        width=width,
        height=MANY_HEIGHT if many else height,
        options={"legend": _legend(many), "tooltip": {"mode": "multi", "sort": "desc"}},
        defaults=_defaults(
            unit,
            noValue=empty,
            min=minimum,
            max=maximum,
            custom=custom,
            color={"mode": "palette-classic"},
            thresholds=lines,
        ),
        overrides=overrides,
    )


def _drawn(*, bars: bool, stacked: bool) -> dict[str, Any]:
    return {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else 30 if stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }


def _legend(many: bool) -> dict[str, Any]:
    return {
        "displayMode": "table" if many else "list",
        "placement": "bottom",
        "showLegend": True,
        "calcs": ["lastNotNull", "max"] if many else ["lastNotNull"],
    }


def stat(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    width: int = 3,
    height: int = 4,
    thresholds: Mapping[str, Any] | None = None,
    mappings: Sequence[Mapping[str, Any]] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    decimals: int | None = None,
    graph: bool = False,
    links: Sequence[Mapping[str, Any]] = (),
) -> Panel:
    """One big number; judged by ``thresholds``, or neutral without them.

    It is what is the case at the end of the time range.  Over a range the last point of a series
    that has ended would pass for that; only a query that never ends may have a ``graph``.
    """
    judged = thresholds is not None
    return Panel(
        kind="stat",
        title=title,
        description=description,
        targets=[attr.evolve(one, instant=not graph) for one in queries],
        width=width,
        height=height,
        links=[*links],
        options={
            "colorMode": "background" if judged else "value",
            "graphMode": "area" if graph else "none",
            "justifyMode": "center",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        defaults=_defaults(
            unit,
            min=minimum,
            max=maximum,
            decimals=decimals,
            mappings=[*mappings, idle_mapping()],
            thresholds=thresholds or steps((None, BLUE)),
            color={"mode": "thresholds"},
        ),
    )


def bar_gauge(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    width: int = 8,
    height: int = 8,
    minimum: float = 0,
    maximum: float | None = None,
    decimals: int | None = None,
    thresholds: Mapping[str, Any] | None = None,
) -> Panel:
    """A bar for each series, from instant queries."""
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        targets=list(queries),
        width=width,
        height=height,
        options={
            "displayMode": "basic",
            "legend": {
                "calcs": [],
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
            },
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "sizing": "auto",
            "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
            "showUnfilled": True,
            "text": {"titleSize": 12, "valueSize": 16},
            "valueMode": "color" if thresholds else "text",
        },
        defaults=_defaults(
            unit,
            min=minimum,
            max=maximum,
            decimals=decimals,
            mappings=[idle_mapping()],
            thresholds=thresholds or steps((None, BLUE)),
            color={"mode": "thresholds"},
        ),
    )


def heatmap(title: str, description: str, expression: str, unit: str, *, width: int = 8) -> Panel:
    """A histogram over time; the expression keeps ``le`` apart and may be an increase."""
    return Panel(
        kind="heatmap",
        points=DEAREST_POINTS,
        title=title,
        description=description,
        targets=[query(expression, "{{le}}", shape="heatmap")],
        width=width,
        height=8,
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Viridis",
                "exponent": 0.5,
                "fill": "dark-orange",
                "reverse": False,
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "auto",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        defaults={
            "noValue": NOT_REPORTED,
            "custom": {"scaleDistribution": {"type": "linear"}},
        },
    )


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    width: int = 24,
    height: int = 8,
    columns: Mapping[str, str],
    hidden: Sequence[str] = (),
    sort_by: str,
    descending: bool = False,
    overrides: Overrides = (),
    empty: str = NOT_REPORTED,
) -> Panel:
    """A row for each label set, joined over the queries; ``empty`` is shown when there is none.

    ``columns`` maps the names that Grafana gives (a label, ``Value #A``) to headings, in order.
    """
    return Panel(
        kind="table",
        title=title,
        description=description,
        targets=list(queries),
        width=width,
        height=height,
        options={
            "cellHeight": "sm",
            "frameIndex": 0,
            "showHeader": True,
            "sortBy": [{"displayName": sort_by, "desc": descending}],
        },
        defaults=_defaults(
            "short",
            noValue=empty,
            custom={
                "align": "auto",
                "cellOptions": {"type": "auto"},
                "filterable": False,
                "inspect": False,
                "minWidth": 80,
            },
            mappings=[idle_mapping()],
            thresholds=steps((None, BLUE)),
            color={"mode": "thresholds"},
        ),
        overrides=overrides,
        transformations=_joined(columns, hidden),
    )


def _joined(columns: Mapping[str, str], hidden: Sequence[str]) -> list[dict[str, Any]]:
    """What makes one table of the answers of several queries."""
    organized = {
        "excludeByName": dict.fromkeys(("Time", *hidden), True),
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organized}]


def state_timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    mappings: Sequence[Mapping[str, Any]],
    width: int = 24,
    height: int = 6,
    points: int | None = None,
) -> Panel:
    """States over time, one line a series; ``mappings`` give each state its word and colour."""
    return Panel(
        kind="state-timeline",
        points=points,
        title=title,
        description=description,
        targets=list(queries),
        width=width,
        height=height,
        options={
            "alignValue": "left",
            "legend": {
                "calcs": [],
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
            },
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults=_defaults(
            "short",
            mappings=list(mappings),
            thresholds=steps((None, BLUE)),
            color={"mode": "thresholds"},
            custom={"fillOpacity": 80, "lineWidth": 0},
        ),
    )


def text(content: str, *, width: int = 24, height: int = 3, title: str = "") -> Panel:
    """Markdown."""
    return Panel(
        kind="text",
        title=title,
        description="",
        width=width,
        height=height,
        options={"mode": "markdown", "content": content},
    )
