"""Checks of objects by themselves: schema, names, labels, secrets, duplicates."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from firsttoken.manifests.documents import Item
from firsttoken.manifests.findings import Found, World
from firsttoken.manifests.schemas import native_problems
from firsttoken.manifests.workloads import pods_of

__all__ = ["duplicates", "labelled", "names", "permissions", "schema", "secrets"]

_NATIVE = re.compile(r"(^|\.)k8s\.io$")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_PORT = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
ANNOTATIONS_LIMIT = 256 * 1024
CONFIGMAP_LIMIT = 1024 * 1024
RECOMMENDED = tuple(f"app.kubernetes.io/{name}" for name in ("name", "part-of", "managed-by"))
_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|CREDENTIALS?|API_?KEY|ACCESS_KEY)$", re.IGNORECASE
)


def schema(world: World) -> Found:
    """Every object is valid to the letter; a kind that is not known is an error."""
    for item in world.items:
        group = item.api_version.rpartition("/")[0]
        if "." in group and not _NATIVE.search(group):
            found = world.schemas.problems(item)
            if found is None:
                yield item, f"no schema of {item.api_version} {item.kind}; --crds DIR gives one"
            for problem in found or ():
                yield item, problem
            continue
        seen: dict[str, list[str]] = {}
        for release in world.releases:
            problems = native_problems(item, release)
            if problems is None:
                problems = [f"{item.api_version} has no kind {item.kind}"]
            for problem in problems:
                seen.setdefault(problem, []).append(release)
        for problem, releases in seen.items():
            yield item, f"{problem} (Kubernetes {', '.join(releases)})"


def duplicates(world: World) -> Found:
    """No object is there twice, and none carries what only a server writes."""
    counts = Counter(_key(item) for item in world.items)
    for item in world.items:
        if counts.pop(_key(item), 1) > 1:
            yield item, "is given more than once"
        if "status" in item.content:
            yield item, "has a status, which only the cluster writes"
        for path in _nulls(item.content, ""):
            yield item, f"{path} is null"


def _key(item: Item) -> tuple[str, str, str, str]:
    group = item.api_version.rpartition("/")[0]
    return group, item.kind, item.namespace, item.name


def _nulls(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        return [p for key, child in value.items() for p in _nulls(child, f"{path}.{key}")]
    if isinstance(value, list):
        return [p for i, child in enumerate(value) for p in _nulls(child, f"{path}.{i}")]
    return [path.removeprefix(".")] if value is None else []


def names(world: World) -> Found:
    """Names, label values and ports are legal, and nothing is too large."""
    for item in world.items:
        pattern = _LABEL if item.kind in ("Service", "InferenceService") else _SUBDOMAIN
        limit = 63 if pattern is _LABEL else 253
        if not pattern.fullmatch(item.name) or len(item.name) > limit:
            yield item, f"{item.name!r} is no legal name of a {item.kind}"
        for key, value in (item.metadata.get("labels") or {}).items():
            if isinstance(value, str) and not _VALUE.fullmatch(value):
                yield item, f"label {key}: {value!r} is no legal value"
        annotations = item.metadata.get("annotations") or {}
        if sum(len(k) + len(str(v).encode()) for k, v in annotations.items()) > ANNOTATIONS_LIMIT:
            yield item, "annotations are larger than 256 KiB"
        size = sum(len(str(text).encode()) for text in (item.content.get("data") or {}).values())
        if item.kind == "ConfigMap" and size > CONFIGMAP_LIMIT:
            yield item, "is larger than 1 MiB"
    for pod in world.pods:
        for container in pod.every_container:
            for port in container.get("ports") or ():
                name, number = port.get("name"), port.get("containerPort")
                if name is not None and not _PORT.fullmatch(name):
                    yield pod.item, f"port {name!r}: at most 15 of a-z, 0-9 and -, with a letter"
                if isinstance(number, int) and not 1 <= number <= 65535:
                    yield pod.item, f"port {number} is not between 1 and 65535"


def labelled(world: World) -> Found:
    """Every object says what it belongs to, so that it can be found and removed."""
    for item in world.items:
        labels = item.metadata.get("labels") or {}
        missing = [name for name in RECOMMENDED if name not in labels]
        if missing:
            yield item, f"lacks the labels {', '.join(missing)}"


def secrets(world: World) -> Found:
    """No secret stands in a manifest."""
    for item in world.of_kind("Secret"):
        if item.content.get("data") or item.content.get("stringData"):
            yield item, "holds a secret in plain text; make it from outside"
    for item in world.of_kind("AlertmanagerConfig"):
        for receiver in item.spec.get("receivers") or ():
            for hook in receiver.get("webhookConfigs") or ():
                if "url" in hook:
                    yield item, f"receiver {receiver.get('name')}: url stands here; use urlSecret"
    for pod in world.pods:
        for container in pod.every_container:
            for message in _container_secrets(container):
                yield pod.item, message


def _container_secrets(container: dict[str, Any]) -> Iterator[str]:
    for variable in container.get("env") or ():
        if variable.get("value") and _SECRET_NAME.search(variable.get("name", "")):
            yield f"{variable['name']} has a value; use valueFrom.secretKeyRef"
    for word in container.get("args") or ():
        if re.match(r"--(api[-_]key|[a-z-]*(token|password))=(?!\$\()", str(word)):
            yield f"{str(word).partition('=')[0]} stands in the arguments, where all can read it"


def permissions(world: World) -> Found:
    """Rights are few, named and bound in a namespace; pods do without a token."""
    for item in world.of_kind("Role", "ClusterRole"):
        for rule in item.content.get("rules") or ():
            for part in ("apiGroups", "resources", "verbs"):
                if "*" in (rule.get(part) or ()):
                    yield item, f"{part}: * gives more than anything here needs"
    for item in world.of_kind("RoleBinding", "ClusterRoleBinding"):
        if (item.content.get("roleRef") or {}).get("name") == "cluster-admin":
            yield item, "binds cluster-admin"
    bound = {
        (subject.get("namespace", item.namespace), subject.get("name"))
        for item in world.of_kind("RoleBinding", "ClusterRoleBinding")
        for subject in item.content.get("subjects") or ()
    }
    for pod in pods_of(world.items):
        account = pod.spec.get("serviceAccountName", "default")
        needs = (pod.item.namespace, account) in bound or pod.item.kind == "InferenceService"
        if not needs and pod.spec.get("automountServiceAccountToken") is not False:
            yield pod.item, "mounts a service account token that it has no rights for"
