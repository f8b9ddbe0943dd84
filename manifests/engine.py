"""vLLM as a Deployment, with the collector as a native sidecar."""

from kubernetes import client as k8s

from firsttoken.manifests.metadata import ENGINE, METRICS_PORT, metadata
from firsttoken.manifests.names import selector
from firsttoken.manifests.sidecar import config_volume, sidecar
from firsttoken.manifests.spec import PRE_STOP_S, DeploymentSpec

__all__ = ["arguments", "deployment"]

CACHE = "/var/cache/vllm"
USER_ID = 2000


def deployment(spec: DeploymentSpec, buckets: str | None, config_digest: str) -> k8s.V1Deployment:
    """The engine with the collector as a native sidecar.

    ``buckets`` is the value of ``--custom-histogram-buckets`` that puts a bound on each objective,
    ``config_digest`` changes with the collector's configuration, so that pods are replaced.
    """
    pod = k8s.V1PodSpec(
        init_containers=[sidecar(spec, METRICS_PORT)],
        containers=[_engine_container(spec, buckets)],
        volumes=_volumes(spec),
        automount_service_account_token=False,
        enable_service_links=False,  # a Service called vllm would set VLLM_PORT, which vLLM reads
        termination_grace_period_seconds=spec.grace_period,
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER_ID,
            run_as_group=USER_ID,
            fs_group=USER_ID,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        tolerations=_tolerations(spec),
        node_selector=spec.accelerator.node_selector or None,
        topology_spread_constraints=_spread(spec),
    )
    common = metadata(spec, ENGINE)
    template = k8s.V1ObjectMeta(
        labels=common.labels, annotations={"firsttoken.dev/collector-config": config_digest}
    )
    return k8s.V1Deployment(
        api_version="apps/v1",
        kind="Deployment",
        metadata=common,
        spec=k8s.V1DeploymentSpec(
            replicas=spec.replicas,
            selector=k8s.V1LabelSelector(match_labels=selector(spec.name)),
            # GPUs and a volume that one node mounts leave no room for a surge.
            strategy=k8s.V1DeploymentStrategy(
                type="RollingUpdate",
                rolling_update=k8s.V1RollingUpdateDeployment(max_surge=0, max_unavailable=1),
            ),
            template=k8s.V1PodTemplateSpec(metadata=template, spec=pod),
        ),
    )


def arguments(spec: DeploymentSpec, buckets: str | None) -> list[str]:
    """The arguments of ``vllm serve``; ``buckets`` only where the release has the flag."""
    found = [
        spec.model,
        f"--served-model-name={spec.model_name}",
        f"--port={spec.engine.port}",
        f"--shutdown-timeout={int(spec.engine.shutdown_timeout)}",
        "--enable-request-id-headers",
    ]
    if spec.accelerator.count > 1:
        found.append(f"--tensor-parallel-size={spec.accelerator.count}")
    if buckets:
        found.append(f"--custom-histogram-buckets={buckets}")
    return [*found, *spec.engine.arguments]


def _engine_container(spec: DeploymentSpec, buckets: str | None) -> k8s.V1Container:
    limits = {"memory": spec.engine.memory, "ephemeral-storage": spec.engine.scratch}
    requests = {"cpu": spec.engine.cpu, **limits}
    if spec.accelerator.resource:
        requests[spec.accelerator.resource] = str(spec.accelerator.count)
        limits[spec.accelerator.resource] = str(spec.accelerator.count)
    return k8s.V1Container(
        name="vllm",
        image=spec.engine.image,
        image_pull_policy="IfNotPresent",
        command=["vllm", "serve"],
        args=arguments(spec, buckets),
        env=_environment(spec),
        ports=[k8s.V1ContainerPort(name="http", container_port=spec.engine.port, protocol="TCP")],
        resources=k8s.V1ResourceRequirements(requests=requests, limits=limits),
        startup_probe=_probe(spec, period=10, failures=max(1, int(spec.engine.load_timeout // 10))),
        liveness_probe=_probe(spec, period=10, failures=5),
        readiness_probe=_probe(spec, period=5, failures=3),
        lifecycle=k8s.V1Lifecycle(
            pre_stop=k8s.V1LifecycleHandler(sleep=k8s.V1SleepAction(seconds=PRE_STOP_S))
        ),
        security_context=restricted(),
        volume_mounts=[
            k8s.V1VolumeMount(name="cache", mount_path=CACHE),
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - an emptyDir
            k8s.V1VolumeMount(name="shm", mount_path="/dev/shm"),  # noqa: S108 - an emptyDir
        ],
    )


def restricted() -> k8s.V1SecurityContext:
    """What Pod Security's ``restricted`` level asks of a container."""
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )


def _environment(spec: DeploymentSpec) -> list[k8s.V1EnvVar]:
    # Everything that vLLM and its libraries cache is kept off the read-only root.
    found = [
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
    found += [
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


def _volumes(spec: DeploymentSpec) -> list[k8s.V1Volume]:
    if spec.cache:
        source = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=f"{spec.name}-cache")
        cache = k8s.V1Volume(name="cache", persistent_volume_claim=source)
    else:
        cache = k8s.V1Volume(name="cache", empty_dir=k8s.V1EmptyDirVolumeSource())
    shared = k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit=spec.engine.shared_memory)
    return [
        cache,
        k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
        k8s.V1Volume(name="shm", empty_dir=shared),
        config_volume(spec),
    ]


def _tolerations(spec: DeploymentSpec) -> list[k8s.V1Toleration] | None:
    resource = spec.accelerator.resource
    if resource is None:
        return None
    return [k8s.V1Toleration(key=resource, operator="Exists", effect="NoSchedule")]


def _spread(spec: DeploymentSpec) -> list[k8s.V1TopologySpreadConstraint] | None:
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
