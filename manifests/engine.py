"""vLLM as a Deployment, with the collector as a native sidecar."""

from kubernetes import client as k8s

from firsttoken.manifests import pod
from firsttoken.manifests.metadata import ENGINE, METRICS_PORT, metadata, pod_annotations
from firsttoken.manifests.names import selector
from firsttoken.manifests.security import pod_security
from firsttoken.manifests.sidecar import sidecar
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["deployment", "rolling_update"]


def deployment(spec: DeploymentSpec, buckets: str | None, config_digest: str) -> k8s.V1Deployment:
    """The engine with the collector as a native sidecar.

    ``buckets`` is the value of ``--custom-histogram-buckets`` that puts a bound on each objective,
    ``config_digest`` changes with the collector's configuration, so that pods are replaced.
    """
    common = metadata(spec, ENGINE)
    template = k8s.V1ObjectMeta(
        labels=common.labels, annotations=pod_annotations(spec, config_digest)
    )
    return k8s.V1Deployment(
        api_version="apps/v1",
        kind="Deployment",
        metadata=common,
        spec=k8s.V1DeploymentSpec(
            # An autoscaler's number is not taken back by applying the file again.
            replicas=None if spec.autoscaling else spec.replicas,
            selector=k8s.V1LabelSelector(match_labels=selector(spec.name)),
            strategy=rolling_update(),
            template=k8s.V1PodTemplateSpec(metadata=template, spec=_pod(spec, buckets)),
        ),
    )


def rolling_update() -> k8s.V1DeploymentStrategy:
    """One replica goes before its successor comes.

    GPUs and a volume that one node mounts leave no room for a surge.
    """
    return k8s.V1DeploymentStrategy(
        type="RollingUpdate",
        rolling_update=k8s.V1RollingUpdateDeployment(max_surge=0, max_unavailable=1),
    )


def _pod(spec: DeploymentSpec, buckets: str | None) -> k8s.V1PodSpec:
    return k8s.V1PodSpec(
        init_containers=[sidecar(spec, METRICS_PORT)],
        containers=[pod.engine_container(spec, "vllm", pod.arguments(spec, buckets))],
        volumes=pod.volumes(spec),
        service_account_name=spec.engine.service_account,
        automount_service_account_token=False,
        enable_service_links=False,  # a Service called vllm would set VLLM_PORT, which vLLM reads
        termination_grace_period_seconds=spec.grace_period,
        security_context=pod_security(spec.security),
        tolerations=pod.tolerations(spec),
        node_selector=spec.accelerator.node_selector or None,
        topology_spread_constraints=pod.spread(spec),
    )
