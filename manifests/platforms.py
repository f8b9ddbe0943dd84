"""What runs the engine: one function a platform, and which of our own objects it still needs."""

from collections.abc import Callable
from typing import Any

from firsttoken.manifests.engine import deployment
from firsttoken.manifests.kserve import inference_service, llm_inference_service, serving_runtime
from firsttoken.manifests.ray import ray_service
from firsttoken.manifests.render import plain
from firsttoken.manifests.service import service
from firsttoken.manifests.spec import DeploymentSpec, Platform

__all__ = ["PLATFORMS"]

Objects = list[dict[str, Any]]


def _deployment(spec: DeploymentSpec, buckets: str | None, digest: str) -> Objects:
    return [plain(service(spec)), plain(deployment(spec, buckets, digest))]


def _kserve(spec: DeploymentSpec, buckets: str | None, digest: str) -> Objects:
    return [plain(serving_runtime(spec, buckets)), plain(inference_service(spec, digest))]


def _llm_inference_service(spec: DeploymentSpec, buckets: str | None, digest: str) -> Objects:
    return [plain(llm_inference_service(spec, buckets, digest))]


def _ray_service(spec: DeploymentSpec, buckets: str | None, digest: str) -> Objects:
    return [plain(ray_service(spec, buckets, digest))]


PLATFORMS: dict[Platform, Callable[[DeploymentSpec, str | None, str], Objects]] = {
    "deployment": _deployment,
    "kserve-standard": _kserve,
    "kserve-knative": _kserve,
    "llm-inference-service": _llm_inference_service,
    "ray-service": _ray_service,
}
"""Arguments: the deployment, the value of ``--custom-histogram-buckets`` or None, and the digest of
the collector's configuration."""
