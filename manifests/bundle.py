"""All objects of a deployment file, in the order in which they are best applied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsttoken.manifests.alerting import alertmanager_config
from firsttoken.manifests.gpuexporter import gpu_exporter
from firsttoken.manifests.histograms import custom_buckets, with_bounds
from firsttoken.manifests.loadtest import load_test
from firsttoken.manifests.logship import log_shipper
from firsttoken.manifests.monitoring import FLAVOURS, dashboard_objects
from firsttoken.manifests.network import network_policy
from firsttoken.manifests.platforms import PLATFORMS
from firsttoken.manifests.render import plain
from firsttoken.manifests.scaling import scaled_object
from firsttoken.manifests.service import claim, disruption_budget
from firsttoken.manifests.sidecar import config_digest, config_map
from firsttoken.manifests.spec import DeploymentSpec, load
from firsttoken.manifests.tracestore import trace_store
from firsttoken.rules.slo import SloFile
from firsttoken.rules.slo import load as load_objectives

__all__ = ["Bundle", "bundle", "read"]


Objects = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Plain objects by concern; every concern can be applied without the others."""

    engine: Objects
    monitoring: Objects
    dashboards: Objects
    guards: Objects = ()
    """Network policy and disruption budget, which a cluster on a laptop has no use for."""
    guarded: bool = True
    """Whether the guards are among ``objects``: in the profile ``prod``."""
    gpu_exporter: Objects = ()
    tracing: Objects = ()
    logs: Objects = ()
    load_test: Objects = ()
    """Starts a load when it is applied, and is therefore no part of ``objects``."""

    @property
    def concerns(self) -> dict[str, Objects]:
        """The concerns that have objects, in order."""
        every = {
            "engine": self.engine,
            "guards": self.guards,
            "monitoring": self.monitoring,
            "dashboards": self.dashboards,
            "gpu-exporter": self.gpu_exporter,
            "tracing": self.tracing,
            "logs": self.logs,
            "load-test": self.load_test,
        }
        return {name: items for name, items in every.items() if items}

    @property
    def objects(self) -> tuple[dict[str, Any], ...]:
        """All objects in order, the load test left out."""
        guards = self.guards if self.guarded else ()
        around = (*self.gpu_exporter, *self.tracing, *self.logs, *guards)
        return (*around, *self.engine, *self.monitoring, *self.dashboards)


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
    engine = _plain(config_map(spec), claim(spec))
    engine += PLATFORMS[spec.platform](spec, buckets, config_digest(spec))
    engine += _plain(scaled_object(spec))
    monitoring = FLAVOURS[spec.monitoring.flavour](spec, slo)
    monitoring += _plain(alertmanager_config(spec))
    return Bundle(
        tuple(engine),
        tuple(monitoring),
        tuple(dashboard_objects(spec, slo)),
        tuple(_plain(network_policy(spec), disruption_budget(spec))),
        spec.profile == "prod",
        tuple(gpu_exporter(spec)),
        tuple(trace_store(spec)),
        tuple(log_shipper(spec)),
        tuple(load_test(spec, slo)),
    )


def _plain(*items: object | None) -> list[dict[str, Any]]:
    return [plain(item) for item in items if item is not None]
