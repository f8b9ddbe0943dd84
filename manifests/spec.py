"""The deployment file: which model runs where, with which objectives and monitoring."""

import math
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from firsttoken.config import Model, load_yaml
from firsttoken.manifests.security import Security
from firsttoken.manifests.settings import (
    GPU_EXPORTER_PORTS,
    Accelerator,
    Alerting,
    Autoscaling,
    Collector,
    Engine,
    GpuExporter,
    LoadTest,
    Logs,
    ModelName,
    ModelPlace,
    Monitoring,
    Name,
    Quantity,
    Tracing,
    pinned,
)
from firsttoken.manifests.sources import Location, parse

__all__ = [
    "PRE_STOP_S",
    "RAY_METRICS_PORT",
    "DeploymentSpec",
    "Platform",
    "load",
]

Platform = Literal[
    "deployment", "kserve-standard", "kserve-knative", "llm-inference-service", "ray-service"
]


class DeploymentSpec(Model):
    """One model behind one Service, with its objectives."""

    version: Literal["firsttoken/v1"]
    name: Name
    platform: Platform = "deployment"
    """What runs the engine: Kubernetes itself, KServe in one of its forms, or KubeRay."""
    profile: Literal["prod", "dev"] = "prod"
    """``dev`` leaves out what a cluster on a laptop has no use for: budget, network policy."""
    security: Security = "restricted"
    """``openshift`` leaves the pods' user to the platform."""
    namespace: Name = "default"
    model: ModelPlace
    """A hub id, a path inside the container, or hf://, pvc://, oci:// or s3:// and a place."""
    served_model_name: ModelName | None = None
    replicas: int = Field(default=1, ge=0)
    collector: Collector
    objectives: Path | None = None
    """The objective file, relative to this file."""
    accelerator: Accelerator = Accelerator()
    engine: Engine = Engine()
    monitoring: Monitoring = Monitoring()
    tracing: Tracing | None = None
    autoscaling: Autoscaling | None = None
    alerting: Alerting | None = None
    logs: Logs | None = None
    load_test: LoadTest | None = None
    gpu_exporter: GpuExporter | None = None
    cache: Quantity | None = None
    """Size of a PersistentVolumeClaim for the model's files; without it an emptyDir is used."""

    @model_validator(mode="after")
    def _distinct_ports(self) -> "DeploymentSpec":
        ports = {"engine.port": self.engine.port, "collector.port": self.collector.port}
        if self.platform == "ray-service":
            ports["Ray's metrics port"] = RAY_METRICS_PORT
        for (first, port), (second, other) in combinations(ports.items(), 2):
            if port == other:
                raise ValueError(f"{first} and {second} are both {port}")
        return self

    @model_validator(mode="after")
    def _model_has_a_name_and_a_place(self) -> "DeploymentSpec":
        if self.location.source not in ("hub", "path") and self.served_model_name is None:
            raise ValueError(f"served_model_name: required with a model at {self.location.uri}")
        if self.location.source == "oci":
            pinned(self.location.rest)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "DeploymentSpec":
        if self.gpu_exporter and self.accelerator.vendor not in GPU_EXPORTER_PORTS:
            vendors = " and ".join(GPU_EXPORTER_PORTS)
            raise ValueError(f"gpu_exporter: for {vendors}, not {self.accelerator.vendor}")
        if self.gpu_exporter and self.collector.gpu_exporter:
            raise ValueError("collector.gpu_exporter: gpu_exporter gives the address")
        if self.alerting and self.monitoring.flavour != "operator":
            raise ValueError("alerting: needs monitoring.flavour operator")
        return self

    @model_validator(mode="after")
    def _can_be_scaled(self) -> "DeploymentSpec":
        if self.autoscaling is None:
            return self
        if self.platform not in SCALABLE:
            raise ValueError(f"autoscaling: for {' and '.join(SCALABLE)}, not {self.platform}")
        if self.autoscaling.most < max(1, self.replicas):
            raise ValueError(f"autoscaling.most: {self.autoscaling.most} is below replicas")
        return self

    @model_validator(mode="after")
    def _template_fits(self) -> "DeploymentSpec":
        if self.platform != "llm-inference-service":
            return self
        if self.location.source == "path":
            raise ValueError(f"model: {self.platform} needs an address, not a path")
        if self.engine.port != LLM_PORT:
            raise ValueError(f"engine.port: {self.platform} serves on {LLM_PORT} and no other")
        if self.cache:
            raise ValueError(f"cache: {self.platform} keeps the model's files itself")
        return self

    @model_validator(mode="after")
    def _hosts_fit(self) -> "DeploymentSpec":
        # KServe makes a host of these, and one part of a host has at most 63 characters.
        length = len(f"{self.name}-predictor-{self.namespace}")
        if self.platform.startswith("kserve") and length > 63:
            raise ValueError(
                f"name: with -predictor- and the namespace {length} characters,"
                f" {self.platform} allows 63"
            )
        return self

    @property
    def most_replicas(self) -> int:
        """Replicas that there can be at one time."""
        return self.autoscaling.most if self.autoscaling else self.replicas

    @property
    def gpu_exporter_address(self) -> str | None:
        """The page of the GPU exporter beside a pod, None where none is read."""
        if self.gpu_exporter is None:
            return self.collector.gpu_exporter
        port = GPU_EXPORTER_PORTS[self.accelerator.vendor]
        return f"http://gpu-exporter.{self.gpu_exporter.namespace}.svc:{port}/metrics"

    @property
    def location(self) -> Location:
        """Where the model's files are."""
        return parse(self.model)

    @property
    def mounts_model(self) -> bool:
        """Whether the pod itself mounts the model's files."""
        return self.platform in ("deployment", "ray-service") and self.location.volume is not None

    @property
    def model_name(self) -> str:
        """The name under which clients ask for the model."""
        return self.served_model_name or self.location.rest

    @property
    def grace_period(self) -> int:
        """Seconds from SIGTERM to SIGKILL: the pause before it, the shutdown, a last scrape, and a
        margin.
        """
        shutdown = int(Decimal(str(self.engine.shutdown_timeout)))
        return PRE_STOP_S + shutdown + math.ceil(self.monitoring.interval) + 10


SCALABLE = ("deployment", "kserve-standard")
"""Platforms whose replicas KEDA may set; the others scale by themselves."""
LLM_PORT = 8000
"""The port of KServe's template for language models."""
RAY_METRICS_PORT = 8080
"""Where each node of a Ray cluster serves its metrics."""
PRE_STOP_S = 10
"""Seconds in which endpoints learn that a pod goes, before the engine is told."""


def load(path: Path) -> DeploymentSpec:
    """Read a deployment file; raises ConfigError."""
    return load_yaml(path, DeploymentSpec)
