"""A dashboard as sections of panels, laid out and turned into Grafana's JSON."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import attr
from grafanalib import core

from firsttoken import recorded
from firsttoken.catalogue import REQUEST_MODEL, TOKEN_TYPE, TOKENS_PROCESSED
from firsttoken.dashboards.grafana import (
    DATASOURCE,
    GRID_WIDTH,
    Dashboard,
    Panel,
    Row,
    plain,
)
from firsttoken.dashboards.objectives import firing
from firsttoken.dashboards.promscan import selectors
from firsttoken.places import panel_id
from firsttoken.promql import Matcher, Scope, selector
from firsttoken.vocabulary import NotReportedError, Vocabulary

__all__ = [
    "SEVERE",
    "TAG",
    "Board",
    "Section",
    "build",
    "expressions",
    "link_to",
    "panel_link",
    "reported",
    "service_notes",
]

SEVERE = 'severity=~"critical|warning"'
TAG = "firsttoken"
"""The tag of every dashboard; the navigation lists the dashboards that have it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Panels in reading order; without a title they stand at the top, without a heading."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.  ``uid`` is part of links and never changes."""

    uid: str
    title: str
    description: str
    variables: Sequence[Mapping[str, Any]]
    sections: tuple[Section, ...]
    notes: tuple[Mapping[str, Any], ...] = ()
    refresh: str = "30s"
    since: str = field(default="now-1h")


def reported(*panels: Callable[[], Panel]) -> tuple[Panel, ...]:
    """Those panels whose metrics the vocabulary has: a source without one gets no empty panel."""
    kept = []
    for panel in panels:
        try:
            kept.append(panel())
        except NotReportedError:
            continue
    return tuple(kept)


def expressions(columns: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The expressions of those columns of a table whose metrics the vocabulary has.

    Raises NotReportedError when it has none of them.
    """
    found, missing = {}, None
    for name, column in columns.items():
        try:
            found[name] = column()
        except NotReportedError as exc:
            missing = exc
    if missing and not found:
        raise missing
    return found


def link_to(title: str, uid: str, *variables: str, extra: str = "") -> dict[str, Any]:
    """A link to another dashboard that keeps the time range and these variables."""
    passed = "".join(f"&${{{name}:queryparam}}" for name in ("datasource", *variables))
    return {
        "title": title,
        "url": f"/d/{uid}?${{__url_time_range}}{passed}{extra}",
        "targetBlank": False,
    }


def panel_link(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link on the head of a panel, which has more fields than one on its data."""
    return {
        "type": "link",
        "asDropdown": False,
        "icon": "external link",
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "tooltip": "",
        **link,
    }


# --- Annotations ------------------------------------------------------------------------------


def _note(name: str, colour: str, **query: object) -> dict[str, Any]:
    return {"name": name, "iconColor": colour, "enable": True, "hide": False, **query}


GRAFANA: Mapping[str, str] = {"type": "grafana", "uid": "-- Grafana --"}


def tagged(name: str, tag: str, colour: str) -> dict[str, Any]:
    """Annotations that others post to Grafana with a tag, such as each deploy."""
    target = {"type": "tags", "tags": [tag], "matchAny": False, "limit": 50}
    return _note(name, colour, datasource=dict(GRAFANA), target=target)


def built_in() -> dict[str, Any]:
    """Grafana's own annotations: those made on this dashboard, and its alerts."""
    target = {"type": "dashboard", "limit": 50, "matchAny": False, "tags": []}
    return _note(
        "Annotations & Alerts",
        "rgba(0, 211, 255, 1)",
        datasource=dict(GRAFANA),
        builtIn=1,
        type="dashboard",
        target=target,
    )


def restarts(scope: Scope) -> dict[str, Any]:
    """A mark where an engine's counters began again."""
    output = scope.matching(Matcher(TOKEN_TYPE.name, "output"))
    series = selector(TOKENS_PROCESSED, output, window="$__rate_interval")
    expression = f"sum by (instance) (resets({series})) > 0"
    return _note(
        "Engine restarts",
        "#FF9830",
        datasource=dict(DATASOURCE),
        expr=expression,
        titleFormat="Engine restarted",
        textFormat="{{instance}}",
        step="1m",
    )


def alerts(found: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Prometheus' own alerts, each from when it fires until it does not."""
    model = vocabulary.label(REQUEST_MODEL.name)
    kept = ("alertname", "severity", recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, model)
    return _note(
        "Alerts",
        "#E02F44",
        datasource=dict(DATASOURCE),
        expr=f"max by ({', '.join(kept)}) ({found})",
        titleFormat="{{alertname}} ({{severity}})",
        textFormat=" ".join(f"{{{{{label}}}}}" for label in kept[2:]),
        step="1m",
    )


def service_notes(scope: Scope, found: str = "") -> tuple[dict[str, Any], ...]:
    """The annotations of dashboards about engines; ``found`` are other alerts than all."""
    notes = [built_in(), alerts(found or firing(SEVERE), scope.vocabulary)]
    if scope.vocabulary.reports(TOKENS_PROCESSED):
        notes.append(restarts(scope))
    deploys = tagged("Deploys", "deploy", "#B877D9")
    return (*notes, deploys, tagged("Load tests", "loadtest", "#5794F2"))


# --- Building ---------------------------------------------------------------------------------


def _documented(panel: Panel) -> str:
    names = {found.name for target in panel.targets for found in selectors(target.expr)}
    listed = ", ".join(f"`{name}`" for name in sorted(names - {""}))
    return f"{panel.description}\n\nMetrics: {listed}." if listed else panel.description


def _placed(panels: Sequence[Panel], top: int, uid: str, section: str) -> tuple[list[Panel], int]:
    """The panels from left to right in lines of the grid's width, and the first free line."""
    placed = []
    x, y, tallest = 0, top, 0
    for panel in panels:
        if x + panel.width > GRID_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        position = core.GridPos(h=panel.height, w=panel.width, x=x, y=y)
        identity = panel_id(uid, section, panel.title)
        described = _documented(panel)
        placed.append(attr.evolve(panel, place=position, id=identity, description=described))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return placed, y + tallest


def _panels(board: Board) -> list[Panel | Row]:
    shown: list[Panel | Row] = []
    y = 0
    for section in board.sections:
        if not section.panels:
            continue
        row = None
        if section.title:
            position = core.GridPos(h=1, w=GRID_WIDTH, x=0, y=y)
            identity = panel_id(board.uid, section.title, "")
            row = Row(title=section.title, place=position, id=identity, collapsed=section.collapsed)
            shown.append(row)
            y += 1
        placed, below = _placed(section.panels, y, board.uid, section.title)
        if row is not None and section.collapsed:
            row.panels = placed
        else:
            shown += placed
            y = below
    return shown


def _navigation() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "LLM dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "The other dashboards, with the same choices and time range",
        "url": "",
    }


def _used(shape: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The variables that something uses: what used one may have been left out."""
    variables: list[Mapping[str, Any]] = list(shape["templating"]["list"])
    text = json.dumps([shape["panels"], shape["annotations"]])
    while True:
        asked = text + json.dumps([variable.get("query", "") for variable in variables])
        kept = [v for v in variables if re.search(rf"\$(\{{{v['name']}[:}}]|{v['name']}\b)", asked)]
        if len(kept) == len(variables):
            return kept
        variables = kept


def build(board: Board, vocabulary: Vocabulary) -> dict[str, Any]:
    """The dashboard's JSON object; raises ValueError when two panels would have one id."""
    dashboard = Dashboard(
        title=board.title,
        uid=board.uid,
        description=board.description,
        panels=_panels(board),
        variables=board.variables,
        notes=board.notes,
        links=[_navigation()],
        tags=[TAG, "llm", vocabulary.name],
        refresh=board.refresh,
        time=core.Time(board.since, "now"),
    )
    shape = plain(dashboard)
    shape["templating"]["list"] = _used(shape)
    seen: dict[int, str] = {}
    for panel in [*shape["panels"], *(p for row in shape["panels"] for p in row.get("panels", ()))]:
        if panel["id"] in seen:
            raise ValueError(f"{board.uid}: {panel['title']} and {seen[panel['id']]} share an id")
        seen[panel["id"]] = panel["title"]
    return shape
