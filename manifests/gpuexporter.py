"""A GPU exporter on every node that has a GPU, in a namespace of its own.

It cannot run restricted: it reads devices, and asks the kubelet which pod has which GPU.
"""

from typing import Any

from kubernetes import client as k8s

from firsttoken.manifests.metadata import image_version
from firsttoken.manifests.names import label_value
from firsttoken.manifests.render import plain
from firsttoken.manifests.settings import GPU_EXPORTER_PORTS, RESOURCES
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["COUNTERS", "gpu_exporter"]

POD_RESOURCES = "/var/lib/kubelet/pod-resources"
NAME = "gpu-exporter"

COUNTERS: dict[str, str] = {
    "DCGM_FI_DEV_GPU_UTIL": "gauge",
    "DCGM_FI_DEV_MEM_COPY_UTIL": "gauge",
    "DCGM_FI_DEV_FB_USED": "gauge",
    "DCGM_FI_DEV_FB_FREE": "gauge",
    "DCGM_FI_DEV_FB_RESERVED": "gauge",
    "DCGM_FI_DEV_POWER_USAGE": "gauge",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "counter",
    "DCGM_FI_DEV_GPU_TEMP": "gauge",
    "DCGM_FI_DEV_MEMORY_TEMP": "gauge",
    "DCGM_FI_DEV_SM_CLOCK": "gauge",
    "DCGM_FI_DEV_MEM_CLOCK": "gauge",
    "DCGM_FI_DEV_XID_ERRORS": "gauge",
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": "counter",
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": "counter",
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": "counter",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": "counter",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": "gauge",
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": "counter",
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL": "counter",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": "counter",
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": "counter",
}
"""What the rules, the dashboards and their profile read of a GPU; profiling fields, which need
more rights and disturb other profilers, are left out."""


def gpu_exporter(spec: DeploymentSpec) -> list[dict[str, Any]]:
    """Namespace, configuration, DaemonSet and node-local Service; nothing without the setting."""
    given = spec.gpu_exporter
    if given is None:
        return []
    namespace = k8s.V1Namespace(
        api_version="v1",
        kind="Namespace",
        metadata=_metadata(
            spec, given.namespace, None, {"pod-security.kubernetes.io/enforce": "privileged"}
        ),
    )
    found: list[object] = [namespace]
    if spec.accelerator.vendor == "nvidia":
        found.append(
            k8s.V1ConfigMap(
                api_version="v1",
                kind="ConfigMap",
                metadata=_metadata(spec, NAME, given.namespace),
                data={"counters.csv": _counters()},
            )
        )
    return [plain(item) for item in (*found, _daemon_set(spec), _service(spec))]


def _counters() -> str:
    lines = [f"{name}, {kind}, {name}." for name, kind in COUNTERS.items()]
    return "\n".join(lines) + "\n"


def _metadata(
    spec: DeploymentSpec, name: str, namespace: str | None, more: dict[str, str] | None = None
) -> k8s.V1ObjectMeta:
    """Like a dashboard's, the same whichever deployment brings the exporter."""
    image = spec.gpu_exporter.image if spec.gpu_exporter else ""
    labels = {
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/component": NAME,
        "app.kubernetes.io/part-of": "firsttoken",
        "app.kubernetes.io/managed-by": "firsttoken",
        "app.kubernetes.io/version": label_value(image_version(image)),
        **(more or {}),
    }
    return k8s.V1ObjectMeta(name=name, namespace=namespace, labels=labels)


def _selector() -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME}


def _daemon_set(spec: DeploymentSpec) -> k8s.V1DaemonSet:
    given = spec.gpu_exporter
    assert given is not None  # noqa: S101 - the caller has looked
    common = _metadata(spec, NAME, given.namespace)
    toleration = k8s.V1Toleration(
        key=RESOURCES[spec.accelerator.vendor], operator="Exists", effect="NoSchedule"
    )
    template = k8s.V1PodTemplateSpec(
        metadata=k8s.V1ObjectMeta(labels=common.labels),
        spec=k8s.V1PodSpec(
            containers=[_container(spec)],
            volumes=_volumes(spec),
            tolerations=[toleration],
            node_selector=given.node_selector or None,
            automount_service_account_token=False,
            enable_service_links=False,
        ),
    )
    return k8s.V1DaemonSet(
        api_version="apps/v1",
        kind="DaemonSet",
        metadata=common,
        spec=k8s.V1DaemonSetSpec(
            selector=k8s.V1LabelSelector(match_labels=_selector()), template=template
        ),
    )


def _container(spec: DeploymentSpec) -> k8s.V1Container:
    assert spec.gpu_exporter is not None  # noqa: S101 - the caller has looked
    port = GPU_EXPORTER_PORTS[spec.accelerator.vendor]
    mounts = [k8s.V1VolumeMount(name="pod-resources", mount_path=POD_RESOURCES, read_only=True)]
    container = k8s.V1Container(
        name=NAME,
        image=spec.gpu_exporter.image,
        image_pull_policy="IfNotPresent",
        ports=[k8s.V1ContainerPort(name="metrics", container_port=port, protocol="TCP")],
        resources=k8s.V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "512Mi"}
        ),
        volume_mounts=mounts,
    )
    if spec.accelerator.vendor == "nvidia":
        container.args = ["--collectors=/etc/dcgm-exporter/firsttoken/counters.csv"]
        container.env = [k8s.V1EnvVar(name="DCGM_EXPORTER_KUBERNETES", value="true")]
        mounts.append(
            k8s.V1VolumeMount(name="counters", mount_path="/etc/dcgm-exporter/firsttoken")
        )
        container.security_context = k8s.V1SecurityContext(
            run_as_user=0, run_as_non_root=False, allow_privilege_escalation=False,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        )  # fmt: skip
    else:
        container.security_context = k8s.V1SecurityContext(privileged=True)
        mounts.append(k8s.V1VolumeMount(name="devices", mount_path="/dev"))
        mounts.append(k8s.V1VolumeMount(name="sys", mount_path="/sys", read_only=True))
    return container


def _volumes(spec: DeploymentSpec) -> list[k8s.V1Volume]:
    def host(name: str, path: str) -> k8s.V1Volume:
        return k8s.V1Volume(name=name, host_path=k8s.V1HostPathVolumeSource(path=path))

    found = [host("pod-resources", POD_RESOURCES)]
    if spec.accelerator.vendor == "nvidia":
        source = k8s.V1ConfigMapVolumeSource(name=NAME)
        return [*found, k8s.V1Volume(name="counters", config_map=source)]
    return [*found, host("devices", "/dev"), host("sys", "/sys")]


def _service(spec: DeploymentSpec) -> k8s.V1Service:
    """Requests stay on their node, so that a collector reads the exporter beside it."""
    assert spec.gpu_exporter is not None  # noqa: S101 - the caller has looked
    port = GPU_EXPORTER_PORTS[spec.accelerator.vendor]
    return k8s.V1Service(
        api_version="v1",
        kind="Service",
        metadata=_metadata(spec, NAME, spec.gpu_exporter.namespace),
        spec=k8s.V1ServiceSpec(
            selector=_selector(),
            internal_traffic_policy="Local",
            ports=[k8s.V1ServicePort(name="metrics", port=port, target_port=port, protocol="TCP")],
        ),
    )
