"""KEDA's ScaledObject: replicas by waiting requests and KV-cache use."""

from typing import Any

from firsttoken import catalogue, promql
from firsttoken.manifests.metadata import ENGINE, metadata
from firsttoken.manifests.monitoring import selector_of
from firsttoken.manifests.render import plain
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["scaled_object"]


def scaled_object(spec: DeploymentSpec) -> dict[str, Any] | None:
    """The ScaledObject, None without ``autoscaling``.

    A queue is the sign that comes first: latency histograms count a request only when it has its
    first token, so they are silent while requests wait.
    """
    scaling = spec.autoscaling
    if scaling is None:
        return None
    where = tuple(promql.Matcher(key, value) for key, value in sorted(selector_of(spec).items()))
    scope = promql.Scope(where, ())
    waiting = promql.gauge(catalogue.REQUESTS_WAITING, scope)
    fullest = promql.gauge(catalogue.KV_CACHE_UTILIZATION, scope, "max")
    suffix = "-predictor" if spec.platform == "kserve-standard" else ""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": plain(metadata(spec, ENGINE)),
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": f"{spec.name}{suffix}"},
            "minReplicaCount": max(1, spec.replicas),
            "maxReplicaCount": scaling.most,
            "cooldownPeriod": int(scaling.cooldown),
            "triggers": [
                _trigger(scaling.prometheus, waiting, str(scaling.waiting), "AverageValue"),
                _trigger(scaling.prometheus, fullest, str(scaling.kv_cache), "Value"),
            ],
        },
    }


def _trigger(address: str, query: str, threshold: str, kind: str) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "metricType": kind,
        "metadata": {"serverAddress": address, "query": query, "threshold": threshold},
    }
