"""What stands around the engine's pods: Service, volume claim, disruption budget."""

from kubernetes import client as k8s

from firsttoken.manifests.metadata import ENGINE, metadata
from firsttoken.manifests.names import selector
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["claim", "disruption_budget", "service"]


def service(spec: DeploymentSpec) -> k8s.V1Service:
    """What clients of the model talk to; the target port is a number, as old clusters need."""
    return k8s.V1Service(
        api_version="v1",
        kind="Service",
        metadata=metadata(spec, ENGINE),
        spec=k8s.V1ServiceSpec(
            selector=selector(spec.name),
            ports=[
                k8s.V1ServicePort(
                    name="http", port=80, target_port=spec.engine.port, protocol="TCP"
                )
            ],
        ),
    )


def claim(spec: DeploymentSpec) -> k8s.V1PersistentVolumeClaim | None:
    """The model cache; shared between nodes when there are several replicas."""
    if not spec.cache:
        return None
    mode = "ReadWriteMany" if spec.most_replicas > 1 else "ReadWriteOnce"
    return k8s.V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=metadata(spec, ENGINE, suffix="-cache"),
        spec=k8s.V1PersistentVolumeClaimSpec(
            access_modes=[mode],
            resources=k8s.V1VolumeResourceRequirements(requests={"storage": spec.cache}),
        ),
    )


def disruption_budget(spec: DeploymentSpec) -> k8s.V1PodDisruptionBudget | None:
    """At most one replica goes at a time; none with one replica, where it would block drains."""
    if spec.most_replicas < 2:
        return None
    return k8s.V1PodDisruptionBudget(
        api_version="policy/v1",
        kind="PodDisruptionBudget",
        metadata=metadata(spec, ENGINE),
        spec=k8s.V1PodDisruptionBudgetSpec(
            max_unavailable=1,
            selector=k8s.V1LabelSelector(match_labels=selector(spec.name)),
        ),
    )
