"""The deployment file: which model runs where, with which objectives and monitoring."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml
from firsttoken.manifests.names import check_dns_label, check_quantity

__all__ = ["Accelerator", "Collector", "DeploymentSpec", "Engine", "Monitoring", "load"]

Name = Annotated[str, AfterValidator(check_dns_label)]
Quantity = Annotated[str, AfterValidator(check_quantity)]

RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/xe"}


def _pinned(image: str) -> str:
    """Refuse an image that can change under a deployment: no tag, or ``latest``."""
    last = image.rsplit("/", 1)[-1]
    if "@sha256:" in image or (":" in last and not last.endswith(":latest")):
        return image
    raise ValueError("an image with a tag other than latest, or with a digest, is required")


Image = Annotated[str, AfterValidator(_pinned)]


class Accelerator(Model):
    """The GPUs of one replica."""

    vendor: Literal["nvidia", "amd", "intel", "none"] = "nvidia"
    count: int = Field(default=1, ge=0, le=16)

    @property
    def resource(self) -> str | None:
        """The extended resource that a container asks for, None without a GPU."""
        return RESOURCES.get(self.vendor) if self.count else None


class Engine(Model):
    """The vLLM container: image, port, limits and how long it may take to load."""

    image: Image = "vllm/vllm-openai:v0.32.0"
    port: int = Field(default=8000, ge=1, le=65535)
    arguments: tuple[str, ...] = ()
    cpu: Quantity = "4"
    memory: Quantity = "32Gi"
    shared_memory: Quantity = "2Gi"
    load_timeout: Duration = 1800.0
    shutdown_timeout: Duration = 60.0
    hugging_face_secret: Name | None = None
    """A Secret whose key ``token`` is the hub's token; the token itself never stands here."""


class Collector(Model):
    """The sidecar; ``gpu_exporter`` is the URL of the node's GPU exporter, None to leave it out."""

    image: Image
    port: int = Field(default=9464, ge=1, le=65535)
    gpu_exporter: str | None = None
    cpu: Quantity = "50m"
    memory: Quantity = "128Mi"


class Monitoring(Model):
    """How Prometheus and Grafana find what is made."""

    labels: dict[str, str] = Field(default={"release": "kube-prometheus-stack"})
    interval: Duration = 15.0
    namespace: Name = "monitoring"
    """Where Prometheus runs: the only namespace that may reach the metrics port."""
    dashboard_label: str = "grafana_dashboard"

    @field_validator("interval")
    @classmethod
    def _sensible(cls, seconds: float) -> float:
        if not 1 <= seconds <= 300:
            raise ValueError("expected between 1s and 5m")
        return seconds


class DeploymentSpec(Model):
    """One model behind one Service, with its objectives."""

    version: Literal["firsttoken/v1"]
    name: Name
    namespace: Name = "default"
    model: str = Field(min_length=1)
    """What vLLM serves: a hub id, or a path inside the container."""
    served_model_name: str | None = None
    replicas: int = Field(default=1, ge=0)
    collector: Collector
    objectives: Path | None = None
    """The objective file, relative to this file."""
    accelerator: Accelerator = Accelerator()
    engine: Engine = Engine()
    monitoring: Monitoring = Monitoring()
    cache: Quantity | None = None
    """Size of a PersistentVolumeClaim for the model's files; without it an emptyDir is used."""

    @model_validator(mode="after")
    def _distinct_ports(self) -> "DeploymentSpec":
        if self.engine.port == self.collector.port:
            raise ValueError(f"engine.port and collector.port are both {self.engine.port}")
        return self

    @property
    def model_name(self) -> str:
        """The name under which clients ask for the model."""
        return self.served_model_name or self.model

    @property
    def grace_period(self) -> int:
        """Seconds from SIGTERM to SIGKILL: the pause before it, the shutdown, and a margin."""
        return PRE_STOP_S + int(Decimal(str(self.engine.shutdown_timeout))) + 10


PRE_STOP_S = 10
"""Seconds in which endpoints learn that a pod goes, before the engine is told."""


def load(path: Path) -> DeploymentSpec:
    """Read a deployment file; raises ConfigError."""
    return load_yaml(path, DeploymentSpec)
