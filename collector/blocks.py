"""Families to blocks of lines as a form has them: one contiguous block for each name."""

import math
from collections.abc import Callable, Iterator, Sequence

from firsttoken.collector.form import Form
from firsttoken.collector.page import Kind, Role
from firsttoken.collector.translate import Member, Offer, named
from firsttoken.collector.writing import Block, Writer

__all__ = ["blocks"]

_SUFFIX = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
_TEXT_KIND = {
    Kind.UNKNOWN: "untyped",
    Kind.INFO: "gauge",
    Kind.STATESET: "gauge",
    Kind.GAUGE_HISTOGRAM: "gauge",
}


def blocks(families: Sequence[Offer], form: Form) -> Iterator[Block]:
    """The blocks of a page, in the families' order, without a line that is there already."""
    writer = _Openmetrics(form, families) if form.openmetrics else _Text(form)
    for family in families:
        yield from writer.blocks(family)


class _Text(Writer):
    """Prometheus' text format: what it has no type for is gauges under names of their own."""

    def blocks(self, family: Offer) -> Iterator[Block]:
        fits = self._fits(family.kind)
        main = [m for m in family.members if not _is_apart(m, family.kind) and fits(m)]
        kind = _TEXT_KIND.get(family.kind, family.kind.value)
        yield from self._block(family, self.metrics(main, family.kind), kind, Role.VALUE)
        if any(_is_apart(m, family.kind) for m in family.members):
            for role in (Role.BUCKET, Role.GCOUNT, Role.GSUM, Role.CREATED):
                apart = [
                    (m,) for m in family.members if m.role is role and _is_apart(m, family.kind)
                ]
                yield from self._block(family, apart, "gauge", role)

    def _fits(self, kind: Kind) -> Callable[[Member], bool]:
        """Whether a line can be read: a bound must be a number wherever it stands."""
        bound = {Kind.HISTOGRAM: "le", Kind.SUMMARY: "quantile"}.get(kind)
        if bound is None:
            return lambda _: True
        bounded = self.labels.bounded
        return lambda member: (
            bounded(member.labels, bound).bound > -math.inf
            or all(label != bound for label, _ in member.labels)
        )

    def _block(
        self, family: Offer, metrics: Sequence[Sequence[Member]], kind: str, role: Role
    ) -> Iterator[Block]:
        header = self.header(self.form.name(*named(role, family)), family.help, kind)
        found = self.block(family.kind, header, family, metrics)
        if found is not None:
            yield found


class _Openmetrics(Writer):
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
        metrics = self.metrics([m for m in family.members if self._fits(m, family, kind)], kind)
        if kind in (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM):
            metrics = [metric for metric in metrics if self._is_whole(metric, kind)]
        name = _bare(self.form.name(family.name, family.dotted), kind)
        unit = family.unit if name.endswith(f"_{family.unit}") else ""
        if kind in (Kind.INFO, Kind.STATESET):
            unit = ""
        header = self.header(name, family.help, kind.value, unit)
        found = self.block(kind, header, family, metrics)
        if found is not None:
            yield found

    def _fits(self, member: Member, family: Offer, kind: Kind) -> bool:
        """Whether OpenMetrics allows the sample in a family of this type."""
        role = member.role
        if kind is Kind.COUNTER:
            return role in (Role.VALUE, Role.CREATED)
        if kind is Kind.SUMMARY:
            return role is not Role.VALUE or 0 <= self._bound(member, "quantile") <= 1
        if kind in (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM):
            return role is not Role.VALUE
        if kind is Kind.STATESET:
            return any(label == family.name for label, _ in member.labels)
        return role is Role.VALUE

    def _bound(self, member: Member, label: str) -> float:
        return self.labels.bounded(member.labels, label).bound

    def _is_whole(self, metric: Sequence[Member], kind: Kind) -> bool:
        """Whether it has all that OpenMetrics demands: the last bucket, and count with sum."""
        last = [m for m in metric if m.role is Role.BUCKET][-1:]
        roles = {m.role for m in metric}
        count, total = Role.COUNT in roles, Role.SUM in roles
        if kind is Kind.GAUGE_HISTOGRAM:
            count, total = Role.GCOUNT in roles, Role.GSUM in roles
        return bool(last) and self._bound(last[0], "le") == math.inf and count == total


def _is_apart(member: Member, kind: Kind) -> bool:
    """Whether the text format has the sample as a family of its own."""
    return member.role is Role.CREATED or (
        kind is Kind.GAUGE_HISTOGRAM and member.role is not Role.VALUE
    )


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
