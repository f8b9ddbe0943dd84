"""The pods that objects will become, one view for all kinds that make pods."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from firsttoken.manifests.documents import Item

__all__ = ["PodView", "matches", "pods_of"]

TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod template: ``replicas`` is None where the kind does not say how many."""

    item: Item
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any] = field(repr=False)
    replicas: int | None = None

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The containers beside each other."""
        return list(self.spec.get("containers") or ())

    @property
    def sidecars(self) -> list[dict[str, Any]]:
        """The native sidecars: init containers that keep running."""
        every = self.spec.get("initContainers") or ()
        return [container for container in every if container.get("restartPolicy") == "Always"]

    @property
    def every_container(self) -> list[dict[str, Any]]:
        """All containers, init containers included."""
        return [*self.containers, *(self.spec.get("initContainers") or ())]

    @property
    def engines(self) -> list[dict[str, Any]]:
        """The containers that run vLLM; Ray starts its engines, and watches them, by itself."""
        if self.item.kind.startswith("Ray"):
            return []
        return [container for container in self.containers if _runs_vllm(container)]


def _runs_vllm(container: dict[str, Any]) -> bool:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return any(
        word == "vllm" or "vllm.entrypoints" in word or word.startswith("vllm serve")
        for word in map(str, words)
    ) or str(container.get("image", "")).rpartition("/")[2].startswith("vllm-openai")


def matches(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector, of either form, matches; an empty one matches all."""
    selector = selector or {}
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or ())


def _expression(entry: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(entry["key"]), entry.get("values") or []
    match entry["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def pods_of(items: Iterable[Item]) -> list[PodView]:
    """All pods that the objects will become."""
    every = list(items)
    runtimes = {
        (item.namespace, item.name): item for item in every if item.kind == "ServingRuntime"
    }
    return [pod for item in every for pod in _pods(item, runtimes)]


def _pods(item: Item, runtimes: dict[tuple[str, str], Item]) -> Iterator[PodView]:
    spec = item.spec
    if item.kind == "Pod":
        yield _view(item, item.metadata, spec, 1)
    elif item.kind in TEMPLATED:
        replicas = spec.get("replicas", 1) if item.kind != "DaemonSet" else None
        yield _template(item, spec.get("template"), replicas)
    elif item.kind == "CronJob":
        yield _template(item, spec.get("jobTemplate", {}).get("spec", {}).get("template"), None)
    elif item.kind == "InferenceService":
        predictor = spec.get("predictor", {})
        name = (predictor.get("model") or {}).get("runtime")
        runtime = runtimes.get((item.namespace, str(name)))
        yield _view(item, predictor, _merged(predictor, runtime), predictor.get("minReplicas"))
    elif item.kind == "LLMInferenceService":
        yield _view(item, spec, spec.get("template", {}), spec.get("replicas", 1))
    elif item.kind in ("RayService", "RayCluster"):
        cluster = spec.get("rayClusterConfig", spec)
        yield _template(item, cluster.get("headGroupSpec", {}).get("template"), 1)
        for group in cluster.get("workerGroupSpecs") or ():
            yield _template(item, group.get("template"), group.get("replicas", 1))


def _merged(predictor: dict[str, Any], runtime: Item | None) -> dict[str, Any]:
    """A predictor's pod: KServe appends the runtime's containers and volumes."""
    if runtime is None:
        return predictor
    joined = {
        key: [*(runtime.spec.get(key) or ()), *(predictor.get(key) or ())]
        for key in ("containers", "volumes", "tolerations")
    }
    return runtime.spec | predictor | joined


def _template(item: Item, template: object, replicas: object) -> PodView:
    found = template if isinstance(template, dict) else {}
    return _view(item, found.get("metadata") or {}, found.get("spec") or {}, replicas)


def _view(item: Item, metadata: dict[str, Any], spec: dict[str, Any], replicas: object) -> PodView:
    count = replicas if isinstance(replicas, int) else None
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return PodView(item, labels, annotations, spec, count)
