"""Where spans go when a cluster has no place for them: an OpenTelemetry Collector before Jaeger."""

from typing import Any

from firsttoken.manifests.backend import STORAGE_DIRECTORY, Backend, namespace_of
from firsttoken.manifests.spec import DeploymentSpec
from firsttoken.rules.output import to_yaml
from firsttoken.traces.otelcol import collector_config, jaeger_config

__all__ = ["trace_store"]

COLLECTOR, JAEGER = "otel-collector", "jaeger"
HEALTH_PORT, UI_PORT = 13133, 16686
OTLP = {"otlp-grpc": 4317, "otlp-http": 4318}


def trace_store(spec: DeploymentSpec) -> list[dict[str, Any]]:
    """Namespace, Collector and Jaeger; nothing without ``tracing.install``.

    The Collector has one replica, because all spans of a trace must come to the one that decides
    whether it is kept.
    """
    if spec.tracing is None or spec.tracing.install is None:
        return []
    given = spec.tracing.install
    collector = Backend(
        name=COLLECTOR,
        image=given.collector_image,
        namespace=given.namespace,
        config_file="collector.yaml",
        config=_collector(given.namespace, given.slow, spec.tracing.ratio),
        arguments=("--config={config}",),
        ports=OTLP,
        health=("/", HEALTH_PORT),
        memory="1Gi",
        security=spec.security,
    )
    jaeger = Backend(
        name=JAEGER,
        image=given.jaeger_image,
        namespace=given.namespace,
        config_file="jaeger.yaml",
        config=to_yaml(jaeger_config(STORAGE_DIRECTORY if given.storage else None)),
        arguments=("--config={config}",),
        ports={**OTLP, "ui": UI_PORT},
        health=("/status", HEALTH_PORT),
        memory="1Gi",
        security=spec.security,
        storage=given.storage,
    )
    space = namespace_of(given.namespace, "restricted")
    return [space, *jaeger.objects(), *collector.objects()]


def _collector(namespace: str, slow_s: float, ratio: float) -> str:
    config = collector_config(f"{JAEGER}.{namespace}.svc:4317", slow_s=slow_s, ratio=ratio)
    health = {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}}
    service = config["service"] | {"extensions": list(health)}
    return to_yaml(config | {"extensions": health, "service": service})
