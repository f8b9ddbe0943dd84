"""Layouts under their profile's translation: what becomes of the labels of a family's series.

It is worked out once for all families of a page that have the same series and the same rules.
"""

from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import NamedTuple

from firsttoken.collector.numbers import canonical, scaled
from firsttoken.collector.page import Kind, Labels, Layout, Role, apart
from firsttoken.exporters.profile import Translation
from firsttoken.exporters.translation import Said

__all__ = ["Renamed", "Renaming"]

_SCALED = (Role.VALUE, Role.SUM)
_VALUE_ONLY = frozenset({Role.VALUE})
_ALLOWED = {
    Kind.HISTOGRAM: frozenset({Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED}),
    Kind.COUNTER: frozenset({Role.VALUE, Role.CREATED}),
}
"""The samples of a renamed family of these types."""


class Renamed(NamedTuple):
    """What becomes of a layout under a translation, whatever the family's name is."""

    layout: Layout
    sources: tuple[tuple[int, ...], ...]
    """Of each sample the ones that it is made from."""
    scales: tuple[Decimal | None, ...]
    alone: bool
    """Whether each is made from one."""


class Renaming:
    """What families of one page have in common, worked out once."""

    def __init__(self) -> None:
        self.placed: dict[Layout, Layout] = {}
        """Layout of a family without a convention's name -> the same as it is served."""
        self._said: dict[object, dict[Labels, Said | None]] = {}
        self._attributes: dict[object, dict[Labels, Labels | None]] = {}
        self._alike: dict[Labels, Labels] = {}
        self._renamed: dict[Hashable, Renamed] = {}

    def renamed(self, layout: Layout, translation: Translation, kind: Kind) -> Renamed:
        """A layout under a translation to a metric of this kind."""
        key = (
            *(layout, translation.rules.same, translation.scale, translation.part, kind),
            translation.merge == "refuse",
        )
        found = self._renamed.get(key)
        if found is None:
            found = self._renamed[key] = self._rename(layout, translation, kind)
        return found

    def _rename(self, layout: Layout, translation: Translation, kind: Kind) -> Renamed:
        scale = translation.scale
        allowed = _ALLOWED.get(kind, _VALUE_ONLY)
        if not translation.part and Role.VALUE in allowed and not any(layout.roles):
            every = [self._named(labels, translation) for labels in layout.labels]
            named = [labels for labels in every if labels is not None]
            if len(set(map(id, named))) == len(every):
                # As it nearly always is: each series becomes one.
                count = len(named)
                out = Layout(layout.roles, tuple(named))
                return Renamed(out, tuple(zip(range(count))), (scale,) * count, alone=True)
        if not translation.part and layout.metric is not None and allowed.issuperset(layout.roles):
            found = self._one_metric(layout, layout.metric, translation)
            if found is not None:
                return found
        part = Role(f"_{translation.part}") if translation.part else None
        sources_of: dict[tuple[Role, int, str], list[int]] = {}
        labels: list[Labels] = []
        before: Labels | None = None
        attributes: Labels | None = None
        for place, (had, rest) in enumerate(zip(layout.roles, layout.labels, strict=True)):
            role = Role.VALUE if had is part else had
            if (part and had is not part) or role not in allowed:
                continue
            limit = None
            if role is Role.BUCKET:
                rest, limit = apart(rest, "le")
                if limit is None:
                    continue
            # A histogram's buckets share all but their bound.
            if rest != before:
                before, attributes = rest, self._named(rest, translation)
            if attributes is None:
                continue
            key = (role, id(attributes), limit[1] if limit else "")
            if key in sources_of:
                sources_of[key].append(place)
                continue
            sources_of[key] = [place]
            labels.append((*attributes, _scaled(limit, scale)) if limit else attributes)
        first_only = translation.merge == "refuse"
        sources = [(places[0],) if first_only else tuple(places) for places in sources_of.values()]
        roles = tuple([key[0] for key in sources_of])
        return Renamed(
            Layout(roles, tuple(labels)),
            tuple(sources),
            tuple([scale if role in _SCALED else None for role in roles])
            if scale is not None
            else (None,) * len(roles),
            first_only or len(sources) == sum(map(len, sources)),
        )

    def _one_metric(
        self, layout: Layout, metric: Labels, translation: Translation
    ) -> Renamed | None:
        """A family that is one metric, as nearly all are; None for one that has oddities."""
        attributes = self._named(metric, translation)
        roles, bounds, scale = layout.roles, layout.bounds, translation.scale
        if attributes is None or len(set(zip(roles, bounds, strict=True))) != len(roles):
            return None
        scales: tuple[Decimal | None, ...] = (None,) * len(roles)
        if scale is not None:
            bounds = tuple([bound and _scaled(bound, scale) for bound in bounds])
            scales = tuple([scale if role in _SCALED else None for role in roles])
        labels = tuple([(*attributes, bound) if bound else attributes for bound in bounds])
        out = Layout(roles, labels, attributes, bounds)
        return Renamed(out, tuple(zip(range(len(roles)))), scales, alone=True)

    def _named(self, had: Labels, translation: Translation) -> Labels | None:
        """Attribute names and values of a series, or None if it is not served.

        The same ones are the same object.
        """
        rules = translation.rules
        known = self._attributes.setdefault(rules.same, {})
        found = known.get(had, ())
        if found == () and had not in known:
            reading = self._said.setdefault(rules.reading, {})
            said = reading.get(had)
            if said is None and had not in reading:
                said = reading[had] = rules.read(dict(had))
            found = None
            if said is not None:
                given = rules.complete(said)
                items = given.items() if all(given.values()) else _full(given)
                attributes = tuple(items)
                found = self._alike.setdefault(attributes, attributes)
            known[had] = found
        return found


def _full(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    return [item for item in attributes.items() if item[1]]


def _scaled(limit: tuple[str, str], scale: Decimal | None) -> tuple[str, str]:
    if scale is None:
        return limit
    return limit[0], canonical(scaled(limit[1].encode(), scale).decode())
