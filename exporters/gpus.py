"""What a GPU library says, as a metrics page under the conventions' names.

Nothing here knows a library; ``nvml`` and ``rocm`` read them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.registry import Collector

from firsttoken import attributes as a
from firsttoken.catalogue import Instrument, Metric, find
from firsttoken.naming import label_name

__all__ = ["Page", "Reading", "place", "reading"]

_PLACE = frozenset(attribute.name for attribute in a.PLACE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value in the unit of its entry."""

    metric: Metric
    attributes: Mapping[str, str]
    value: float


def reading(name: str, value: float, attributes: Mapping[str, str], **more: str) -> Reading:
    """A value of the entry ``name``, with those of the attributes that the entry has.

    Further attributes are given with ``_`` for each dot.
    """
    metric = find(name)
    if metric is None:
        raise ValueError(f"{name} is no entry of the catalogue")
    own = {attribute.name: attribute.label for attribute in metric.attributes}
    given = {k: v for k, v in attributes.items() if v and (k in own or k in _PLACE)}
    return Reading(
        metric, given | {k: more[label] for k, label in own.items() if label in more}, value
    )


def place(environment: Mapping[str, str]) -> dict[str, str]:
    """Where this process runs, by ``OTEL_RESOURCE_ATTRIBUTES`` (``k8s.pod.name=...,...``)."""
    pairs = (
        part.partition("=") for part in environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    )
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip() in _PLACE}


class Page(Collector):
    """A page that is read anew for each request."""

    def __init__(self, read: Callable[[], Sequence[Reading]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Exposed]:
        """Nothing: what there is depends on the devices."""
        return ()

    def collect(self) -> Iterator[Exposed]:
        """One family for each entry, with the labels that any of its series has."""
        found: dict[str, list[Reading]] = {}
        for each in self._read():
            found.setdefault(each.metric.name, []).append(each)
        for readings in found.values():
            yield _family(readings)


def _family(readings: Sequence[Reading]) -> Exposed:
    metric = readings[0].metric
    names = sorted({name for each in readings for name in each.attributes})
    counter = metric.instrument is Instrument.COUNTER
    family = (CounterMetricFamily if counter else GaugeMetricFamily)(
        metric.prometheus, metric.help, labels=[label_name(name) for name in names]
    )
    for each in readings:
        family.add_metric([each.attributes.get(name, "") for name in names], each.value)
    return family
