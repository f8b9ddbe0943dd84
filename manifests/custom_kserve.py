"""KServe's kinds, ``serving.kserve.io``: how an engine is run, and a model on it."""

from typing import Literal

from kubernetes import client as k8s

from firsttoken.manifests.custom import Native, Part, Resource

__all__ = [
    "InferenceService",
    "InferenceServiceSpec",
    "LLMInferenceService",
    "LLMInferenceServiceSpec",
    "LLMModel",
    "Model",
    "ModelFormat",
    "Parallelism",
    "Predictor",
    "Router",
    "ServingRuntime",
    "ServingRuntimeSpec",
    "SupportedFormat",
    "Tracing",
]


class SupportedFormat(Part):
    """A format that a runtime serves; chosen by name alone unless it is selected by itself."""

    name: str
    auto_select: bool


class ServingRuntimeSpec(Part):
    """The containers of one model; init containers are not among its fields."""

    supported_model_formats: tuple[SupportedFormat, ...]
    multi_model: bool
    containers: list[Native[k8s.V1Container]]
    volumes: list[Native[k8s.V1Volume]]


class ServingRuntime(Resource):
    """How KServe runs an engine."""

    api_version: Literal["serving.kserve.io/v1alpha1"] = "serving.kserve.io/v1alpha1"
    kind: Literal["ServingRuntime"] = "ServingRuntime"
    spec: ServingRuntimeSpec


class ModelFormat(Part):
    """The format by which a model and a runtime come together."""

    name: str


class Model(Part):
    """A model on a runtime; ``storage_uri`` is what KServe fetches or mounts first."""

    model_format: ModelFormat
    runtime: str
    storage_uri: str | None = None


class Predictor(Part):
    """The pods of a model, and how many of them there are."""

    model: Model
    min_replicas: int
    max_replicas: int
    labels: dict[str, str]
    annotations: dict[str, str]
    enable_service_links: bool
    automount_service_account_token: bool | None = None
    service_account_name: str | None = None
    security_context: Native[k8s.V1PodSecurityContext]
    init_containers: list[Native[k8s.V1Container]] | None = None
    termination_grace_period_seconds: int | None = None
    deployment_strategy: Native[k8s.V1DeploymentStrategy] | None = None
    tolerations: list[Native[k8s.V1Toleration]] | None = None
    node_selector: dict[str, str] | None = None
    topology_spread_constraints: list[Native[k8s.V1TopologySpreadConstraint]] | None = None


class InferenceServiceSpec(Part):
    """A predictor, and neither transformer nor explainer."""

    predictor: Predictor


class InferenceService(Resource):
    """A model on a ServingRuntime."""

    api_version: Literal["serving.kserve.io/v1beta1"] = "serving.kserve.io/v1beta1"
    kind: Literal["InferenceService"] = "InferenceService"
    spec: InferenceServiceSpec


class LLMModel(Part):
    """Where a language model is, and the name under which clients ask for it."""

    uri: str
    name: str


class Parallelism(Part):
    """Over how many accelerators one replica is spread."""

    tensor: int


class Tracing(Part):
    """What KServe hands to vLLM and OpenTelemetry."""

    exporter: Literal["otlp"] = "otlp"
    exporter_endpoint: str
    sampler: Literal["parentbased_traceidratio"] = "parentbased_traceidratio"
    sampler_arg: str


class _Default(Part):
    """KServe makes it as it sees fit."""


class Router(Part):
    """Scheduler, route and gateway, all of them KServe's own."""

    scheduler: _Default = _Default()
    route: _Default = _Default()
    gateway: _Default = _Default()


class LLMInferenceServiceSpec(Part):
    """A language model with its scheduler; the pod's template is merged into KServe's own."""

    model: LLMModel
    replicas: int
    parallelism: Parallelism | None = None
    tracing: Tracing | None = None
    labels: dict[str, str]
    annotations: dict[str, str]
    router: Router = Router()
    template: Native[k8s.V1PodSpec]


class LLMInferenceService(Resource):
    """KServe's own resource for language models."""

    api_version: Literal["serving.kserve.io/v1alpha2"] = "serving.kserve.io/v1alpha2"
    kind: Literal["LLMInferenceService"] = "LLMInferenceService"
    spec: LLMInferenceServiceSpec
