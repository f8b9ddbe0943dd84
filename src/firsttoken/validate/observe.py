"""What Prometheus made of it: the last scrape, the rules, the panels, and series over time."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from firsttoken import catalogue, promql, recorded
from firsttoken.dashboards.check import check
from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus
from firsttoken.promql import Scope
from firsttoken.report.schema import Dashboard, FiringAlert, Panel, RuleResult
from firsttoken.rules.model import AlertRule, Group
from firsttoken.rules.slo import SloFile
from firsttoken.validate.stack import JOB

__all__ = [
    "alerts",
    "dashboards",
    "recorded_shares",
    "rules",
    "settle",
    "totals",
    "wait_for_scrapes",
]

_PATIENCE_S = 20.0
_POLL_S = 0.1
Rule = Mapping[str, Any]


def _moment(text: str) -> float:
    """Unix seconds of Prometheus' time stamps; 0 for the zero time of what never happened."""
    return 0.0 if text.startswith("0001") else datetime.fromisoformat(text).timestamp()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise NotJudgedError(f"Prometheus did not {what} in {_PATIENCE_S:.0f} s")
        time.sleep(_POLL_S)


def wait_for_scrapes(prometheus: Prometheus, count: int) -> None:
    """Wait until the collector was scraped ``count`` times.  Raises NotJudgedError."""
    _until(
        lambda: (prometheus.value(f'sum(sum_over_time(up{{job="{JOB}"}}[5m]))') or 0) >= count,
        "scrape the collector",
    )


def settle(prometheus: Prometheus, moment: float) -> None:
    """Wait until all was scraped, and every rule evaluated on it, after a moment (unix seconds)."""

    def scraped() -> float:
        times = [
            _moment(target["lastScrape"])
            for target in prometheus.targets()
            if target["labels"].get("job") == JOB
        ]
        return min(times, default=0.0)

    _until(lambda: scraped() > moment, "scrape the collector again")
    last = scraped()
    _until(
        lambda: all(_moment(g["lastEvaluation"]) > last for g in prometheus.rule_groups()),
        "evaluate its rules again",
    )


def rules(prometheus: Prometheus, groups: Iterable[Group]) -> tuple[RuleResult, ...]:
    """Every generated rule: whether it is loaded, was evaluated, and without error."""
    loaded = {group["name"]: group["rules"] for group in prometheus.rule_groups()}
    results: list[RuleResult] = []
    for group in groups:
        found: list[Rule] = loaded.get(group.name, [])
        results += [_loaded(group.name, rule) for rule in found]
        wanted = Counter(
            (rule.alert, "alerting") if isinstance(rule, AlertRule) else (rule.record, "recording")
            for rule in group.rules
        )
        missing = wanted - Counter((rule["name"], rule["type"]) for rule in found)
        results += [
            RuleResult.model_validate(
                {
                    "group": group.name, "name": name, "kind": kind, "status": "failed",
                    "detail": "not loaded",
                }
            )
            for name, kind in missing.elements()
        ]  # fmt: skip
    return tuple(results)


def _loaded(group: str, rule: Rule) -> RuleResult:
    healthy = rule.get("health") == "ok"
    detail = "" if healthy else str(rule.get("lastError") or f"health {rule.get('health')}")
    return RuleResult(
        group=group,
        name=rule["name"],
        kind="alerting" if rule["type"] == "alerting" else "recording",
        status="passed" if healthy else "failed",
        detail=detail,
    )


def alerts(prometheus: Prometheus, service: str) -> tuple[FiringAlert, ...]:
    """The service's alerts that are pending or firing, the firing ones first."""
    found = [
        FiringAlert(
            name=alert["labels"]["alertname"],
            state="firing" if alert["state"] == "firing" else "pending",
            severity=alert["labels"].get("severity", ""),
            labels={
                name: value
                for name, value in sorted(alert["labels"].items())
                if name not in ("alertname", "severity", "service")
            },
            summary=alert["annotations"].get("summary", ""),
        )
        for alert in prometheus.alerts()
        if alert["labels"].get("service") == service
    ]
    return tuple(sorted(found, key=lambda one: (one.state, one.name, sorted(one.labels.items()))))


def dashboards(
    prometheus: Prometheus,
    shapes: Mapping[str, Mapping[str, Any]],
    *,
    end: float,
    seconds: float,
    scrape_interval: float,
    told: Callable[[str], None],
) -> tuple[Dashboard, ...]:
    """Every panel of every dashboard, as it opens on the time of the run."""
    results = []
    for uid, shape in shapes.items():
        told(str(shape["title"]))
        found = check(prometheus, shape, end=end, seconds=seconds, scrape_interval=scrape_interval)
        panels = tuple(
            Panel(title=one.panel, status=one.status, detail=one.detail) for one in found
        )
        results.append(Dashboard(uid=uid, title=str(shape["title"]), panels=panels))
    return tuple(results)


def totals(prometheus: Prometheus, model: str, at: float) -> dict[str, float]:
    """The engine's token counters as Prometheus has them at a moment, by token type."""
    scope = Scope((promql.Matcher(catalogue.REQUEST_MODEL.name, model),), ("gen_ai.token.type",))
    name = promql.selector(catalogue.TOKENS_PROCESSED, scope)
    found = prometheus.query(f"sum{scope.grouping()} ({name})", at=at)
    label = catalogue.TOKEN_TYPE.label
    return {one.labels.get(label, ""): one.last for one in found}


def recorded_shares(prometheus: Prometheus, slo: SloFile, seconds: float) -> dict[str, float]:
    """The good share of each objective's events in the run, as the rules recorded it.

    Objectives of which nothing was counted are left out.
    """
    window = "5m" if seconds <= 300 else "1h"  # windows that the rules record for every period
    labels = f"{recorded.SERVICE_LABEL}={promql.quote(slo.service)}"
    by = f"sum by ({recorded.OBJECTIVE_LABEL})"
    bad = f"{by} ({recorded.bad(window)}{{{labels}}})"
    total = f"{by} ({recorded.total(window)}{{{labels}}})"
    found = prometheus.query(promql.divide(bad, total))
    return {one.labels[recorded.OBJECTIVE_LABEL]: 1 - one.last for one in found}
