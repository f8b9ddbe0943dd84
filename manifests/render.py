"""Objects as one YAML stream: sorted keys, no nulls, the same bytes each time."""

from collections.abc import Iterable
from typing import Any

import yaml
from kubernetes import client as k8s

__all__ = ["plain", "to_yaml"]


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that a person can read it."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def plain(item: object) -> dict[str, Any]:
    """A typed object of the ``kubernetes`` client as a mapping without unset fields."""
    if isinstance(item, dict):
        return item
    serialised: dict[str, Any] = _serialiser.sanitize_for_serialization(item)  # type: ignore[no-untyped-call]
    return serialised


_serialiser = k8s.ApiClient(k8s.Configuration())


def to_yaml(items: Iterable[dict[str, Any]]) -> str:
    """A YAML stream of the objects, in the order given."""
    return "".join(
        "---\n" + yaml.dump(item, Dumper=_Dumper, sort_keys=True, width=100, allow_unicode=True)
        for item in items
    )
