"""The engine's pod, part by part, as every platform needs it."""

from urllib.parse import quote

from kubernetes import client as k8s

from firsttoken.manifests.flags import JSON_LOGS
from firsttoken.manifests.names import selector
from firsttoken.manifests.security import restricted
from firsttoken.manifests.sidecar import config_volume
from firsttoken.manifests.sources import MODEL_DIR
from firsttoken.manifests.spec import PRE_STOP_S, DeploymentSpec

__all__ = [
    "arguments",
    "engine_container",
    "environment",
    "own_environment",
    "resources",
    "spread",
    "tolerations",
    "volumes",
]

CACHE = "/var/cache/vllm"


def arguments(spec: DeploymentSpec, buckets: str | None, model: str = "") -> list[str]:
    """The arguments of ``vllm serve``; ``model`` is its place where somebody else fetched it."""
    found = [
        model or spec.location.argument,
        f"--served-model-name={spec.model_name}",
        f"--port={spec.engine.port}",
        f"--shutdown-timeout={int(spec.engine.shutdown_timeout)}",
        "--enable-request-id-headers",
    ]
    if spec.accelerator.count > 1:
        found.append(f"--tensor-parallel-size={spec.accelerator.count}")
    if spec.engine.log_format == "json" and spec.engine.version >= JSON_LOGS:
        found.append("--logging-config.formatter=json")
    found.append("--disable-access-log-for-endpoints=/health,/metrics")
    if spec.tracing:
        found.append(f"--otlp-traces-endpoint={spec.tracing.address}")
    if spec.location.source == "s3" and not model:
        found.append("--load-format=runai_streamer")  # reads from the store without a copy on disk
    if buckets:
        found.append(f"--custom-histogram-buckets={buckets}")
    return [*found, *spec.engine.arguments]


def engine_container(spec: DeploymentSpec, name: str, args: list[str]) -> k8s.V1Container:
    """The container that runs ``vllm serve`` with these arguments."""
    return k8s.V1Container(
        name=name,
        image=spec.engine.image,
        image_pull_policy="IfNotPresent",
        command=["vllm", "serve"],
        args=args,
        env=environment(spec),
        env_from=_secrets(spec),
        ports=[k8s.V1ContainerPort(name="http", container_port=spec.engine.port, protocol="TCP")],
        resources=resources(spec),
        startup_probe=_probe(spec, period=10, failures=max(1, int(spec.engine.load_timeout // 10))),
        liveness_probe=_probe(spec, period=10, failures=5),
        readiness_probe=_probe(spec, period=5, failures=3),
        lifecycle=k8s.V1Lifecycle(
            pre_stop=k8s.V1LifecycleHandler(sleep=k8s.V1SleepAction(seconds=PRE_STOP_S))
        ),
        security_context=restricted(),
        volume_mounts=_mounts(spec),
    )


def _mounts(spec: DeploymentSpec) -> list[k8s.V1VolumeMount]:
    found = [
        k8s.V1VolumeMount(name="cache", mount_path=CACHE),
        k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - an emptyDir
        k8s.V1VolumeMount(name="shm", mount_path="/dev/shm"),  # noqa: S108 - an emptyDir
    ]
    if spec.mounts_model:
        found.append(k8s.V1VolumeMount(name="model", mount_path=MODEL_DIR, read_only=True))
    return found


def _secrets(spec: DeploymentSpec) -> list[k8s.V1EnvFromSource] | None:
    if not spec.engine.storage_secret:
        return None
    secret = k8s.V1SecretEnvSource(name=spec.engine.storage_secret)
    return [k8s.V1EnvFromSource(secret_ref=secret)]


def _trace_variables(spec: DeploymentSpec) -> list[k8s.V1EnvVar]:
    """What tells a span's origin, which vLLM itself leaves out."""
    if spec.tracing is None:
        return []
    origin = {"k8s.namespace.name": spec.namespace, "gen_ai.request.model": spec.model_name}
    found = []
    # Knative takes no references to a pod's own fields unless that is switched on.
    if spec.platform != "kserve-knative":
        for name, field in (("NODE_NAME", "spec.nodeName"), ("POD_NAME", "metadata.name")):
            source = k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path=field))
            found.append(k8s.V1EnvVar(name=name, value_from=source))
    pairs = [f"{key}={quote(value, safe='')}" for key, value in origin.items()]
    if found:
        pairs += ["k8s.node.name=$(NODE_NAME)", "k8s.pod.name=$(POD_NAME)"]
    values = {
        "OTEL_SERVICE_NAME": spec.name,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(pairs),
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": spec.tracing.protocol,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(spec.tracing.sent),
    }
    return found + [k8s.V1EnvVar(name=name, value=value) for name, value in values.items()]


def resources(spec: DeploymentSpec) -> k8s.V1ResourceRequirements:
    """Requests and limits of the engine; its CPU is not limited, which would only slow it."""
    limits = {"memory": spec.engine.memory, "ephemeral-storage": spec.engine.scratch}
    if spec.accelerator.resource:
        limits[spec.accelerator.resource] = str(spec.accelerator.count)
    return k8s.V1ResourceRequirements(requests={"cpu": spec.engine.cpu, **limits}, limits=limits)


def environment(spec: DeploymentSpec) -> list[k8s.V1EnvVar]:
    """The variables of the engine's container.

    Everything that vLLM and its libraries cache is kept off the read-only root.
    """
    cached = [
        k8s.V1EnvVar(name=name, value=value)
        for name, value in (
            ("HF_HOME", f"{CACHE}/huggingface"),
            ("HOME", "/tmp"),  # noqa: S108 - an emptyDir
            ("TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/inductor"),
            ("TRITON_CACHE_DIR", f"{CACHE}/triton"),
            ("USER", "vllm"),  # the user id has no name in the image, and torch asks for one
            ("VLLM_CACHE_ROOT", f"{CACHE}/vllm"),
        )
    ]
    return [*cached, *_trace_variables(spec), *own_environment(spec)]


def own_environment(spec: DeploymentSpec) -> list[k8s.V1EnvVar]:
    """The variables that the deployment file asks for."""
    found = [
        k8s.V1EnvVar(name=name, value=value)
        for name, value in sorted(spec.engine.environment.items())
    ]
    if spec.engine.hugging_face_secret:
        source = k8s.V1SecretKeySelector(name=spec.engine.hugging_face_secret, key="token")
        found.append(
            k8s.V1EnvVar(name="HF_TOKEN", value_from=k8s.V1EnvVarSource(secret_key_ref=source))
        )
    return found


def _probe(spec: DeploymentSpec, *, period: int, failures: int) -> k8s.V1Probe:
    return k8s.V1Probe(
        http_get=k8s.V1HTTPGetAction(path="/health", port=spec.engine.port, scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def volumes(spec: DeploymentSpec) -> list[k8s.V1Volume]:
    """The volumes of engine and sidecar."""
    if spec.cache:
        source = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=f"{spec.name}-cache")
        cache = k8s.V1Volume(name="cache", persistent_volume_claim=source)
    else:
        cache = k8s.V1Volume(name="cache", empty_dir=k8s.V1EmptyDirVolumeSource())
    shared = k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit=spec.engine.shared_memory)
    found = [
        cache,
        k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
        k8s.V1Volume(name="shm", empty_dir=shared),
        config_volume(spec),
    ]
    if spec.mounts_model and spec.location.volume is not None:
        found.append(spec.location.volume)
    return found


def tolerations(spec: DeploymentSpec) -> list[k8s.V1Toleration] | None:
    """Leave to run on nodes that are kept for the accelerator."""
    resource = spec.accelerator.resource
    if resource is None:
        return None
    return [k8s.V1Toleration(key=resource, operator="Exists", effect="NoSchedule")]


def spread(spec: DeploymentSpec) -> list[k8s.V1TopologySpreadConstraint] | None:
    """Replicas on different nodes where that is possible, so that one node does not take all."""
    if spec.replicas < 2:
        return None
    return [
        k8s.V1TopologySpreadConstraint(
            max_skew=1,
            topology_key="kubernetes.io/hostname",
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.V1LabelSelector(match_labels=selector(spec.name)),
        )
    ]
