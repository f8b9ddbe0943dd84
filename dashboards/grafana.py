"""grafanalib's classes with the JSON that current Grafana reads (schema version 42).

grafanalib 0.7.1 writes the shapes of Grafana 5 to 7: keys that were removed,
``maxDataPoints: 100``, ``intervalFactor: 2``, thresholds with the text ``'null'``.  The subclasses
here keep its objects and its encoder, and replace only what is written.  They declare again, with
types, the fields that they use.  Field names are those of ``@grafana/schema`` 13.1.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attr
from grafanalib import core
from grafanalib._gen import DashboardEncoder

__all__ = [
    "DATASOURCE",
    "GRID_WIDTH",
    "SCHEMA_VERSION",
    "Dashboard",
    "Panel",
    "Query",
    "Row",
    "plain",
]

SCHEMA_VERSION = 42
DATASOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
GRID_WIDTH = 24


@attr.s(auto_attribs=True, kw_only=True)
class Query(core.Target):  # type: ignore[misc]  # grafanalib has no types
    """One PromQL query; over the time range, or ``instant`` at its end."""

    expr: str
    legend: str = ""
    format: str = "time_series"
    instant: bool = False
    ref: str = ""

    def to_json_data(self) -> dict[str, Any]:
        """The query as Grafana's Prometheus data source reads it."""
        return {
            "datasource": dict(DATASOURCE),
            "editorMode": "code",
            "expr": self.expr,
            "format": self.format,
            "instant": self.instant,
            "range": not self.instant,
            "legendFormat": self.legend or "__auto",
            "refId": self.ref,
        }


@attr.s(auto_attribs=True, kw_only=True)
class Panel(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """Any panel: ``kind`` is Grafana's panel type, ``width`` and ``height`` are in grid units."""

    kind: str
    title: str
    description: str
    width: int
    height: int
    targets: Sequence[Query] = ()
    transformations: Sequence[Mapping[str, Any]] = ()
    links: Sequence[Mapping[str, Any]] = ()
    id: int | None = None
    place: core.GridPos | None = None
    options: Mapping[str, Any] = attr.Factory(dict)
    defaults: Mapping[str, Any] = attr.Factory(dict)
    overrides: Sequence[Mapping[str, Any]] = ()
    points: int | None = None
    """Points to ask for at most; None for one a pixel."""

    def to_json_data(self) -> dict[str, Any]:
        """The panel with what it needs and nothing else."""
        targets = [
            attr.evolve(target, ref=chr(ord("A") + index))
            for index, target in enumerate(self.targets)
        ]
        shape = {
            "id": self.id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": self.place,
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
        }
        if targets:
            shape |= {"datasource": dict(DATASOURCE), "targets": targets}
        if self.transformations:
            shape["transformations"] = list(self.transformations)
        if self.points:
            shape["maxDataPoints"] = self.points
        if self.links:
            shape["links"] = list(self.links)
        return shape


@attr.s(auto_attribs=True, kw_only=True)
class Row(core.RowPanel):  # type: ignore[misc]  # grafanalib has no types
    """A heading; a collapsed one holds its panels, an open one stands before them."""

    id: int
    title: str
    place: core.GridPos
    collapsed: bool
    panels: Sequence[Panel] = ()

    def to_json_data(self) -> dict[str, Any]:
        """The row as schema 42 has it."""
        return {
            "id": self.id,
            "type": "row",
            "title": self.title,
            "collapsed": self.collapsed,
            "gridPos": self.place,
            "panels": list(self.panels),
        }


@attr.s(auto_attribs=True, kw_only=True)
class Dashboard(core.Dashboard):  # type: ignore[misc]  # grafanalib has no types
    """A dashboard; ``variables`` and ``notes`` (annotations) are JSON objects."""

    title: str
    uid: str
    description: str
    tags: Sequence[str]
    links: Sequence[Mapping[str, Any]]
    panels: Sequence[Panel | Row]
    variables: Sequence[Mapping[str, Any]]
    notes: Sequence[Mapping[str, Any]]
    refresh: str
    time: core.Time

    def to_json_data(self) -> dict[str, Any]:
        """The dashboard; it cannot be edited in Grafana, because the file is its source."""
        return {
            "annotations": {"list": list(self.notes)},
            "description": self.description,
            "editable": False,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": None,
            "links": list(self.links),
            "panels": list(self.panels),
            "refresh": self.refresh,
            "schemaVersion": SCHEMA_VERSION,
            "tags": list(self.tags),
            "templating": {"list": list(self.variables)},
            "time": self.time,
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        }


def plain(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as plain JSON values."""
    value: dict[str, Any] = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    return value
