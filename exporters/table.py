"""A profile in memory: the lines by which the families of one source are read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from re import Pattern

from firsttoken.catalogue import Metric
from firsttoken.exporters.schema import Merge, Part
from firsttoken.exporters.translation import LabelRules, Translation
from firsttoken.naming import current

__all__ = ["Known", "Line", "Profile", "key"]


@dataclass(frozen=True, slots=True)
class Line:
    """One family of a source, with all that its profile says about it."""

    source: str
    names: frozenset[str]
    """The family's keys: its name and its names under other prefixes, without ``_total``."""
    kinds: frozenset[str]
    metric: Metric
    part: Part | None
    scale: Decimal | None
    merge: Merge
    rules: LabelRules
    minimum: float
    below: float
    superseded_by: frozenset[str]
    """Keys of families that say the same better: with one of them on the page this line rests."""
    since: str | None
    until: str | None
    optional: bool
    note: str
    profile: str
    number: int
    """Where the line stands in its file."""

    @property
    def fixed(self) -> Mapping[str, str]:
        """The attributes that every series of the line has."""
        return {**self.rules.defaults, **self.rules.add}


@dataclass(frozen=True, slots=True)
class Known:
    """Families that mean nothing that the catalogue has a name for."""

    match: Pattern[str]
    why: str


_PROCESS = Known(
    re.compile("(process|python|go|promhttp|scrape|otel_scope)_.*|target_info|up"),
    "the source's own process, not what it serves",
)


@dataclass(frozen=True, eq=False)
class Profile:
    """One kind of source.  ``for_target`` makes the profile of one target of that kind."""

    name: str
    title: str
    provider: str
    detects: tuple[Pattern[str], ...]
    lines: tuple[Line, ...]
    known: tuple[Known, ...]
    ignore_case: bool = False
    url: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Attributes of one target, where its source does not say otherwise."""
    _index: dict[str, list[Line]] = field(init=False, repr=False, default_factory=dict)
    _translated: dict[int, Translation] = field(init=False, repr=False, default_factory=dict)
    """By the identity of its line: worked out here, before the first page is there."""
    _ready: dict[tuple[str, str], tuple[Translation, ...]] = field(
        init=False, repr=False, default_factory=dict
    )
    """Key and type of a family -> what it becomes, if that is the same on every page."""

    def __post_init__(self) -> None:
        for line in self.lines:
            self._translated[id(line)] = self._translation(line)
            for name in line.names:
                self._index.setdefault(name, []).append(line)
        for name, lines in self._index.items():
            if not any(line.superseded_by for line in lines):
                for kind in {kind for line in lines for kind in line.kinds}:
                    found = [self._translated[id(line)] for line in lines if kind in line.kinds]
                    self._ready[name, kind] = tuple(found)

    def detect(self, names: Iterable[str]) -> bool:
        """Whether a page with these families can be this source's."""
        return any(rx.search(name) for name in names for rx in self.detects)

    def for_target(self, attributes: Mapping[str, str]) -> "Profile":
        """The profile for one target, whose configuration knows these attributes.

        They are given to entries that have them: ``gen_ai.operation.name`` (``chat`` without),
        ``gen_ai.request.model``, ``server.address``, ``server.port``.
        """
        named = {current(name): value for name, value in attributes.items()}
        return replace(self, attributes={**self.attributes, **named})

    def read_by(self, family: str, kind: str, page: frozenset[str]) -> tuple[Line, ...]:
        """The lines that a family of a page is read by; each reads other series of it.

        ``page`` holds the names of all families of the page: a line rests while a family that says
        the same better is there, so that old and new names side by side never double.
        """
        lines = self._index.get(self.key(family))
        if lines is None:
            return ()
        return tuple(
            [
                line
                for line in lines
                if kind in line.kinds
                and not (line.superseded_by and line.superseded_by & _keys(self, page))
            ]
        )

    def translations(self, family: str, kind: str, page: frozenset[str]) -> tuple[Translation, ...]:
        """What a family becomes; empty if nothing in the catalogue means the same.

        ``family`` is the name as on the page, with or without a counter's ``_total``; ``kind`` its
        type there: counter, gauge, histogram, summary, or unknown.  Of several translations each
        is for other series; ``Translation.labels`` says for which.
        """
        key = self.key(family)
        found = self._ready.get((key, kind))
        if found is None:
            if key not in self._index:
                return ()
            lines = self.read_by(family, kind, page)
            found = tuple([self._translated[id(line)] for line in lines])
        return found

    def _translation(self, line: Line) -> Translation:
        has = {attribute.name for attribute in line.metric.attributes}
        own = {name: value for name, value in self.attributes.items() if name in has}
        rules = replace(line.rules, defaults={**line.rules.defaults, **own}) if own else line.rules
        return Translation(
            line.metric, line.scale, line.merge, rules, line.minimum, line.below, line.part
        )

    def superseded(self, family: str, kind: str, page: frozenset[str]) -> bool:
        """Whether a family is not read because the page has one that says the same better."""
        lines = self._index.get(self.key(family), ())
        known = any(kind in line.kinds for line in lines)
        return known and not self.read_by(family, kind, page)

    def why_unnamed(self, family: str) -> str | None:
        """Why a family that the source is known to have has no name in the catalogue, or None."""
        for known in self.known:
            if known.match.fullmatch(family):
                return known.why
        return _PROCESS.why if _PROCESS.match.fullmatch(family) else None

    def reads(self, family: str) -> bool:
        """Whether some line reads families of this name."""
        return self.key(family) in self._index

    def key(self, family: str) -> str:
        """Under what a family of a page is looked up; two names with one key are one family."""
        return key(family, ignore_case=self.ignore_case)


def key(family: str, *, ignore_case: bool = False) -> str:
    """A family's name without what parsers add and take away."""
    name = family.lower() if ignore_case else family
    return name.removesuffix("_total")


@lru_cache(maxsize=256)
def _keys(profile: Profile, page: frozenset[str]) -> frozenset[str]:
    return frozenset(key(name, ignore_case=profile.ignore_case) for name in page)
