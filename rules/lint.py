"""What is wrong with a rule file although Prometheus takes it; for ours and anybody's.

Expressions are read as text, so this finds habits, not every mistake.  The checks follow those of
Cloudflare's pint and of the monitoring-mixins guide.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firsttoken.config import format_duration, parse_duration

__all__ = ["CHECKS", "Finding", "lint"]

Rule = Mapping[str, Any]
_RANGE = re.compile(r"\b(rate|irate|increase|delta|deriv)\s*\([^\[\]]*\[([0-9a-z]+)\]")
_WINDOW = re.compile(r"\[([0-9]+[0-9a-z]*)[:\]]")
_COMPARED = re.compile(r"[<>]|==|!=(?!~|\")|\babsent|\bunless\b|\band\b|^\s*ALERTS|^\s*vector\(")
_SEVERITIES = {"critical", "warning", "info", "none", "page", "ticket"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: the check's name, the rule it is in, and a sentence."""

    check: str
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What depends on the Prometheus; seconds, 0 where it is not known."""

    scrape: int
    retention: int


def lint(data: object, *, scrape: int = 30, retention: int = 0) -> tuple[Finding, ...]:
    """The findings in a rule file or a PrometheusRule, as read from YAML.

    ``scrape`` is the scrape interval and ``retention`` how long samples are kept, in seconds.
    """
    groups = _groups(data)
    if groups is None:
        return (Finding("rules/shape", "file", "has no groups of rules"),)
    settings = Settings(scrape, retention)
    found = list(_duplicates(groups))
    for group in groups:
        for rule in group.get("rules") or ():
            for name, check in CHECKS.items():
                found += [Finding(name, _name(rule), text) for text in check(rule, settings)]
    return tuple(found)


def _groups(data: object) -> list[Mapping[str, Any]] | None:
    if not isinstance(data, dict):
        return None
    spec = data.get("spec")
    groups = (spec if isinstance(spec, dict) else data).get("groups")
    return groups if isinstance(groups, list) else None


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
    rules = [rule for group in groups for rule in group.get("rules") or ()]
    keys = Counter((_name(rule), str(sorted((rule.get("labels") or {}).items()))) for rule in rules)
    for (name, _), count in keys.items():
        if count > 1:
            yield Finding("rule/duplicate", name, f"{count} rules have this name and these labels")


def _annotations(rule: Rule, _: Settings) -> Iterator[str]:
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


def _template(rule: Rule, _: Settings) -> Iterator[str]:
    for label, value in (rule.get("labels") or {}).items():
        if re.search(r"\$value|\.Value", str(value)):
            yield f"label {label} holds the value, so each change of it is a new alert"


def _comparison(rule: Rule, _: Settings) -> Iterator[str]:
    if "alert" in rule and not _COMPARED.search(_without_braces(_expr(rule))):
        yield "compares nothing, so it fires whenever there is a series"


def _absent(rule: Rule, settings: Settings) -> Iterator[str]:
    if "alert" in rule and re.search(r"\babsent\s*\(", _expr(rule)):
        waits = _seconds(rule.get("for", "0s"))
        if waits < 2 * settings.scrape:
            yield f"absent() needs a for of two scrapes at least ({2 * settings.scrape}s)"


def _rate(rule: Rule, settings: Settings) -> Iterator[str]:
    expr = _expr(rule)
    for function, window in _RANGE.findall(expr):
        if _seconds(window) < 2 * settings.scrape:
            yield f"{function} over {window} holds fewer than two scrapes of {settings.scrape}s"
    if re.search(r"\b(rate|irate|increase)\s*\(\s*(sum|avg|max|min)\b", expr):
        yield "takes a rate of an aggregate, which hides counter resets; aggregate the rates"


def _nan(rule: Rule, _: Settings) -> Iterator[str]:
    expr = _expr(rule)
    if (
        "record" in rule
        and re.search(r"/\s*\(?\s*(sum|rate|increase)\b", expr)
        and "> 0" not in expr
    ):
        yield "divides by what may be 0 and so records NaN; divide by (... > 0)"


def _bound(rule: Rule, _: Settings) -> Iterator[str]:
    for bound in sorted(set(re.findall(r'\ble="([0-9]+(?:\.0)?)"', _expr(rule)))):
        whole = bound.removesuffix(".0")
        yield (f'le="{bound}" matches one spelling of the bound only; le=~"{whole}([.]0)?" both')


def _dead(rule: Rule, _: Settings) -> Iterator[str]:
    expr = _expr(rule)
    if re.search(r"\bcount\s*(by\s*\([^)]*\)\s*)?\(.*\)\s*(<|==\s*0)", expr) and "or" not in expr:
        yield "count() of nothing is no value, not 0: it cannot fire when all are gone"
    if re.search(r"_bucket\{[^}]*\ble=[^}]*\}", expr) and re.search(r"_count\b", expr):
        aggregated = re.search(r"\b(sum|ignoring|on)\b", expr)
        if not aggregated:
            yield "joins a bucket with a series that has no le; aggregate both, or ignore le"


def _retention(rule: Rule, settings: Settings) -> Iterator[str]:
    longest = max((_seconds(window) for window in _WINDOW.findall(_expr(rule))), default=0)
    if settings.retention and longest > settings.retention:
        yield (
            f"looks back {format_duration(longest)}, and Prometheus keeps only"
            f" {format_duration(settings.retention)}"
        )


def _labels(rule: Rule, _: Settings) -> Iterator[str]:
    for label in ("le", "quantile", "instance", "__name__", "alertname"):
        if label in (rule.get("labels") or {}):
            yield f"sets the label {label}, which belongs to Prometheus"


def _expr(rule: Rule) -> str:
    return str(rule.get("expr", ""))


def _without_braces(expr: str) -> str:
    return re.sub(r"\{[^}]*\}", "", expr)


def _seconds(text: object) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        return 0.0


CHECKS: dict[str, Callable[[Rule, Settings], Iterator[str]]] = {
    "alerts/annotation": _annotations,
    "alerts/template": _template,
    "alerts/comparison": _comparison,
    "alerts/absent": _absent,
    "alerts/count": _dead,
    "promql/rate": _rate,
    "promql/nan": _nan,
    "promql/le": _bound,
    "promql/range_query": _retention,
    "labels/conflict": _labels,
}
"""Name -> what finds it in one rule."""
