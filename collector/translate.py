"""One source's shape to the families that it contributes, under convention names where known."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from itertools import repeat
from typing import NamedTuple

from firsttoken.catalogue import CONTAINER_NAME, NAMESPACE_NAME, POD_NAME, Instrument, Metric
from firsttoken.collector.page import Family, Kind, Labels, Layout, Role, Shape
from firsttoken.collector.renaming import Renaming
from firsttoken.collector.settings import Names
from firsttoken.exporters.profile import Profile, Translation
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
]

_PLACES = {
    "pod": POD_NAME.name,
    "namespace": NAMESPACE_NAME.name,
    "container": CONTAINER_NAME.name,
}
_KINDS = {instrument: Kind(instrument.prometheus_type) for instrument in Instrument}
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
        shared = Renaming()
        for family in shape.families:
            own, outcome = self._offers(family, page, shared)
            if len(own) == 1:
                offers.append(own[0])
                fates.append(Fate(family.name, outcome, own[0].name))
                used += sum([len(member[2]) for member in own[0].members])
                continue
            offers += own
            names = [offer.name for offer in own] or [""]
            fates += [Fate(family.name, outcome, name) for name in names]
            # Several offers of one family may be of the same samples.
            used += len({p for offer in own for member in offer.members for p in member.places})
        # A family may have become several.
        outcomes = Counter({fate.family: fate.outcome for fate in fates}.values())
        return Contribution(tuple(offers), tuple(fates), shape.size - used, outcomes)

    def _offers(
        self, family: Family, page: frozenset[str], shared: Renaming
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
    return "gauge" if kind in (Kind.INFO, Kind.STATESET) else kind


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


def _renamed(family: Family, translation: Translation, shared: Renaming) -> Offer:
    """A family under its convention name."""
    metric = translation.metric
    kind = _KINDS[metric.instrument]
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


@lru_cache(maxsize=1024)
def _unit(ucum: str, name: str) -> str:
    """The unit, if the name ends with it, as OpenMetrics wants."""
    unit = unit_suffix(ucum)
    return unit if unit and name.removesuffix("_total").endswith(f"_{unit}") else ""
