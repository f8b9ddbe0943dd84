"""All dashboards as JSON, and the forms in which a Grafana can be given them."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from firsttoken.dashboards import capacity, gpu, kvcache, quality, replica, service, slo
from firsttoken.dashboards.board import build
from firsttoken.dashboards.expand import panels
from firsttoken.vocabulary import SEMCONV, NotReportedError, Vocabulary

__all__ = ["configmap", "dashboards", "grafana_dashboard", "provider", "to_json", "to_json_list"]

OTHERS = (
    service.board,
    replica.board,
    kvcache.board,
    gpu.board,
    capacity.board,
    quality.board,
)
CONFIGMAP_LIMIT = 1_000_000
"""Bytes that a ConfigMap may hold: Kubernetes' limit is 1 MiB with its metadata."""


def dashboards(
    vocabulary: Vocabulary = SEMCONV, *, runbooks: str = ""
) -> dict[str, dict[str, Any]]:
    """Every dashboard by its uid, in reading order; alerts lead to pages in ``runbooks``.

    A panel whose metric the vocabulary lacks is left out; so is a dashboard that then has nothing
    to choose from or to show, and every link to it.
    """
    kept = {}
    for board in (functools.partial(slo.board, runbooks=runbooks), *OTHERS):
        try:
            shape = build(board(vocabulary), vocabulary)
        except NotReportedError:
            continue
        if any(panels(shape)):
            kept[shape["uid"]] = shape
    return {uid: _linked(shape, frozenset(kept)) for uid, shape in kept.items()}


def _linked(value: Any, uids: frozenset[str]) -> Any:
    """The value without links to dashboards that there are not."""
    if isinstance(value, dict):
        return {key: _linked(item, uids) for key, item in value.items()}
    if isinstance(value, list):
        return [_linked(item, uids) for item in value if not _leads_nowhere(item, uids)]
    return value


def _leads_nowhere(item: object, uids: frozenset[str]) -> bool:
    if not isinstance(item, dict):
        return False
    target = re.match(r"/d/([^?]+)", str(item.get("url", "")))
    return target is not None and target[1] not in uids


def to_json(dashboard: Mapping[str, Any]) -> str:
    """The text of a dashboard's file: the same bytes for the same dashboard."""
    return json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def to_json_list(dashboards: Sequence[Mapping[str, Any]]) -> str:
    """Several dashboards as one JSON list."""
    return json.dumps(dashboards, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _compact(dashboard: Mapping[str, Any]) -> str:
    return json.dumps(dashboard, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def configmap(
    name: str,
    dashboards: Mapping[str, Mapping[str, Any]],
    *,
    namespace: str | None = None,
    folder: str = "LLM",
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A ConfigMap that the dashboard sidecar of Grafana's charts finds by its label.

    Raises ValueError when the dashboards do not fit into one.
    """
    data = {f"{uid}.json": _compact(dashboard) for uid, dashboard in sorted(dashboards.items())}
    size = sum(len(text.encode()) for text in data.values())
    if size > CONFIGMAP_LIMIT:
        raise ValueError(f"{name}: {size} bytes of dashboards do not fit into one ConfigMap")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(
            name,
            namespace,
            labels={"grafana_dashboard": "1", **(labels or {})},
            annotations={"grafana_folder": folder},
        ),
        "data": data,
    }


def grafana_dashboard(
    dashboard: Mapping[str, Any],
    *,
    namespace: str | None = None,
    folder: str = "LLM",
    instances: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A GrafanaDashboard of the Grafana Operator; ``instances`` are the labels of the Grafana."""
    return {
        "apiVersion": "grafana.integreatly.org/v1beta1",
        "kind": "GrafanaDashboard",
        "metadata": _metadata(dashboard["uid"], namespace),
        "spec": {
            "allowCrossNamespaceImport": True,
            "folder": folder,
            "instanceSelector": {"matchLabels": dict(instances or {"dashboards": "grafana"})},
            "json": _compact(dashboard),
        },
    }


def provider(path: str, *, folder: str = "LLM") -> dict[str, Any]:
    """The file that makes Grafana read dashboards from a folder of its own machine."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "firsttoken",
                "type": "file",
                "folder": folder,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": path},
            }
        ],
    }


def _metadata(
    name: str,
    namespace: str | None,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return metadata
