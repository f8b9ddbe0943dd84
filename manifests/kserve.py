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
from typing import Any

from firsttoken.manifests import pod
from firsttoken.manifests.engine import rolling_update
from firsttoken.manifests.metadata import ENGINE, METRICS_PORT, metadata, pod_annotations
from firsttoken.manifests.names import selector
from firsttoken.manifests.render import plain
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


def _object(spec: DeploymentSpec, version: str, kind: str, suffix: str = "") -> dict[str, Any]:
    return {
        "apiVersion": f"serving.kserve.io/{version}",
        "kind": kind,
        "metadata": plain(metadata(spec, ENGINE, suffix=suffix)),
    }


def serving_runtime(spec: DeploymentSpec, buckets: str | None) -> dict[str, Any]:
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
    return _object(spec, "v1alpha1", "ServingRuntime", RUNTIME_SUFFIX) | {
        "spec": {
            "supportedModelFormats": [{"name": FORMAT, "autoSelect": False}],
            "multiModel": False,
            "containers": [plain(container) for container in containers],
            "volumes": [plain(volume) for volume in pod.volumes(spec)],
        }
    }


def inference_service(spec: DeploymentSpec, config_digest: str) -> dict[str, Any]:
    """The model on the runtime; the deployment mode is explicit, because defaults differ."""
    found = _object(spec, "v1beta1", "InferenceService")
    mode = "Knative" if _is_knative(spec) else "Standard"
    found["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": mode}
    model: dict[str, Any] = {
        "modelFormat": {"name": FORMAT},
        "runtime": f"{spec.name}{RUNTIME_SUFFIX}",
    }
    if _fetched(spec):
        model["storageUri"] = spec.location.uri
    predictor: dict[str, Any] = {
        "minReplicas": spec.replicas,
        "maxReplicas": spec.autoscaling.most if spec.autoscaling else max(1, spec.replicas),
        "labels": selector(spec.name),
        "annotations": pod_annotations(spec, config_digest),
        "model": model,
        "enableServiceLinks": False,
        "securityContext": plain(pod_security()),
        **_placement(spec),
    }
    if not _is_knative(spec):
        scaler = "external" if spec.autoscaling else "none"
        found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = scaler
        predictor |= {
            "automountServiceAccountToken": False,
            "initContainers": [plain(sidecar(spec, METRICS_PORT))],
            "terminationGracePeriodSeconds": spec.grace_period,
            "deploymentStrategy": plain(rolling_update()),
        }
    return found | {"spec": {"predictor": predictor}}


def llm_inference_service(
    spec: DeploymentSpec, buckets: str | None, config_digest: str
) -> dict[str, Any]:
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
    template: dict[str, Any] = {
        "containers": [plain(engine)],
        "initContainers": [plain(sidecar(spec, METRICS_PORT))],
        "volumes": [plain(volume) for volume in pod.volumes(spec) if volume.config_map],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": plain(pod_security()),
        "terminationGracePeriodSeconds": spec.grace_period,
        **_placement(spec),
    }
    return _object(spec, "v1alpha2", "LLMInferenceService") | {
        "spec": {
            "model": {"uri": spec.location.uri, "name": spec.model_name},
            "replicas": spec.replicas,
            **_parallelism(spec),
            **_tracing(spec),
            "labels": selector(spec.name),
            "annotations": pod_annotations(spec, config_digest),
            "router": {"scheduler": {}, "route": {}, "gateway": {}},
            "template": template,
        }
    }


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


def _parallelism(spec: DeploymentSpec) -> dict[str, Any]:
    count = spec.accelerator.count
    return {"parallelism": {"tensor": count}} if count > 1 else {}


def _tracing(spec: DeploymentSpec) -> dict[str, Any]:
    if spec.tracing is None:
        return {}
    return {
        "tracing": {
            "exporter": "otlp",
            "exporterEndpoint": spec.tracing.address,
            "sampler": "parentbased_traceidratio",
            "samplerArg": str(spec.tracing.sent),
        }
    }


def _placement(spec: DeploymentSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.engine.service_account:
        found["serviceAccountName"] = spec.engine.service_account
    tolerations = pod.tolerations(spec)
    if tolerations:
        found["tolerations"] = [plain(item) for item in tolerations]
    if spec.accelerator.node_selector:
        found["nodeSelector"] = spec.accelerator.node_selector
    constraints = pod.spread(spec)
    if constraints and not _is_knative(spec):
        found["topologySpreadConstraints"] = [plain(item) for item in constraints]
    return found
