"""What a profile makes of a page: each family named, passed on with a reason, or not known.

The series are translated one by one as the collector does it, so that what cannot be told apart
afterwards is seen here.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from firsttoken.exporters.page import Family, Sample
from firsttoken.exporters.table import Line, Profile
from firsttoken.exporters.translation import Translation, combine

__all__ = ["Finding", "Report", "Series", "Status", "check"]


class Status(StrEnum):
    """What became of a family."""

    NAMED = "named"
    SUPERSEDED = "superseded"
    UNNAMED = "no name"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Series:
    """One series as it comes out; the value is in the catalogue's unit."""

    name: str
    attributes: Mapping[str, str]
    value: float

    @property
    def identity(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """Two series with the same identity are one to a Prometheus."""
        return self.name, frozenset(self.attributes.items())


@dataclass(frozen=True, slots=True)
class Finding:
    """One family of the page; ``why`` says why it has no name, or what the profile notes."""

    family: str
    kind: str
    status: Status
    line: Line | None = None
    why: str = ""
    read: int = 0
    """Series on the page."""
    dropped: int = 0
    """Series that stand for "not measured" or that the profile leaves out."""
    merged: int = 0
    """Copies that came together with another series of the family, as the profile says."""
    series: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole page; see ``check``."""

    profile: Profile
    findings: tuple[Finding, ...]
    missing: tuple[Line, ...]
    """Lines without ``optional`` whose family the page should have and does not."""
    version: str
    """What the families on the page say of the source's version; empty if nothing."""
    doubled: tuple[Series, ...]
    """Series that another one already is: a mistake in the profile, or of the source."""

    def of(self, status: Status) -> tuple[Finding, ...]:
        """The families with this status."""
        return tuple(finding for finding in self.findings if finding.status is status)


def check(profile: Profile, families: Iterable[Family]) -> Report:
    """What ``profile`` makes of a page."""
    page = tuple(families)
    names = frozenset(family.name for family in page)
    findings = tuple(found for family in page for found in _findings(profile, family, names))
    lines = [finding.line for finding in findings if finding.line]
    since, upto = _versions(profile, lines, names)
    seen: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
    doubled = []
    for series in (series for finding in findings for series in finding.series):
        seen[series.identity] += 1
        if seen[series.identity] > 1:
            doubled.append(series)
    return Report(
        profile=profile,
        findings=findings,
        missing=tuple(_missing(profile, lines, names, since)),
        version=", ".join(part for part in (f"from {since}" if since else "", upto) if part),
        doubled=tuple(doubled),
    )


def _findings(profile: Profile, family: Family, names: frozenset[str]) -> Iterator[Finding]:
    """One finding, or one for each line that reads some of the family's series."""
    lines = profile.read_by(family.name, family.kind, names)
    translations = profile.translations(family.name, family.kind, names)
    if not lines:
        yield _without_name(profile, family)
        return
    left = len(family.samples)
    for line, translation in zip(lines, translations, strict=True):
        finding = _named(family, line, translation)
        left -= 0 if line.part else finding.read
        yield finding
    if left:
        why = "the profile leaves these series out"
        yield Finding(family.name, family.kind, Status.UNNAMED, None, why, left, left)


def _named(family: Family, line: Line, translation: Translation) -> Finding:
    served = []
    read = 0
    for sample in family.samples:
        if translation.part and sample.suffix != f"_{translation.part}":
            continue
        attributes = translation.labels(sample.labels)
        if attributes is None:
            continue
        read += 1
        if sample.suffix != "_created" and not translation.drops(sample.value):
            served.append(_translated(translation, sample, attributes))
    series = _combined(translation, served)
    return Finding(
        family=family.name,
        kind=family.kind,
        status=Status.NAMED,
        line=line,
        why=line.note,
        read=read,
        dropped=read - len(served),
        merged=len(served) - len(series),
        series=series,
    )


def _without_name(profile: Profile, family: Family) -> Finding:
    key = profile.key(family.name)
    resting = [line for line in profile.lines if key in line.names and family.kind in line.kinds]
    known = profile.why_unnamed(family.name)
    if resting:
        status, why = Status.SUPERSEDED, "another family of the page says the same"
    elif known is not None:
        status, why = Status.UNNAMED, known
    else:
        wrong = f"a {family.kind}, which it should not be" if profile.reads(family.name) else ""
        status, why = Status.UNKNOWN, wrong
    line = resting[0] if resting else None
    return Finding(family.name, family.kind, status, line, why, len(family.samples))


def _translated(translation: Translation, sample: Sample, attributes: Mapping[str, str]) -> Series:
    suffix = "" if translation.part or sample.suffix == "_total" else sample.suffix
    if translation.scale is None or suffix == "_count":
        value = sample.value
    elif suffix == "_bucket":
        bound = _scaled(float(sample.labels["le"]), translation.scale)
        attributes = {**attributes, "le": "+Inf" if math.isinf(bound) else repr(bound)}
        value = sample.value
    else:
        value = _scaled(sample.value, translation.scale)
    return Series(f"{translation.metric.prometheus}{suffix}", attributes, value)


def _scaled(value: float, scale: Decimal) -> float:
    """The value times the scale, without the digits that binary fractions would add."""
    return float(Decimal(repr(value)) * scale) if math.isfinite(value) else value


def _combined(translation: Translation, served: list[Series]) -> tuple[Series, ...]:
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Series]] = {}
    for series in served:
        groups.setdefault(series.identity, []).append(series)
    out = []
    for group in groups.values():
        value = combine(translation.merge, (series.value for series in group))
        first = group[0]
        # Copies that the profile does not explain stay apart, for ``doubled`` to show.
        kept = group if value is None else [Series(first.name, first.attributes, value)]
        out += kept
    return tuple(out)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _versions(profile: Profile, found: list[Line], names: frozenset[str]) -> tuple[str | None, str]:
    """The newest ``since`` of what the page has, and what bounds the version from above, in words.

    ``until`` names the last version that has a family, and a family that is not there yet the
    first that would.
    """
    since = max((line.since for line in found if line.since), key=_version, default=None)
    least = _version(since) if since else ()
    bounds = [(_version(line.until), f"to {line.until}") for line in found if line.until]
    bounds += [
        (_version(line.since), f"before {line.since}")
        for line in profile.lines
        if line.since and not line.optional and not _present(profile, line, names)
    ]
    return since, min((bound for bound in bounds if bound[0] > least), default=((), ""))[1]


def _present(profile: Profile, line: Line, names: frozenset[str]) -> bool:
    return any(profile.key(name) in line.names for name in names)


def _missing(
    profile: Profile, found: list[Line], names: frozenset[str], since: str | None
) -> Iterator[Line]:
    newest = _version(since) if since else None
    page = frozenset(profile.key(name) for name in names)
    # An older name for the same is as good.
    older = frozenset[str]().union(*(line.superseded_by for line in found))
    for line in profile.lines:
        if line.optional or line.until or line.superseded_by & page or line.names & (page | older):
            continue
        if newest is None or not line.since or _version(line.since) <= newest:
            yield line
