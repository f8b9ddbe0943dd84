"""KubeRay's kind, ``ray.io``: a cluster of Ray and the application that it serves."""

from typing import Literal

from kubernetes import client as k8s

from firsttoken.manifests.custom import Native, Part, Resource

__all__ = ["HeadGroup", "RayCluster", "RayService", "RayServiceSpec", "WorkerGroup"]


class HeadGroup(Part):
    """The node that the others report to."""

    ray_start_params: dict[str, str]
    template: Native[k8s.V1PodTemplateSpec]


class WorkerGroup(Part):
    """Nodes that are alike."""

    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int
    ray_start_params: dict[str, str]
    template: Native[k8s.V1PodTemplateSpec]


class RayCluster(Part):
    """A head and its workers."""

    head_group_spec: HeadGroup
    worker_group_specs: tuple[WorkerGroup, ...]


class RayServiceSpec(Part):
    """The application as Ray Serve's own YAML, and the cluster that runs it."""

    serve_config_v2: str
    exclude_head_pod_from_serve_svc: bool
    ray_cluster_config: RayCluster


class RayService(Resource):
    """An application of Ray Serve on a cluster of its own."""

    api_version: Literal["ray.io/v1"] = "ray.io/v1"
    kind: Literal["RayService"] = "RayService"
    spec: RayServiceSpec
