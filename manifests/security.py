"""What Pod Security's ``restricted`` level asks of pods and containers."""

from kubernetes import client as k8s

__all__ = ["USER_ID", "pod_security", "restricted"]

USER_ID = 2000


def pod_security() -> k8s.V1PodSecurityContext:
    """What Pod Security's ``restricted`` level asks of a pod."""
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER_ID,
        run_as_group=USER_ID,
        fs_group=USER_ID,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def restricted(*, read_only: bool = True) -> k8s.V1SecurityContext:
    """What Pod Security's ``restricted`` level asks of a container, and a read-only root."""
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=read_only or None,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )
