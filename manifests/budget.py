"""How many series a deployment costs its Prometheus."""

from typing import NamedTuple

from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["Budget", "budget"]

# Counted on pages behind the collector: vLLM 0.32 with one model, dcgm-exporter 4.5 and AMD's 1.5.
ENGINE_SERIES = 420
GPU_SERIES = {"nvidia": 25, "amd": 65}
SOURCE_SERIES = 15
"""What the collector says of one source."""


class Budget(NamedTuple):
    """Series of one pod and of all, the rules' own left out."""

    pod: int
    all: int

    def __str__(self) -> str:
        return f"about {self.pod:,} series a pod, {self.all:,} in all"


def budget(spec: DeploymentSpec) -> Budget:
    """An estimate for one model a pod, at the most replicas that there can be."""
    pod = ENGINE_SERIES + SOURCE_SERIES
    if spec.gpu_exporter_address:
        pod += SOURCE_SERIES + spec.accelerator.count * GPU_SERIES.get(spec.accelerator.vendor, 0)
    return Budget(pod, pod * spec.most_replicas)
