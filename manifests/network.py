"""Who may talk to the engine's pods, and to whom they may talk."""

from urllib.parse import urlsplit

from kubernetes import client as k8s

from firsttoken.manifests.metadata import ENGINE, metadata
from firsttoken.manifests.names import selector
from firsttoken.manifests.spec import DeploymentSpec

__all__ = ["network_policy"]

HTTPS_PORT = 443
DNS_PORT = 53
QUEUE_PROXY_PORTS = (8012, 8013, 8112, 9090, 9091)
RAY_DASHBOARD = 8265


def network_policy(spec: DeploymentSpec) -> k8s.V1NetworkPolicy:
    """Inference from anywhere in the cluster; metrics from the monitoring namespace alone.

    Out go name look-ups, HTTPS (the model's hub or object store) and the GPU exporter.  Ports are
    numbers: named ports of native sidecars are not resolved by every network plugin.
    """
    anywhere = k8s.V1NetworkPolicyPeer(namespace_selector=k8s.V1LabelSelector())
    return k8s.V1NetworkPolicy(
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        metadata=metadata(spec, ENGINE),
        spec=k8s.V1NetworkPolicySpec(
            pod_selector=k8s.V1LabelSelector(match_labels=selector(spec.name)),
            policy_types=["Ingress", "Egress"],
            ingress=[
                _from(anywhere, *_served_ports(spec)),
                _from(_namespace(spec.monitoring.namespace), spec.collector.port),
                *_ray_ingress(spec),
            ],
            egress=_egress(spec),
        ),
    )


def _egress(spec: DeploymentSpec) -> list[k8s.V1NetworkPolicyEgressRule]:
    found = [
        # To anywhere: a node's own DNS cache is no pod that a selector could name.
        k8s.V1NetworkPolicyEgressRule(ports=[_port(DNS_PORT, "UDP"), _port(DNS_PORT)]),
        k8s.V1NetworkPolicyEgressRule(
            ports=[_port(port) for port in (HTTPS_PORT, *spec.engine.egress_ports)]
        ),
    ]
    if spec.tracing:
        found.append(k8s.V1NetworkPolicyEgressRule(ports=[_port(spec.tracing.port)]))
    if spec.platform == "ray-service":
        found.append(k8s.V1NetworkPolicyEgressRule(to=[_own_pods(spec)]))
    if spec.gpu_exporter_address:
        address = urlsplit(spec.gpu_exporter_address)
        port = address.port or (HTTPS_PORT if address.scheme == "https" else 80)
        # The exporter may be a pod or, on the host's network, the node itself.
        found.append(k8s.V1NetworkPolicyEgressRule(ports=[_port(port)]))
    return found


def _served_ports(spec: DeploymentSpec) -> tuple[int, ...]:
    """Where requests arrive: Knative puts its proxy before the engine, and scales by its page."""
    return QUEUE_PROXY_PORTS if spec.platform == "kserve-knative" else (spec.engine.port,)


def _ray_ingress(spec: DeploymentSpec) -> list[k8s.V1NetworkPolicyIngressRule]:
    """Ray's nodes among themselves on any port, and its operator on the head's dashboard."""
    if spec.platform != "ray-service":
        return []
    operator = k8s.V1NetworkPolicyPeer(
        namespace_selector=k8s.V1LabelSelector(),
        pod_selector=k8s.V1LabelSelector(
            match_labels={"app.kubernetes.io/name": "kuberay-operator"}
        ),
    )
    return [k8s.V1NetworkPolicyIngressRule(_from=[_own_pods(spec)]), _from(operator, RAY_DASHBOARD)]


def _own_pods(spec: DeploymentSpec) -> k8s.V1NetworkPolicyPeer:
    return k8s.V1NetworkPolicyPeer(
        pod_selector=k8s.V1LabelSelector(match_labels=selector(spec.name))
    )


def _namespace(name: str) -> k8s.V1NetworkPolicyPeer:
    return k8s.V1NetworkPolicyPeer(
        namespace_selector=k8s.V1LabelSelector(match_labels={"kubernetes.io/metadata.name": name})
    )


def _from(peer: k8s.V1NetworkPolicyPeer, *ports: int) -> k8s.V1NetworkPolicyIngressRule:
    return k8s.V1NetworkPolicyIngressRule(_from=[peer], ports=[_port(port) for port in ports])


def _port(port: int, protocol: str = "TCP") -> k8s.V1NetworkPolicyPort:
    return k8s.V1NetworkPolicyPort(port=port, protocol=protocol)
