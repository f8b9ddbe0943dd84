"""KEDA's ScaledObject: replicas by waiting requests and KV-cache use."""

from firsttoken import catalogue, promql
from firsttoken.manifests.custom_keda import (
    PrometheusQuery,
    ScaledObject,
    ScaledObjectSpec,
    ScaleTarget,
    Trigger,
)
from firsttoken.manifests.metadata import ENGINE, metadata
from firsttoken.manifests.monitoring import selector_of
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["scaled_object"]


def scaled_object(spec: DeploymentSpec) -> ScaledObject | None:
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
    ask = scaling.prometheus
    return ScaledObject(
        metadata=metadata(spec, ENGINE),
        spec=ScaledObjectSpec(
            scale_target_ref=ScaleTarget(name=f"{spec.name}{suffix}"),
            min_replica_count=max(1, spec.replicas),
            max_replica_count=scaling.most,
            cooldown_period=int(scaling.cooldown),
            triggers=(
                Trigger(
                    metric_type="AverageValue",
                    metadata=PrometheusQuery(
                        server_address=ask, query=waiting, threshold=str(scaling.waiting)
                    ),
                ),
                Trigger(
                    metric_type="Value",
                    metadata=PrometheusQuery(
                        server_address=ask, query=fullest, threshold=str(scaling.kv_cache)
                    ),
                ),
            ),
        ),
    )
