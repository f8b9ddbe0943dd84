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
    arguments = _arguments(spec, slo)
    image = spec.load_test.image
    digest = hashlib.sha256("\0".join([text, image, *arguments]).encode()).hexdigest()
    suffix = f"-load-{digest[:HASH_LENGTH]}"
    config = k8s.V1ConfigMap(
        api_version="v1",
        kind="ConfigMap",
        metadata=metadata(spec, COLLECTOR, suffix=suffix),
        data={"load.yaml": text},
    )
    return [plain(config), plain(_job(spec, image, suffix, arguments))]


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


def _arguments(spec: DeploymentSpec, slo: SloFile | None) -> list[str]:
    found = [
        f"--target={address(spec)}",
        f"--load={DIRECTORY}/load.yaml",
        f"--model={spec.model_name}",
        f"--out={RESULTS}/records.jsonl",
        "--json",
    ]
    for objective in slo.objectives if slo else ():
        percent = format(objective.target.normalize(), "f")
        if isinstance(objective, Availability):
            found.append(f"--objective=success@{percent}")
        elif isinstance(objective, Latency) and objective.metric in ("ttft", "tpot", "itl", "e2e"):
            threshold = format_duration(float(objective.threshold))
            found.append(f"--objective={objective.metric}<{threshold}@{percent}")
    return found


def _job(spec: DeploymentSpec, image: str, suffix: str, arguments: list[str]) -> k8s.V1Job:
    resources = {"memory": "1Gi", "ephemeral-storage": "2Gi"}
    container = k8s.V1Container(
        name="load",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["firsttoken", "load", "run"],
        args=arguments,
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
                k8s.V1Volume(name="results", empty_dir=k8s.V1EmptyDirVolumeSource()),
            ],
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security(),
        ),
    )
    return k8s.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=metadata(spec, COLLECTOR, suffix=suffix),
        # Once: a second run on top of a failed one would measure something else.
        spec=k8s.V1JobSpec(backoff_limit=0, ttl_seconds_after_finished=86400, template=template),
    )
