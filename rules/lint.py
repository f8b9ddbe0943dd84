"""What is wrong with a rule file although Prometheus takes it; for ours and anybody's.

Expressions are parsed, and no Prometheus is asked.  The checks follow those of Cloudflare's pint
and of the monitoring-mixins guide.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promql_parser import Call, Expr, VectorSelector

from firsttoken.config import parse_duration
from firsttoken.rules import syntax
from firsttoken.rules.bounds import Version
from firsttoken.rules.lint_promql import EXPRESSION_CHECKS, Settings

__all__ = ["CHECKS", "Finding", "lint"]

Rule = Mapping[str, Any]
_SEVERITIES = {"critical", "warning", "info", "none", "page", "ticket"}
_LABEL = re.compile(r"\$labels\.([a-zA-Z_]\w*)|\.Labels\.([a-zA-Z_]\w*)")
_GUARDED = re.compile(r"\{\{-?\s*(?:with|if)\s+\$labels\.([a-zA-Z_]\w*)")
_SINCE: dict[str, Version] = {"query_offset": (2, 53), "labels": (3, 0)}
"""Field of a group -> the first Prometheus that has it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: the check's name, the rule it is in, and a sentence."""

    check: str
    rule: str
    text: str


def lint(
    data: object, *, scrape: int = 30, retention: int = 0, target: Version = (2, 42)
) -> tuple[Finding, ...]:
    """The findings in a rule file or a PrometheusRule, as read from YAML.

    ``scrape`` is the scrape interval and ``retention`` how long samples are kept, in seconds;
    ``target`` is the version of Prometheus.
    """
    groups = _groups(data)
    if groups is None:
        return (Finding("rules/shape", "file", "has no groups of rules"),)
    settings = Settings(scrape, retention, target)
    found = list(_duplicates(groups))
    for group in groups:
        found += _fields(group, settings)
        rules = [rule for rule in group.get("rules") or () if isinstance(rule, dict)]
        found += _order(rules)
        for rule in rules:
            found += _rule(rule, settings)
    return tuple(found)


def _rule(rule: Rule, settings: Settings) -> Iterator[Finding]:
    name = _name(rule)
    try:
        tree = syntax.parse(_expr(rule))
    except ValueError as exc:
        yield Finding("promql/syntax", name, str(exc))
        return
    for check, find in RULE_CHECKS.items():
        for text in find(rule, tree, settings):
            yield Finding(check, name, text)
    own = replace(settings, recording="record" in rule)
    for check, find_in in EXPRESSION_CHECKS.items():
        for text in dict.fromkeys(find_in(tree, own)):
            yield Finding(check, name, text)


def _groups(data: object) -> list[Mapping[str, Any]] | None:
    if not isinstance(data, dict):
        return None
    spec = data.get("spec")
    groups = (spec if isinstance(spec, dict) else data).get("groups")
    if not isinstance(groups, list):
        return None
    return [group for group in groups if isinstance(group, dict)]


def _name(rule: Rule) -> str:
    labels = rule.get("labels") or {}
    own = ", ".join(f"{key}={labels[key]}" for key in ("slo", "burn") if key in labels)
    name = str(rule.get("alert") or rule.get("record") or "?")
    return f"{name} ({own})" if own else name


def _duplicates(groups: list[Mapping[str, Any]]) -> Iterator[Finding]:
    names = Counter(str(group.get("name")) for group in groups)
    for name, count in names.items():
        if count > 1:
            yield Finding("rule/duplicate", name, f"{count} groups have this name")
    rules = [
        (rule, group.get("labels") or {})
        for group in groups
        for rule in group.get("rules") or ()
        if isinstance(rule, dict)
    ]
    keys = Counter(
        (_name(rule), str(sorted({**common, **(rule.get("labels") or {})}.items())))
        for rule, common in rules
    )
    for (name, _), count in keys.items():
        if count > 1:
            yield Finding("rule/duplicate", name, f"{count} rules have this name and these labels")


def _fields(group: Mapping[str, Any], settings: Settings) -> Iterator[Finding]:
    for field, since in _SINCE.items():
        if field in group and settings.target < since:
            version = ".".join(map(str, since))
            text = f"{field} of a group needs Prometheus {version}; an older one refuses the file"
            yield Finding("promql/features", str(group.get("name")), text)


def _order(rules: Sequence[Rule]) -> Iterator[Finding]:
    """Rules that read what a later one of their group records: they see the last evaluation's."""
    places = {str(rule["record"]): place for place, rule in enumerate(rules) if "record" in rule}
    for place, rule in enumerate(rules):
        try:
            tree = syntax.parse(_expr(rule))
        except ValueError:
            continue
        read = {one.name for one in syntax.nodes(tree) if isinstance(one, VectorSelector)}
        for name in sorted(read & places.keys(), key=str):
            if places[str(name)] > place:
                text = f"reads {name}, which this group records only later; move it up"
                yield Finding("rule/dependency", _name(rule), text)


def _annotations(rule: Rule, _: Expr, __: Settings) -> Iterator[str]:
    if "alert" not in rule:
        return
    annotations = rule.get("annotations") or {}
    for wanted in ("summary", "description"):
        if not annotations.get(wanted):
            yield f"has no {wanted}"
    if "{{" in str(annotations.get("summary", "")):
        yield "its summary changes with the alert; templates belong into the description"
    severity = (rule.get("labels") or {}).get("severity")
    if severity not in _SEVERITIES:
        yield "has no severity that routing knows (critical, warning, info)"


def _template(rule: Rule, tree: Expr, _: Settings) -> Iterator[str]:
    for label, value in (rule.get("labels") or {}).items():
        if re.search(r"\$value|\.Value", str(value)):
            yield f"label {label} holds the value, so each change of it is a new alert"
    labels = syntax.carried(tree)
    if "alert" not in rule or labels is None:
        return
    texts = " ".join(map(str, (rule.get("annotations") or {}).values()))
    used = {name or other for name, other in _LABEL.findall(texts)} - set(_GUARDED.findall(texts))
    for label in sorted(used - labels):
        yield f"its annotations use the label {label}, which the expression does not keep"


def _waits(rule: Rule, _: Expr, __: Settings) -> Iterator[str]:
    for field in ("for", "keep_firing_for"):
        if field in rule and _seconds(rule[field]) is None:
            yield f"{field}: {rule[field]} is no duration"
        if field in rule and "record" in rule:
            yield f"{field} is for alerts"


def _absent(rule: Rule, tree: Expr, settings: Settings) -> Iterator[str]:
    calls = {one.func.name for one in syntax.nodes(tree) if isinstance(one, Call)}
    short = (_seconds(rule.get("for", "0s")) or 0) < 2 * settings.scrape
    if "alert" in rule and "absent" in calls and short:
        yield f"absent() needs a for of two scrapes at least ({2 * settings.scrape}s)"


def _names(rule: Rule, _: Expr, __: Settings) -> Iterator[str]:
    record = rule.get("record")
    if record is not None and str(record).count(":") < 1:
        yield "a recorded name is level:metric:operations; this one looks like a scraped metric"


def _labels(rule: Rule, _: Expr, __: Settings) -> Iterator[str]:
    for label in ("le", "quantile", "instance", "__name__", "alertname"):
        if label in (rule.get("labels") or {}):
            yield f"sets the label {label}, which belongs to Prometheus"


def _expr(rule: Rule) -> str:
    return str(rule.get("expr", ""))


def _seconds(text: object) -> float | None:
    try:
        return parse_duration(text)
    except ValueError:
        return None


RULE_CHECKS: dict[str, Callable[[Rule, Expr, Settings], Iterator[str]]] = {
    "alerts/annotation": _annotations,
    "alerts/template": _template,
    "alerts/for": _waits,
    "alerts/absent": _absent,
    "rule/name": _names,
    "labels/conflict": _labels,
}
"""Name -> what finds it in one rule."""

CHECKS = (
    "promql/syntax", *RULE_CHECKS, *EXPRESSION_CHECKS, "rule/duplicate", "rule/dependency"
)  # fmt: skip
"""Every check."""
