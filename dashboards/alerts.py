"""The table of firing alerts, from which each leads to its runbook and to what it is about."""

from collections.abc import Mapping
from typing import Any

from firsttoken import places, recorded
from firsttoken.dashboards.board import link_to
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.objectives import Objectives
from firsttoken.dashboards.panels import instant, table
from firsttoken.dashboards.style import BAD, NEUTRAL, WARN, by_name, values

__all__ = ["firing_alerts", "follow"]

_LED_TO = {"runbook": "Runbook", "dashboard": "Dashboard"}
_COLOURS = {"critical": BAD, "warning": WARN, "info": NEUTRAL}
_SEVERITY = {
    "id": "mappings",
    "value": [values({name: (name, colour) for name, colour in _COLOURS.items()})],
}


def follow(title: str, uid: str, variable: str) -> dict[str, Any]:
    """The links of a column whose cells are values of a variable of another dashboard."""
    target = link_to(title, uid, extra=f"&var-{variable}=${{__value.raw}}")
    return {"id": "links", "value": [target]}


def firing_alerts(objectives: Objectives, runbooks: str) -> Panel:
    """The alerts of the chosen services; ``runbooks`` is the address of their pages, or empty."""
    read = {"title": "Read it", "url": f"{runbooks}/${{__value.text}}", "targetBlank": True}
    columns = {
        "alertname": "Alert",
        "severity": "Severity",
        recorded.SERVICE_LABEL: "Service",
        recorded.OBJECTIVE_LABEL: "Objective",
        objectives.model: "Model",
        "instance": "Instance",
    }
    kept = ", ".join(columns)
    named = f'"$1", "alertname", "({"|".join(places.PLACES)})"'
    found = f"max by ({kept}) ({objectives.alerts()})"
    for label in _LED_TO:
        found = f'label_replace({found}, "{label}", {named})'
    return table(
        "Firing alerts",
        "Alerts that fire at the end of the time range. Each leads to its runbook, to the "
        "dashboard that shows it, and to its model or instance.",
        [instant(found, shape="table")],
        height=7,
        columns={**columns, **_LED_TO},
        hidden=["Value", "Value #A"],
        sort_by="Severity",
        empty="no alert fires",
        overrides=[
            by_name(
                "Severity", _SEVERITY, {"id": "custom.cellOptions", "value": {"type": "color-text"}}
            ),
            by_name("Model", follow("Its service", "firsttoken-service", "model")),
            by_name("Instance", follow("Its replica", "firsttoken-replica", "instance")),
            by_name(
                "Runbook",
                _texts({name: places.runbook(name) for name in places.PLACES}),
                {"id": "links", "value": [read] if runbooks else []},
            ),
            by_name(
                "Dashboard",
                _texts({name: place.dashboard for name, place in places.PLACES.items()}),
                {"id": "links", "value": [link_to("Its dashboard", "${__value.text}")]},
            ),
        ],
    )


def _texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Alert names shown as something else, which links then hold as ``__value.text``."""
    options = {name: {"text": text, "index": i} for i, (name, text) in enumerate(texts.items())}
    return {"id": "mappings", "value": [{"type": "value", "options": options}]}
