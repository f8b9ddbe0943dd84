"""vLLM inside Ray Serve, as KubeRay's RayService.

Ray starts the engine in a worker process and serves its metrics, under Ray's names, on each node's
metrics port; the collector stands in the workers and reads that page.
"""

import json
from typing import Any

import yaml
from kubernetes import client as k8s

from firsttoken.manifests import pod
from firsttoken.manifests.custom_ray import (
    HeadGroup,
    RayCluster,
    RayService,
    RayServiceSpec,
    WorkerGroup,
)
from firsttoken.manifests.metadata import ENGINE, METRICS_PORT, metadata, pod_annotations
from firsttoken.manifests.names import selector
from firsttoken.manifests.security import pod_security, restricted
from firsttoken.manifests.sidecar import sidecar
from firsttoken.manifests.spec import RAY_METRICS_PORT, DeploymentSpec

__all__ = ["engine_options", "ray_service"]

GROUP = "engine"
USER_ID = 1000  # the user of Ray's own images
HEAD_RESOURCES = {"cpu": "2", "memory": "8Gi", "ephemeral-storage": "10Gi"}


def ray_service(spec: DeploymentSpec, buckets: str | None, config_digest: str) -> RayService:
    """A head without accelerator, and a worker for each replica."""
    limits = {key: value for key, value in HEAD_RESOURCES.items() if key != "cpu"}
    resources = k8s.V1ResourceRequirements(requests=HEAD_RESOURCES, limits=limits)
    head = _container(spec, "ray-head", resources)
    head.ports = [
        k8s.V1ContainerPort(name="gcs-server", container_port=6379, protocol="TCP"),
        k8s.V1ContainerPort(name="dashboard", container_port=8265, protocol="TCP"),
    ]
    workers = WorkerGroup(
        group_name=GROUP,
        replicas=spec.replicas,
        min_replicas=spec.replicas,
        max_replicas=max(1, spec.replicas),
        ray_start_params={"metrics-export-port": str(RAY_METRICS_PORT)},
        template=_template(spec, config_digest, _worker(spec), with_collector=True),
    )
    head_group = HeadGroup(
        ray_start_params={"dashboard-host": "0.0.0.0", "num-gpus": "0"},  # noqa: S104
        template=_template(spec, config_digest, head, with_collector=False),
    )
    return RayService(
        metadata=metadata(spec, ENGINE),
        spec=RayServiceSpec(
            serve_config_v2=serve_config(spec, buckets),
            # No engine runs on the head, so nothing there can answer for one.
            exclude_head_pod_from_serve_svc=True,
            ray_cluster_config=RayCluster(
                head_group_spec=head_group, worker_group_specs=(workers,)
            ),
        ),
    )


def serve_config(spec: DeploymentSpec, buckets: str | None) -> str:
    """The application that Ray Serve runs: its builder for OpenAI-compatible engines."""
    options = engine_options(spec.engine.arguments)
    if spec.accelerator.count > 1:
        options["tensor_parallel_size"] = spec.accelerator.count
    if buckets:
        options["custom_histogram_buckets"] = json.loads(buckets)
    if spec.tracing:
        options["otlp_traces_endpoint"] = spec.tracing.address
    if spec.location.source == "s3":
        options["load_format"] = "runai_streamer"
    model = {
        "model_loading_config": {
            "model_id": spec.model_name,
            "model_source": spec.location.argument,
        },
        "deployment_config": {
            "num_replicas": max(1, spec.replicas),
            "graceful_shutdown_timeout_s": int(spec.engine.shutdown_timeout),
        },
        "engine_kwargs": options,
        "log_engine_metrics": True,
    }
    application = {
        "name": spec.name,
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [model]},
    }
    text: str = yaml.safe_dump(
        {"http_options": {"port": spec.engine.port}, "applications": [application]},
        sort_keys=False,
        allow_unicode=True,
    )
    return text


def engine_options(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Flags of ``vllm serve`` as the keyword arguments of its engine."""
    found: dict[str, Any] = {}
    name = ""
    for argument in arguments:
        if not argument.startswith("--"):
            found[name] = yaml.safe_load(argument)
            continue
        flag, equals, value = argument[2:].partition("=")
        name = flag.replace("-", "_")
        if equals:
            found[name] = yaml.safe_load(value)
        elif name.startswith("no_"):
            found[name.removeprefix("no_")] = False
        else:
            found[name] = True
    return found


def _worker(spec: DeploymentSpec) -> k8s.V1Container:
    engine = pod.engine_container(spec, "ray-worker", [])
    worker = _container(spec, "ray-worker", pod.resources(spec))
    # Ray's image has a user of its own, with a home.
    worker.env = [item for item in engine.env or () if item.name not in ("HOME", "USER")]
    worker.env_from = engine.env_from
    worker.volume_mounts = engine.volume_mounts
    worker.lifecycle = engine.lifecycle
    worker.ports = [
        k8s.V1ContainerPort(name="http", container_port=spec.engine.port, protocol="TCP"),
        k8s.V1ContainerPort(name="metrics", container_port=RAY_METRICS_PORT, protocol="TCP"),
    ]
    return worker


def _container(
    spec: DeploymentSpec, name: str, resources: k8s.V1ResourceRequirements
) -> k8s.V1Container:
    """A container of Ray's image; KubeRay gives command and probes."""
    return k8s.V1Container(
        name=name,
        image=spec.engine.image,
        image_pull_policy="IfNotPresent",
        resources=resources,
        # Ray writes below its own installation.
        security_context=restricted(read_only=False),
    )


def _template(
    spec: DeploymentSpec, config_digest: str, container: k8s.V1Container, *, with_collector: bool
) -> k8s.V1PodTemplateSpec:
    found = k8s.V1PodSpec(
        containers=[container],
        init_containers=[sidecar(spec, METRICS_PORT)] if with_collector else None,
        volumes=pod.volumes(spec) if with_collector else None,
        service_account_name=spec.engine.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=spec.grace_period,
        security_context=pod_security(spec.security, USER_ID),
        tolerations=pod.tolerations(spec) if with_collector else None,
        node_selector=(spec.accelerator.node_selector or None) if with_collector else None,
        topology_spread_constraints=pod.spread(spec) if with_collector else None,
    )
    annotations = pod_annotations(spec, config_digest) if with_collector else None
    common = k8s.V1ObjectMeta(labels=selector(spec.name), annotations=annotations)
    return k8s.V1PodTemplateSpec(metadata=common, spec=found)
