"""The deployment file: which model runs where, with which objectives and monitoring."""

import re
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml
from firsttoken.manifests.flags import (
    OLDEST,
    Release,
    check_arguments,
    format_release,
    parse_release,
)
from firsttoken.manifests.names import check_dns_label, check_quantity
from firsttoken.manifests.sources import Location, parse

__all__ = [
    "PRE_STOP_S",
    "RAY_METRICS_PORT",
    "Accelerator",
    "Collector",
    "DeploymentSpec",
    "Engine",
    "Monitoring",
    "Platform",
    "load",
]

Name = Annotated[str, AfterValidator(check_dns_label)]
Quantity = Annotated[str, AfterValidator(check_quantity)]
Port = Annotated[int, Field(ge=1, le=65535)]

RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/xe"}


def _pinned(image: str) -> str:
    """Refuse an image that can change under a deployment: no tag, or ``latest``."""
    last = image.rsplit("/", 1)[-1]
    if "@sha256:" in image or (":" in last and not last.endswith(":latest")):
        return image
    raise ValueError("an image with a tag other than latest, or with a digest, is required")


def _argument(text: str) -> str:
    """Refuse what would not reach the engine as one word: a flag, white space, ``$(NAME)``."""
    if not text or text.startswith("-") or "$(" in text or any(map(str.isspace, text)):
        raise ValueError("expected a model's name or path, without spaces, not beginning with -")
    return text


def _place(text: str) -> str:
    parse(_argument(text))
    return text


Image = Annotated[str, AfterValidator(_pinned)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

ModelName = Annotated[str, AfterValidator(_argument)]

ENGINE_VARIABLES = (
    "HF_HOME",
    "HF_TOKEN",
    "HOME",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "USER",
    "VLLM_CACHE_ROOT",
)
"""What the engine's container gets anyway."""


Platform = Literal[
    "deployment", "kserve-standard", "kserve-knative", "llm-inference-service", "ray-service"
]


class Accelerator(Model):
    """The GPUs of one replica."""

    vendor: Literal["nvidia", "amd", "intel", "none"] = "nvidia"
    count: int = Field(default=1, ge=0, le=16)
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that have the GPU that is meant."""

    @property
    def resource(self) -> str | None:
        """The extended resource that a container asks for, None without a GPU."""
        return RESOURCES.get(self.vendor) if self.count else None


class Engine(Model):
    """The vLLM container: image, port, limits and how long it may take to load."""

    image: Image = "vllm/vllm-openai:v0.32.0"
    release: str = ""
    """vLLM's version such as 0.32, where the image's tag does not begin with it."""
    port: Port = 8000
    arguments: tuple[str, ...] = ()
    environment: dict[VariableName, str] = Field(default_factory=dict)
    cpu: Quantity = "4"
    memory: Quantity = "32Gi"
    shared_memory: Quantity = "2Gi"
    scratch: Quantity = "20Gi"
    """Local disk of the pod; without a cache volume the model's files must fit into it."""
    load_timeout: Duration = 1800.0
    shutdown_timeout: Duration = 60.0
    egress_ports: tuple[Port, ...] = ()
    """Ports that the engine may reach beside DNS and HTTPS, of an object store for instance."""
    hugging_face_secret: Name | None = None
    """A Secret whose key ``token`` is the hub's token; the token itself never stands here."""
    storage_secret: Name | None = None
    """A Secret whose keys are the object store's variables, such as AWS_ACCESS_KEY_ID."""
    service_account: Name | None = None

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if name in ENGINE_VARIABLES:
                raise ValueError(f"the deployment itself sets {name}")
            if re.search(r"(TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY)S?$", name.upper()):
                raise ValueError(f"what {name} holds looks like a secret, not to stand in a file")
        return environment

    @model_validator(mode="after")
    def _flags_exist(self) -> "Engine":
        check_arguments(
            self.arguments, self.version, frozenset({*ENGINE_VARIABLES, *self.environment})
        )
        return self

    @property
    def version(self) -> Release:
        """Major and minor version of vLLM; raises ValueError where nothing tells it."""
        tag = self.image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[2]
        found = parse_release(self.release or tag)
        if found is None:
            raise ValueError(
                f"release: expected vLLM's version such as 0.32, because the image {self.image}"
                " does not tell it"
            )
        if found < OLDEST:
            raise ValueError(
                f"image: vLLM {format_release(found)} is older than {format_release(OLDEST)},"
                " the first that lets requests finish when it is stopped"
            )
        return found


class Collector(Model):
    """The sidecar; ``gpu_exporter`` is the URL of the node's GPU exporter, None to leave it out."""

    image: Image
    port: Port = 9464
    gpu_exporter: str | None = None
    cpu: Quantity = "50m"
    memory: Quantity = "128Mi"


class Monitoring(Model):
    """How Prometheus and Grafana find what is made."""

    flavour: Literal["operator", "annotations", "prometheus"] = "operator"
    """The Prometheus operator's objects; annotations; or files for a Prometheus' own folder."""

    labels: dict[str, str] = Field(default={"release": "kube-prometheus-stack"})
    interval: Duration = 15.0
    namespace: Name = "monitoring"
    """Where Prometheus runs: the only namespace that may reach the metrics port."""
    dashboards: bool = True
    """Whether the dashboards come along; one deployment of a cluster is enough to bring them."""
    dashboard_label: str = "grafana_dashboard"
    runbooks: str = ""
    """Address of the folder of runbooks, for the alerts' ``runbook_url``."""

    @field_validator("interval")
    @classmethod
    def _sensible(cls, seconds: float) -> float:
        if not 1 <= seconds <= 300:
            raise ValueError("expected between 1s and 5m")
        return seconds

    @property
    def scrape_timeout(self) -> float:
        """Seconds that Prometheus gives a scrape: less than the interval."""
        return min(10.0, self.interval * 0.9)


class DeploymentSpec(Model):
    """One model behind one Service, with its objectives."""

    version: Literal["firsttoken/v1"]
    name: Name
    platform: Platform = "deployment"
    """What runs the engine: Kubernetes itself, KServe in one of its forms, or KubeRay."""
    profile: Literal["prod", "dev"] = "prod"
    """``dev`` leaves out what a cluster on a laptop has no use for: budget, network policy."""
    namespace: Name = "default"
    model: Annotated[str, AfterValidator(_place)]
    """A hub id, a path inside the container, or hf://, pvc://, oci:// or s3:// and a place."""
    served_model_name: ModelName | None = None
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
            _pinned(self.location.rest)
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
        """Seconds from SIGTERM to SIGKILL: the pause before it, the shutdown, and a margin."""
        return PRE_STOP_S + int(Decimal(str(self.engine.shutdown_timeout))) + 10


LLM_PORT = 8000
"""The port of KServe's template for language models."""
RAY_METRICS_PORT = 8080
"""Where each node of a Ray cluster serves its metrics."""
PRE_STOP_S = 10
"""Seconds in which endpoints learn that a pod goes, before the engine is told."""


def load(path: Path) -> DeploymentSpec:
    """Read a deployment file; raises ConfigError."""
    return load_yaml(path, DeploymentSpec)
