"""The parts of a deployment file: accelerator, engine, collector, monitoring, tracing, scaling."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from firsttoken.config import Duration, Model
from firsttoken.manifests.flags import (
    OLDEST,
    Release,
    check_arguments,
    format_release,
    parse_release,
)
from firsttoken.manifests.names import check_dns_label, check_quantity
from firsttoken.manifests.sources import parse

__all__ = [
    "GPU_EXPORTER_PORTS",
    "RESOURCES",
    "Accelerator",
    "Alerting",
    "Autoscaling",
    "Collector",
    "Engine",
    "GpuExporter",
    "LoadTest",
    "Logs",
    "ModelName",
    "ModelPlace",
    "Monitoring",
    "Name",
    "Quantity",
    "SecretKey",
    "Tracing",
    "pinned",
]

Name = Annotated[str, AfterValidator(check_dns_label)]
Quantity = Annotated[str, AfterValidator(check_quantity)]
WebAddress = Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")]
Port = Annotated[int, Field(ge=1, le=65535)]

GPU_EXPORTER_PORTS = {"nvidia": 9400, "amd": 5000}
RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/xe"}


def pinned(image: str) -> str:
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


Image = Annotated[str, AfterValidator(pinned)]
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
TRACE_VARIABLES = (
    "NODE_NAME",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "POD_NAME",
)
"""What it gets with tracing."""
ModelPlace = Annotated[str, AfterValidator(_place)]


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
    log_format: Literal["json", "text"] = "json"
    """JSON where the release can write it, 0.31 and later."""
    hugging_face_secret: Name | None = None
    """A Secret whose key ``token`` is the hub's token; the token itself never stands here."""
    storage_secret: Name | None = None
    """A Secret whose keys are the object store's variables, such as AWS_ACCESS_KEY_ID."""
    service_account: Name | None = None

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if name in ENGINE_VARIABLES or name in TRACE_VARIABLES:
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
    dashboards: Literal["configmap", "grafana-operator", "none"] = "configmap"
    """In which form the dashboards come; one deployment of a cluster is enough to bring them."""
    dashboard_label: str = "grafana_dashboard"
    """What the sidecar of Grafana's charts looks for."""
    grafana: dict[str, str] = Field(default={"dashboards": "grafana"})
    """Labels of the Grafana into which the Grafana Operator puts them."""
    grafana_address: WebAddress = ""
    """Address of the Grafana with the dashboards, for the alerts' ``dashboard_url``."""
    runbooks: WebAddress = ""
    """Address of the folder of runbooks, for the alerts' ``runbook_url`` and the dashboards."""

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


class TraceStore(Model):
    """An OpenTelemetry Collector, which keeps what is slow or failed, and Jaeger behind it."""

    collector_image: Image
    """The Collector's contrib distribution, which has tail sampling."""
    jaeger_image: Image
    """Jaeger 2."""
    namespace: Name = "tracing"
    storage: Quantity | None = "20Gi"
    """Size of the volume of the traces; null keeps them in memory."""
    slow: Duration = 5.0
    """Requests whose first token took longer are all kept."""


class Tracing(Model):
    """Where the engine sends its spans."""

    endpoint: str | None = None
    """``http://collector:4317`` for gRPC; for HTTP it ends in ``/v1/traces``."""
    install: TraceStore | None = None
    """What to install where there is no such endpoint."""
    ratio: float = Field(default=0.05, ge=0, le=1)
    """The share of requests without a parent span that are traced."""

    @model_validator(mode="after")
    def _one_place(self) -> "Tracing":
        if (self.endpoint is None) == (self.install is None):
            raise ValueError("expected either endpoint or install")
        return self

    @field_validator("endpoint")
    @classmethod
    def _reachable(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname or not address.port:
            raise ValueError("expected an address such as http://collector.observability:4317")
        over_http = address.path.endswith("/v1/traces")
        if not over_http and (address.scheme == "https" or address.port == 4318):
            raise ValueError("HTTP and TLS need an address that ends in /v1/traces")
        return endpoint

    @property
    def address(self) -> str:
        """Where the engine sends its spans."""
        if self.install is not None:
            return f"http://otel-collector.{self.install.namespace}.svc:4317"
        return self.endpoint or ""

    @property
    def sent(self) -> float:
        """The share of requests of which the engine sends spans.

        A Collector of ours is sent all of them, or it could not keep each slow one.
        """
        return self.ratio if self.install is None else 1.0

    @property
    def protocol(self) -> str:
        """vLLM's name for the protocol."""
        return "http/protobuf" if self.address.endswith("/v1/traces") else "grpc"

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return urlsplit(self.address).port or 4317


class Autoscaling(Model):
    """KEDA adds replicas while requests wait or the KV cache fills."""

    prometheus: str = Field(pattern=r"^https?://")
    """Address of the Prometheus that KEDA asks."""
    most: int = Field(ge=1)
    """The largest number of replicas; ``replicas`` is the smallest."""
    waiting: int = Field(default=5, ge=1)
    """Waiting requests that a replica may have."""
    kv_cache: float = Field(default=0.8, gt=0, le=1)
    """KV-cache utilisation of the fullest replica."""
    cooldown: Duration = 300.0


class LoadTest(Model):
    """A Job that brings the deployment under a load and fails where an objective is missed."""

    image: Image
    """The load generator's; the collector's has not what it takes."""
    rate: float = Field(default=1.0, gt=0)
    """Requests per second."""
    warmup: Duration = 30.0
    duration: Duration = 300.0
    prompt_tokens: int = Field(default=512, ge=1)
    output_tokens: int = Field(default=128, ge=1)
    workers: int = Field(default=1, ge=1, le=256)
    """Pods that share the one schedule."""
    results: Name | None = None
    """A claim that all of them can write, for their records."""

    @model_validator(mode="after")
    def _results_are_kept(self) -> "LoadTest":
        if self.workers > 1 and self.results is None:
            raise ValueError("results: required with several workers, whose records are merged")
        return self


class Logs(Model):
    """Grafana Alloy in the deployment's namespace, which sends the engines' logs to Loki."""

    image: Image
    loki: str = Field(pattern=r"^https?://[^/]+/.*/push$")
    """Where Loki takes logs: ``http://loki.monitoring:3100/loki/api/v1/push``."""


class GpuExporter(Model):
    """A GPU exporter to install; one deployment of a cluster is enough to bring it."""

    image: Image
    namespace: Name = "gpu-monitoring"
    node_selector: dict[str, str] = Field(default_factory=dict)


class SecretKey(Model):
    """One key of a Secret in the deployment's namespace."""

    name: Name
    key: str = Field(min_length=1)


class Alerting(Model):
    """Who is told: tickets go to Slack, pages to PagerDuty or, without it, to Slack too."""

    slack_channel: str = Field(min_length=1)
    slack: SecretKey
    pagerduty: SecretKey | None = None
    deadman: SecretKey | None = None
    """The Secret with the address of what must hear every minute that alerts get through."""
