"""Objects as YAML and as a folder for kustomize: sorted keys, no nulls, always the same bytes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from kubernetes import client as k8s
from pydantic import BaseModel

__all__ = ["folder", "plain", "to_yaml"]

# Kubernetes reads YAML with Go's rules, to which 12e3, 0o17 and y are no text, and PyYAML's
# writer knows only its own: what could be read as anything else is quoted.
_AMBIGUOUS = re.compile(r"[-+.]?[0-9].*|[-+]?[.](inf|Inf|INF)|[.](nan|NaN|NAN)|[yYnN]")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that a person can read it, and no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

_serialiser = k8s.ApiClient(k8s.Configuration())


def plain(item: object) -> dict[str, Any]:
    """A typed object, the ``kubernetes`` client's or ours, as a mapping without unset fields."""
    if isinstance(item, BaseModel):
        return item.model_dump(mode="json", by_alias=True, exclude_none=True)
    serialised: dict[str, Any] = _serialiser.sanitize_for_serialization(item)  # type: ignore[no-untyped-call]
    return serialised


def to_yaml(items: Iterable[Mapping[str, Any]]) -> str:
    """A YAML stream of the objects, in the order given."""
    return "".join(
        "---\n"
        + yaml.dump(dict(item), Dumper=_Dumper, sort_keys=True, width=10**6, allow_unicode=True)
        for item in items
    )


APART = ("guards", "load-test")
"""Concerns that are no part of the base: one is an overlay's, the other starts when applied."""


def folder(concerns: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Files for kustomize by path: a base, with a folder for each concern and a file for each
    object, and the overlays ``dev`` and ``prod``, of which the latter adds the guards.

    A load test lies beside them, and is only run by whoever applies its folder.
    """
    listed = sorted(name for name in concerns if name not in APART)
    files = {"base/kustomization.yaml": _kustomization(listed)}
    for concern in listed:
        files |= _files(f"base/{concern}", concerns[concern])
    files |= _files("overlays/dev", (), "../../base")
    files |= _files("overlays/prod", concerns.get("guards", ()), "../../base")
    if "load-test" in concerns:
        files |= _files("load-test", concerns["load-test"])
    return files


def _files(path: str, items: Sequence[Mapping[str, Any]], *others: str) -> dict[str, str]:
    named = {_file_name(item): to_yaml([item]) for item in items}
    files = {f"{path}/{name}": text for name, text in named.items()}
    return files | {f"{path}/kustomization.yaml": _kustomization([*others, *sorted(named)])}


def _file_name(item: Mapping[str, Any]) -> str:
    return f"{item['kind'].lower()}-{item['metadata']['name']}.yaml"


def _kustomization(resources: Sequence[str]) -> str:
    return to_yaml(
        [
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": list(resources),
            }
        ]
    )
