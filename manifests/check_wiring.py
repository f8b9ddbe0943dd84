"""Checks of what points at what: selectors, ports, monitors, network policies."""

from collections.abc import Iterable, Iterator
from typing import Any

from firsttoken.config import parse_duration
from firsttoken.manifests.documents import Item
from firsttoken.manifests.findings import Found, World
from firsttoken.manifests.workloads import PodView, matches

__all__ = ["network", "ports", "scrape", "selectors"]


def _selected(
    pods: Iterable[PodView], namespaces: Iterable[str], selector: dict[str, Any] | None
) -> list[PodView]:
    wanted = set(namespaces)
    return [p for p in pods if p.item.namespace in wanted and matches(selector, p.labels)]


def _pod_selector(item: Item) -> dict[str, Any] | None:
    if item.kind == "Service":
        labels = item.spec.get("selector")
        return {"matchLabels": labels} if labels else None
    return item.spec.get("podSelector" if item.kind == "NetworkPolicy" else "selector")


def selectors(world: World) -> Found:
    """Selectors match the pods that are meant, all of them and no others."""
    for pod in world.pods:
        if pod.item.kind in ("Deployment", "StatefulSet", "DaemonSet"):
            own = pod.item.spec.get("selector") or {}
            if not matches(own, pod.labels):
                yield pod.item, "its selector does not match its own template"
            if "app.kubernetes.io/version" in own.get("matchLabels", {}):
                yield pod.item, "selects by version, which cannot be changed later"
    for item in world.of_kind("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        selector = _pod_selector(item)
        if selector is None or not world.pods:
            continue
        found = _selected(world.pods, _namespaces(item), selector)
        owners = {pod.item.title for pod in found}
        if not found:
            yield item, "selects no pod"
        elif len(owners) > 1 and selector and item.kind != "NetworkPolicy":
            yield item, f"selects the pods of {' and '.join(sorted(owners))}"


def _namespaces(monitor: Item) -> list[str]:
    """Where a monitor, or anything else that selects, looks for pods."""
    chosen = monitor.spec.get("namespaceSelector") or {}
    return list(chosen.get("matchNames") or [monitor.namespace])


def ports(world: World) -> Found:
    """A port that is pointed at exists."""
    for service in world.of_kind("Service"):
        pods = _selected(world.pods, [service.namespace], _pod_selector(service))
        if not service.spec.get("selector") or not pods:
            continue
        for port in service.spec.get("ports") or ():
            target = port.get("targetPort", port.get("port"))
            if not any(target in _container_ports(pod) for pod in pods):
                yield service, f"target port {target} is none of the pods'"
    for monitor in world.of_kind("PodMonitor"):
        pods = _selected(world.pods, _namespaces(monitor), _pod_selector(monitor))
        for endpoint in monitor.spec.get("podMetricsEndpoints") or ():
            for key in ("port", "portNumber", "targetPort"):
                if key in endpoint and pods and not any(
                    endpoint[key] in _container_ports(pod) for pod in pods
                ):  # fmt: skip
                    yield monitor, f"{key} {endpoint[key]} is none of the pods'"
    for monitor in world.of_kind("ServiceMonitor"):
        names = {
            port.get("name")
            for service in world.of_kind("Service")
            if service.namespace in _namespaces(monitor)
            and matches(monitor.spec.get("selector"), service.metadata.get("labels") or {})
            for port in service.spec.get("ports") or ()
        }
        for endpoint in monitor.spec.get("endpoints") or ():
            if "port" in endpoint and names and endpoint["port"] not in names:
                yield monitor, f"port {endpoint['port']} is no Service port's name"


def _container_ports(pod: PodView) -> set[Any]:
    return {
        value
        for container in pod.every_container
        for port in container.get("ports") or ()
        for value in (port.get("name"), port.get("containerPort"))
    }


def scrape(world: World) -> Found:
    """Every pod is scraped once, in time, and within limits."""
    for monitor in world.of_kind("PodMonitor", "ServiceMonitor"):
        if not monitor.spec.get("namespaceSelector"):
            yield monitor, "says not in which namespaces it looks (namespaceSelector)"
        for limit in ("sampleLimit", "bodySizeLimit"):
            if limit not in monitor.spec:
                yield monitor, f"has no {limit}"
        key = "podMetricsEndpoints" if monitor.kind == "PodMonitor" else "endpoints"
        for endpoint in monitor.spec.get(key) or ():
            for message in _times(endpoint):
                yield monitor, message
    for pod in world.pods:
        yield from _scraped_twice(world, pod)


def _times(endpoint: dict[str, Any]) -> Iterator[str]:
    interval, timeout = endpoint.get("interval"), endpoint.get("scrapeTimeout")
    if interval and timeout and parse_duration(timeout) >= parse_duration(interval):
        yield f"scrapeTimeout {timeout} is not below the interval {interval}"


def _scraped_twice(world: World, pod: PodView) -> Found:
    monitors = [
        monitor
        for monitor in world.of_kind("PodMonitor")
        if pod.item.namespace in _namespaces(monitor)
        and matches(_pod_selector(monitor), pod.labels)
    ]
    if pod.annotations.get("prometheus.io/scrape") == "true" and monitors:
        yield pod.item, f"is scraped twice: by annotation and by {monitors[0].title}"
    elif len(monitors) > 1:
        yield pod.item, f"is scraped twice: {' and '.join(m.title for m in monitors)}"


def network(world: World) -> Found:
    """A policy guards the engine; its ports are numbers, which every network plugin knows."""
    policies = list(world.of_kind("NetworkPolicy"))
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in policy.spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    if isinstance(port.get("port"), str):
                        yield policy, f"port {port['port']} is a name, give its number"
    for pod in world.pods:
        guards = [
            policy
            for policy in policies
            if policy.namespace == pod.item.namespace and matches(_pod_selector(policy), pod.labels)
        ]
        if policies and pod.engines and not guards:
            yield pod.item, "no NetworkPolicy selects the engine"
    for service in world.of_kind("Service"):
        for port in service.spec.get("ports") or ():
            if isinstance(port.get("targetPort"), str) and _is_sidecars(world, service, port):
                yield (
                    service,
                    f"targetPort {port['targetPort']} names a sidecar's port; old"
                    " clusters need its number",
                )


def _is_sidecars(world: World, service: Item, port: dict[str, Any]) -> bool:
    return any(
        own.get("name") == port["targetPort"]
        for pod in _selected(world.pods, [service.namespace], _pod_selector(service))
        for sidecar in pod.sidecars
        for own in sidecar.get("ports") or ()
    )
