"""All checks by name, and how they are run."""

from collections.abc import Callable, Iterable, Mapping

from firsttoken.manifests import (
    check_engine,
    check_monitoring,
    check_objects,
    check_pods,
    check_wiring,
)
from firsttoken.manifests.documents import Item
from firsttoken.manifests.findings import Finding, Found, World
from firsttoken.manifests.schemas import Schemas
from firsttoken.manifests.workloads import pods_of

__all__ = ["CHECKS", "RELEASES", "run"]

RELEASES = ("1.30", "1.32", "1.37")
"""The Kubernetes releases that objects are held against."""

CHECKS: Mapping[str, Callable[[World], Found]] = {
    "schema": check_objects.schema,
    "duplicates": check_objects.duplicates,
    "names": check_objects.names,
    "labels": check_objects.labelled,
    "secrets": check_objects.secrets,
    "permissions": check_objects.permissions,
    "selectors": check_wiring.selectors,
    "ports": check_wiring.ports,
    "scrape": check_wiring.scrape,
    "network": check_wiring.network,
    "security": check_pods.security,
    "resources": check_pods.resources,
    "images": check_pods.images,
    "probes": check_pods.probes,
    "stop": check_pods.stop,
    "availability": check_pods.availability,
    "gpus": check_pods.gpus,
    "vllm": check_engine.vllm,
    "kserve": check_engine.kserve,
    "rules": check_monitoring.rules,
    "alerts": check_monitoring.alerts,
    "alertmanager": check_monitoring.alertmanager,
    "dashboards": check_monitoring.dashboards,
    "tracing": check_monitoring.tracing,
    "logs": check_monitoring.logs,
}


def run(
    items: Iterable[Item],
    schemas: Schemas,
    *,
    releases: tuple[str, ...] = RELEASES,
    skip: frozenset[str] = frozenset(),
) -> list[Finding]:
    """What the checks object to, in the order of the objects.

    Raises NotJudgedError where a tool or library that a check needs is not installed.
    """
    every = tuple(items)
    world = World(every, tuple(pods_of(every)), schemas, releases)
    order = {id(item): index for index, item in enumerate(every)}
    found: list[tuple[int, Finding]] = []
    for name, check in CHECKS.items():
        if name in skip:
            continue
        try:
            for item, message in check(world):
                found.append((order[id(item)], Finding(name, item.place, item.title, message)))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            # An object that is not as its schema says; the schema check names the place.
            said = f"could not be judged, because an object is malformed: {exc}"
            found.append((len(every), Finding(name, every[0].place, "all", said)))
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]
