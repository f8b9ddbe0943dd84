"""A known load against the deployment, as a Job that fails where an objective is missed."""

import hashlib
from typing import Any

import yaml
from kubernetes import client as k8s

from firsttoken.config import format_duration
from firsttoken.manifests.metadata import COLLECTOR, metadata
from firsttoken.manifests.render import plain
from firsttoken.manifests.security import pod_security, restricted
from firsttoken.manifests.spec import DeploymentSpec, Platform
from firsttoken.rules.slo import Availability, Latency, SloFile

__all__ = ["address", "load_test"]

DIRECTORY = "/etc/firsttoken"
RESULTS = "/results"
INDEX = "JOB_COMPLETION_INDEX"
HASH_LENGTH = 8
_HOSTS: dict[Platform, str] = {
    "deployment": "{name}.{namespace}.svc:80",
    "kserve-standard": "{name}-predictor.{namespace}.svc:80",
    "kserve-knative": "{name}-predictor.{namespace}.svc.cluster.local:80",
    "llm-inference-service": "{name}-kserve-workload-svc.{namespace}.svc:8000",
    "ray-service": "{name}-serve-svc.{namespace}.svc:8000",
}


def address(spec: DeploymentSpec) -> str:
    """Where clients inside the cluster find the model."""
    return f"http://{_HOSTS[spec.platform].format(name=spec.name, namespace=spec.namespace)}"


def load_test(spec: DeploymentSpec, slo: SloFile | None) -> list[dict[str, Any]]:
    """The Job and its load file; nothing without ``load_test``.

    A Job cannot be changed, so its name changes with what it does.
    """
    if spec.load_test is None:
        return []
    text = _load_file(spec)
    given = spec.load_test
    common = [*_arguments(spec), *(_promises(slo) if given.workers == 1 else ())]
    told = [text, given.image, str(given.workers), given.results or "", *common]
    digest = hashlib.sha256("\0".join(told).encode()).hexdigest()
    suffix = f"-load-{digest[:HASH_LENGTH]}"
    arguments = [*common, *_shard(given.workers, f"{spec.name}{suffix}")]
    config = k8s.V1ConfigMap(
        api_version="v1",
        kind="ConfigMap",
        metadata=metadata(spec, COLLECTOR, suffix=suffix),
        data={"load.yaml": text},
    )
    return [plain(config), plain(_job(spec, suffix, arguments))]


def _load_file(spec: DeploymentSpec) -> str:
    given = spec.load_test
    assert given is not None  # noqa: S101 - the caller has looked
    text: str = yaml.safe_dump(
        {
            "version": "firsttoken/v1",
            "api": "chat",
            "arrivals": {"kind": "poisson", "rate": given.rate},
            "warmup": format_duration(given.warmup),
            "duration": format_duration(given.duration),
            "prompt_tokens": given.prompt_tokens,
            "output_tokens": given.output_tokens,
            "seed": 1,
        },
        sort_keys=False,
    )
    return text


def _arguments(spec: DeploymentSpec) -> list[str]:
    return [
        f"--target={address(spec)}",
        f"--load={DIRECTORY}/load.yaml",
        f"--model={spec.model_name}",
        "--json",
    ]


def _shard(workers: int, run: str) -> list[str]:
    """Where the records go and, of several workers, whose share this is and when all begin."""
    if workers == 1:
        return [f"--out={RESULTS}/records.jsonl"]
    # Pods that are ready within one minute begin at the same full minute.
    return [
        f"--out={RESULTS}/{run}-$({INDEX}).jsonl",
        f"--shard=job/{workers}",
        f"--run-id={run}",
        "--start-at=every:1m",
    ]


def _promises(slo: SloFile | None) -> list[str]:
    """The objectives that clients can judge; those of several workers are judged when merged."""
    found = []
    for objective in slo.objectives if slo else ():
        percent = format(objective.target.normalize(), "f")
        if isinstance(objective, Availability):
            found.append(f"--objective=success@{percent}")
        elif isinstance(objective, Latency) and objective.metric in ("ttft", "tpot", "itl", "e2e"):
            threshold = format_duration(float(objective.threshold))
            found.append(f"--objective={objective.metric}<{threshold}@{percent}")
    return found


def _job(spec: DeploymentSpec, suffix: str, arguments: list[str]) -> k8s.V1Job:
    given = spec.load_test
    assert given is not None  # noqa: S101 - the caller has looked
    resources = {"memory": "1Gi", "ephemeral-storage": "2Gi"}
    container = k8s.V1Container(
        name="load",
        image=given.image,
        image_pull_policy="IfNotPresent",
        command=["firsttoken", "load", "run"],
        args=arguments,
        env=[_index()] if given.workers > 1 else None,
        resources=k8s.V1ResourceRequirements(requests={"cpu": "1", **resources}, limits=resources),
        security_context=restricted(),
        volume_mounts=[
            k8s.V1VolumeMount(name="load", mount_path=DIRECTORY, read_only=True),
            k8s.V1VolumeMount(name="results", mount_path=RESULTS),
        ],
    )
    source = k8s.V1ConfigMapVolumeSource(name=f"{spec.name}{suffix}")
    # Without the label of the engine's pods, so that no Service sends requests here.
    labels = {"app.kubernetes.io/name": "load-test", "app.kubernetes.io/part-of": "firsttoken"}
    template = k8s.V1PodTemplateSpec(
        metadata=k8s.V1ObjectMeta(labels=labels),
        spec=k8s.V1PodSpec(
            restart_policy="Never",
            containers=[container],
            volumes=[
                k8s.V1Volume(name="load", config_map=source),
                _results(given.results),
            ],
            topology_spread_constraints=[_apart(labels)] if given.workers > 1 else None,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security(spec.security),
        ),
    )
    return k8s.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=metadata(spec, COLLECTOR, suffix=suffix),
        # Once: a second run on top of a failed one would measure something else.
        spec=k8s.V1JobSpec(
            backoff_limit=0,
            ttl_seconds_after_finished=86400,
            template=template,
            completion_mode="Indexed" if given.workers > 1 else None,
            completions=given.workers if given.workers > 1 else None,
            parallelism=given.workers if given.workers > 1 else None,
        ),
    )


def _index() -> k8s.V1EnvVar:
    # Kubernetes would set it too; what arguments refer to is said where one looks for it.
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    source = k8s.V1EnvVarSource(
        field_ref=k8s.V1ObjectFieldSelector(api_version="v1", field_path=path)
    )
    return k8s.V1EnvVar(name=INDEX, value_from=source)


def _results(claim: str | None) -> k8s.V1Volume:
    if claim is None:
        return k8s.V1Volume(name="results", empty_dir=k8s.V1EmptyDirVolumeSource())
    source = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=claim)
    return k8s.V1Volume(name="results", persistent_volume_claim=source)


def _apart(labels: dict[str, str]) -> k8s.V1TopologySpreadConstraint:
    """Workers on one node would measure each other."""
    return k8s.V1TopologySpreadConstraint(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="ScheduleAnyway",
        label_selector=k8s.V1LabelSelector(match_labels=labels),
    )
