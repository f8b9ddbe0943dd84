"""What brings the engines' logs to Loki: Grafana Alloy, which asks the API server for them.

So it needs no rights on nodes, as a reader of their files would, and stays within Pod Security's
restricted level; what it may do is a Role of one namespace.
"""

from typing import Any

from kubernetes import client as k8s

from firsttoken.logs.shipping import alloy
from firsttoken.manifests.backend import STORAGE_DIRECTORY, Backend, shared_metadata
from firsttoken.manifests.names import selector
from firsttoken.manifests.render import plain
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["log_shipper"]

NAME = "log-shipper"
PORT = 12345
_RIGHTS = (
    (["pods"], ["get", "list", "watch"]),
    (["pods/log"], ["get", "list", "watch"]),
)


def log_shipper(spec: DeploymentSpec) -> list[dict[str, Any]]:
    """Account, rights and Alloy in the deployment's namespace; nothing without ``logs``.

    One reads all deployments of its namespace, whichever brings it.
    """
    given = spec.logs
    if given is None:
        return []
    (label,) = selector(spec.name)
    shipper = Backend(
        name=NAME,
        image=given.image,
        namespace=spec.namespace,
        config_file="config.alloy",
        config=alloy(given.loki, label, ".+", namespace=spec.namespace),
        arguments=(
            "run",
            f"--server.http.listen-addr=0.0.0.0:{PORT}",
            f"--storage.path={STORAGE_DIRECTORY}",
            "{config}",
        ),
        ports={},
        health=("/-/ready", PORT),
        service_account=NAME,
        security=spec.security,
    )
    return [*_rights(spec.namespace, given.image), *shipper.objects()]


def _rights(namespace: str, image: str) -> list[dict[str, Any]]:
    def metadata() -> k8s.V1ObjectMeta:
        return shared_metadata(NAME, namespace, image)

    group = "rbac.authorization.k8s.io"
    return [
        plain(item)
        for item in (
            k8s.V1ServiceAccount(
                api_version="v1",
                kind="ServiceAccount",
                metadata=metadata(),
                automount_service_account_token=False,
            ),
            k8s.V1Role(
                api_version=f"{group}/v1",
                kind="Role",
                metadata=metadata(),
                rules=[
                    k8s.V1PolicyRule(api_groups=[""], resources=resources, verbs=verbs)
                    for resources, verbs in _RIGHTS
                ],
            ),
            k8s.V1RoleBinding(
                api_version=f"{group}/v1",
                kind="RoleBinding",
                metadata=metadata(),
                role_ref=k8s.V1RoleRef(api_group=group, kind="Role", name=NAME),
                subjects=[k8s.RbacV1Subject(kind="ServiceAccount", name=NAME, namespace=namespace)],
            ),
        )
    ]
