"""The panel that draws one measure against another."""

from typing import Any

from firsttoken.dashboards.grafana import Panel, Query
from firsttoken.dashboards.panels import COSTLY_POINTS
from firsttoken.dashboards.style import BLUE, NOT_REPORTED, by_name

__all__ = ["xy_chart"]


_POINTS = {
    "show": "points",
    "pointSize": {"fixed": 5},
    "pointShape": "circle",
    "fillOpacity": 50,
}
_NO_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []}


def xy_chart(
    title: str,
    description: str,
    x: Query,
    y: Query,
    *,
    x_name: str,
    y_name: str,
    x_unit: str,
    y_unit: str,
    width: int = 12,
    height: int = 10,
) -> Panel:
    """One point a time step: ``y`` against ``x``; both queries give one series, named so."""
    return Panel(
        kind="xychart",
        points=COSTLY_POINTS,
        title=title,
        description=description,
        targets=[x, y],
        width=width,
        height=height,
        transformations=[{"id": "joinByField", "options": {"byField": "Time", "mode": "outer"}}],
        options={
            "mapping": "manual",
            "series": [
                {
                    "frame": {"matcher": {"id": "byIndex", "options": 0}},
                    "x": {"matcher": {"id": "byName", "options": x_name}},
                    "y": {"matcher": {"id": "byName", "options": y_name}},
                }
            ],
            "legend": _NO_LEGEND,
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={
            "unit": "short",
            "noValue": NOT_REPORTED,
            "custom": _POINTS,
            "color": {"mode": "fixed", "fixedColor": BLUE},
        },
        overrides=[_axis(x_name, x_unit), _axis(y_name, y_unit)],
    )


def _axis(name: str, unit: str) -> dict[str, Any]:
    return by_name(
        name,
        {"id": "unit", "value": unit},
        {"id": "min", "value": 0},
        {"id": "custom.axisLabel", "value": name},
    )
