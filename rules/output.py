"""Rule groups as a plain rule file, and as the Prometheus operator's PrometheusRule."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from firsttoken.config import format_duration
from firsttoken.errors import UsageError
from firsttoken.rules.model import DEFAULTS, AlertRule, Group, Options, RecordingRule

__all__ = ["GROUP_LABELS", "QUERY_OFFSET", "prometheusrule", "rule_file", "to_yaml"]

QUERY_OFFSET = (2, 53)
"""The first Prometheus whose groups have ``query_offset``."""
GROUP_LABELS = (3, 0)
"""The first one whose groups have ``labels``."""


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as blocks, and no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(data: object) -> str:
    """YAML in the order given, the same bytes for the same data."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    return text


def _rule(rule: RecordingRule | AlertRule, common: Mapping[str, str]) -> dict[str, Any]:
    labels = {key: value for key, value in rule.labels.items() if key not in common}
    if isinstance(rule, RecordingRule):
        recording = {"record": rule.record, "expr": rule.expr}
        return recording | ({"labels": labels} if labels else {})
    shape: dict[str, Any] = {"alert": rule.alert, "expr": rule.expr}
    if rule.wait:
        shape["for"] = format_duration(rule.wait)
    return shape | {"labels": labels, "annotations": dict(rule.annotations)}


def _common(group: Group) -> dict[str, str]:
    """The labels that all rules of a group have."""
    first, *others = (rule.labels.items() for rule in group.rules)
    return {key: value for key, value in first if all((key, value) in one for one in others)}


def _group(group: Group, options: Options) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": group.name, "interval": format_duration(group.interval)}
    if options.offset:
        shape["query_offset"] = format_duration(options.offset)
    common = _common(group) if options.target >= GROUP_LABELS else {}
    if common:
        shape["labels"] = common
    return shape | {"rules": [_rule(rule, common) for rule in group.rules]}


def _groups(groups: Iterable[Group], options: Options) -> list[dict[str, Any]]:
    if options.offset and options.target < QUERY_OFFSET:
        raise UsageError("an offset for late samples needs Prometheus 2.53; say --target 2.53")
    return [_group(group, options) for group in groups]


def rule_file(groups: Iterable[Group], options: Options = DEFAULTS) -> str:
    """A rule file for the Prometheus of ``options``; 2.42 and all later ones without it.

    Raises UsageError where that Prometheus lacks what is asked for.
    """
    return to_yaml({"groups": _groups(groups, options)})


def prometheusrule(
    groups: Iterable[Group],
    *,
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    options: Options = DEFAULTS,
) -> dict[str, Any]:
    """The monitoring.coreos.com/v1 object; ``labels`` are what the operator's selector asks for."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": {"groups": _groups(groups, options)},
    }
