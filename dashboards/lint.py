"""What Grafana's dashboard-linter demands, on every kind of panel, and what we demand besides.

The first group are the rules of grafana/dashboard-linter under their own names (its Go code of
June 2026).  Three are stricter here: units are checked also where value mappings exist, counters
also where matchers follow the name, and ``increase`` needs ``$__rate_interval`` as ``rate`` does.
A finding that is right to ignore is an ``Exclusion`` with its reason.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser

from firsttoken.catalogue import METRICS, Instrument
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.known import names_of, unknown
from firsttoken.dashboards.promscan import Selector, selectors
from firsttoken.dashboards.variables import PLACE
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["EXCLUSIONS", "Exclusion", "Finding", "lint"]

MOST_PANELS, MOST_QUERIES = 40, 60
FEWEST_POINTS = 180
"""Of an hour: one every 20 s."""
UNITS = frozenset(
    {"bytes", "celsius", "eps", "joule", "ops", "percentunit", "reqps", "s", "short", "watt"}
)  # those of Grafana's closed list that the dashboards use
CHOSEN = frozenset({*PLACE, "instance", "pod", "gen_ai_request_model", "hw_id", "hw_model"})
"""Labels whose values are the reader's to choose."""
_RATES = frozenset({"rate", "irate", "increase"})
_LABEL_QUERY = re.compile(r"(label_names|label_values|metrics|query_result)\((.+)\)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule objects to; ``panel`` is empty where it concerns the dashboard."""

    rule: str
    dashboard: str
    panel: str
    message: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Findings that are accepted: of one rule, in one dashboard, in one panel or in all (``*``)."""

    rule: str
    dashboard: str
    panel: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is accepted."""
        return (
            self.rule == finding.rule
            and self.dashboard == finding.dashboard
            and self.panel in ("*", finding.panel)
        )


_NOT_PER_INSTANCE = "objectives belong to a service, and all of its instances count"
_GPUS = "GPUs carry no model, and may have another exporter, hence another instance"
EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion("template-instance-rule", "firsttoken-slo", "*", _NOT_PER_INSTANCE),
    Exclusion("target-instance-rule", "firsttoken-slo", "*", _NOT_PER_INSTANCE),
    Exclusion("target-instance-rule", "firsttoken-capacity", "*", _GPUS),
    Exclusion(
        "target-rate-interval-rule",
        "firsttoken-gpu",
        "Energy",
        "the total over the time range shown is what is asked for",
    ),
)


@dataclass(frozen=True, slots=True)
class _Linted:
    shape: Mapping[str, Any]
    known: Mapping[str, frozenset[str]]
    variables_of: Mapping[str, frozenset[str]]

    def finding(self, rule: str, message: str, panel: str = "") -> Finding:
        return Finding(rule, self.shape["uid"], panel, message)

    @property
    def variables(self) -> Mapping[str, Mapping[str, Any]]:
        return {variable["name"]: variable for variable in self.shape["templating"]["list"]}

    def targets(self) -> Iterator[tuple[Mapping[str, Any], str, tuple[Selector, ...]]]:
        for panel in panels(self.shape):
            for target in panel["targets"]:
                yield panel, target["expr"], selectors(target["expr"])


# --- The rules of dashboard-linter ------------------------------------------------------------


def _datasource_variable(linted: _Linted) -> Iterator[Finding]:
    found = linted.variables.get("datasource", {})
    if found.get("type") != "datasource" or found.get("label") != "Data source":
        yield linted.finding(
            "template-datasource-rule", "needs a variable datasource, labelled Data source"
        )


def _place_variables(linted: _Linted) -> Iterator[Finding]:
    for name in ("job", "instance"):
        found = linted.variables.get(name, {})
        wanted = {"type": "query", "multi": True, "allValue": ".+", "label": name.capitalize()}
        wrong = [key for key, value in wanted.items() if found.get(key) != value]
        if wrong:
            yield linted.finding(f"template-{name}-rule", f"${name} differs in {', '.join(wrong)}")


def _variable_queries(linted: _Linted) -> Iterator[Finding]:
    for name, variable in linted.variables.items():
        if variable["type"] != "query":
            continue
        if not _LABEL_QUERY.fullmatch(variable["query"]) or "," not in variable["query"]:
            yield linted.finding("template-label-promql-rule", f"${name} must name a series")
        if variable.get("refresh") != 2:
            yield linted.finding(
                "template-on-time-change-reload-rule", f"${name} must follow the time range"
            )


def _panel_basics(linted: _Linted) -> Iterator[Finding]:
    every = [p for row in linted.shape["panels"] for p in (row, *row.get("panels", ()))]
    for panel in every:
        if panel["type"] in ("row", "text"):
            continue
        name = panel["title"]
        if not name or not panel["description"].strip():
            yield linted.finding("panel-title-description-rule", "title and description", name)
        if not panel.get("targets"):
            yield linted.finding("panel-no-targets-rule", "asks nothing", name)
        if panel.get("datasource", {}).get("uid") != "${datasource}":
            yield linted.finding("panel-datasource-rule", "must use the variable", name)
        unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get(
            "yAxis", {}
        ).get("unit")
        if unit not in UNITS:
            yield linted.finding("panel-units-rule", f"unit {unit}", name)


def _target_rules(linted: _Linted) -> Iterator[Finding]:
    for panel, expression, found in linted.targets():
        name = panel["title"]
        wrong = _not_promql(linted, expression)
        if wrong or not found:
            yield linted.finding("target-promql-rule", f"{wrong}: {expression}", name)
        for selector in found:
            yield from _selector_rules(linted, name, selector)
        for target in panel["targets"]:
            if target["datasource"].get("type") != "prometheus":
                yield linted.finding("target-logql-rule", "asks something but Prometheus", name)
                if re.search(r"\[(?!\$__auto\])", target["expr"]):
                    yield linted.finding("target-logql-auto-rule", "ranges must be $__auto", name)


def _not_promql(linted: _Linted, expression: str) -> str:
    """What a parser of Prometheus 3's PromQL objects to, with the variables filled in."""
    values = {**View(0, 3600, 15).built_in(), **initial(linted.shape)}
    try:
        return _objection(expand(expression, values))
    except ValueError as exc:  # a variable that is not there
        return str(exc)


@functools.lru_cache(maxsize=4096)
def _objection(expression: str) -> str:
    try:
        promql_parser.parse(expression)
    except ValueError as exc:
        return str(exc)
    return ""


def _selector_rules(linted: _Linted, panel: str, selector: Selector) -> Iterator[Finding]:
    rating = _RATES & set(selector.functions[:1])
    if rating and selector.window != "$__rate_interval" and not selector.pinned:
        yield linted.finding(
            "target-rate-interval-rule", f"{selector.name}[{selector.window}]", panel
        )
    if selector.name.endswith("_total") and not {*_RATES, "resets", "absent"} & set(
        selector.functions
    ):
        yield linted.finding("target-counter-agg-rule", f"{selector.name} is a counter", panel)
    if _is_recorded(selector):  # the rules keep no job and no instance
        return
    for label in PLACE[1:]:
        if selector.label(label) is None:
            yield linted.finding("target-place", f"{selector.name} needs {label}", panel)
    for matcher in selector.labels:
        if matcher.name in CHOSEN and "$" not in matcher.value:
            yield linted.finding("hard-coded", f'{matcher.name}="{matcher.value}"', panel)
    for label in ("job", "instance"):
        found = selector.label(label)
        if found is None or (found.operator, found.value) != ("=~", f"${label}"):
            message = f'{selector.name} needs {label}=~"${label}"'
            yield linted.finding(f"target-{label}-rule", message, panel)


def _is_recorded(selector: Selector) -> bool:
    matched = selector.label("__name__")
    name = selector.name or (matched.value if matched else "")
    return name.startswith("slo:") or name == "ALERTS"


def _uneditable(linted: _Linted) -> Iterator[Finding]:
    if linted.shape["editable"]:
        yield linted.finding("uneditable-dashboard", "can be edited in Grafana")


# --- Ours -------------------------------------------------------------------------------------


def _names(linted: _Linted) -> Iterator[Finding]:
    for panel, _, found in linted.targets():
        for selector in found:
            if unknown(selector, linted.known["names"]):
                yield linted.finding("known-metric", selector.text, panel["title"])
            gauge = selector.name in linted.known["gauges"]
            if gauge and {*_RATES, "resets"} & set(selector.functions[:1]):
                yield linted.finding("gauge-rate", selector.name, panel["title"])


def _meaning(linted: _Linted) -> Iterator[Finding]:
    for panel, expression, found in linted.targets():
        flat = re.sub(r"\s+", " ", expression)
        for selector in found:
            inner = {*_RATES, "histogram_quantile"} & set(selector.functions)
            if inner and "avg" in selector.functions:
                yield linted.finding("mean-of-means", selector.text, panel["title"])
        if re.search(r"\bby \([^)]+\).*or vector\(", flat) and not flat.startswith("count("):
            yield linted.finding("or-vector-on-groups", expression, panel["title"])
        names = {selector.name for selector in found}
        for name in names:
            summed = name.endswith("_sum") and name not in linted.known["counters"]
            alone = summed and name[:-4] + "_count" not in names
            if alone:
                yield linted.finding("sum-without-count", name, panel["title"])


def _shape(linted: _Linted) -> Iterator[Finding]:
    shape = linted.shape
    every = list(panels(shape))
    queries = sum(len(panel["targets"]) for panel in every)
    if len(every) > MOST_PANELS or queries > MOST_QUERIES:
        yield linted.finding("cost", f"{len(every)} panels, {queries} queries")
    if not re.fullmatch(r"[a-zA-Z0-9-]{1,40}", shape["uid"]):
        yield linted.finding("uid", shape["uid"])
    text = json.dumps([shape["panels"], shape["annotations"], shape["templating"]])
    for name in linted.variables:
        if not re.search(rf"\$(\{{{name}[:}}]|{name}\b)", text):
            yield linted.finding("unused-variable", f"${name}")
    for uid in set(re.findall(r"/d/([a-zA-Z0-9-]+)", text)) - linted.variables_of.keys():
        yield linted.finding("dead-link", uid)
    for uid, query in re.findall(r"/d/([a-zA-Z0-9-]+)\?([^\"\\]*)", text):
        passed = set(re.findall(r"\$\{(\w+):queryparam\}|var-(\w+)=", query))
        unknown_there = {a or b for a, b in passed} - linted.variables_of.get(uid, frozenset())
        if unknown_there:
            told = f"{uid} has no {', '.join(sorted(unknown_there))}"
            yield linted.finding("link-variables", told)
    for panel in every:
        defaults = panel["fieldConfig"]["defaults"]
        if panel.get("maxDataPoints", FEWEST_POINTS) < FEWEST_POINTS:
            yield linted.finding("resolution", "too few points to see a minute", panel["title"])
        if panel["type"] == "gauge" and not {"min", "max"} <= set(defaults):
            yield linted.finding("bounds", "a gauge needs min and max", panel["title"])


RULES: tuple[Callable[[_Linted], Iterator[Finding]], ...] = (
    _datasource_variable,
    _place_variables,
    _variable_queries,
    _panel_basics,
    _target_rules,
    _uneditable,
    _names,
    _meaning,
    _shape,
)


def lint(
    dashboards: Mapping[str, Mapping[str, Any]],
    *,
    vocabulary: Vocabulary = SEMCONV,
    exclusions: Sequence[Exclusion] = EXCLUSIONS,
) -> tuple[Finding, ...]:
    """Everything the rules object to and no exclusion covers, in reading order."""
    names = names_of(vocabulary)
    known = {
        "names": names,
        "gauges": _series(vocabulary, Instrument.GAUGE, Instrument.UPDOWNCOUNTER) | {"up"},
        "counters": _series(vocabulary, Instrument.COUNTER),
    }
    variables_of = {
        uid: frozenset(variable["name"] for variable in shape["templating"]["list"])
        for uid, shape in dashboards.items()
    }
    found = [
        finding
        for shape in dashboards.values()
        for rule in RULES
        for finding in rule(_Linted(shape, known, variables_of))
    ]
    kept = [f for f in found if not any(exclusion.covers(f) for exclusion in exclusions)]
    return tuple(dict.fromkeys(kept))


def _series(vocabulary: Vocabulary, *instruments: Instrument) -> frozenset[str]:
    return frozenset(
        variant.series
        for metric in METRICS
        if metric.instrument in instruments
        for variant in vocabulary.variants.get(metric.name, ())
    )
