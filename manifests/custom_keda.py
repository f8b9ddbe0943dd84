"""KEDA's kind, ``keda.sh``: replicas by what a Prometheus answers."""

from typing import Literal

from firsttoken.manifests.custom import Part, Resource

__all__ = ["PrometheusQuery", "ScaleTarget", "ScaledObject", "ScaledObjectSpec", "Trigger"]


class ScaleTarget(Part):
    """What has the replicas."""

    kind: Literal["Deployment"] = "Deployment"
    name: str


class PrometheusQuery(Part):
    """What a trigger asks; numbers are text here, as in all metadata of KEDA."""

    server_address: str
    query: str
    threshold: str


class Trigger(Part):
    """A query, and whether its threshold is each replica's (``AverageValue``) or that of all."""

    type: Literal["prometheus"] = "prometheus"
    metric_type: Literal["AverageValue", "Value"]
    metadata: PrometheusQuery


class ScaledObjectSpec(Part):
    """Between how many replicas, how soon fewer, and by what."""

    scale_target_ref: ScaleTarget
    min_replica_count: int
    max_replica_count: int
    cooldown_period: int
    triggers: tuple[Trigger, ...]


class ScaledObject(Resource):
    """The scaling of one target."""

    api_version: Literal["keda.sh/v1alpha1"] = "keda.sh/v1alpha1"
    kind: Literal["ScaledObject"] = "ScaledObject"
    spec: ScaledObjectSpec
