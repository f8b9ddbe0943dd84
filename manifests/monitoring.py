"""What the Prometheus operator and Grafana's sidecar read: PodMonitor, rules, dashboards."""

from typing import Any

from firsttoken.config import format_duration
from firsttoken.dashboards import render as dashboards
from firsttoken.manifests.metadata import COLLECTOR, METRICS_PORT, metadata
from firsttoken.manifests.names import label_value, selector
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Group, Options
from firsttoken.rules.output import prometheusrule
from firsttoken.rules.slo import SloFile

__all__ = ["dashboard_maps", "groups", "job", "pod_monitor", "prometheus_rule"]

# Above what a page of vLLM 0.32, eight GPUs and the collector's own metrics needs, several times.
SAMPLE_LIMIT = 20_000
LABEL_LIMIT = 64
LABEL_LENGTH_LIMIT = 2_048
BODY_LIMIT = "16MB"


def job(spec: DeploymentSpec) -> str:
    """The ``job`` label that the Prometheus operator gives to what the PodMonitor selects."""
    return f"{spec.namespace}/{spec.name}"


def pod_monitor(spec: DeploymentSpec) -> dict[str, Any]:
    """A PodMonitor that selects the engine's pods and scrapes the collector, never vLLM itself."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _found_by_prometheus(spec),
        "spec": {
            "selector": {"matchLabels": selector(spec.name)},
            "namespaceSelector": {"matchNames": [spec.namespace]},
            "sampleLimit": SAMPLE_LIMIT,
            "labelLimit": LABEL_LIMIT,
            "labelValueLengthLimit": LABEL_LENGTH_LIMIT,
            "bodySizeLimit": BODY_LIMIT,
            "podMetricsEndpoints": [
                {
                    "port": METRICS_PORT,
                    "path": "/metrics",
                    "scheme": "http",
                    "interval": format_duration(spec.monitoring.interval),
                    "scrapeTimeout": format_duration(spec.monitoring.scrape_timeout),
                    # The collector's labels are the source's; the pod's come from discovery.
                    "honorLabels": False,
                }
            ],
        },
    }


def groups(spec: DeploymentSpec, slo: SloFile) -> tuple[Group, ...]:
    """The rule groups of the objectives, narrowed to this deployment's series.

    A selector in the objective file is kept as it is.  Raises ConfigError and UsageError as
    ``rules.generate.rule_groups`` does.
    """
    if not slo.selector:
        slo = slo.model_copy(update={"selector": {"job": job(spec)}})
    scrape = max(1, round(spec.monitoring.interval))
    return rule_groups(slo, options=Options(scrape, runbooks=spec.monitoring.runbooks))


def prometheus_rule(spec: DeploymentSpec, slo: SloFile) -> dict[str, Any]:
    """The objectives' recording rules and alerts."""
    found = _found_by_prometheus(spec)
    return prometheusrule(
        groups(spec, slo),
        name=found["name"],
        namespace=found["namespace"],
        labels=found["labels"],
    )


def dashboard_maps(spec: DeploymentSpec) -> list[dict[str, Any]]:
    """A ConfigMap for each dashboard, beside Grafana.

    They are the same for every deployment, down to their labels, so that several deployments can
    bring them and none takes them from another.
    """
    labels = {
        "app.kubernetes.io/name": "dashboards",
        "app.kubernetes.io/component": "dashboards",
        "app.kubernetes.io/part-of": "firsttoken",
        "app.kubernetes.io/managed-by": "firsttoken",
        spec.monitoring.dashboard_label: "1",
    }
    found = []
    for uid, shape in dashboards.dashboards().items():
        item = dashboards.configmap(uid, {uid: shape}, namespace=spec.monitoring.namespace)
        item["metadata"]["labels"] = labels.copy()
        found.append(item)
    return found


def _found_by_prometheus(spec: DeploymentSpec) -> dict[str, Any]:
    """Metadata with the labels that Prometheus' selectors ask for."""
    common = metadata(spec, COLLECTOR)
    wanted = {name: label_value(value) for name, value in spec.monitoring.labels.items()}
    return {
        "name": common.name,
        "namespace": common.namespace,
        "labels": {**(common.labels or {}), **wanted},
    }
