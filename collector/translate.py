"""One source's shape to the families that it contributes, under convention names where known."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from itertools import repeat
from typing import NamedTuple

from firsttoken.catalogue import CONTAINER_NAME, NAMESPACE_NAME, POD_NAME, Metric
from firsttoken.collector.numbers import canonical, scaled
from firsttoken.collector.page import Family, Kind, Labels, Layout, Role, Shape
from firsttoken.collector.settings import Names
from firsttoken.exporters.profile import Profile, Translation
from firsttoken.exporters.translation import Said
from firsttoken.naming import unit_suffix

__all__ = [
    "BOUND",
    "MEMBER",
    "Contribution",
    "Fate",
    "Member",
    "Offer",
    "Translator",
    "layout_of",
    "named",
]

_PLACES = {
    "pod": POD_NAME.name,
    "namespace": NAMESPACE_NAME.name,
    "container": CONTAINER_NAME.name,
}
BOUND = {Role.BUCKET: "le", Role.VALUE: "quantile"}
_SCALED = (Role.VALUE, Role.SUM)
_VALUE_ONLY = frozenset({Role.VALUE})
_ALLOWED = {
    Kind.HISTOGRAM: frozenset({Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED}),
    Kind.COUNTER: frozenset({Role.VALUE, Role.CREATED}),
}
"""The samples of a renamed family of these types."""


class Member(NamedTuple):
    """One series to serve; of several ``places`` the translation says how they become one."""

    role: Role
    labels: Labels
    """Attribute or label names, and values."""
    places: tuple[int, ...]
    scale: Decimal | None = None
    translation: Translation | None = None

    def moved(self, offset: int) -> "Member":
        """The same with its places further on."""
        return self._replace(places=tuple([offset + place for place in self.places]))


MEMBER: Callable[[Iterable[object]], Member] = partial(tuple.__new__, Member)
"""A member of its fields in their order, in a fraction of the time of ``Member``."""


def layout_of(members: Sequence[Member]) -> Layout:
    """What these members are, but for their values."""
    return Layout(tuple([m.role for m in members]), tuple([m.labels for m in members]))


class Offer(NamedTuple):
    """A family as one source offers it; ``dotted`` is its name for clients that take UTF-8."""

    name: str
    dotted: str
    kind: Kind
    help: str | None
    unit: str
    layout: Layout
    """The roles and labels of the members."""
    members: tuple[Member, ...]
    metric: Metric | None = None
    """The catalogue's entry that the family is an instance of."""

    def of(self, layout: Layout, members: tuple[Member, ...]) -> "Offer":
        """The same family with other members."""
        return Offer(*self[:5], layout, members, self.metric)


class Fate(NamedTuple):
    """What became of a family of a page: ``renamed``, ``passed``, ``superseded`` or ``dropped``."""

    family: str
    outcome: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """All that a source offers, with what became of each of its families."""

    offers: tuple[Offer, ...]
    fates: tuple[Fate, ...]
    dropped: int
    """Series that their profile leaves out, or that came out as another one."""
    outcomes: Mapping[str, int]
    """How many of the page's families had each outcome."""


def named(role: Role, family: Offer) -> tuple[str, str]:
    """A sample's name, and the same with dots; a counter's ``_created`` replaces ``_total``."""
    name, dotted = family.name, family.dotted
    if role is Role.CREATED and family.kind is Kind.COUNTER:
        name, dotted = name.removesuffix("_total"), dotted.removesuffix("_total")
    return name + role, dotted + role


class Translator:
    """Translates the shapes of one source, to the names that the configuration asks for."""

    def __init__(
        self,
        profile: Profile | None,
        names: Names = "rename",
        *,
        unknown: bool = True,
        one_pod: bool = False,
    ) -> None:
        self.profile = profile
        self._one_pod = one_pod
        self._names = names
        self._unknown = unknown

    def contribution(self, shape: Shape) -> Contribution:
        """What the source offers while its page has this shape."""
        page = shape.names
        offers: list[Offer] = []
        fates: list[Fate] = []
        used = 0
        shared = _Shared()
        for family in shape.families:
            own, outcome = self._offers(family, page, shared)
            offers += own
            names = [offer.name for offer in own] or [""]
            fates += [Fate(family.name, outcome, name) for name in names]
            found = [place for offer in own for member in offer.members for place in member[2]]
            # Several offers of one family may be of the same samples.
            used += len(found) if len(own) == 1 else len(set(found))
        # A family may have become several.
        outcomes = Counter({fate.family: fate.outcome for fate in fates}.values())
        return Contribution(tuple(offers), tuple(fates), shape.size - used, outcomes)

    def _offers(
        self, family: Family, page: frozenset[str], shared: "_Shared"
    ) -> tuple[list[Offer], str]:
        """What a family is offered as, and the word for what became of it."""
        if self._names == "passthrough":
            return [_passed(family)], "passed"
        renamed = [_renamed(family, found, shared) for found in self._translations(family, page)]
        also = [_passed(family)] if self._names == "both" else []
        if renamed:
            return [*renamed, *also], "renamed"
        if self._superseded(family, page):
            return also, "superseded"
        if also:
            return also, "passed"
        if self._unknown:
            return [_passed(family, self._placed, shared.placed)], "passed"
        return [], "dropped"

    def _placed(self, labels: Labels) -> Labels:
        """Labels of a family without a convention's name, those for a place by the convention's.

        Whoever scrapes a pod gives ``pod`` and its like to all that it reads, and would make an
        ``exported_pod`` of the source's own.  Where all series are of one pod they say nothing.
        """
        if not any(name in _PLACES for name, _ in labels):
            return labels
        have = {name for name, _ in labels}
        return tuple(
            (_PLACES[name] if name in _PLACES and _PLACES[name] not in have else name, value)
            for name, value in labels
            if not (self._one_pod and name in _PLACES)
        )

    def _translations(self, family: Family, page: frozenset[str]) -> tuple[Translation, ...]:
        """What the family becomes; each translation is for other series of it."""
        if self.profile is None:
            return ()
        return self.profile.translations(family.name, _kind_word(family.kind), page)

    def _superseded(self, family: Family, page: frozenset[str]) -> bool:
        if self.profile is None:
            return False
        return self.profile.superseded(family.name, _kind_word(family.kind), page)


def _kind_word(kind: Kind) -> str:
    """The type as profiles know it: an info metric is a gauge that is always 1."""
    return "gauge" if kind in (Kind.INFO, Kind.STATESET) else kind.value


def _passed(
    family: Family,
    placed: Callable[[Labels], Labels] | None = None,
    found: dict[Layout, Layout] | None = None,
) -> Offer:
    """A family under its own name; ``placed`` is what becomes of labels, ``found`` what did."""
    layout = family.layout
    if placed is not None and found is not None:
        if layout not in found:
            labels = tuple(map(placed, layout.labels))
            found[layout] = layout if labels == layout.labels else Layout(layout.roles, labels)
        layout = found[layout]
    columns = layout.roles, layout.labels, zip(family.places), repeat(None), repeat(None)
    members = tuple(map(MEMBER, zip(*columns)))  # noqa: B905
    name = family.name
    return Offer(name, name, family.kind, family.help, family.unit, layout, members)


def _renamed(family: Family, translation: Translation, shared: "_Shared") -> Offer:
    """A family under its convention name."""
    metric = translation.metric
    kind = Kind(metric.instrument.prometheus_type)
    found = shared.renamed(family.layout, translation, kind)
    places = family.places
    picked: Iterable[tuple[int, ...]]
    if found.alone and len(found.sources) == len(places):
        picked = zip(places)
    elif found.alone:
        picked = [(places[i],) for (i,) in found.sources]
    else:
        picked = [tuple([places[i] for i in group]) for group in found.sources]
    told: Iterable[Translation | None] = repeat(None)
    if translation.has_sentinels or not found.alone:
        told = [translation if role is Role.VALUE else None for role in found.layout.roles]
    columns = found.layout.roles, found.layout.labels, picked, found.scales, told
    members = tuple(map(MEMBER, zip(*columns)))  # noqa: B905
    name, dotted, unit = metric.prometheus, metric.dotted, _unit(metric.unit, metric.prometheus)
    return Offer(name, dotted, kind, metric.help, unit, found.layout, members, metric)


class _Renamed(NamedTuple):
    """What becomes of a layout under a translation, whatever the family's name is."""

    layout: Layout
    sources: tuple[tuple[int, ...], ...]
    """Of each sample the ones that it is made from."""
    scales: tuple[Decimal | None, ...]
    alone: bool
    """Whether each is made from one."""


class _Shared:
    """What families of one page have in common, worked out once."""

    def __init__(self) -> None:
        self.placed: dict[Layout, Layout] = {}
        """Layout of a family without a convention's name -> the same as it is served."""
        self._said: dict[object, dict[Labels, Said | None]] = {}
        self._attributes: dict[object, dict[Labels, Labels | None]] = {}
        self._alike: dict[Labels, Labels] = {}
        self._renamed: dict[Hashable, _Renamed] = {}

    def renamed(self, layout: Layout, translation: Translation, kind: Kind) -> _Renamed:
        """A layout under a translation to a metric of this kind."""
        key = (
            *(layout, translation.rules.same, translation.scale, translation.part, kind),
            translation.merge == "refuse",
        )
        found = self._renamed.get(key)
        if found is None:
            found = self._renamed[key] = self._rename(layout, translation, kind)
        return found

    def _rename(self, layout: Layout, translation: Translation, kind: Kind) -> _Renamed:
        scale = translation.scale
        allowed = _ALLOWED.get(kind, _VALUE_ONLY)
        if not translation.part and Role.VALUE in allowed and not any(layout.roles):
            every = [self._named(labels, translation) for labels in layout.labels]
            named = [labels for labels in every if labels is not None]
            if len(set(map(id, named))) == len(every):
                # As it nearly always is: each series becomes one.
                count = len(named)
                out = Layout(layout.roles, tuple(named))
                return _Renamed(out, tuple(zip(range(count))), (scale,) * count, alone=True)
        part = Role(f"_{translation.part}") if translation.part else None
        found: dict[tuple[Role, int, str], list[int]] = {}
        labels: list[Labels] = []
        before: Labels | None = None
        attributes: Labels | None = None
        for place, (had, rest) in enumerate(zip(layout.roles, layout.labels, strict=True)):
            role = Role.VALUE if had is part else had
            if (part and had is not part) or role not in allowed:
                continue
            limit = None
            if role is Role.BUCKET:
                rest, limit = _apart(rest)
                if limit is None:
                    continue
            # A histogram's buckets share all but their bound.
            if rest != before:
                before, attributes = rest, self._named(rest, translation)
            if attributes is None:
                continue
            key = (role, id(attributes), limit[1] if limit else "")
            if key in found:
                found[key].append(place)
                continue
            found[key] = [place]
            labels.append((*attributes, _scaled(limit, scale)) if limit else attributes)
        first_only = translation.merge == "refuse"
        sources = [(places[0],) if first_only else tuple(places) for places in found.values()]
        roles = tuple([key[0] for key in found])
        return _Renamed(
            Layout(roles, tuple(labels)),
            tuple(sources),
            tuple([scale if role in _SCALED else None for role in roles])
            if scale is not None
            else (None,) * len(roles),
            first_only or len(sources) == sum(map(len, sources)),
        )

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


def _apart(labels: Labels) -> tuple[Labels, tuple[str, str] | None]:
    """A bucket's labels without its bound, and the bound."""
    for place, item in enumerate(labels):
        if item[0] == "le":
            return labels[:place] + labels[place + 1 :], item
    return labels, None


def _scaled(limit: tuple[str, str], scale: Decimal | None) -> tuple[str, str]:
    if scale is None:
        return limit
    return limit[0], canonical(scaled(limit[1].encode(), scale).decode())


@lru_cache(maxsize=1024)
def _unit(ucum: str, name: str) -> str:
    """The unit, if the name ends with it, as OpenMetrics wants."""
    unit = unit_suffix(ucum)
    return unit if unit and name.removesuffix("_total").endswith(f"_{unit}") else ""
