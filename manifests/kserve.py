"""vLLM under KServe: ServingRuntime with InferenceService, and LLMInferenceService.

What differs from a plain Deployment, as of KServe 0.20:

- A ServingRuntime has no init containers, so the native sidecar stands in the InferenceService;
  KServe puts its download of the model behind it, and the collector sees the download.
- Knative takes neither init containers nor life-cycle hooks, and only one container may declare a
  port; there the collector is a second container without one.
- KServe's own scrape annotation names ports on which nothing listens in Standard mode; it is never
  set here.
"""

import shlex

from kubernetes import client as k8s

from firsttoken.manifests import pod
from firsttoken.manifests.custom_kserve import (
    InferenceService,
    InferenceServiceSpec,
    LLMInferenceService,
    LLMInferenceServiceSpec,
    LLMModel,
    Model,
    ModelFormat,
    Parallelism,
    Predictor,
    ServingRuntime,
    ServingRuntimeSpec,
    SupportedFormat,
    Tracing,
)
from firsttoken.manifests.engine import rolling_update
from firsttoken.manifests.metadata import ENGINE, METRICS_PORT, metadata, pod_annotations
from firsttoken.manifests.names import selector
from firsttoken.manifests.security import pod_security, restricted
from firsttoken.manifests.sidecar import sidecar
from firsttoken.manifests.sources import MODEL_DIR
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["inference_service", "llm_inference_service", "serving_runtime"]

FORMAT = "vLLM"
CONTAINER = "kserve-container"
LLM_CONTAINER = "main"
RUNTIME_SUFFIX = "-vllm"


def _is_knative(spec: DeploymentSpec) -> bool:
    return spec.platform == "kserve-knative"


def _fetched(spec: DeploymentSpec) -> bool:
    """Whether KServe fetches or mounts the model's files before the engine starts."""
    return spec.location.source not in ("hub", "path")


def serving_runtime(spec: DeploymentSpec, buckets: str | None) -> ServingRuntime:
    """How KServe runs this engine."""
    model = MODEL_DIR if _fetched(spec) else ""
    engine = pod.engine_container(spec, CONTAINER, pod.arguments(spec, buckets, model))
    containers = [engine]
    if _is_knative(spec):
        engine.lifecycle = None
        collector = sidecar(spec, METRICS_PORT)
        collector.restart_policy = None
        collector.ports = None
        # Probes of a second container are a feature that Knative ships switched off.
        collector.startup_probe = collector.liveness_probe = None
        containers.append(collector)
    return ServingRuntime(
        metadata=metadata(spec, ENGINE, suffix=RUNTIME_SUFFIX),
        spec=ServingRuntimeSpec(
            supported_model_formats=(SupportedFormat(name=FORMAT, auto_select=False),),
            multi_model=False,
            containers=containers,
            volumes=pod.volumes(spec),
        ),
    )


def inference_service(spec: DeploymentSpec, config_digest: str) -> InferenceService:
    """The model on the runtime; the deployment mode is explicit, because defaults differ."""
    knative = _is_knative(spec)
    annotations = {"serving.kserve.io/deploymentMode": "Knative" if knative else "Standard"}
    if not knative:
        scaler = "external" if spec.autoscaling else "none"
        annotations["serving.kserve.io/autoscalerClass"] = scaler
    common = metadata(spec, ENGINE)
    common.annotations = annotations
    predictor = Predictor(
        min_replicas=spec.replicas,
        max_replicas=spec.autoscaling.most if spec.autoscaling else max(1, spec.replicas),
        labels=selector(spec.name),
        annotations=pod_annotations(spec, config_digest),
        model=Model(
            model_format=ModelFormat(name=FORMAT),
            runtime=f"{spec.name}{RUNTIME_SUFFIX}",
            storage_uri=spec.location.uri if _fetched(spec) else None,
        ),
        enable_service_links=False,
        security_context=pod_security(spec.security),
        service_account_name=spec.engine.service_account,
        tolerations=pod.tolerations(spec),
        node_selector=spec.accelerator.node_selector or None,
        automount_service_account_token=None if knative else False,
        init_containers=None if knative else [sidecar(spec, METRICS_PORT)],
        termination_grace_period_seconds=None if knative else spec.grace_period,
        deployment_strategy=None if knative else rolling_update(),
        topology_spread_constraints=None if knative else pod.spread(spec),
    )
    return InferenceService(metadata=common, spec=InferenceServiceSpec(predictor=predictor))


def llm_inference_service(
    spec: DeploymentSpec, buckets: str | None, config_digest: str
) -> LLMInferenceService:
    """KServe's own resource for language models, with its scheduler and route.

    KServe's template starts the engine: it gives model, port, name and tensor parallelism, serves
    plain HTTP unless KServe was installed with TLS between router and engine, and hands our
    arguments to a shell.
    """
    ours = [text for text in pod.arguments(spec, buckets) if not _given_by_template(spec, text)]
    engine = pod.engine_container(spec, LLM_CONTAINER, [shlex.quote(text) for text in ours])
    engine.command = None
    engine.volume_mounts = None
    engine.env = pod.own_environment(spec) or None
    # The container toolkit writes devices into the root file system that the template mounts.
    engine.security_context = restricted(read_only=False)
    template = k8s.V1PodSpec(
        containers=[engine],
        init_containers=[sidecar(spec, METRICS_PORT)],
        volumes=[volume for volume in pod.volumes(spec) if volume.config_map],
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security(spec.security),
        termination_grace_period_seconds=spec.grace_period,
        service_account_name=spec.engine.service_account,
        tolerations=pod.tolerations(spec),
        node_selector=spec.accelerator.node_selector or None,
        topology_spread_constraints=pod.spread(spec),
    )
    count = spec.accelerator.count
    return LLMInferenceService(
        metadata=metadata(spec, ENGINE),
        spec=LLMInferenceServiceSpec(
            model=LLMModel(uri=spec.location.uri, name=spec.model_name),
            replicas=spec.replicas,
            parallelism=Parallelism(tensor=count) if count > 1 else None,
            tracing=_tracing(spec),
            labels=selector(spec.name),
            annotations=pod_annotations(spec, config_digest),
            template=template,
        ),
    )


def _given_by_template(spec: DeploymentSpec, argument: str) -> bool:
    flag = argument.partition("=")[0]
    return argument == spec.location.argument or flag in {
        "--served-model-name",
        "--port",
        "--shutdown-timeout",
        "--tensor-parallel-size",
        "--load-format",
        "--disable-access-log-for-endpoints",
        "--otlp-traces-endpoint",
    }


def _tracing(spec: DeploymentSpec) -> Tracing | None:
    if spec.tracing is None:
        return None
    return Tracing(exporter_endpoint=spec.tracing.address, sampler_arg=str(spec.tracing.sent))
