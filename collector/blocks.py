"""Families to blocks of lines as a form has them: one contiguous block for each name."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.numbers import canonical
from firsttoken.collector.page import Kind, Labels, Role
from firsttoken.collector.translate import BOUND, Member, Offer

__all__ = ["Block", "blocks"]

_GROUPED = (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM, Kind.SUMMARY)
_ORDER = (
    Role.VALUE, Role.BUCKET, Role.COUNT, Role.SUM, Role.GCOUNT, Role.GSUM, Role.CREATED,
)  # fmt: skip
_SUFFIX = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
_TEXT_KIND = {
    Kind.UNKNOWN: "untyped",
    Kind.INFO: "gauge",
    Kind.STATESET: "gauge",
    Kind.GAUGE_HISTOGRAM: "gauge",
}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The lines of one name: comments, then the beginnings of the samples' lines."""

    kind: Kind
    header: bytes
    beginnings: tuple[bytes, ...]
    members: tuple[Member, ...]
    group_ends: tuple[bool, ...]
    """For each line whether it is the last one of its metric (its labels less ``le``)."""


def blocks(families: Sequence[Offer], form: Form) -> Iterator[Block]:
    """The blocks of a page, in the families' order, without a line that is there already."""
    writer = _Openmetrics(form, families) if form.openmetrics else _Text(form)
    for family in families:
        yield from writer.blocks(family)


class _Writer:
    """What both formats have in common."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self._written: set[tuple[str, frozenset[tuple[str, str]]]] = set()

    def block(
        self, kind: Kind, header: bytes, name: str, dotted: str, members: Iterable[Member]
    ) -> Block | None:
        """The block of some members, or None if there is none."""
        kept: list[tuple[bytes, Member]] = []
        for member in members:
            line = self._line(member, kind, name, dotted)
            if line is not None:
                kept.append((line, member))
        if not kept:
            return None
        groups = [_group(member, kind) for _, member in kept]
        ends = (*(a != b for a, b in itertools.pairwise(groups)), True)
        return Block(kind, header, tuple(line for line, _ in kept), tuple(m for _, m in kept), ends)

    def _line(self, member: Member, kind: Kind, name: str, dotted: str) -> bytes | None:
        """The line up to its number, or None for a series that is there already."""
        full = self.form.name(*_with(member.role.value, name, dotted))
        labels: dict[str, str] = {}
        for label, value in member.labels:
            shown = canonical(value) if self._is_bound(label, member.role, kind) else value
            labels.setdefault(self.form.label(label), shown)
        identity = (full, frozenset(labels.items()))
        if identity in self._written:
            return None
        self._written.add(identity)
        return _identity(full, labels).encode() + b" "

    def _is_bound(self, label: str, role: Role, kind: Kind) -> bool:
        return self.form.openmetrics and kind in _GROUPED and BOUND.get(role) == label

    def header(self, name: str, said: str | None, kind: str, unit: str = "") -> bytes:
        """The comments of a family."""
        shown = _quoted(name) if needs_quotes(name, label=False) else name
        lines = []
        if said is not None:
            lines.append(f"# HELP {shown} {self._help(said)}")
        lines.append(f"# TYPE {shown} {kind}")
        if unit:
            lines.append(f"# UNIT {shown} {unit}")
        return "".join(f"{line}\n" for line in lines).encode()

    def _help(self, text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        return escaped.replace('"', '\\"') if self.form.openmetrics else escaped


class _Text(_Writer):
    """Prometheus' text format: what it has no type for is gauges under names of their own."""

    def blocks(self, family: Offer) -> Iterator[Block]:
        main = [m for m in family.members if not _is_apart(m, family.kind)]
        kind = _TEXT_KIND.get(family.kind, family.kind.value)
        yield from self._block(family, _ordered(main, family.kind), kind, "")
        for role in (Role.BUCKET, Role.GCOUNT, Role.GSUM, Role.CREATED):
            apart = [m for m in family.members if _is_apart(m, family.kind) and m.role is role]
            yield from self._block(family, apart, "gauge", role.value)

    def _block(
        self, family: Offer, members: Sequence[Member], kind: str, suffix: str
    ) -> Iterator[Block]:
        names = _with(suffix, family.name, family.dotted)
        header = self.header(self.form.name(*names), family.help, kind)
        found = self.block(family.kind, header, family.name, family.dotted, members)
        if found is not None:
            yield found


class _Openmetrics(_Writer):
    """OpenMetrics, where a counter's family has no ``_total`` and names must not clash."""

    def __init__(self, form: Form, families: Sequence[Offer]) -> None:
        super().__init__(form)
        self._kinds: dict[str, Kind] = {}
        self._taken: set[str] = set()
        # Counters give way: without a type they keep every series and claim their own name only.
        for family in sorted(families, key=lambda f: f.kind is Kind.COUNTER):
            name = form.name(family.name, family.dotted)
            kind = family.kind
            if not name.endswith(_SUFFIX.get(kind, "")):
                kind = Kind.UNKNOWN
            for choice in (kind, Kind.UNKNOWN) if kind is Kind.COUNTER else (kind,):
                claimed = _claimed(_bare(name, choice), choice)
                if not claimed & self._taken:
                    self._taken |= claimed
                    self._kinds[family.name] = choice
                    break

    def blocks(self, family: Offer) -> Iterator[Block]:
        kind = self._kinds.get(family.name)
        if kind is None:
            return
        members = _ordered([m for m in family.members if _fits(m, family, kind)], kind)
        if kind in (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM):
            members = _whole(members, kind)
        name = _bare(self.form.name(family.name, family.dotted), kind)
        unit = family.unit if name.endswith(f"_{family.unit}") else ""
        if kind in (Kind.INFO, Kind.STATESET):
            unit = ""
        header = self.header(name, family.help, kind.value, unit)
        found = self.block(kind, header, family.name, family.dotted, members)
        if found is not None:
            yield found


def _is_apart(member: Member, kind: Kind) -> bool:
    """Whether the text format has the sample as a family of its own."""
    return member.role is Role.CREATED or (
        kind is Kind.GAUGE_HISTOGRAM and member.role is not Role.VALUE
    )


def _with(suffix: str, name: str, dotted: str) -> tuple[str, str]:
    """A sample's name; ``_created`` takes the place of ``_total``."""
    if suffix == Role.CREATED.value:
        name, dotted = name.removesuffix("_total"), dotted.removesuffix("_total")
    return name + suffix, dotted + suffix


def _bare(name: str, kind: Kind) -> str:
    """The family's name in OpenMetrics."""
    return name.removesuffix(_SUFFIX.get(kind, ""))


def _claimed(name: str, kind: Kind) -> set[str]:
    suffixes = {
        Kind.COUNTER: ("_total", "_created"),
        Kind.SUMMARY: ("_count", "_sum", "_created"),
        Kind.HISTOGRAM: ("_count", "_sum", "_bucket", "_created"),
        Kind.GAUGE_HISTOGRAM: ("_gcount", "_gsum", "_bucket"),
        Kind.INFO: ("_info",),
    }.get(kind, ())
    return {name, *(name + suffix for suffix in suffixes)}


def _fits(member: Member, family: Offer, kind: Kind) -> bool:
    """Whether OpenMetrics allows the sample in a family of this type."""
    labels = dict(member.labels)
    if kind is Kind.COUNTER:
        return member.role in (Role.VALUE, Role.CREATED)
    if kind is Kind.SUMMARY:
        return member.role is not Role.VALUE or _is_quantile(labels.get("quantile"))
    if kind is Kind.HISTOGRAM:
        return member.role is not Role.VALUE and (
            member.role is not Role.BUCKET or _is_number(labels.get("le"))
        )
    if kind is Kind.GAUGE_HISTOGRAM:
        return member.role is not Role.VALUE and (
            member.role is not Role.BUCKET or _is_number(labels.get("le"))
        )
    if kind is Kind.STATESET:
        return family.name in labels
    return member.role is Role.VALUE


def _is_number(text: str | None) -> bool:
    return text is not None and _parses(text) and not math.isnan(float(text))


def _parses(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_quantile(text: str | None) -> bool:
    return text is not None and _parses(text) and 0 <= float(text) <= 1


def _group(member: Member, kind: Kind) -> Labels:
    """The labels that tell a metric from others of its family."""
    bound = BOUND.get(member.role) if kind in _GROUPED else None
    return tuple(sorted(item for item in member.labels if item[0] != bound))


def _ordered(members: Sequence[Member], kind: Kind) -> list[Member]:
    """The metrics one after the other, each with its buckets or quantiles in rising order."""
    rank: dict[Labels, int] = {}
    for member in members:
        rank.setdefault(_group(member, kind), len(rank))
    return sorted(
        members,
        key=lambda m: (rank[_group(m, kind)], _ORDER.index(m.role), _bound(m, kind)),
    )


def _bound(member: Member, kind: Kind) -> float:
    label = BOUND.get(member.role) if kind in _GROUPED else None
    text = dict(member.labels).get(label, "") if label else ""
    return float(text) if _parses(text) else float("-inf")


def _whole(members: Sequence[Member], kind: Kind) -> list[Member]:
    """Histograms that have all that OpenMetrics demands: the ``+Inf`` bucket, count with sum."""
    groups: dict[Labels, list[Member]] = {}
    for member in members:
        groups.setdefault(_group(member, kind), []).append(member)
    kept: list[Member] = []
    for group in groups.values():
        buckets = [m for m in group if m.role is Role.BUCKET]
        roles = {m.role for m in group}
        count, total = Role.COUNT in roles, Role.SUM in roles
        if kind is Kind.GAUGE_HISTOGRAM:
            count, total = Role.GCOUNT in roles, Role.GSUM in roles
        if buckets and _bound(buckets[-1], kind) == float("inf") and count == total:
            kept += group
    return kept


def _identity(name: str, labels: dict[str, str]) -> str:
    """A series as a line begins with it."""
    pairs = [
        f"{_quoted(k) if needs_quotes(k, label=True) else k}={_quoted(v)}"
        for k, v in labels.items()
    ]
    if needs_quotes(name, label=False):
        return "{" + ",".join((_quoted(name), *pairs)) + "}"
    return f"{name}{{{','.join(pairs)}}}" if pairs else name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
