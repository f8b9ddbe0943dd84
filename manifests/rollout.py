"""Bring objects into a cluster and take them out again, one at a time; what fails costs itself."""

import difflib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firsttoken.manifests.cluster import Cluster, RefusedError, title
from firsttoken.manifests.render import to_yaml

__all__ = ["Outcome", "apply", "delete", "diff", "stale", "state", "wait"]

LOOK_S = 5.0
"""Seconds after which pods are looked at again."""
Verdict = Literal["created", "configured", "unchanged", "deleted", "absent", "failed"]
_SERVERS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
"""Metadata that only the server writes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object."""

    subject: str
    verdict: Verdict
    reason: str = ""


def apply(
    cluster: Cluster, items: Iterable[Mapping[str, Any]], *, dry_run: bool = False,
    force: bool = False,
) -> Iterator[Outcome]:  # fmt: skip
    """Apply objects in order; raises NotJudgedError when the server is gone."""
    for item in items:
        try:
            before = cluster.get(item)
            after = cluster.apply(item, dry_run=dry_run, force=force)
        except RefusedError as exc:
            yield Outcome(title(item), "failed", str(exc))
            continue
        if before is None:
            yield Outcome(title(item), "created")
        else:
            same = _own(before) == _own(after)
            yield Outcome(title(item), "unchanged" if same else "configured")


def _own(item: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object people write: no status, and no metadata of the server's."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVERS}
    return {**{k: v for k, v in item.items() if k != "status"}, "metadata": metadata}


def diff(cluster: Cluster, items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Title and unified difference of each object that applying would change.

    Raises RefusedError for an object that the server would refuse.
    """
    for item in items:
        before = cluster.get(item)
        after = cluster.apply(item, dry_run=True, force=True)
        texts = [to_yaml([_own(side)]) if side else "" for side in (before, after)]
        if texts[0] != texts[1]:
            old, new = (text.splitlines(keepends=True) for text in texts)
            names = f"cluster/{title(item)}", f"file/{title(item)}"
            lines = difflib.unified_diff(old, new, *names)
            yield title(item), "".join(lines)


def stale(
    cluster: Cluster, items: Sequence[Mapping[str, Any]], name: str, namespace: str
) -> list[dict[str, Any]]:
    """Objects of the deployment that are in the cluster and no longer in its file.

    Kinds that the cluster does not have, or that may not be listed, hold none.
    """
    wanted = {(item["kind"], item["metadata"]["name"]) for item in items}
    found = []
    for version, kind in _OWN_KINDS:
        probe = {"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}}
        try:
            listed = cluster.list(probe, namespace, f"firsttoken.dev/deployment={name}")
        except RefusedError:
            continue
        for item in listed:
            managed = item["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by")
            if managed == "firsttoken" and (kind, item["metadata"]["name"]) not in wanted:
                found.append(item)
    return found


_OWN_KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("serving.kserve.io/v1alpha2", "LLMInferenceService"),
    ("ray.io/v1", "RayService"),
    ("keda.sh/v1alpha1", "ScaledObject"),
)
"""Kinds that are removed when a file no longer has them; never a claim, which holds data."""


def delete(cluster: Cluster, items: Iterable[Mapping[str, Any]]) -> Iterator[Outcome]:
    """Delete objects in the order given."""
    for item in items:
        try:
            gone = cluster.delete(item)
        except RefusedError as exc:
            yield Outcome(title(item), "failed", str(exc))
        else:
            yield Outcome(title(item), "deleted" if gone else "absent")


def state(item: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a workload, as the cluster has it, is ready; and where it stands, in words."""
    status = item.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    if item["kind"] == "Deployment":
        wanted = item["spec"].get("replicas", 1)
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
        seen = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
        # An old pod that still serves is no sign that the new ones do.
        done = seen and min(updated, ready) >= wanted and status.get("replicas", 0) == wanted
        return done, f"{ready} of {wanted} ready, {updated} up to date"
    found = conditions.get("Ready") or conditions.get("RayServiceReady") or {}
    reason = found.get("message") or found.get("reason") or "no state yet"
    return found.get("status") == "True", str(reason)


def wait(
    cluster: Cluster, items: Sequence[Mapping[str, Any]], *, timeout: float,
    report: Callable[[str], None], clock: Callable[[], float] = time.monotonic,
    changed: Callable[[Mapping[str, Any], float], None] | None = None,
) -> bool:  # fmt: skip
    """Wait until workloads are ready, at most ``timeout`` seconds, and report what changes.

    They are watched, and read every few seconds besides, because pods change without them.  Raises
    RefusedError where one cannot be read.
    """
    changed = changed or cluster.changed
    deadline = clock() + timeout
    said: dict[str, str] = {}
    while True:
        open_ones = []
        for item in items:
            live = cluster.get(item)
            ready, words = state(live) if live else (False, "not there")
            pods = [] if ready else _waiting_pods(cluster, item)
            text = f"{title(item)}: {'; '.join([words, *pods])}"
            if said.get(title(item)) != text:
                report(text)
                said[title(item)] = text
            if not ready:
                open_ones.append(live or item)
        if not open_ones:
            return True
        left = deadline - clock()
        if left <= 0:
            return False
        changed(open_ones[0], min(LOOK_S, left))


def _waiting_pods(cluster: Cluster, item: Mapping[str, Any]) -> list[str]:
    """Why pods of a deployment wait: an image that is pulled, a probe that has not passed."""
    labels = item["metadata"].get("labels", {})
    name = labels.get("firsttoken.dev/deployment")
    if not name:
        return []
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": item["metadata"]}
    try:
        pods = cluster.list(
            probe, item["metadata"]["namespace"], f"firsttoken.dev/deployment={name}"
        )
    except RefusedError:
        return []  # the workload's own state says enough
    return [text for pod in pods if (text := _pod_reason(pod))]


def _pod_reason(pod: Mapping[str, Any]) -> str:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in every:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "PodInitializing"):
            return f"{pod['metadata']['name']}: {container['name']} {waiting['reason']}"
    for container in status.get("containerStatuses") or ():
        if "running" in (container.get("state") or {}) and not container.get("ready"):
            restarts = container.get("restartCount", 0)
            again = f" after {restarts} restarts" if restarts else ""
            return f"{pod['metadata']['name']}: {container['name']} loads{again}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{pod['metadata']['name']}: {condition.get('message', 'not scheduled')}"
    return ""
