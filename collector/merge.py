"""The families that several sources offer to the families of one page.

A name has one type: a later source's family of another type is left out, whole.  A series that an
earlier source has is not served twice.  Families that several sources have get each source's name
as a label, so that no two series become one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from firsttoken.catalogue import SOURCE
from firsttoken.collector.page import Labels, Role
from firsttoken.collector.translate import Member, Offer
from firsttoken.naming import label_name

__all__ = ["Collision", "Merged", "Part", "merge", "shared_names"]

RUNTIME = ("process_", "python_", "go_", "promhttp_")
"""What every server says about its own process: labelled even while only one source says it, so
that a series keeps its identity when a second source comes up."""


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
    kinds: dict[str, Offer] = {}
    members: dict[str, dict[tuple[Role, frozenset[tuple[str, str]]], Member]] = {}
    collisions: list[Collision] = []
    for part in parts:
        for offer in part.offers:
            first = kinds.setdefault(offer.name, offer)
            if first.kind is not offer.kind:
                reason = f"is a {offer.kind}, but was a {first.kind} before"
                collisions.append(Collision(offer.name, part.source, reason))
                continue
            label = part.source if part.source and offer.name in shared else ""
            family = members.setdefault(offer.name, {})
            doubled = 0
            for member in offer.members:
                placed = _placed(member, part, label)
                key = (member.role, frozenset(placed.labels))
                doubled += family.setdefault(key, placed) is not placed
            if doubled:
                reason = f"{doubled} series were there already"
                collisions.append(Collision(offer.name, part.source, reason))
    families = tuple(
        replace(kinds[name], members=tuple(found.values())) for name, found in members.items()
    )
    return Merged(families, tuple(collisions))


def _placed(member: Member, part: Part, source: str) -> Member:
    """A member with its places among all values, and the labels that this page needs."""
    labels = member.labels
    if part.labels:
        # A form may write a dot as an underscore, and then the names must still differ.
        own = {label_name(name) for name, _ in labels}
        labels = (*labels, *(item for item in part.labels if item[0] not in own))
    if source:
        labels = (
            *((f"exported_{k}" if k in (SOURCE.name, SOURCE.label) else k, v) for k, v in labels),
            (SOURCE.name, source),
        )
    places = tuple([part.offset + place for place in member.places])
    return Member(member.role, labels, places, member.scale, member.translation)
