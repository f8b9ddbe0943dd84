"""The families that several sources offer to the families of one page.

A name has one type: a later source's family of another type is left out, whole.  A series that an
earlier source has is not served twice.  Families that several sources have get each source's name
as a label, so that no two series become one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firsttoken.catalogue import SOURCE
from firsttoken.collector.form import TEXT
from firsttoken.collector.page import Kind, Labels, Layout, Role
from firsttoken.collector.translate import MEMBER, Member, Offer, layout_of
from firsttoken.naming import label_name

__all__ = ["Collision", "Merged", "Part", "merge", "shared_names"]

RUNTIME = ("process_", "python_", "go_", "promhttp_")
"""What every server says about its own process: labelled even while only one source says it, so
that a series keeps its identity when a second source comes up."""

_PARTS = {
    Kind.HISTOGRAM: (Role.BUCKET, Role.COUNT, Role.SUM),
    Kind.GAUGE_HISTOGRAM: (Role.BUCKET, Role.GCOUNT, Role.GSUM),
    Kind.SUMMARY: (Role.COUNT, Role.SUM),
}
_CREATED = (Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY)
_SOURCE_NAMES = (SOURCE.name, SOURCE.label)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one source contributes to a page; the collector's own has no name."""

    source: str
    offset: int
    """Where the source's values begin among all values."""
    offers: tuple[Offer, ...]
    labels: Labels = ()
    """Onto every series that has no label of this name."""


@dataclass(frozen=True, slots=True)
class Collision:
    """A family, or some series of it, of which two sources (or two names) say different things."""

    family: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The families of one page, and what had to be left out of it."""

    families: tuple[Offer, ...]
    """The places of their members are among all values."""
    collisions: tuple[Collision, ...]


def shared_names(offered: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """The names that need the label: those that more than one source offers, or may."""
    if len(offered) < 2:
        return frozenset()
    owners: dict[str, int] = {}
    for names in offered.values():
        for name in set(names):
            owners[name] = owners.get(name, 0) + 1
    return frozenset(
        name for name, count in owners.items() if count > 1 or name.startswith(RUNTIME)
    )


def merge(parts: Sequence[Part], shared: frozenset[str]) -> Merged:
    """One family for each name, in the order of first appearance."""
    offered: dict[str, list[tuple[Part, Offer]]] = {}
    for part in parts:
        for offer in part.offers:
            offered.setdefault(offer.name, []).append((part, offer))
    places = {part.source: _Placing(part) for part in parts}
    collisions: list[Collision] = []
    families = []
    for name, offers in offered.items():
        first = offers[0][1]
        members: dict[tuple[Role, frozenset[tuple[str, str]]], Member] = {}
        alone = len(offers) == 1
        for part, offer in offers:
            if offer.kind is not first.kind:
                reason = f"is a {offer.kind}, but was a {first.kind} before"
                collisions.append(Collision(name, part.source, reason))
                continue
            placed = places[part.source].placed(offer, shared=name in shared)
            if alone:
                # What one family says twice is found when its lines are written.
                families.append(placed)
                continue
            before = len(members)
            for member in placed.members:
                members.setdefault((member.role, frozenset(member.labels)), member)
            doubled = before + len(placed.members) - len(members)
            if doubled:
                reason = f"{doubled} series were there already"
                collisions.append(Collision(name, part.source, reason))
        if not alone:
            all_of_them = tuple(members.values())
            families.append(first.of(layout_of(all_of_them), all_of_them))
    return Merged(_distinct(families, collisions), tuple(collisions))


def _distinct(families: Sequence[Offer], collisions: list[Collision]) -> tuple[Offer, ...]:
    """The families of which no sample can be taken for one of another family."""
    owners: dict[str, str] = {}
    found = []
    for family in families:
        claimed = _claimed(family)
        if owners.keys().isdisjoint(claimed):
            owners |= dict.fromkeys(claimed, family.name)
            found.append(family)
        else:
            other = next(owners[name] for name in claimed if name in owners)
            collisions.append(Collision(family.name, "", f"has names of the family {other}"))
    return tuple(found)


def _claimed(family: Offer) -> list[str]:
    """The names of a family and its samples, for clients that take no dots."""
    # A name of the catalogue is one that every client takes.
    name = TEXT.name(family.name, family.dotted) if family.metric is None else family.name
    names = [name, *[name + role for role in _PARTS.get(family.kind, ())]]
    if family.kind in _CREATED and Role.CREATED in family.layout.roles:
        base = name.removesuffix("_total") if family.kind is Kind.COUNTER else name
        names.append(base + Role.CREATED)
    return names


class _Placing:
    """Puts one source's members onto a page: where their values are, and the labels it needs."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._layouts: dict[tuple[Layout, bool], Layout] = {}

    def placed(self, offer: Offer, *, shared: bool) -> Offer:
        """The offer with its members' places among all values, and the labels that it needs."""
        part = self._part
        shared = shared and part.source != ""
        offset, layout = part.offset, offer.layout
        if part.labels or shared:
            layout = self._labelled(layout, shared=shared)
        elif not offset:
            return offer
        members = [
            MEMBER(
                (
                    role,
                    labels,
                    (places[0] + offset,)
                    if len(places) == 1
                    else tuple([place + offset for place in places]),
                    scale,
                    translation,
                )
            )
            for (role, _, places, scale, translation), labels in zip(
                offer.members, layout.labels, strict=True
            )
        ]
        return offer.of(layout, tuple(members))

    def _labelled(self, layout: Layout, *, shared: bool) -> Layout:
        found = self._layouts.get((layout, shared))
        if found is None:
            labels = [self._added(had, shared=shared) for had in layout.labels]
            found = self._layouts[layout, shared] = Layout(layout.roles, tuple(labels))
        return found

    def _added(self, labels: Labels, *, shared: bool) -> Labels:
        # A form may write a dot as an underscore, and then the names must still differ.
        own = {label_name(name) for name, _ in labels}
        more = [item for item in self._part.labels if item[0] not in own]
        if not shared:
            return (*labels, *more)
        # A source that is a collector itself has told its own source already: both are said.
        path = [self._part.source, *(v for k, v in labels if k in _SOURCE_NAMES)]
        kept = [item for item in labels if item[0] not in _SOURCE_NAMES]
        return (*kept, *more, (SOURCE.name, "/".join(path)))
