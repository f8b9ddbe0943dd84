"""Rule groups as a plain rule file, and as the Prometheus operator's PrometheusRule."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from firsttoken.config import format_duration
from firsttoken.rules.model import AlertRule, Group, RecordingRule

__all__ = ["prometheusrule", "rule_file", "to_yaml"]


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


def _rule(rule: RecordingRule | AlertRule) -> dict[str, Any]:
    if isinstance(rule, RecordingRule):
        return {"record": rule.record, "expr": rule.expr, "labels": dict(rule.labels)}
    shape: dict[str, Any] = {"alert": rule.alert, "expr": rule.expr}
    if rule.wait:
        shape["for"] = format_duration(rule.wait)
    return shape | {"labels": dict(rule.labels), "annotations": dict(rule.annotations)}


def _groups(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [
        {
            "name": group.name,
            "interval": format_duration(group.interval),
            "rules": [_rule(rule) for rule in group.rules],
        }
        for group in groups
    ]


def rule_file(groups: Iterable[Group]) -> str:
    """A rule file for Prometheus 2.42 and later."""
    return to_yaml({"groups": _groups(groups)})


def prometheusrule(
    groups: Iterable[Group],
    *,
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
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
        "spec": {"groups": _groups(groups)},
    }
