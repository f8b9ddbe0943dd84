"""Checks of pods: security, resources, images, probes, how they stop, where they run."""

import re
from collections.abc import Iterator
from typing import Any

from firsttoken.manifests.findings import Found, World
from firsttoken.manifests.names import quantity
from firsttoken.manifests.workloads import PodView, matches

__all__ = ["availability", "gpus", "images", "probes", "resources", "security", "stop"]

_GPU = re.compile(r"^(nvidia\.com/|amd\.com/gpu|gpu\.intel\.com/)")
_PRIVILEGED = "pod-security.kubernetes.io/enforce"
DEFAULT_GRACE_S = 30


def _open_namespaces(world: World) -> set[str]:
    """Namespaces that are set apart for pods that cannot be restricted."""
    return {
        item.name
        for item in world.of_kind("Namespace")
        if (item.metadata.get("labels") or {}).get(_PRIVILEGED) == "privileged"
    }


def security(world: World) -> Found:
    """Every container meets Pod Security's restricted level."""
    apart = _open_namespaces(world)
    for pod in world.pods:
        if pod.item.namespace in apart:
            continue
        for message in _pod_security(pod):
            yield pod.item, message


def _pod_security(pod: PodView) -> Iterator[str]:
    whole = pod.spec.get("securityContext") or {}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield f"{key} is not restricted"
    for volume in pod.spec.get("volumes") or ():
        if "hostPath" in volume:
            yield f"volume {volume.get('name')}: hostPath is not restricted"
    for container in pod.every_container:
        own = container.get("securityContext") or {}
        name = str(container.get("name"))
        if (own.get("runAsNonRoot", whole.get("runAsNonRoot"))) is not True:
            yield f"{name}: runAsNonRoot is not true"
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{name}: allowPrivilegeEscalation is not false"
        if "ALL" not in ((own.get("capabilities") or {}).get("drop") or ()):
            yield f"{name}: capabilities are not dropped"
        profile = own.get("seccompProfile") or whole.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile is not RuntimeDefault"


def resources(world: World) -> Found:
    """Every container says what it needs and what it may take at most."""
    for pod in world.pods:
        for container in pod.every_container:
            found = container.get("resources") or {}
            requests, limits = found.get("requests") or {}, found.get("limits") or {}
            name = container.get("name")
            for wanted in ("cpu", "memory"):
                if wanted not in requests and wanted not in limits:
                    yield pod.item, f"{name}: requests no {wanted}"
            if "memory" not in limits:
                yield pod.item, f"{name}: memory has no limit"
            for key in {*requests, *limits}:
                if _GPU.match(key) and requests.get(key, limits.get(key)) != limits.get(key):
                    yield pod.item, f"{name}: request and limit of {key} differ"
            for message in _memory_volumes(pod, container, limits.get("memory")):
                yield pod.item, message


def _memory_volumes(pod: PodView, container: dict[str, Any], limit: str | None) -> Iterator[str]:
    mounted = {mount.get("name") for mount in container.get("volumeMounts") or ()}
    for volume in pod.spec.get("volumes") or ():
        source = volume.get("emptyDir") or {}
        if source.get("medium") != "Memory" or volume.get("name") not in mounted:
            continue
        size = source.get("sizeLimit")
        if size is None:
            yield f"volume {volume['name']}: in memory and without sizeLimit"
        elif limit is not None and quantity(size) >= quantity(limit):
            yield f"volume {volume['name']}: as large as the memory of {container.get('name')}"


def images(world: World) -> Found:
    """Images are pinned: a tag other than latest, or a digest."""
    for pod in world.pods:
        for container in pod.every_container:
            image = str(container.get("image", ""))
            if not image:  # a platform's template gives it
                continue
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                yield pod.item, f"{container.get('name')}: image {image} is not pinned"


def probes(world: World) -> Found:
    """The engine is given time to load; nothing else decides whether it is ready."""
    for pod in world.pods:
        for engine in pod.engines:
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                if name not in engine:
                    yield pod.item, f"{engine.get('name')}: has no {name}"
        for sidecar in pod.sidecars:
            if "readinessProbe" in sidecar:
                yield pod.item, f"{sidecar.get('name')}: could make the model unready"
        for container in pod.every_container:
            for message in _probe_problems(container):
                yield pod.item, f"{container.get('name')}: {message}"


def _probe_problems(container: dict[str, Any]) -> Iterator[str]:
    ports = {
        value
        for port in container.get("ports") or ()
        for value in (port.get("name"), port.get("containerPort"))
    }
    tls = any("--ssl-certfile" in str(word) for word in container.get("args") or ())
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name) or {}
        if name != "startupProbe" and probe.get("initialDelaySeconds") and (
            "startupProbe" in container
        ):  # fmt: skip
            yield f"{name}: initialDelaySeconds beside a startupProbe only delays"
        ask = probe.get("httpGet") or {}
        if ask and ports and ask.get("port") not in ports:
            yield f"{name}: port {ask.get('port')} is none of the container's"
        if ask and (ask.get("scheme", "HTTP") == "HTTPS") != tls and tls:
            yield f"{name}: speaks HTTP to an engine with TLS"


def stop(world: World) -> Found:
    """Requests in flight may finish before the pod is killed."""
    for pod in world.pods:
        grace = pod.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        for engine in pod.engines:
            words = " ".join(map(str, engine.get("args") or ()))
            found = re.search(r"--shutdown[-_]timeout[= ](\d+)", words)
            pause = ((engine.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}
            needed = pause.get("seconds", 0) + (int(found[1]) if found else 0)
            if found is None and pod.item.kind in ("Deployment", "StatefulSet", "Pod"):
                yield pod.item, "vLLM aborts its requests without --shutdown-timeout"
            elif found and needed >= grace and pod.item.kind != "InferenceService":
                yield (
                    pod.item,
                    (
                        f"needs {needed} s to stop, and is killed after {grace} s"
                        " (terminationGracePeriodSeconds)"
                    ),
                )


def availability(world: World) -> Found:
    """One node's end or drain does not take the model away, nor is it blocked."""
    budgets = list(world.of_kind("PodDisruptionBudget"))
    claims = {(i.namespace, i.name): i for i in world.of_kind("PersistentVolumeClaim")}
    for pod in world.pods:
        if not pod.engines or pod.replicas is None:
            continue
        own = [
            budget
            for budget in budgets
            if budget.namespace == pod.item.namespace
            and matches(budget.spec.get("selector"), pod.labels)
        ]
        if pod.replicas > 1 and budgets and not own:
            yield pod.item, "no PodDisruptionBudget selects its replicas"
        for budget in own:
            least, most = budget.spec.get("minAvailable"), budget.spec.get("maxUnavailable")
            if most in (0, "0%") or least == "100%" or (
                isinstance(least, int) and least >= pod.replicas
            ):  # fmt: skip
                yield budget, "blocks every drain"
        for volume in pod.spec.get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            claim = claims.get((pod.item.namespace, str(name)))
            modes = claim.spec.get("accessModes", ()) if claim else ("ReadWriteMany",)
            if pod.replicas > 1 and not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
                yield pod.item, f"{pod.replicas} replicas share {name}, which one node mounts"


def gpus(world: World) -> Found:
    """A pod that asks for a GPU is let onto the nodes that have one."""
    for pod in world.pods:
        wanted = {
            key
            for container in pod.containers
            for key in (container.get("resources") or {}).get("limits") or {}
            if _GPU.match(key)
        }
        placed = pod.spec.get("tolerations") or pod.spec.get("nodeSelector") or (
            pod.spec.get("affinity") or {}
        ).get("nodeAffinity")  # fmt: skip
        if wanted and not placed:
            yield (
                pod.item,
                (f"asks for {', '.join(sorted(wanted))} without toleration or node selector"),
            )
