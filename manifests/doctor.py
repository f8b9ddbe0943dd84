"""Why there is no data: what a Prometheus and a cluster say about one deployment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firsttoken import catalogue
from firsttoken.manifests.cluster import Cluster, RefusedError
from firsttoken.manifests.metadata import METRICS_PORT
from firsttoken.manifests.monitoring import selector_of
from firsttoken.manifests.names import selector
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.manifests.workloads import matches
from firsttoken.naming import label_name
from firsttoken.prometheus import Prometheus
from firsttoken.promql import quote
from firsttoken.rules.slo import SloFile

__all__ = ["Symptom", "ask_cluster", "ask_prometheus"]

PROMETHEUS = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus"}
# What a scrape's error says, and what is then to be done.
_REMEDIES = (
    ("deadline exceeded", "a NetworkPolicy is in the way, or monitoring.namespace is not where"
     " Prometheus runs"),
    ("no route", "a NetworkPolicy or the network is in the way"),
    ("refused", "the collector does not listen; look at the logs of container collector"),
    ("503", "the collector reaches none of its sources; look at its /sources"),
    ("limit", "the page is larger than the PodMonitor's limits allow"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Symptom:
    """What is wrong, and what helps."""

    found: str
    remedy: str


def _braces(labels: Mapping[str, str]) -> str:
    pairs = [f"{name}={quote(value)}" for name, value in sorted(labels.items())]
    return "{" + ",".join(pairs) + "}"


def ask_prometheus(
    prometheus: Prometheus, spec: DeploymentSpec, slo: SloFile | None
) -> Iterator[Symptom]:
    """What a Prometheus shows to be wrong; raises QueryError where it cannot be asked."""
    labels = selector_of(spec)
    targets = [
        target for target in prometheus.targets() if labels.items() <= target["labels"].items()
    ]
    if not targets:
        yield Symptom(
            f"Prometheus has no target with {_braces(labels)}",
            "it does not select the PodMonitor: compare monitoring.labels with its"
            " podMonitorSelector"
            if spec.monitoring.flavour == "operator"
            else "it has no job for these pods, or that job does not copy pod labels",
        )
    for target in targets:
        if target["health"] == "down":
            said = target["lastError"]
            remedy = next((text for part, text in _REMEDIES if part in said), "look at its page")
            yield Symptom(f"target {target['scrapeUrl']} is down: {said}", remedy)
    if any(target["health"] == "up" for target in targets):
        yield from _series(prometheus, spec, labels)
    yield from _rules(prometheus, slo)


def _series(
    prometheus: Prometheus, spec: DeploymentSpec, labels: Mapping[str, str]
) -> Iterator[Symptom]:
    own = _braces(labels)
    source = label_name(catalogue.SOURCE.name)
    for series in prometheus.query(f"{catalogue.SOURCE_UP.prometheus}{own} == 0"):
        yield Symptom(
            f"the collector at {series.labels.get('instance')} cannot read its source"
            f" {series.labels.get(source)}",
            "the engine may still load; else look at the collector's /sources",
        )
    read = f"{catalogue.SOURCE_UP.prometheus}{_braces({**labels, source: 'gpu'})} == 1"
    gpus = f"{catalogue.GPU_UTILIZATION.prometheus}{own}"
    if spec.gpu_exporter_address and prometheus.query(read) and not prometheus.query(gpus):
        yield Symptom(
            "the GPU exporter is read, and none of its GPUs is the pod's",
            "its series must have the pod's name and namespace: dcgm-exporter needs"
            " DCGM_EXPORTER_KUBERNETES=true and the kubelet's pod-resources socket, and the pod"
            " must ask for its GPU",
        )
    running = catalogue.REQUESTS_RUNNING.prometheus
    if not prometheus.query(f"{running}{own}"):
        yield Symptom(
            f"there is no series {running}{own}",
            "the engine still loads, or what the collector reads is not vLLM's page",
        )
    model = label_name(catalogue.REQUEST_MODEL.name)
    jobs = prometheus.query(f"count by (job) ({running}{_braces({model: spec.model_name})})")
    if len(jobs) > 1:
        named = " and ".join(sorted(series.labels.get("job", "") for series in jobs))
        yield Symptom(
            f"model {spec.model_name} is reported by the jobs {named}",
            "if that is one deployment, it is counted twice: keep one way to scrape it",
        )
    for name in ("job", "instance", "namespace", "pod"):
        renamed = _braces(labels)[:-1] + f',exported_{name}!=""}}'
        if prometheus.query(f"count({renamed})"):
            yield Symptom(
                f"series carry exported_{name}: their own {name} was renamed",
                "a source sets that label; rules that ask for it must know both names",
            )


def _rules(prometheus: Prometheus, slo: SloFile | None) -> Iterator[Symptom]:
    if slo is None:
        return
    groups = [
        group
        for group in prometheus.rule_groups()
        if group["name"].startswith(f"firsttoken-{slo.service}-")
    ]
    if not groups:
        yield Symptom(
            f"no rules of service {slo.service} are loaded",
            "Prometheus does not select the PrometheusRule: compare monitoring.labels with its"
            " ruleSelector",
        )
    for group in groups:
        for rule in group["rules"]:
            if rule.get("lastError"):
                yield Symptom(f"rule {rule['name']}: {rule['lastError']}", "report this")


def ask_cluster(
    cluster: Cluster, spec: DeploymentSpec, objects: tuple[dict[str, Any], ...]
) -> Iterator[Symptom]:
    """What a cluster shows to be wrong; raises RefusedError where pods cannot be read."""
    monitored = [item for item in objects if item["apiVersion"].startswith("monitoring.coreos")]
    for item in monitored:
        try:
            live = cluster.get(item)
        except RefusedError as exc:
            yield Symptom(f"{item['kind']}: {exc}", "the Prometheus operator must be installed")
            continue
        if live is None:
            yield Symptom(
                f"{item['kind']} {item['metadata']['name']} is not there", "apply the deployment"
            )
    if monitored:
        yield from _selected(cluster, spec, monitored)
    yield from _pods(cluster, spec)
    yield from _policies(cluster, spec)


def _selected(
    cluster: Cluster, spec: DeploymentSpec, monitored: list[dict[str, Any]]
) -> Iterator[Symptom]:
    keys = {"PodMonitor": "podMonitor", "PrometheusRule": "rule"}
    try:
        servers = cluster.list(PROMETHEUS | {"metadata": {}}, spec.monitoring.namespace, "")
    except RefusedError:
        return
    if not servers:
        yield Symptom(
            f"namespace {spec.monitoring.namespace} holds no Prometheus of the operator",
            "set monitoring.namespace to where Prometheus runs",
        )
    for server in servers:
        for item in monitored:
            key = keys.get(item["kind"])
            if key is None:
                continue
            chosen = server["spec"].get(f"{key}Selector")
            labels = item["metadata"]["labels"]
            if chosen is None or not matches(chosen, labels):
                wanted = (chosen or {}).get("matchLabels", "nothing")
                yield Symptom(
                    f"Prometheus {server['metadata']['name']} selects {item['kind']}s with"
                    f" {wanted}, and {item['metadata']['name']} is none of them",
                    "set monitoring.labels accordingly",
                )
            elsewhere = server["metadata"].get("namespace") != spec.namespace
            if server["spec"].get(f"{key}NamespaceSelector") is None and elsewhere:
                yield Symptom(
                    f"Prometheus {server['metadata']['name']} looks for {item['kind']}s in its own"
                    " namespace only",
                    f"give it a {key}NamespaceSelector that includes {spec.namespace}",
                )


def _pods(cluster: Cluster, spec: DeploymentSpec) -> Iterator[Symptom]:
    ((label, name),) = selector(spec.name).items()
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": spec.namespace}}
    pods = cluster.list(probe, spec.namespace, f"{label}={name}")
    if not pods:
        yield Symptom(
            f"namespace {spec.namespace} has no pod with {label}={name}",
            "apply the deployment, or look at its events",
        )
    for pod in pods:
        content, title = pod.get("spec") or {}, pod["metadata"]["name"]
        every = [*(content.get("initContainers") or ()), *(content.get("containers") or ())]
        collectors = [c for c in every if c["name"] == "collector"]
        ports = {port.get("name") for c in collectors for port in c.get("ports") or ()}
        if not collectors and spec.platform != "ray-service":
            yield Symptom(f"pod {title} has no collector", "a webhook removed it, or it is old")
        elif collectors and METRICS_PORT not in ports and spec.platform != "kserve-knative":
            yield Symptom(
                f"pod {title}: no port of the collector is called {METRICS_PORT}",
                "the PodMonitor finds it by that name",
            )
        annotations = pod["metadata"].get("annotations") or {}
        asked = annotations.get("prometheus.io/scrape") == "true"
        if asked and spec.monitoring.flavour != "annotations":
            yield Symptom(
                f"pod {title} asks to be scraped by annotation too",
                "KServe's enable-prometheus-scraping or a webhook set it: it is counted twice",
            )


def _policies(cluster: Cluster, spec: DeploymentSpec) -> Iterator[Symptom]:
    """Policies add up: one that lets Prometheus in is enough, and none at all lets everybody."""
    probe = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {}}
    try:
        policies = cluster.list(probe, spec.namespace, "")
    except RefusedError:
        return
    guards = [
        policy
        for policy in policies
        if matches(policy["spec"].get("podSelector"), selector(spec.name))
        and "Ingress" in (policy["spec"].get("policyTypes") or ["Ingress"])
    ]
    if guards and not any(_lets_in(policy, spec) for policy in guards):
        named = " and ".join(sorted(policy["metadata"]["name"] for policy in guards))
        yield Symptom(
            f"NetworkPolicy {named}: namespace {spec.monitoring.namespace} may not reach port"
            f" {spec.collector.port}",
            "let Prometheus in, or set monitoring.namespace to where it runs",
        )


def _lets_in(policy: Mapping[str, Any], spec: DeploymentSpec) -> bool:
    prometheus = {"kubernetes.io/metadata.name": spec.monitoring.namespace}
    for rule in policy["spec"].get("ingress") or ():
        ports = [port.get("port") for port in rule.get("ports") or ()]
        peers = rule.get("from")
        chosen = not peers or any(
            peer.get("namespaceSelector") is not None
            and matches(peer["namespaceSelector"], prometheus)
            for peer in peers
        )
        if chosen and (not ports or {spec.collector.port, METRICS_PORT} & set(ports)):
            return True
    return False
