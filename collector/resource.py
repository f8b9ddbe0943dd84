"""What is known of the thing that a source measures: its resource attributes, as ``target_info``.

Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", section "Resource Attributes".
"""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from firsttoken.catalogue import NAMESPACE_NAME, POD_NAME, SOURCE
from firsttoken.collector.page import Kind, Labels, Role
from firsttoken.collector.settings import Settings, SourceSettings
from firsttoken.collector.translate import Member, Offer, layout_of
from firsttoken.naming import label_name

__all__ = ["TARGET", "attributes_of", "target_offer"]

TARGET = "target_info"
_SERVICE = "service.name"
# As Kubernetes' downward API is usually asked for them.
_DOWNWARD = {
    "POD_NAME": POD_NAME.name,
    "POD_NAMESPACE": NAMESPACE_NAME.name,
    "POD_UID": "k8s.pod.uid",
    "NODE_NAME": "k8s.node.name",
}


def attributes_of(
    source: SourceSettings, settings: Settings, environment: Mapping[str, str], *, local: bool
) -> Labels:
    """The resource attributes of a source's target, those that the configuration tells first.

    The environment is that of this pod: it is told of sources on this machine only.  Without a
    ``service.name`` the source's own name is one.
    """
    found: dict[str, str] = {_SERVICE: source.name}
    if local:
        found |= {_DOWNWARD[k]: v for k, v in environment.items() if k in _DOWNWARD and v}
        found |= _listed(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        if environment.get("OTEL_SERVICE_NAME"):
            found[_SERVICE] = environment["OTEL_SERVICE_NAME"]
    found |= {**settings.resource, **source.resource}
    return tuple(sorted((name, value) for name, value in found.items() if value))


def target_offer(
    told: Sequence[tuple[str, Labels]], own: Mapping[str, Sequence[Member]], one: int
) -> Offer:
    """One ``target_info`` for each source.

    ``told`` are the sources with their attributes, ``own`` what sources say of themselves, which
    is believed; ``one`` is the place of a value that is 1.
    """
    members: list[Member] = []
    for source, attributes in told:
        label = (SOURCE.name, source)
        said = own.get(source, ())
        if not said:
            members.append(Member(Role.VALUE, (*attributes, label), (one,)))
        for member in said:
            mine = {label_name(name) for name, _ in (*member.labels, label)}
            more = [item for item in attributes if label_name(item[0]) not in mine]
            kept = [item for item in member.labels if label_name(item[0]) != SOURCE.label]
            members.append(Member(Role.VALUE, (*kept, *more, label), member.places))
    return Offer(
        TARGET, TARGET, Kind.INFO, "Target metadata.", "", layout_of(members), tuple(members)
    )


def _listed(text: str) -> dict[str, str]:
    """The pairs of ``OTEL_RESOURCE_ATTRIBUTES``; what is no pair is passed over."""
    pairs = (item.partition("=") for item in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals}
