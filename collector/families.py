"""Series and metadata of a page to its families, whichever of the formats the page has."""

from collections.abc import Mapping, Sequence
from itertools import chain, groupby

from firsttoken.collector.lines import Metadata
from firsttoken.collector.page import Family, Kind, Labels, Layout, Role, Series, apart

__all__ = ["Described", "group", "unfinished"]

Described = dict[tuple[str, str], Metadata]
"""(HELP, TYPE or UNIT; name as on the page) -> the first line that says it."""

_ROLES = {role.value.removeprefix("_"): role for role in Role if role is not Role.VALUE}
_COMPONENTS: Mapping[Kind, frozenset[Role]] = {
    Kind.COUNTER: frozenset({Role.CREATED}),
    Kind.HISTOGRAM: frozenset({Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED}),
    Kind.SUMMARY: frozenset({Role.COUNT, Role.SUM, Role.CREATED}),
    Kind.GAUGE_HISTOGRAM: frozenset({Role.BUCKET, Role.GCOUNT, Role.GSUM}),
}


def group(
    order: Sequence[Series], described: Described, *, openmetrics: bool
) -> tuple[Family, ...]:
    """The families in the order of their first sample, each with all its samples."""
    names = [name for name, _ in order]
    types = _Types(described, frozenset(names), openmetrics=openmetrics)
    layouts = _Layouts([labels for _, labels in order])
    runs: dict[str, list[_Run]] = {}
    places: dict[str, tuple[str, Role]] = {}
    end = 0
    for name, same in groupby(names):
        begin, end = end, end + len(list(same))
        found = places.get(name)
        if found is None:
            found = places[name] = types.place(name)
        runs.setdefault(found[0], []).append((found[1], begin, end))
    return tuple([types.family(name, *layouts.of(own)) for name, own in runs.items()])


def unfinished(families: Sequence[Family]) -> str | None:
    """The name of a histogram without its last bucket or its count, as in a page that was cut."""
    for family in families:
        if family.kind is not Kind.HISTOGRAM:
            continue
        have: dict[frozenset[tuple[str, str]], set[str]] = {}
        for _, role, labels in family.samples:
            metric = frozenset(item for item in labels if item[0] != "le")
            bound = dict(labels).get("le", "") if role is Role.BUCKET else ""
            have.setdefault(metric, set()).add(role.value + bound)
        if any(not {"_bucket+Inf", "_count"} <= found for found in have.values()):
            return family.name
    return None


_Run = tuple[Role, int, int]
"""The role of samples that follow each other, the place of the first, and of what comes next."""


_Bounds = tuple[tuple[str, str] | None, ...]
_Pattern = tuple[tuple[Role, int], ...]
"""How often each role is there, one after the other."""


class _Layouts:
    """The layouts of one page's families; ``labels`` are those of all its samples."""

    def __init__(self, labels: Sequence[Labels]) -> None:
        self._labels = labels
        # Equal labels are one object, where they were read as such; if not, less is shared.
        self._ids = tuple(map(id, labels))
        self._roles: dict[_Pattern, tuple[Role, ...]] = {}
        self._found: dict[tuple[_Pattern, tuple[int, ...]], Layout] = {}

    def of(self, runs: Sequence[_Run]) -> tuple[Layout, Sequence[int]]:
        """The layout of a family with these samples, and their places."""
        begin, end = runs[0][1], runs[-1][2]
        places: Sequence[int] = range(begin, end)
        pattern = tuple([(role, after - first) for role, first, after in runs])
        roles = self._roles.get(pattern)
        if roles is None:
            spelled = [(role,) * count for role, count in pattern]
            roles = self._roles[pattern] = tuple(chain.from_iterable(spelled))
        if len(roles) == len(places):
            ids, labels = self._ids[begin:end], self._labels[begin:end]
        else:
            places = list(chain.from_iterable(range(first, after) for _, first, after in runs))
            ids = tuple([self._ids[place] for place in places])
            labels = [self._labels[place] for place in places]
        found = self._found.get((pattern, ids))
        if found is None:
            metric, bounds = _one_metric(roles, labels)
            found = self._found[pattern, ids] = Layout(roles, tuple(labels), metric, bounds)
        return found, places


def _one_metric(roles: Sequence[Role], labels: Sequence[Labels]) -> tuple[Labels | None, _Bounds]:
    """The labels that all samples of a metric of several have, and each bucket's bound."""
    if not any(roles):
        return None, ()
    bounds: list[tuple[str, str] | None] = []
    metric: Labels | None = None
    for role, rest in zip(roles, labels, strict=True):
        bound = None
        if role is Role.BUCKET:
            rest, bound = apart(rest, "le")
            if bound is None:
                return None, ()
        if metric is None:
            metric = rest
        elif rest != metric:
            return None, ()
        bounds.append(bound)
    return metric, tuple(bounds)


class _Types:
    """The metadata of a page, by the names that families have in the text format."""

    def __init__(self, described: Described, present: frozenset[str], *, openmetrics: bool) -> None:
        self._kinds: dict[str, Kind] = {}
        self._page_names: dict[str, str] = {}
        self._described = described
        self._units = any(what == "UNIT" for what, _ in described)
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
            base, _, suffix = sample.rpartition("_")
            role = _ROLES.get(suffix)
            # The text format has the time of creation as a gauge of its own; any other sample with
            # a type of its own is what it says it is.
            if role is not None and (kind is None or role is Role.CREATED):
                owner = self._owner(base, role)
                if owner is not None:
                    return owner, role
        return sample, Role.VALUE

    def _owner(self, base: str, role: Role) -> str | None:
        kind = self._kinds.get(base)
        if kind is not None and role in _COMPONENTS.get(kind, ()):
            return base
        total = f"{base}_total"
        counted = role is Role.CREATED and self._kinds.get(total) is Kind.COUNTER
        return total if counted else None

    def family(self, name: str, layout: Layout, places: Sequence[int]) -> Family:
        """A family with its metadata."""
        page_name = self._page_names.get(name, name)
        said_help = self._described.get(("HELP", page_name))
        said_unit = self._described.get(("UNIT", page_name)) if self._units else None
        told = said_help.text if said_help else None
        unit = said_unit.text.strip() if said_unit else ""
        return Family(name, self._kinds.get(name, Kind.UNKNOWN), told, unit, layout, places)


def _text_name(name: str, kind: Kind) -> str:
    """The name that an OpenMetrics family has in the text format."""
    suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(kind, "")
    return name if name.endswith(suffix) else name + suffix
