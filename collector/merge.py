"""The families that several sources offer to the families of one page.

A name has one type: a later source's family of another type is left out, whole.  A series that an
earlier source has is not served twice.  Families that several sources have get each source's name
as a label, so that no two series become one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from firsttoken.catalogue import SOURCE
from firsttoken.collector.form import TEXT
from firsttoken.collector.page import Kind, Labels, Role
from firsttoken.collector.translate import Member, Offer, named
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
        for name in names:
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
            placed = places[part.source].members(offer, shared=name in shared)
            if alone:
                # What one family says twice is found when its lines are written.
                families.append(replace(first, members=placed))
                continue
            before = len(members)
            for member in placed:
                members.setdefault((member.role, frozenset(member.labels)), member)
            doubled = before + len(placed) - len(members)
            if doubled:
                reason = f"{doubled} series were there already"
                collisions.append(Collision(name, part.source, reason))
        if not alone:
            families.append(replace(first, members=tuple(members.values())))
    return Merged(_distinct(families, collisions), tuple(collisions))


def _distinct(families: Sequence[Offer], collisions: list[Collision]) -> tuple[Offer, ...]:
    """The families of which no sample can be taken for one of another family."""
    owners: dict[str, str] = {}
    found = []
    for family in families:
        claimed = _claimed(family)
        other = next((owners[name] for name in claimed if name in owners), None)
        if other is None:
            owners |= dict.fromkeys(claimed, family.name)
            found.append(family)
        else:
            collisions.append(Collision(family.name, "", f"has names of the family {other}"))
    return tuple(found)


def _claimed(family: Offer) -> list[str]:
    """The names of a family and its samples, for clients that take no dots."""
    roles = [*_PARTS.get(family.kind, ())]
    if family.kind in _CREATED and any(m.role is Role.CREATED for m in family.members):
        roles.append(Role.CREATED)
    return [TEXT.name(*named(role, family)) for role in (Role.VALUE, *roles)]


class _Placing:
    """Puts one source's members onto a page: where their values are, and the labels it needs."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._labelled: dict[tuple[Labels, bool], Labels] = {}

    def members(self, offer: Offer, *, shared: bool) -> tuple[Member, ...]:
        """An offer's members with their places among all values."""
        part = self._part
        shared = shared and part.source != ""
        offset, plain = part.offset, not part.labels and not shared
        if plain and not offset:
            return offer.members
        return tuple(
            [
                Member(
                    member.role,
                    member.labels if plain else self._labels(member.labels, shared),
                    tuple([offset + place for place in member.places]),
                    member.scale,
                    member.translation,
                )
                for member in offer.members
            ]
        )

    def _labels(self, labels: Labels, shared: bool) -> Labels:
        found = self._labelled.get((labels, shared))
        if found is None:
            found = self._labelled[labels, shared] = self._added(labels, shared=shared)
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
