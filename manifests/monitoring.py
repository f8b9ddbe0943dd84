"""What the Prometheus operator and Grafana's sidecar read: PodMonitor, rules, dashboards."""

from typing import Any

from firsttoken.config import format_duration
from firsttoken.manifests.engine import METRICS_PORT
from firsttoken.manifests.names import label_value, labels, selector
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["monitoring_labels", "pod_monitor"]

# Above what a page of vLLM 0.32, eight GPUs and the collector's own metrics needs, several times.
SAMPLE_LIMIT = 20_000
BODY_LIMIT = "16MB"


def monitoring_labels(spec: DeploymentSpec, component: str) -> dict[str, str]:
    """The labels of an object that Prometheus' selectors must find."""
    version = label_value(spec.collector.image.rsplit(":", 1)[-1])
    return labels(spec.name, component, version) | spec.monitoring.labels


def pod_monitor(spec: DeploymentSpec) -> dict[str, Any]:
    """A PodMonitor that selects the engine's pods and scrapes the collector, never vLLM itself."""
    interval = spec.monitoring.interval
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {
            "name": spec.name,
            "namespace": spec.namespace,
            "labels": monitoring_labels(spec, "monitor"),
        },
        "spec": {
            "selector": {"matchLabels": selector(spec.name)},
            "namespaceSelector": {"matchNames": [spec.namespace]},
            "sampleLimit": SAMPLE_LIMIT,
            "bodySizeLimit": BODY_LIMIT,
            "podMetricsEndpoints": [
                {
                    "port": METRICS_PORT,
                    "path": "/metrics",
                    "scheme": "http",
                    "interval": format_duration(interval),
                    "scrapeTimeout": format_duration(min(10.0, interval * 0.9)),
                    # The collector's labels are the source's; the pod's come from discovery.
                    "honorLabels": False,
                }
            ],
        },
    }
