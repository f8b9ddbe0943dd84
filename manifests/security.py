"""What Pod Security's ``restricted`` level asks of pods and containers."""

from typing import Literal

from kubernetes import client as k8s

__all__ = ["USER_ID", "Security", "pod_security", "restricted"]

Security = Literal["restricted", "openshift"]
"""Who says which user a pod runs as: we, or OpenShift, which has users of its own for a namespace
and refuses any other.
"""

USER_ID = 2000


def pod_security(security: Security, user: int = USER_ID) -> k8s.V1PodSecurityContext:
    """What Pod Security's ``restricted`` level asks of a pod, which runs as ``user``."""
    who = user if security == "restricted" else None
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=who,
        run_as_group=who,
        fs_group=who,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def restricted(*, read_only: bool = True) -> k8s.V1SecurityContext:
    """What Pod Security's ``restricted`` level asks of a container, and a read-only root."""
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=read_only or None,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )
