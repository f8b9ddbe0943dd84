"""Where each alert shows on the dashboards: the alert links to its panel, and dashboards know it.

A panel's id depends on its dashboard, section and title alone, so that a link stays valid while
panels beside it come and go.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from firsttoken.catalogue import HW_ID, REQUEST_MODEL
from firsttoken.recorded import OBJECTIVE_LABEL, SERVICE_LABEL
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["PLACES", "Place", "address", "panel_id", "runbook"]

_ENGINE = {"job": "job", "namespace": "namespace", "model": REQUEST_MODEL.name}
_SERVICE = {"service": SERVICE_LABEL}
_TARGET = {"job": "job", "instance": "instance"}


@dataclass(frozen=True, slots=True)
class Place:
    """A panel; ``variables`` maps a dashboard's variable to the attribute or label it takes."""

    dashboard: str
    section: str
    panel: str
    variables: Mapping[str, str]

    @property
    def id(self) -> int:
        """The panel's id in its dashboard."""
        return panel_id(self.dashboard, self.section, self.panel)


_GPU = {"instance": "instance", "gpu": HW_ID.name}
_GPU_ERRORS = "Errors and throttling"
_GPUS = Place("firsttoken-gpu", "", "GPUs", _GPU)

PLACES: Mapping[str, Place] = {
    "LLMErrorBudgetBurn": Place(
        "firsttoken-slo",
        "Budget and burn rate",
        "Closeness to an alert",
        {**_SERVICE, "objective": OBJECTIVE_LABEL, "model": REQUEST_MODEL.name},
    ),
    "LLMEngineStalled": Place(
        "firsttoken-replica", "Load and latency", "Output tokens/s by replica", _ENGINE
    ),
    "LLMModelAbsent": Place("firsttoken-slo", "", "Lost in 1 h", _SERVICE),
    "LLMServiceAbsent": Place("firsttoken-slo", "", "Engines answering", _SERVICE),
    "LLMKVCacheFull": Place("firsttoken-kv-cache", "", "KV cache usage by instance", _ENGINE),
    "LLMPreemptions": Place("firsttoken-kv-cache", "", "Preemptions by instance", _ENGINE),
    "LLMQueueLong": Place("firsttoken-service", "Saturation", "Requests in the engines", _ENGINE),
    "GPUFatalXid": _GPUS,
    "GPUApplicationXid": _GPUS,
    "GPUUnhealthy": _GPUS,
    "GPULinkErrors": _GPUS,
    "GPUMemoryErrors": Place("firsttoken-gpu", _GPU_ERRORS, "Memory errors", _GPU),
    "GPURowRemapFailed": Place("firsttoken-gpu", _GPU_ERRORS, "Remapped rows", _GPU),
    "GPURowsRemapped": Place("firsttoken-gpu", _GPU_ERRORS, "Remapped rows", _GPU),
    "GPUThrottled": Place("firsttoken-gpu", _GPU_ERRORS, "Throttled", _GPU),
    "GPUVanished": Place("firsttoken-gpu", "", "GPUs", {"instance": "instance"}),
    "LLMSourceDown": Place(
        "firsttoken-data-quality", "Targets and sources", "Sources behind the collectors", _TARGET
    ),
}
"""By the alert's name; the watchdog has none, because it says nothing about a deployment."""


def _slug(text: str) -> str:
    """Lower-case words joined by hyphens."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def panel_id(dashboard: str, section: str, title: str) -> int:
    """The id of a panel, or with an empty title of the row that a section stands under."""
    names = (section, title) if title else (section,)
    key = "/".join((dashboard, *map(_slug, names)))
    return zlib.crc32(key.encode()) % 1_000_000 + 1


def address(grafana: str, alert: str, vocabulary: Vocabulary = SEMCONV) -> str | None:
    """The address of an alert's panel in a Grafana, as a template that Prometheus fills in.

    A label that the alert does not have leaves its variable as the dashboard opens.  None for an
    alert that no panel shows.
    """
    place = PLACES.get(alert)
    if place is None:
        return None
    given = "".join(
        f"{{{{ with $labels.{vocabulary.label(name)} }}}}"
        f"&var-{variable}={{{{ . | urlquery }}}}{{{{ end }}}}"
        for variable, name in place.variables.items()
    )
    where = f"{grafana.rstrip('/')}/d/{place.dashboard}"
    return f"{where}?viewPanel={place.id}&from=now-3h&to=now{given}"


def runbook(alert: str) -> str:
    """The file of an alert's runbook."""
    return f"{alert.lower()}.md"
