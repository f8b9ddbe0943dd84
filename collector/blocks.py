"""Families to blocks of lines as a form has them: one contiguous block for each name."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.numbers import canonical
from firsttoken.collector.page import Kind, Role
from firsttoken.collector.translate import BOUND, Member, Offer

__all__ = ["Block", "blocks"]

_GROUPED = (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM, Kind.SUMMARY)
_ORDER = {
    role: place
    for place, role in enumerate(
        (Role.VALUE, Role.BUCKET, Role.COUNT, Role.SUM, Role.GCOUNT, Role.GSUM, Role.CREATED)
    )
}
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
        self._written: set[tuple[str, frozenset[str]]] = set()
        self._pairs: dict[tuple[str, str, bool], tuple[str, str]] = {}

    def block(
        self, kind: Kind, header: bytes, family: Offer, metrics: Iterable[Sequence[Member]]
    ) -> Block | None:
        """The block of some metrics, each with its lines, or None if there is none."""
        names = {role: self.form.name(*_named(role, family)) for role in Role}
        beginnings: list[bytes] = []
        members: list[Member] = []
        ends: list[bool] = []
        for metric in metrics:
            for member in metric:
                line = self._line(member, kind, names[member.role])
                if line is not None:
                    beginnings.append(line)
                    members.append(member)
                    ends.append(False)
            if ends:
                ends[-1] = True
        if not members:
            return None
        return Block(kind, header, tuple(beginnings), tuple(members), tuple(ends))

    def _line(self, member: Member, kind: Kind, name: str) -> bytes | None:
        """The line up to its number, or None for a series that is there already."""
        canon = self.form.openmetrics and kind in _GROUPED
        labels: dict[str, str] = {}
        for label, value in member.labels:
            bound = canon and BOUND.get(member.role) == label
            shown, pair = self._pairs.get((label, value, bound)) or self._pair(label, value, bound)
            labels.setdefault(shown, pair)
        identity = (name, frozenset(labels.values()))
        if identity in self._written:
            return None
        self._written.add(identity)
        if needs_quotes(name, label=False):
            return f"{{{','.join((_quoted(name), *labels.values()))}}} ".encode()
        return (f"{name}{{{','.join(labels.values())}}} " if labels else f"{name} ").encode()

    def _pair(self, label: str, value: str, bound: bool) -> tuple[str, str]:
        """A label's name, and name and value as a line has them."""
        shown = self.form.label(label)
        key = _quoted(shown) if needs_quotes(shown, label=True) else shown
        found = shown, f"{key}={_quoted(canonical(value) if bound else value)}"
        self._pairs[label, value, bound] = found
        return found

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
        yield from self._block(family, _metrics(main, family.kind), kind, Role.VALUE)
        if len(main) < len(family.members):
            for role in (Role.BUCKET, Role.GCOUNT, Role.GSUM, Role.CREATED):
                apart = [
                    (m,) for m in family.members if m.role is role and _is_apart(m, family.kind)
                ]
                yield from self._block(family, apart, "gauge", role)

    def _block(
        self, family: Offer, metrics: Sequence[Sequence[Member]], kind: str, role: Role
    ) -> Iterator[Block]:
        header = self.header(self.form.name(*_named(role, family)), family.help, kind)
        found = self.block(family.kind, header, family, metrics)
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
        metrics = _metrics([m for m in family.members if _fits(m, family, kind)], kind)
        if kind in (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM):
            metrics = [metric for metric in metrics if _is_whole(metric, kind)]
        name = _bare(self.form.name(family.name, family.dotted), kind)
        unit = family.unit if name.endswith(f"_{family.unit}") else ""
        if kind in (Kind.INFO, Kind.STATESET):
            unit = ""
        header = self.header(name, family.help, kind.value, unit)
        found = self.block(kind, header, family, metrics)
        if found is not None:
            yield found


def _is_apart(member: Member, kind: Kind) -> bool:
    """Whether the text format has the sample as a family of its own."""
    return member.role is Role.CREATED or (
        kind is Kind.GAUGE_HISTOGRAM and member.role is not Role.VALUE
    )


def _named(role: Role, family: Offer) -> tuple[str, str]:
    """A sample's name, and the same with dots; a counter's ``_created`` replaces ``_total``."""
    name, dotted = family.name, family.dotted
    if role is Role.CREATED and family.kind is Kind.COUNTER:
        name, dotted = name.removesuffix("_total"), dotted.removesuffix("_total")
    return name + role.value, dotted + role.value


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


def _metrics(members: Sequence[Member], kind: Kind) -> list[list[Member]]:
    """The metrics one after the other, each with its buckets or quantiles in rising order."""
    if kind not in _GROUPED and all(member.role is Role.VALUE for member in members):
        return [[member] for member in members]
    groups: dict[frozenset[tuple[str, str]], list[Member]] = {}
    for member in members:
        bound = BOUND.get(member.role) if kind in _GROUPED else None
        labels = member.labels
        if bound is not None:
            labels = tuple([item for item in labels if item[0] != bound])
        groups.setdefault(frozenset(labels), []).append(member)
    for group in groups.values():
        group.sort(key=lambda m: (_ORDER[m.role], _bound(m, kind)))
    return list(groups.values())


def _bound(member: Member, kind: Kind) -> float:
    label = BOUND.get(member.role) if kind in _GROUPED else None
    text = dict(member.labels).get(label, "") if label else ""
    return float(text) if _parses(text) else float("-inf")


def _is_whole(metric: Sequence[Member], kind: Kind) -> bool:
    """Whether it has all that OpenMetrics demands: the ``+Inf`` bucket, and count with sum."""
    last = [m for m in metric if m.role is Role.BUCKET][-1:]
    roles = {m.role for m in metric}
    count, total = Role.COUNT in roles, Role.SUM in roles
    if kind is Kind.GAUGE_HISTOGRAM:
        count, total = Role.GCOUNT in roles, Role.GSUM in roles
    return bool(last) and _bound(last[0], kind) == math.inf and count == total


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
