"""A configuration from the environment: our own variables, and those of KServe's qpext."""

from collections.abc import Mapping
from typing import Any

from firsttoken.collector.settings import Settings

__all__ = ["APP_PORT", "PREFIX", "from_environment", "overrides"]

PREFIX = "FIRSTTOKEN_COLLECT_"
"""Before the name of a key, in capitals: ``FIRSTTOKEN_COLLECT_TIMEOUT``."""

APP_PORT = "KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT"
APP_PATH = "KSERVE_CONTAINER_PROMETHEUS_METRICS_PATH"
OWN_PORT = "AGGREGATE_PROMETHEUS_METRICS_PORT"
QUEUE_PROXY = "http://127.0.0.1:9091/metrics"
DEFAULT_PORT = "9088"
"""The port that KServe's injector gives to the aggregated page."""
_LABELS = {
    "service_name": "SERVING_SERVICE",
    "configuration_name": "SERVING_CONFIGURATION",
    "revision_name": "SERVING_REVISION",
}
_STRUCTURED = frozenset(("version", "sources", "tls", "auth", "resource", "otlp"))


def overrides(environment: Mapping[str, str]) -> dict[str, str]:
    """The keys of a configuration, of those that are one word or number, that the environment has.

    They win over those of a file.
    """
    keys = (key for key in Settings.model_fields if key not in _STRUCTURED)
    told = {key: environment.get(PREFIX + key.upper(), "") for key in keys}
    return {key: value for key, value in told.items() if value}


def from_environment(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """What qpext would do with its variables, as a configuration; None without them.

    Its port, its two sources (Knative's queue-proxy and the model server) and its labels on the
    model server's series; a label whose variable is empty is left out.
    """
    port = environment.get(APP_PORT, "")
    if not port:
        return None
    path = environment.get(APP_PATH) or "/metrics"
    labels = {label: environment.get(variable, "") for label, variable in _LABELS.items()}
    url = f"http://127.0.0.1:{port}/{path.lstrip('/')}"
    return {
        "listen": f":{environment.get(OWN_PORT) or DEFAULT_PORT}",
        "sources": [
            {"name": "queue-proxy", "url": QUEUE_PROXY},
            {"name": "kserve-container", "url": url, "labels": labels},
        ],
    }
