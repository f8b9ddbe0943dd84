"""What the Prometheus operator and Grafana's sidecar read: PodMonitor, rules, dashboards."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes import client as k8s

from firsttoken.config import format_duration
from firsttoken.dashboards import render as dashboards
from firsttoken.manifests.custom import LabelSelector
from firsttoken.manifests.custom_grafana import GrafanaDashboard
from firsttoken.manifests.custom_prometheus import (
    NamespaceSelector,
    PodMetricsEndpoint,
    PodMonitor,
    PodMonitorSpec,
    PrometheusRule,
    Relabeling,
)
from firsttoken.manifests.metadata import COLLECTOR, METRICS_PORT, metadata
from firsttoken.manifests.names import label_value, selector
from firsttoken.manifests.render import plain
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.naming import label_name
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Group, Options
from firsttoken.rules.output import prometheusrule, rule_file, to_yaml
from firsttoken.rules.slo import SloFile

__all__ = [
    "FLAVOURS",
    "dashboard_objects",
    "found_by_prometheus",
    "groups",
    "job",
    "pod_monitor",
    "prometheus_rule",
    "scrape_job",
    "selector_of",
]

# Above what a page of vLLM 0.32, eight GPUs and the collector's own metrics needs, several times.
SAMPLE_LIMIT = 20_000
LABEL_LIMIT = 64
LABEL_LENGTH_LIMIT = 2_048
BODY_LIMIT = "16MB"


def job(spec: DeploymentSpec) -> str:
    """The ``job`` label that the Prometheus operator gives to what the PodMonitor selects."""
    return f"{spec.namespace}/{spec.name}"


def pod_monitor(spec: DeploymentSpec) -> PodMonitor:
    """A PodMonitor that selects the engine's pods and scrapes the collector, never vLLM itself."""
    # Where the collector may not declare its port, its container is picked and the port added.
    by_name = spec.platform != "kserve-knative"
    endpoint = PodMetricsEndpoint(
        port=METRICS_PORT if by_name else None,
        relabelings=None if by_name else _picked(spec),
        path="/metrics",
        interval=format_duration(spec.monitoring.interval),
        scrape_timeout=format_duration(spec.monitoring.scrape_timeout),
        # The collector's labels are the source's; the pod's come from discovery.
        honor_labels=False,
    )
    return PodMonitor(
        metadata=found_by_prometheus(spec),
        spec=PodMonitorSpec(
            selector=LabelSelector(match_labels=selector(spec.name)),
            namespace_selector=NamespaceSelector(match_names=(spec.namespace,)),
            sample_limit=SAMPLE_LIMIT,
            label_limit=LABEL_LIMIT,
            label_value_length_limit=LABEL_LENGTH_LIMIT,
            body_size_limit=BODY_LIMIT,
            pod_metrics_endpoints=(endpoint,),
        ),
    )


def _picked(spec: DeploymentSpec) -> tuple[Relabeling, ...]:
    return (
        Relabeling(
            source_labels=("__meta_kubernetes_pod_container_name",), regex=COLLECTOR, action="keep"
        ),
        Relabeling(
            source_labels=("__meta_kubernetes_pod_ip",),
            target_label="__address__",
            replacement=f"$1:{spec.collector.port}",
            action="replace",
        ),
    )


def groups(spec: DeploymentSpec, slo: SloFile) -> tuple[Group, ...]:
    """The rule groups of the objectives, narrowed to this deployment's series.

    A selector in the objective file is kept as it is.  Raises ConfigError and UsageError as
    ``rules.generate.rule_groups`` does.
    """
    # The operator hands alerts to the configurations of their namespace.
    slo = slo.model_copy(update={"labels": {"namespace": spec.namespace, **slo.labels}})
    if not slo.selector:
        slo = slo.model_copy(update={"selector": selector_of(spec)})
    scrape = max(1, round(spec.monitoring.interval))
    given = spec.monitoring
    options = Options(scrape, runbooks=given.runbooks, grafana=given.grafana_address)
    return rule_groups(slo, options=options)


def selector_of(spec: DeploymentSpec) -> dict[str, str]:
    """Labels by which Prometheus knows this deployment's series."""
    if spec.monitoring.flavour == "annotations":
        # The usual job for annotated pods copies a pod's labels and has one name for all.
        own = {label_name(name): value for name, value in selector(spec.name).items()}
        return {"namespace": spec.namespace, **own}
    return {"job": job(spec)}


def prometheus_rule(spec: DeploymentSpec, slo: SloFile) -> PrometheusRule:
    """The objectives' recording rules and alerts."""
    found = found_by_prometheus(spec)
    return PrometheusRule.model_validate(
        prometheusrule(
            groups(spec, slo), name=spec.name, namespace=found.namespace, labels=found.labels
        )
    )


def scrape_job(spec: DeploymentSpec) -> dict[str, Any]:
    """A job for ``scrape_configs`` of a Prometheus that finds pods by itself."""
    pod_label = f"__meta_kubernetes_pod_label_{label_name(next(iter(selector(spec.name))))}"
    return {
        "job_name": job(spec),
        "scrape_interval": format_duration(spec.monitoring.interval),
        "scrape_timeout": format_duration(spec.monitoring.scrape_timeout),
        "sample_limit": SAMPLE_LIMIT,
        "label_limit": LABEL_LIMIT,
        "label_value_length_limit": LABEL_LENGTH_LIMIT,
        "body_size_limit": BODY_LIMIT,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [spec.namespace]}}],
        "relabel_configs": [
            {"source_labels": [pod_label], "regex": spec.name, "action": "keep"},
            {
                "source_labels": ["__meta_kubernetes_pod_container_name"],
                "regex": COLLECTOR,
                "action": "keep",
            },
            {
                "source_labels": ["__meta_kubernetes_pod_ip"],
                "target_label": "__address__",
                "replacement": f"$1:{spec.collector.port}",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }


def _files(spec: DeploymentSpec, slo: SloFile | None) -> list[dict[str, Any]]:
    """A ConfigMap with what a Prometheus without operator reads as files."""
    files: dict[str, str] = {}
    if spec.monitoring.flavour == "prometheus":
        files["scrape.yaml"] = to_yaml({"scrape_configs": [scrape_job(spec)]})
    if slo is not None:
        files["rules.yaml"] = rule_file(groups(spec, slo))
    if not files:
        return []
    found = found_by_prometheus(spec)
    found.name = f"{spec.name}-prometheus"
    return [plain(k8s.V1ConfigMap(api_version="v1", kind="ConfigMap", metadata=found, data=files))]


def _operator(spec: DeploymentSpec, slo: SloFile | None) -> list[dict[str, Any]]:
    rules = [] if slo is None else [plain(prometheus_rule(spec, slo))]
    return [plain(pod_monitor(spec)), *rules]


FLAVOURS: dict[str, Callable[[DeploymentSpec, SloFile | None], list[dict[str, Any]]]] = {
    "operator": _operator,
    "annotations": _files,
    "prometheus": _files,
}
"""What Prometheus reads, by ``monitoring.flavour``."""


def dashboard_objects(spec: DeploymentSpec, slo: SloFile | None) -> list[dict[str, Any]]:
    """A ConfigMap or a GrafanaDashboard for each dashboard, beside Grafana.

    They are the same for every deployment with the same address of runbooks, down to their labels,
    so that several deployments can bring them and none takes them from another.
    """
    given = spec.monitoring
    if given.dashboards == "none":
        return []
    labels = {
        "app.kubernetes.io/name": "dashboards",
        "app.kubernetes.io/component": "dashboards",
        "app.kubernetes.io/part-of": "firsttoken",
        "app.kubernetes.io/managed-by": "firsttoken",
    }
    if given.dashboards == "configmap":
        labels[given.dashboard_label] = "1"
    runbooks = given.runbooks or (slo.runbooks if slo else "")
    found: list[object] = []
    for uid, shape in _shapes(runbooks).items():
        if given.dashboards == "configmap":
            item = dashboards.configmap(uid, {uid: shape}, namespace=given.namespace)
            common = k8s.V1ObjectMeta(**item["metadata"] | {"labels": labels})
            found.append(
                k8s.V1ConfigMap(
                    api_version="v1", kind="ConfigMap", metadata=common, data=item["data"]
                )
            )
        else:
            item = dashboards.grafana_dashboard(
                shape, namespace=given.namespace, instances=given.grafana
            )
            item["metadata"]["labels"] = labels
            found.append(GrafanaDashboard.model_validate(item))
    return [plain(item) for item in found]


@functools.cache
def _shapes(runbooks: str) -> Mapping[str, Mapping[str, Any]]:
    """The dashboards, which are the same for every deployment; nobody may change them."""
    return dashboards.dashboards(runbooks=runbooks)


def found_by_prometheus(spec: DeploymentSpec) -> k8s.V1ObjectMeta:
    """Metadata with the labels that Prometheus' selectors ask for."""
    common = metadata(spec, COLLECTOR)
    wanted = {name: label_value(value) for name, value in spec.monitoring.labels.items()}
    common.labels = {**(common.labels or {}), **wanted}
    return common
