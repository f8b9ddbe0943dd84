"""One program of somebody else's with a configuration file: a pod, its Service and its claim."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client as k8s

from firsttoken.manifests.metadata import image_version
from firsttoken.manifests.names import label_value
from firsttoken.manifests.render import plain
from firsttoken.manifests.security import Security, pod_security, restricted

__all__ = ["STORAGE_DIRECTORY", "Backend", "namespace_of", "shared_metadata"]

CONFIG_DIRECTORY = "/etc/firsttoken"
STORAGE_DIRECTORY = "/var/lib/firsttoken"


def shared_metadata(name: str, namespace: str | None, image: str) -> k8s.V1ObjectMeta:
    """Of what several deployments can bring: the same, labels included, whichever brings it."""
    return k8s.V1ObjectMeta(
        name=name,
        namespace=namespace,
        labels={
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/component": name,
            "app.kubernetes.io/part-of": "firsttoken",
            "app.kubernetes.io/managed-by": "firsttoken",
            "app.kubernetes.io/version": label_value(image_version(image)),
        },
    )


def namespace_of(name: str, level: str) -> dict[str, Any]:
    """A namespace whose pods are held to a level of Pod Security."""
    return plain(
        k8s.V1Namespace(
            api_version="v1",
            kind="Namespace",
            metadata=k8s.V1ObjectMeta(
                name=name,
                labels={
                    "app.kubernetes.io/name": name,
                    "app.kubernetes.io/component": "namespace",
                    "app.kubernetes.io/part-of": "firsttoken",
                    "app.kubernetes.io/managed-by": "firsttoken",
                    "app.kubernetes.io/version": "1",
                    "pod-security.kubernetes.io/enforce": level,
                },
            ),
        )
    )


@dataclass(frozen=True, slots=True)
class Backend:
    """A pod of one replica; ``ports`` are what its Service offers, by name.

    ``arguments`` follow the image's entry point, with ``{config}`` where the file lies; ``health``
    is path and port of what says that it lives; ``storage`` is the size of a claim at
    ``STORAGE_DIRECTORY``, None for none; with a ``service_account`` its token is mounted.
    """

    name: str
    image: str
    namespace: str
    config_file: str
    config: str
    arguments: tuple[str, ...]
    ports: Mapping[str, int]
    health: tuple[str, int]
    memory: str = "512Mi"
    storage: str | None = None
    service_account: str | None = None
    security: Security = "restricted"
    clients: tuple[k8s.V1NetworkPolicyPeer, ...] = field(default=())
    """Who may talk to it; empty: any pod of the cluster."""

    @property
    def selector(self) -> dict[str, str]:
        """The label that its Service and its policy select."""
        return {"app.kubernetes.io/name": self.name}

    def objects(self) -> list[dict[str, Any]]:
        """ConfigMap, claim, Deployment, Service and NetworkPolicy."""
        found: list[object | None] = [self._config_map(), self._claim(), self._deployment()]
        if self.ports:
            found.append(self._service())
        found.append(self._policy())
        return [plain(item) for item in found if item is not None]

    def _metadata(self) -> k8s.V1ObjectMeta:
        return shared_metadata(self.name, self.namespace, self.image)

    def _config_map(self) -> k8s.V1ConfigMap:
        return k8s.V1ConfigMap(
            api_version="v1",
            kind="ConfigMap",
            metadata=self._metadata(),
            data={self.config_file: self.config},
        )

    def _claim(self) -> k8s.V1PersistentVolumeClaim | None:
        if self.storage is None:
            return None
        return k8s.V1PersistentVolumeClaim(
            api_version="v1",
            kind="PersistentVolumeClaim",
            metadata=self._metadata(),
            spec=k8s.V1PersistentVolumeClaimSpec(
                access_modes=["ReadWriteOnce"],
                resources=k8s.V1VolumeResourceRequirements(requests={"storage": self.storage}),
            ),
        )

    def _deployment(self) -> k8s.V1Deployment:
        labels = dict(self._metadata().labels or {})
        digest = hashlib.sha256(self.config.encode()).hexdigest()[:16]
        template = k8s.V1PodTemplateSpec(
            metadata=k8s.V1ObjectMeta(labels=labels, annotations={"firsttoken.dev/config": digest}),
            spec=k8s.V1PodSpec(
                containers=[self._container()],
                volumes=self._volumes(),
                service_account_name=self.service_account,
                automount_service_account_token=self.service_account is not None,
                enable_service_links=False,
                security_context=pod_security(self.security),
                termination_grace_period_seconds=30,
            ),
        )
        return k8s.V1Deployment(
            api_version="apps/v1",
            kind="Deployment",
            metadata=self._metadata(),
            spec=k8s.V1DeploymentSpec(
                replicas=1,
                # Never two of them: each holds its state, and a claim is one node's.
                strategy=k8s.V1DeploymentStrategy(type="Recreate"),
                selector=k8s.V1LabelSelector(match_labels=self.selector),
                template=template,
            ),
        )

    def _container(self) -> k8s.V1Container:
        path, port = self.health
        alive = k8s.V1HTTPGetAction(path=path, port=port, scheme="HTTP")
        config = f"{CONFIG_DIRECTORY}/{self.config_file}"
        mounts = [
            k8s.V1VolumeMount(name="config", mount_path=CONFIG_DIRECTORY, read_only=True),
            k8s.V1VolumeMount(name="storage", mount_path=STORAGE_DIRECTORY),
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 - of the container
        ]
        resources = {"memory": self.memory, "ephemeral-storage": "1Gi"}
        return k8s.V1Container(
            name=self.name,
            image=self.image,
            image_pull_policy="IfNotPresent",
            args=[argument.replace("{config}", config) for argument in self.arguments],
            ports=[
                k8s.V1ContainerPort(name=name, container_port=number, protocol="TCP")
                for name, number in {**self.ports, "health": port}.items()
            ],
            resources=k8s.V1ResourceRequirements(
                requests={"cpu": "100m", **resources}, limits=resources
            ),
            startup_probe=k8s.V1Probe(http_get=alive, period_seconds=2, failure_threshold=60),
            liveness_probe=k8s.V1Probe(
                http_get=alive, period_seconds=10, timeout_seconds=5, failure_threshold=3
            ),
            security_context=restricted(),
            volume_mounts=mounts,
        )

    def _volumes(self) -> list[k8s.V1Volume]:
        def scratch(name: str) -> k8s.V1Volume:
            return k8s.V1Volume(name=name, empty_dir=k8s.V1EmptyDirVolumeSource(size_limit="512Mi"))

        config = k8s.V1ConfigMapVolumeSource(name=self.name)
        claim = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=self.name)
        return [
            k8s.V1Volume(name="config", config_map=config),
            k8s.V1Volume(name="storage", persistent_volume_claim=claim)
            if self.storage
            else scratch("storage"),
            scratch("tmp"),
        ]

    def _service(self) -> k8s.V1Service:
        return k8s.V1Service(
            api_version="v1",
            kind="Service",
            metadata=self._metadata(),
            spec=k8s.V1ServiceSpec(
                selector=self.selector,
                ports=[
                    k8s.V1ServicePort(name=name, port=number, target_port=number, protocol="TCP")
                    for name, number in self.ports.items()
                ],
            ),
        )

    def _policy(self) -> k8s.V1NetworkPolicy:
        anyone = (k8s.V1NetworkPolicyPeer(namespace_selector=k8s.V1LabelSelector()),)
        ports = [k8s.V1NetworkPolicyPort(port=n, protocol="TCP") for n in self.ports.values()]
        allowed = k8s.V1NetworkPolicyIngressRule(_from=list(self.clients or anyone), ports=ports)
        return k8s.V1NetworkPolicy(
            api_version="networking.k8s.io/v1",
            kind="NetworkPolicy",
            metadata=self._metadata(),
            spec=k8s.V1NetworkPolicySpec(
                pod_selector=k8s.V1LabelSelector(match_labels=self.selector),
                policy_types=["Ingress"],
                ingress=[allowed] if ports else [],
            ),
        )
