"""All objects of a deployment file, in the order in which they are best applied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsttoken.manifests.engine import deployment
from firsttoken.manifests.histograms import custom_buckets, with_bounds
from firsttoken.manifests.monitoring import dashboard_maps, pod_monitor, prometheus_rule
from firsttoken.manifests.network import network_policy
from firsttoken.manifests.render import plain
from firsttoken.manifests.service import claim, disruption_budget, service
from firsttoken.manifests.sidecar import config_digest, config_map
from firsttoken.manifests.spec import DeploymentSpec, load
from firsttoken.rules.slo import SloFile
from firsttoken.rules.slo import load as load_objectives

__all__ = ["Bundle", "bundle", "read"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Plain objects by concern; later concerns can be applied without the earlier ones."""

    engine: tuple[dict[str, Any], ...]
    monitoring: tuple[dict[str, Any], ...]
    dashboards: tuple[dict[str, Any], ...]

    @property
    def concerns(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """The concerns that have objects, in order."""
        every = {
            "engine": self.engine,
            "monitoring": self.monitoring,
            "dashboards": self.dashboards,
        }
        return {name: items for name, items in every.items() if items}

    @property
    def objects(self) -> tuple[dict[str, Any], ...]:
        """All objects in order."""
        return (*self.engine, *self.monitoring, *self.dashboards)


def read(file: Path) -> tuple[DeploymentSpec, SloFile | None]:
    """A deployment file and the objective file that it names; raises ConfigError."""
    spec = load(file)
    if spec.objectives is None:
        return spec, None
    return spec, load_objectives(file.parent / spec.objectives)


def bundle(spec: DeploymentSpec, slo: SloFile | None) -> Bundle:
    """Everything that a cluster needs for the deployment.

    Raises ConfigError and UsageError for objectives that cannot be watched.
    """
    if slo is not None:
        slo = with_bounds(slo, spec.engine.version)
    buckets = custom_buckets(slo) if slo else None
    engine = [
        config_map(spec),
        claim(spec),
        service(spec),
        network_policy(spec),
        disruption_budget(spec),
        deployment(spec, buckets, config_digest(spec)),
    ]
    monitoring = [pod_monitor(spec)]
    if slo is not None:
        monitoring.append(prometheus_rule(spec, slo))
    return Bundle(
        tuple(plain(item) for item in engine if item is not None),
        tuple(monitoring),
        tuple(dashboard_maps(spec)) if spec.monitoring.dashboards else (),
    )
