"""One source's shape to the families that it contributes, under convention names where known."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from firsttoken.catalogue import CONTAINER_NAME, NAMESPACE_NAME, POD_NAME, Metric
from firsttoken.collector.numbers import canonical, scaled
from firsttoken.collector.page import Family, Kind, Labels, Role, Shape
from firsttoken.collector.settings import Names
from firsttoken.exporters.profile import Profile, Translation
from firsttoken.exporters.translation import LabelRules
from firsttoken.naming import unit_suffix

__all__ = ["BOUND", "Contribution", "Fate", "Member", "Offer", "Translator", "named"]

_PLACES = {
    "pod": POD_NAME.name,
    "namespace": NAMESPACE_NAME.name,
    "container": CONTAINER_NAME.name,
}
BOUND = {Role.BUCKET: "le", Role.VALUE: "quantile"}


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


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A family as one source offers it; ``dotted`` is its name for clients that take UTF-8."""

    name: str
    dotted: str
    kind: Kind
    help: str | None
    unit: str
    members: tuple[Member, ...]
    metric: Metric | None = None
    """The catalogue's entry that the family is an instance of."""


@dataclass(frozen=True, slots=True)
class Fate:
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
        places: set[int] = set()
        shared = _Shared()
        for family in shape.families:
            own, outcome = self._offers(family, page, shared)
            offers += own
            names = [offer.name for offer in own] or [""]
            fates += [Fate(family.name, outcome, name) for name in names]
            for offer in own:
                places.update(place for member in offer.members for place in member.places)
        # A family may have become several.
        outcomes = Counter({fate.family: fate.outcome for fate in fates}.values())
        return Contribution(tuple(offers), tuple(fates), shape.size - len(places), outcomes)

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
    found: dict[Labels, Labels] | None = None,
) -> Offer:
    """A family under its own name; ``placed`` is what becomes of labels, ``found`` what did."""
    found = {} if found is None else found
    members = []
    for place, role, series in family.samples:
        labels = series.labels
        if placed is not None and labels:
            if labels not in found:
                found[labels] = placed(labels)
            labels = found[labels]
        members.append(Member(role, labels, (place,)))
    name = family.name
    return Offer(name, name, family.kind, family.help, family.unit, tuple(members))


def _renamed(family: Family, translation: Translation, shared: "_Shared") -> Offer:
    """A family under its convention name."""
    metric = translation.metric
    kind = Kind(metric.instrument.prometheus_type)
    found: dict[tuple[Role, Labels], list[int]] = {}
    named = _Named(translation, kind, shared)
    part = Role(f"_{translation.part}") if translation.part else None
    for place, had, series in family.samples:
        role = Role.VALUE if part and had is part else had
        if (part and had is not part) or not _fits(role, kind):
            continue
        labels = named.labels(series.labels, role)
        if labels is not None:
            found.setdefault((role, labels), []).append(place)
    first_only = translation.merge == "refuse"
    members = tuple(
        Member(
            role,
            labels,
            (places[0],) if first_only else tuple(places),
            translation.scale if role in (Role.VALUE, Role.SUM) else None,
            translation if role is Role.VALUE else None,
        )
        for (role, labels), places in found.items()
    )
    unit = _unit(metric)
    return Offer(metric.prometheus, metric.dotted, kind, metric.help, unit, members, metric)


def _fits(role: Role, kind: Kind) -> bool:
    if kind is Kind.HISTOGRAM:
        return role in (Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED)
    return role is Role.VALUE or (role is Role.CREATED and kind is Kind.COUNTER)


class _Shared:
    """What families of one page have in common, worked out once."""

    def __init__(self) -> None:
        self.apart: dict[Labels, tuple[Labels, tuple[str, str] | None]] = {}
        """A bucket's labels -> the same without its bound, and the bound."""
        self.placed: dict[Labels, Labels] = {}
        """Labels of a family without a convention's name -> the same as they are served."""
        self._attributes: dict[Hashable, dict[Labels, Labels | None]] = {}

    def attributes(self, rules: LabelRules) -> dict[Labels, Labels | None]:
        """Labels -> attributes under rules like these, as far as they were asked for."""
        key = (
            *map(tuple, (rules.defaults.items(), rules.rename.items(), rules.fallback.items())),
            tuple([(label, *values.items()) for label, values in rules.translate.items()]),
            *map(tuple, (rules.add.items(), rules.where.items())),
            id(rules.instance),
            rules.per_device,
        )
        return self._attributes.setdefault(key, {})


class _Named:
    """The labels of one family's series as attributes; each set of labels is looked at once."""

    def __init__(self, translation: Translation, kind: Kind, shared: _Shared) -> None:
        self._translation = translation
        self._apart = shared.apart
        self._histogram = kind is Kind.HISTOGRAM
        self._all: dict[tuple[Labels, bool], Labels | None] = {}
        self._attributes = shared.attributes(translation.rules)

    def labels(self, had: Labels, role: Role) -> Labels | None:
        """Attribute names and values of a series, or None if it is not served."""
        bucket = self._histogram and role is Role.BUCKET
        key = (had, bucket)
        if key not in self._all:
            self._all[key] = self._bucket(had) if bucket else self._named(had)
        return self._all[key]

    def _bucket(self, had: Labels) -> Labels | None:
        """A bucket's; a histogram's buckets share all but their bound."""
        found = self._apart.get(had)
        if found is None:
            limit = next((item for item in had if item[0] == BOUND[Role.BUCKET]), None)
            rest = tuple([item for item in had if item is not limit])
            found = self._apart[had] = (rest, limit)
        rest, limit = found
        attributes = self._named(rest)
        if attributes is None or limit is None:
            return None
        if self._translation.scale is not None:
            name, text = limit
            limit = (name, canonical(scaled(text.encode(), self._translation.scale).decode()))
        return (*attributes, limit)

    def _named(self, had: Labels) -> Labels | None:
        if had not in self._attributes:
            given = self._translation.labels(dict(had))
            self._attributes[had] = (
                None if given is None else tuple([item for item in given.items() if item[1]])
            )
        return self._attributes[had]


def _unit(metric: Metric) -> str:
    """The unit, if the name ends with it, as OpenMetrics wants."""
    unit = unit_suffix(metric.unit)
    return unit if unit and metric.prometheus.removesuffix("_total").endswith(f"_{unit}") else ""
