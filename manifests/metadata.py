"""Names, labels and ports that several objects of a deployment share."""

from kubernetes import client as k8s

from firsttoken.manifests.names import labels
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["COLLECTOR", "ENGINE", "METRICS_PORT", "image_version", "metadata", "pod_annotations"]

ENGINE = "engine"
COLLECTOR = "collector"
METRICS_PORT = "ft-metrics"
"""The collector's port as PodMonitors name it."""


def image_version(image: str) -> str:
    """The tag of an image, or its digest where it has no tag."""
    name, _, digest = image.partition("@")
    return name.rsplit("/", 1)[-1].partition(":")[2] or digest.removeprefix("sha256:")


def metadata(spec: DeploymentSpec, component: str, suffix: str = "") -> k8s.V1ObjectMeta:
    """Name, namespace and labels of an object; the version is that of the component's image."""
    image = spec.engine.image if component == ENGINE else spec.collector.image
    return k8s.V1ObjectMeta(
        name=f"{spec.name}{suffix}",
        namespace=spec.namespace,
        labels=labels(spec.name, component, image_version(image)),
    )


def pod_annotations(spec: DeploymentSpec, config_digest: str) -> dict[str, str]:
    """Annotations of the pods: what they were configured with and, if so chosen, where to scrape.

    Only one of annotations and PodMonitor is ever made, or everything would be counted twice.
    """
    found = {"firsttoken.dev/collector-config": config_digest}
    if spec.monitoring.flavour == "annotations":
        found |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(spec.collector.port),
            "prometheus.io/path": "/metrics",
        }
    return found
