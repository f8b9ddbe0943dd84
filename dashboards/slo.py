"""LLM / SLO: are users served as promised, how fast is the error budget going, what is firing."""

from collections.abc import Mapping
from typing import Any

from firsttoken import recorded
from firsttoken.catalogue import REQUESTS_RUNNING
from firsttoken.dashboards import measures, variables
from firsttoken.dashboards.alerts import firing_alerts, follow
from firsttoken.dashboards.board import (
    SEVERE,
    Board,
    Section,
    link_to,
    panel_link,
    service_notes,
)
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.objectives import Objectives
from firsttoken.dashboards.panels import (
    MANY_HEIGHT,
    bar_gauge,
    instant,
    legend_of,
    query,
    stat,
    table,
    timeseries,
)
from firsttoken.dashboards.style import (
    BAD,
    BLUE,
    GOOD,
    WARN,
    by_name,
    colours,
    gauge_cell,
    idle_mapping,
    objective_line,
    steps,
    values,
)
from firsttoken.promql import Scope, gauge, selector
from firsttoken.vocabulary import Vocabulary

__all__ = ["UID", "board"]

UID = "firsttoken-slo"
_LATER = {"text": "not in sight", "color": GOOD, "index": 1}
EXHAUSTION: tuple[Mapping[str, Any], ...] = (
    values({"0": ("spent", BAD)}),
    {"type": "range", "options": {"from": 10 * 365 * 86400, "to": 1e99, "result": _LATER}},
    idle_mapping(),
)
"""What the time until a budget is spent is called when it is none, or years."""
_BUDGET = steps((None, BAD), (0, WARN), (0.25, GOOD))
_BURN = steps((None, GOOD), (1, WARN), (10, BAD))


def _reachable(objectives: Objectives) -> tuple[Panel, ...]:
    """The tiles that an outage turns red."""
    vocabulary = objectives.vocabulary
    engines = Scope(
        vocabulary=vocabulary,
        extra=variables.target_matchers(*variables.PLACE),
    )
    answering = gauge(REQUESTS_RUNNING, engines.kept("instance"), "count")
    recent = selector(REQUESTS_RUNNING, engines, window="1h")
    before = f"count by (instance) (present_over_time({recent}))"
    urgent = objectives.alerts(SEVERE)
    lost = f"count({before} unless {answering}) or 0 * count({answering})"
    return (
        stat(
            "Engines answering",
            "Instances whose metrics arrive. 0 is a total outage, or a Prometheus that cannot "
            "reach them; it stays red for as long as it lasts. Look at Data quality next.",
            [query(f"count({answering}) or vector(0)", "answering")],
            "short",
            graph=True,
            thresholds=steps((None, BAD), (1, GOOD)),
            mappings=[values({"0": ("NONE", BAD)})],
            links=[panel_link(link_to("Data quality", "firsttoken-data-quality", "job"))],
        ),
        stat(
            "Lost in 1 h",
            "Engines that reported within the last hour and do not now. Each is a restart, a "
            "scale-down, or a failure: the Replica dashboard says which.",
            [query(lost, "lost")],
            "short",
            thresholds=steps((None, GOOD), (1, WARN)),
            mappings=[values({"0": ("none", GOOD)})],
            links=[panel_link(link_to("Replicas", "firsttoken-replica", "job"))],
        ),
        stat(
            "Alerts firing",
            "Critical and warning alerts of the chosen services. Any critical one means that "
            "someone should be working on it.",
            [query(f"count({urgent}) or vector(0)", "firing")],
            "short",
            graph=True,
            thresholds=steps((None, GOOD), (1, BAD)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
    )


def _budgets(objectives: Objectives) -> tuple[Panel, ...]:
    return (
        stat(
            "Missed SLOs",
            "Objectives whose share of good events over the period is below what was promised. "
            "Their budget is overspent: prefer reliability to new features until it is not.",
            [
                query(
                    f"count({objectives.budget_left()} < 0) or 0 * count({objectives.objective()})"
                )
            ],
            "short",
            thresholds=steps((None, GOOD), (1, BAD)),
            mappings=[values({"0": ("none", GOOD)})],
        ),
        stat(
            "Least budget left",
            "Error budget that is left of the objective with the least, as a share of the whole "
            "period's. 100 % is untouched, below 0 is overspent.",
            [query(f"min({objectives.budget_left()})", "budget left")],
            "percentunit",
            width=4,
            decimals=1,
            thresholds=_BUDGET,
        ),
        stat(
            "Fastest burn",
            "How many times faster than allowed the budget goes, over the worst window of the "
            "worst objective. At 1 the budget lasts exactly the period.",
            [query(f"max({objectives.burn('max')})", "burn rate")],
            "short",
            width=4,
            decimals=2,
            thresholds=_BURN,
        ),
        stat(
            "Soonest exhaustion",
            "Time until the first budget is spent at the burn rate that every window shows. "
            "Nothing is predicted: the rate may change in a minute.",
            [query(f"min({objectives.exhaustion()})", "time left")],
            "s",
            width=4,
            decimals=1,
            mappings=EXHAUSTION[:2],
            thresholds=steps((None, BAD), (3 * 86400, WARN), (14 * 86400, GOOD)),
        ),
    )


def _overview(objectives: Objectives) -> Panel:
    service, slo, model = recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, objectives.model
    shape = {"shape": "table"}
    return table(
        "Objectives",
        "Each objective of each model, the one with the least budget first. *Attained* is over the "
        "period of the objective; *burn* is the share of bad events over what is allowed. Where it "
        "says no traffic there was nothing to measure. *Lasting* is the lowest burn of all "
        "windows: what short and long ones agree on, and what exhausts the rest.",
        [
            instant(objectives.objective(), **shape),
            instant(f"1 - ({objectives.bad_share()})", **shape),
            instant(objectives.budget_left(), **shape),
            instant(objectives.burn("max"), **shape),
            instant(objectives.burn("min"), **shape),
            instant(objectives.exhaustion(), **shape),
        ],
        height=9,
        columns={
            service: "Service",
            slo: "Objective",
            model: "Model",
            "Value #A": "Promised",
            "Value #B": "Attained",
            "Value #C": "Budget left",
            "Value #D": "Fastest burn",
            "Value #E": "Lasting burn",
            "Value #F": "Exhausted in",
        },
        sort_by="Budget left",
        overrides=_formats(),
    )


def _formats() -> list[dict[str, Any]]:
    """Units, decimals, colours and links of the columns of the objectives."""
    percent = {"id": "unit", "value": "percentunit"}
    coloured = {"id": "custom.cellOptions", "value": {"type": "color-text"}}
    burns = [
        by_name(
            name,
            {"id": "unit", "value": "short"},
            {"id": "decimals", "value": 2},
            {"id": "thresholds", "value": _BURN},
            coloured,
        )
        for name in ("Fastest burn", "Lasting burn")
    ]
    return [
        by_name("Promised", percent, {"id": "decimals", "value": 2}),
        by_name("Attained", percent, {"id": "decimals", "value": 3}),
        by_name(
            "Budget left",
            percent,
            *gauge_cell(),
            {"id": "decimals", "value": 1},
            {"id": "thresholds", "value": _BUDGET},
        ),
        *burns,
        by_name(
            "Exhausted in",
            {"id": "unit", "value": "s"},
            {"id": "decimals", "value": 1},
            {"id": "mappings", "value": list(EXHAUSTION)},
        ),
        by_name("Model", follow("Its service", "firsttoken-service", "model")),
    ]


def _named(tier: str) -> str:
    """A tier of the alert as a legend has it."""
    return tier.replace("_", ", ")


def _history(objectives: Objectives) -> tuple[Panel, ...]:
    key = (recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, objectives.model)
    legend = legend_of(*key)
    return (
        timeseries(
            "Budget left",
            "How the error budget of each objective was spent. A steep fall is an incident; a "
            "steady slope to 0 before the period ends is an objective that is not met by design.",
            [query(measures.lowest(10, objectives.budget_left(), *key), legend)],
            "percentunit",
            minimum=None,
            maximum=1,
            always=(0, 1),
            many=True,
            lines=steps((None, BLUE), (0, BAD)),
        ),
        timeseries(
            "Burn rate by window",
            "The fastest burn rate of the chosen objectives over each recorded window, with a line "
            "at 1. Short windows above long ones: it is getting worse; below: it is recovering. "
            "An alert needs a short and a long window at once.",
            [query(objectives.burn_by_window(), "{{window}}")],
            "short",
            height=MANY_HEIGHT,
            always=(0, 1),
            lines=steps((None, BLUE), (1, WARN)),
        ),
        timeseries(
            "Closeness to an alert",
            "The share of bad events over the share at which each tier of the burn alert fires, "
            "in whichever of its two windows it is lower, for the objective where it is highest. "
            "Above the line the alert fires, once there are a few bad events at all; a page wakes "
            "somebody, a ticket waits for the morning.",
            [query(f"max({objectives.closeness(tier)})", _named(tier)) for tier in recorded.TIERS],
            "percentunit",
            height=MANY_HEIGHT,
            always=(0, 1),
            lines=steps((None, BLUE), (1, BAD)),
            overrides=colours(*(_named(tier) for tier in recorded.TIERS)),
        ),
    )


def _events(objectives: Objectives) -> tuple[Panel, ...]:
    bad_events = objectives.chosen(recorded.BAD)
    events = objectives.chosen(recorded.TOTAL)
    bad, total, share = f"sum({bad_events})", f"sum({events})", f"{bad_events} / ({events} > 0)"
    key = (recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, objectives.model)
    legend = legend_of(*key[1:])
    return (
        timeseries(
            "Good and bad events",
            "Events per second that met their objective and that did not, over the chosen window, "
            "summed over the chosen objectives. Choose one objective to see its own.",
            [query(f"{total} - {bad}", "good"), query(bad, "bad")],
            "eps",
            height=MANY_HEIGHT,
            stacked=True,
            overrides=colours("good", "bad"),
        ),
        timeseries(
            "Good share against the objective",
            "Share of good events over the chosen window, and the strictest promise of the chosen "
            "objectives as a dashed line. Gaps had no traffic.",
            [
                query(measures.lowest(10, f"1 - {share}", *key), legend),
                query(f"max({objectives.objective()})", "objective"),
            ],
            "percentunit",
            maximum=1,
            minimum=None,
            many=True,
            overrides=[objective_line()],
        ),
        bar_gauge(
            "Burn rate now, by window",
            "The same burn rates as above at the end of the time range, the fastest first. A full "
            "bar is ten times too fast, and more.",
            [instant(f"sort_desc({objectives.burn_by_window()})", "{{window}}")],
            "short",
            height=MANY_HEIGHT,
            maximum=10,
            decimals=2,
            thresholds=_BURN,
        ),
    )


def board(vocabulary: Vocabulary, runbooks: str = "") -> Board:
    """The dashboard for one vocabulary; ``runbooks`` is the address of their folder."""
    objectives = Objectives(vocabulary)
    chosen: list[dict[str, Any]] = [
        *variables.target_variables(),
        *variables.objective_variables(vocabulary)[1:],
        variables.window(),
    ]
    engines = Scope(vocabulary=vocabulary, extra=variables.target_matchers(*variables.PLACE))
    return Board(
        uid=UID,
        title="LLM / SLO",
        description="Objectives, error budgets, burn rates and alerts of LLM services.",
        variables=chosen,
        sections=(
            Section("", (*_reachable(objectives), *_budgets(objectives), _overview(objectives))),
            Section("Budget and burn rate", _history(objectives)),
            Section("Events", _events(objectives)),
            Section("Alerts", (firing_alerts(objectives, runbooks.rstrip("/")),)),
        ),
        notes=service_notes(engines, objectives.alerts(SEVERE)),
        refresh="5m",
        since="now-24h",
    )
