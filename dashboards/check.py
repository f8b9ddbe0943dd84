"""Run the queries of a dashboard against a Prometheus and say, panel by panel, what they give.

Four outcomes, because they ask for four different things: *data*; *no traffic*, when the series
are there and nothing happened; *not reported*, when no series of that name exists; *broken*, when
the query is refused or reads a name that nothing can serve.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from firsttoken.catalogue import TOKENS_PROCESSED
from firsttoken.config import format_duration
from firsttoken.dashboards.expand import View, expand, initial, panels, with_values
from firsttoken.dashboards.known import ONLY_WHEN_WRONG, names_of, unknown
from firsttoken.dashboards.promscan import Selector, selectors
from firsttoken.dashboards.style import NOT_REPORTED
from firsttoken.dashboards.variables import PLACE
from firsttoken.prometheus import Prometheus, QueryError, Series
from firsttoken.promql import Scope, rate
from firsttoken.vocabulary import SEMCONV, NotReportedError, Vocabulary

__all__ = ["PanelResult", "Status", "check", "check_settings", "settings"]

Status = Literal["data", "no traffic", "not reported", "broken"]
RANGE_S = 3600.0
SCRAPE_INTERVAL_S = 15.0
AT_ONCE = 4
"""Queries that are asked at a time: a fifth of what Prometheus takes on, others ask it too."""
_RATES = frozenset({"rate", "irate", "increase"})
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.*),\s*(?P<label>\w+)\)")


@dataclass(frozen=True, slots=True)
class PanelResult:
    """What one panel shows; ``detail`` has a sentence for each query that shows no data."""

    dashboard: str
    panel: str
    status: Status
    queries: int
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: Status
    detail: str = ""


@dataclass(slots=True)
class _Checker:
    """One dashboard in one view; what Prometheus said about a name is kept.

    Panels are checked at the same time: at worst two of them ask for one name.
    """

    prometheus: Prometheus
    view: View
    names: frozenset[str]
    traffic: bool
    values: Mapping[str, str]
    exists: dict[str, bool] = field(default_factory=dict)

    def query(self, target: Mapping[str, Any], empty: str = NOT_REPORTED) -> _Outcome:
        """The outcome of one query; ``empty`` is what is shown when it gives nothing."""
        try:
            expression = expand(target["expr"], self.values)
        except ValueError as exc:
            return _Outcome("broken", str(exc))
        read = selectors(expression)
        strange = sorted({_shown(s) for s in read if unknown(s, self.names)})
        if strange:
            return _Outcome("broken", f"nothing can serve {', '.join(strange)}")
        try:
            return self._judge(self._run(expression, bool(target.get("instant"))), read, empty)
        except QueryError as exc:
            return _Outcome("broken", str(exc))

    def _run(self, expression: str, instant: bool) -> tuple[Series, ...]:
        if instant:
            return self.prometheus.query(expression, at=self.view.end)
        view = self.view
        return self.prometheus.query_range(expression, view.start, view.end, view.step)

    def _judge(self, found: tuple[Series, ...], read: tuple[Selector, ...], empty: str) -> _Outcome:
        finite = [value for series in found for _, value in series.points if math.isfinite(value)]
        rates = any(_RATES & set(selector.functions) for selector in read)
        if finite and (any(finite) or self.traffic or not rates):
            return _Outcome("data")
        if found:
            return _Outcome("no traffic", "nothing happened in the time range")
        absent = sorted({_shown(s) for s in read if not self._exists(s)})
        if absent:
            return _Outcome("not reported", f"no series of {', '.join(absent)}")
        if empty != NOT_REPORTED:
            return _Outcome("no traffic", empty)
        return _Outcome("not reported", "its series have ended")

    def _exists(self, selector: Selector) -> bool:
        """Whether anything that was chosen has the series: elsewhere does not count."""
        if _shown(selector) in ONLY_WHEN_WRONG:
            return True
        text = selector.text
        if text not in self.exists:
            span = format_duration(max(1, round(self.view.end - self.view.start)))
            found = self.prometheus.query(
                f"count(last_over_time({text}[{span}]))", at=self.view.end
            )
            self.exists[text] = bool(found)
        return self.exists[text]


def _shown(selector: Selector) -> str:
    label = selector.label("__name__")
    return label.value if label else selector.name


def _traffic(
    prometheus: Prometheus, vocabulary: Vocabulary, view: View, values: Mapping[str, str]
) -> bool:
    """Whether any engine in the chosen place processed a token in the view."""
    window = format_duration(max(1, round(view.end - view.start)))
    chosen = [name for name in (*PLACE, "instance") if name in values]
    place = ", ".join(f'{name}=~"{values[name]}"' for name in chosen)
    try:
        tokens = rate(TOKENS_PROCESSED, window, Scope(vocabulary=vocabulary, extra=place))
    except NotReportedError:
        return False
    return (prometheus.value(tokens, at=view.end) or 0) > 0


def _view(end: float | None, seconds: float, scrape_interval: float) -> View:
    until = time.time() if end is None else end
    return View(until - seconds, until, scrape_interval)


def check(
    prometheus: Prometheus,
    dashboard: Mapping[str, Any],
    *,
    variables: Mapping[str, str] | None = None,
    end: float | None = None,
    seconds: float = RANGE_S,
    scrape_interval: float = SCRAPE_INTERVAL_S,
    vocabulary: Vocabulary = SEMCONV,
) -> tuple[PanelResult, ...]:
    """Every panel's outcome in the ``seconds`` before ``end`` (unix time, default now).

    ``variables`` replaces the values with which the dashboard opens; they are regexes where the
    variable allows several values.  A query that fails is a *broken* panel, never an exception;
    raises QueryError when Prometheus cannot be reached at all.
    """
    view = _view(end, seconds, scrape_interval)
    values = {**view.built_in(), **initial(dashboard), **(variables or {})}
    for variable in dashboard["templating"]["list"]:
        given = variable["name"] in (variables or {}) or variable.get("includeAll")
        found = () if given else _options(prometheus, variable, values, view)
        if found and values[variable["name"]] not in found:  # Grafana takes the first one then
            values[variable["name"]] = found[0]
    checker = _Checker(
        prometheus,
        view,
        names_of(vocabulary),
        _traffic(prometheus, vocabulary, view, values),
        values,
    )
    notes = [note for note in dashboard["annotations"]["list"] if "expr" in note]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(partial(_panel, checker, dashboard), panels(dashboard))
        marks = pool.map(partial(_note, checker, dashboard), notes)
        return (*results, *(mark for mark in marks if mark.status == "broken"))


def _note(checker: _Checker, dashboard: Mapping[str, Any], note: Mapping[str, Any]) -> PanelResult:
    found = checker.query(note)
    return PanelResult(
        dashboard["uid"], f"annotation {note['name']}", found.status, 1, (found.detail,)
    )


def _panel(
    checker: _Checker, dashboard: Mapping[str, Any], panel: Mapping[str, Any]
) -> PanelResult:
    empty = panel["fieldConfig"]["defaults"].get("noValue", NOT_REPORTED)
    outcomes = {target["refId"]: checker.query(target, empty) for target in panel["targets"]}
    found = {outcome.status for outcome in outcomes.values()}
    order: tuple[Status, ...] = ("broken", "data", "no traffic", "not reported")
    return PanelResult(
        dashboard["uid"],
        panel["title"],
        next(status for status in order if status in found),
        len(outcomes),
        tuple(f"{ref}: {o.detail}" for ref, o in outcomes.items() if o.status != "data"),
    )


def _options(
    prometheus: Prometheus, variable: Mapping[str, Any], values: Mapping[str, str], view: View
) -> tuple[str, ...]:
    """What a query variable offers, sorted; empty for other kinds of variable."""
    if variable["type"] != "query":
        return ()
    found = _LABEL_VALUES.fullmatch(expand(variable["query"], values))
    if found is None:
        return ()
    label, span = found["label"], values["__range"]
    expression = f"group by ({label}) (last_over_time({found['series']}[{span}]))"
    series = prometheus.query(expression, at=view.end)
    offered = {one.labels[label] for one in series if label in one.labels}
    pattern = variable["regex"].strip("/")
    if pattern:
        offered = {match[1] for value in offered if (match := re.search(pattern, value))}
    return tuple(sorted(offered))


def settings(
    prometheus: Prometheus,
    dashboard: Mapping[str, Any],
    *,
    end: float | None = None,
    seconds: float = RANGE_S,
) -> Iterator[tuple[str, dict[str, str]]]:
    """The settings of the variables worth trying, each with its name.

    As the dashboard opens; then each variable at one of its values and at two, the others at All.
    """
    yield "as opened", {}
    view = _view(end, seconds, SCRAPE_INTERVAL_S)
    opened = {**view.built_in(), **initial(dashboard)}
    for variable in dashboard["templating"]["list"]:
        values = _options(prometheus, variable, opened, view)
        name = variable["name"]
        multi = bool(variable.get("multi"))
        for count in (1, 2) if multi else (1,):
            if len(values) >= count:
                chosen = values[:count]
                value = with_values(chosen) if multi else chosen[0]
                yield f"{name}={','.join(chosen)}", {name: value}


def check_settings(
    prometheus: Prometheus, dashboard: Mapping[str, Any], **options: Any
) -> dict[str, tuple[PanelResult, ...]]:
    """``check`` in each of the ``settings``, with the same options."""
    times = {key: options[key] for key in ("end", "seconds") if key in options}
    return {
        name: check(prometheus, dashboard, variables=values, **options)
        for name, values in settings(prometheus, dashboard, **times)
    }
