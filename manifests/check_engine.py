"""Checks of the engine's own settings, and of KServe's."""

import re
from collections.abc import Iterator
from typing import Any

from firsttoken.manifests.findings import Found, World
from firsttoken.manifests.flags import flag_problem, parse_release
from firsttoken.manifests.workloads import PodView

__all__ = ["kserve", "vllm"]

MODE = "serving.kserve.io/deploymentMode"
MODES = {"Standard": "Standard", "RawDeployment": "Standard",
         "Knative": "Knative", "Serverless": "Knative", "ModelMesh": "ModelMesh"}  # fmt: skip
SCRAPE = "serving.kserve.io/enable-prometheus-scraping"


def vllm(world: World) -> Found:
    """The release has every flag, and every reference in arguments stands for something."""
    for pod in world.pods:
        for container in pod.every_container:
            for message in _references(container):
                yield pod.item, f"{container.get('name')}: {message}"
        for engine in pod.engines:
            for message in _flags(engine):
                yield pod.item, f"{engine.get('name')}: {message}"
        if pod.engines and _named_vllm(world, pod):
            yield (
                pod.item,
                (
                    "a Service called vllm sets VLLM_PORT, which vLLM reads:"
                    " enableServiceLinks: false"
                ),
            )


def _named_vllm(world: World, pod: PodView) -> bool:
    services = {i.name for i in world.of_kind("Service") if i.namespace == pod.item.namespace}
    return "vllm" in services and pod.spec.get("enableServiceLinks") is not False


def _references(container: dict[str, Any]) -> Iterator[str]:
    known: set[str] = set()
    for variable in container.get("env") or ():
        for name in re.findall(r"(?<!\$)\$\(([A-Za-z_]\w*)\)", str(variable.get("value", ""))):
            if name not in known:
                yield f"$({name}) in {variable.get('name')} is not defined before it"
        known.add(str(variable.get("name")))
    if container.get("envFrom"):
        return
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    is_shell = any(str(word).rpartition("/")[2] in ("sh", "bash") for word in words)
    for word in map(str, words):
        for name in re.findall(r"(?<!\$)\$\(([A-Za-z_]\w*)\)", word):
            if name not in known:
                yield f"$({name}) in {word} is no variable of the container"
        if not is_shell and re.search(r"\$[A-Za-z_{]", word):
            yield f"{word}: without a shell only $(NAME) is replaced"


def _flags(engine: dict[str, Any]) -> Iterator[str]:
    tag = str(engine.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[2]
    release = parse_release(tag)
    if release is None:
        return
    for word in map(str, engine.get("args") or ()):
        problem = flag_problem(word, release)
        if problem:
            yield problem


def kserve(world: World) -> Found:
    """KServe is told its mode, and asked for nothing that this mode cannot do."""
    for item in world.of_kind("InferenceService"):
        annotations = item.metadata.get("annotations") or {}
        mode = MODES.get(annotations.get(MODE, ""))
        if mode is None:
            yield item, f"{MODE} is not one of {', '.join(MODES)}; defaults differ"
        if mode == "Standard" and annotations.get(SCRAPE) == "true":
            yield item, f"{SCRAPE} names a port on which nothing listens in Standard mode"
    for pod in world.pods:
        if pod.item.kind != "InferenceService":
            continue
        names = [container.get("name") for container in pod.containers]
        if names.count("kserve-container") != 1 and "model" not in pod.item.spec["predictor"]:
            yield pod.item, "has not exactly one container called kserve-container"
        for container in pod.containers:
            if any(v.get("name") == "PYTHONPATH" for v in container.get("env") or ()):
                yield pod.item, "sets PYTHONPATH, which KServe refuses"
        mode = MODES.get((pod.item.metadata.get("annotations") or {}).get(MODE, ""))
        if mode == "Knative":
            for message in _knative(pod):
                yield pod.item, message


def _knative(pod: PodView) -> Iterator[str]:
    if pod.spec.get("initContainers"):
        yield "Knative takes no init containers without a feature flag"
    with_ports = [c.get("name") for c in pod.containers if c.get("ports")]
    if len(with_ports) > 1:
        yield f"Knative lets one container have ports, not {' and '.join(map(str, with_ports))}"
    if any("lifecycle" in container for container in pod.containers):
        yield "Knative takes no life-cycle hooks"
