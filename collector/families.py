"""Series and metadata of a page to its families, whichever of the formats the page has."""

from collections.abc import Mapping, Sequence

from firsttoken.collector.lines import Metadata
from firsttoken.collector.page import Family, Kind, Role, Series

__all__ = ["Described", "group", "unfinished"]

Described = dict[tuple[str, str], Metadata]
"""(HELP, TYPE or UNIT; name as on the page) -> the first line that says it."""

_ROLES = tuple(Role)
_COMPONENTS: Mapping[Kind, tuple[Role, ...]] = {
    Kind.COUNTER: (Role.CREATED,),
    Kind.HISTOGRAM: (Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED),
    Kind.SUMMARY: (Role.COUNT, Role.SUM, Role.CREATED),
    Kind.GAUGE_HISTOGRAM: (Role.BUCKET, Role.GCOUNT, Role.GSUM),
}


def group(
    order: Sequence[Series], described: Described, *, openmetrics: bool
) -> tuple[Family, ...]:
    """The families in the order of their first sample, each with all its samples."""
    present = frozenset(series.name for series in order)
    types = _Types(described, present, openmetrics=openmetrics)
    members: dict[str, list[tuple[int, Role, Series]]] = {}
    places: dict[str, tuple[str, Role]] = {}
    for place, series in enumerate(order):
        found = places.get(series.name)
        if found is None:
            found = places[series.name] = types.place(series.name)
        members.setdefault(found[0], []).append((place, found[1], series))
    return tuple(types.family(name, tuple(samples)) for name, samples in members.items())


def unfinished(families: Sequence[Family]) -> str | None:
    """The name of a histogram without its last bucket or its count, as in a page that was cut."""
    for family in families:
        if family.kind is not Kind.HISTOGRAM:
            continue
        have: dict[frozenset[tuple[str, str]], set[str]] = {}
        for _, role, series in family.samples:
            labels = frozenset(item for item in series.labels if item[0] != "le")
            bound = dict(series.labels).get("le", "") if role is Role.BUCKET else ""
            have.setdefault(labels, set()).add(role.value + bound)
        if any(not {"_bucket+Inf", "_count"} <= found for found in have.values()):
            return family.name
    return None


class _Types:
    """The metadata of a page, by the names that families have in the text format."""

    def __init__(self, described: Described, present: frozenset[str], *, openmetrics: bool) -> None:
        self._kinds: dict[str, Kind] = {}
        self._page_names: dict[str, str] = {}
        self._described = described
        for (what, name), said in described.items():
            if what == "TYPE":
                # Some servers send OpenMetrics' names as the text format.
                own = name
                if openmetrics or (said.kind is Kind.COUNTER and name not in present):
                    own = _text_name(name, said.kind)
                self._kinds[own] = said.kind
                self._page_names[own] = name

    def place(self, sample: str) -> tuple[str, Role]:
        """The family that a sample belongs to, and its role there."""
        kind = self._kinds.get(sample)
        if kind in (None, Kind.GAUGE, Kind.UNKNOWN):
            for role in _ROLES:
                base = sample.removesuffix(role)
                if role is Role.VALUE or base == sample:
                    continue
                owner = self._owner(base, role)
                # The text format has the time of creation as a gauge of its own; any other sample
                # with a type of its own is what it says it is.
                if owner is not None and (kind is None or role is Role.CREATED):
                    return owner, role
        return sample, Role.VALUE

    def _owner(self, base: str, role: Role) -> str | None:
        kind = self._kinds.get(base)
        if kind is not None and role in _COMPONENTS.get(kind, ()):
            return base
        total = f"{base}_total"
        counted = role is Role.CREATED and self._kinds.get(total) is Kind.COUNTER
        return total if counted else None

    def family(self, name: str, samples: tuple[tuple[int, Role, Series], ...]) -> Family:
        """A family with its metadata."""
        page_name = self._page_names.get(name, name)
        said_help = self._described.get(("HELP", page_name))
        said_unit = self._described.get(("UNIT", page_name))
        return Family(
            name=name,
            kind=self._kinds.get(name, Kind.UNKNOWN),
            help=said_help.text if said_help else None,
            unit=said_unit.text.strip() if said_unit else "",
            samples=samples,
        )


def _text_name(name: str, kind: Kind) -> str:
    """The name that an OpenMetrics family has in the text format."""
    suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(kind, "")
    return name if name.endswith(suffix) else name + suffix
