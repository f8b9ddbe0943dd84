"""The collector beside the engine: a native sidecar and the ConfigMap that it reads."""

import hashlib

import yaml
from kubernetes import client as k8s

from firsttoken.config import format_duration
from firsttoken.manifests.metadata import COLLECTOR, metadata
from firsttoken.manifests.security import restricted
from firsttoken.manifests.spec import RAY_METRICS_PORT, DeploymentSpec

__all__ = ["collector_config", "config_digest", "config_map", "config_volume", "sidecar"]

CONFIG_DIR = "/etc/firsttoken"
CONFIG_FILE = "collector.yaml"
CONFIG_SUFFIX = "-collector"
# What the collector's own page and its choice of GPUs are told of the pod.
DOWNWARD = {
    "NODE_NAME": "spec.nodeName",
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_UID": "metadata.uid",
}
GPU_PROFILES = {"nvidia": "dcgm", "amd": "amd"}
"""Of the usual exporters; for another vendor's the collector looks at the page."""


def collector_config(spec: DeploymentSpec) -> dict[str, object]:
    """The collector's configuration: the engine in this pod and, if given, the GPU exporter."""
    sources: list[dict[str, object]] = [_engine_source(spec)]
    if spec.gpu_exporter_address:
        source: dict[str, object] = {"name": "gpu", "url": spec.gpu_exporter_address}
        if spec.accelerator.vendor in GPU_PROFILES:
            source["profile"] = GPU_PROFILES[spec.accelerator.vendor]
        # An exporter reports all GPUs of its node: without this a neighbour's would be ours too.
        if knows_its_pod(spec):
            source["only"] = {"pod": "this"}
        sources.append(source)
    return {
        "version": "firsttoken/v1",
        "listen": f"0.0.0.0:{spec.collector.port}",
        # Less than Prometheus waits, so that one slow source costs itself and not the page.
        "timeout": format_duration(spec.monitoring.scrape_timeout * 0.8),
        # The engine has ended by then; what it counted last is still to be fetched.
        "linger": format_duration(spec.monitoring.interval),
        "resource": {"service.name": spec.name, "k8s.namespace.name": spec.namespace},
        "sources": sources,
    }


def knows_its_pod(spec: DeploymentSpec) -> bool:
    """Whether containers may refer to their pod's fields, which Knative refuses by default."""
    return spec.platform != "kserve-knative"


def _downward(spec: DeploymentSpec) -> list[k8s.V1EnvVar] | None:
    if not knows_its_pod(spec):
        return None
    return [
        k8s.V1EnvVar(
            name=name,
            value_from=k8s.V1EnvVarSource(
                field_ref=k8s.V1ObjectFieldSelector(api_version="v1", field_path=path)
            ),
        )
        for name, path in DOWNWARD.items()
    ]


def _engine_source(spec: DeploymentSpec) -> dict[str, object]:
    if spec.platform == "ray-service":
        url = f"http://127.0.0.1:{RAY_METRICS_PORT}/metrics"
        return {"name": "ray", "url": url, "profile": "ray_serve"}
    url = f"http://127.0.0.1:{spec.engine.port}/metrics"
    return {"name": "vllm", "url": url, "profile": "vllm"}


def _config_text(spec: DeploymentSpec) -> str:
    return yaml.safe_dump(collector_config(spec), sort_keys=False)


def config_digest(spec: DeploymentSpec) -> str:
    """Changes when the configuration does."""
    return hashlib.sha256(_config_text(spec).encode()).hexdigest()[:16]


def config_map(spec: DeploymentSpec) -> k8s.V1ConfigMap:
    """The collector's configuration file."""
    return k8s.V1ConfigMap(
        api_version="v1",
        kind="ConfigMap",
        metadata=metadata(spec, COLLECTOR, suffix=CONFIG_SUFFIX),
        data={CONFIG_FILE: _config_text(spec)},
    )


def config_volume(spec: DeploymentSpec) -> k8s.V1Volume:
    """The volume of the ConfigMap."""
    return k8s.V1Volume(
        name="collector-config",
        config_map=k8s.V1ConfigMapVolumeSource(name=f"{spec.name}{CONFIG_SUFFIX}"),
    )


def sidecar(spec: DeploymentSpec, port_name: str) -> k8s.V1Container:
    """The collector's container, as a native sidecar (an init container that keeps running).

    It starts before the engine and ends after it, so that the download of the model is seen, and it
    waits for a last scrape.  Nothing that it depends on can make the pod unready: its probes only
    ask whether its own process lives.
    """
    alive = k8s.V1HTTPGetAction(path="/healthz", port=spec.collector.port, scheme="HTTP")
    return k8s.V1Container(
        name="collector",
        image=spec.collector.image,
        image_pull_policy="IfNotPresent",
        restart_policy="Always",
        command=["firsttoken", "collect"],
        args=[f"--config={CONFIG_DIR}/{CONFIG_FILE}"],
        env=_downward(spec),
        ports=[
            k8s.V1ContainerPort(name=port_name, container_port=spec.collector.port, protocol="TCP")
        ],
        resources=k8s.V1ResourceRequirements(
            requests={
                "cpu": spec.collector.cpu,
                "memory": spec.collector.memory,
                "ephemeral-storage": "16Mi",
            },
            limits={"memory": spec.collector.memory, "ephemeral-storage": "64Mi"},
        ),
        startup_probe=k8s.V1Probe(http_get=alive, period_seconds=1, failure_threshold=30),
        liveness_probe=k8s.V1Probe(
            http_get=alive, period_seconds=10, timeout_seconds=5, failure_threshold=3
        ),
        security_context=restricted(),
        volume_mounts=[
            k8s.V1VolumeMount(name="collector-config", mount_path=CONFIG_DIR, read_only=True)
        ],
    )
