"""Families to blocks of lines as a form has them: one contiguous block for each name."""

import math
from collections.abc import Collection, Iterator, Sequence

from firsttoken.collector.form import Form
from firsttoken.collector.page import Kind, Layout, Role
from firsttoken.collector.translate import Offer
from firsttoken.collector.writing import Arrangement, Block, Fits, Writer

__all__ = ["blocks"]

_APART = (Role.BUCKET, Role.GCOUNT, Role.GSUM, Role.CREATED)
_SUFFIX = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
_VALUE_ONLY = frozenset({Role.VALUE})
_COMPONENTS = frozenset(Role) - _VALUE_ONLY
_ALLOWED = {
    Kind.COUNTER: frozenset({Role.VALUE, Role.CREATED}),
    Kind.HISTOGRAM: _COMPONENTS,
    Kind.GAUGE_HISTOGRAM: _COMPONENTS,
}
_CLAIMED = {
    Kind.COUNTER: ("_total", "_created"),
    Kind.SUMMARY: ("_count", "_sum", "_created"),
    Kind.HISTOGRAM: ("_count", "_sum", "_bucket", "_created"),
    Kind.GAUGE_HISTOGRAM: ("_gcount", "_gsum", "_bucket"),
    Kind.INFO: ("_info",),
}
"""What OpenMetrics reserves behind a family's name."""
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
        shown = _TEXT_KIND.get(family.kind, family.kind.value)
        apart = [role for role in _APART if _is_apart(role, family.kind, family.layout)]
        lines = self.arranged(family.layout, family.kind, None, self._fits(family.kind, apart))
        yield from self._block(family, family.kind, lines, shown, Role.VALUE)
        for role in apart:
            lines = self.arranged(family.layout, Kind.GAUGE, role, _only(role))
            yield from self._block(family, Kind.GAUGE, lines, "gauge", role)

    def _fits(self, kind: Kind, apart: Collection[Role]) -> Fits | None:
        """Whether a line can be read: a bound must be a number wherever it stands."""
        bound = {Kind.HISTOGRAM: "le", Kind.SUMMARY: "quantile"}.get(kind)
        if bound is None:
            return (lambda role, _: role not in apart) if apart else None
        found = self.labels.bound
        return lambda role, labels: role not in apart and found(labels, bound) != -math.inf

    def _block(
        self, family: Offer, kind: Kind, lines: Arrangement, shown: str, role: Role
    ) -> Iterator[Block]:
        if not lines.order:
            return
        header = self.header(self.shown(family, role), family.help, shown)
        found = self.block(kind, header, family, lines)
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
            name = self.shown(family)
            kind = family.kind
            if not name.endswith(_SUFFIX.get(kind, "")):
                kind = Kind.UNKNOWN
            for choice in (kind, Kind.UNKNOWN) if kind is Kind.COUNTER else (kind,):
                claimed = _claimed(_bare(name, choice), choice)
                if self._taken.isdisjoint(claimed):
                    self._taken.update(claimed)
                    self._kinds[family.name] = choice
                    break

    def blocks(self, family: Offer) -> Iterator[Block]:
        kind = self._kinds.get(family.name)
        if kind is None:
            return
        lines = self.arranged(
            family.layout,
            kind,
            family.name if kind is Kind.STATESET else None,
            self._fits(family, kind),
            whole=kind in (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM),
        )
        name = _bare(self.shown(family), kind)
        unit = family.unit if name.endswith(f"_{family.unit}") else ""
        if kind in (Kind.INFO, Kind.STATESET):
            unit = ""
        header = self.header(name, family.help, kind, unit)
        found = self.block(kind, header, family, lines)
        if found is not None:
            yield found

    def _fits(self, family: Offer, kind: Kind) -> Fits | None:
        """Which samples OpenMetrics allows in a family of this type; None means all of them."""
        allowed = _ALLOWED.get(kind, _VALUE_ONLY)
        found = self.labels.bound
        if kind is Kind.SUMMARY:
            return lambda role, labels: (
                role is not Role.VALUE or _is_quantile(found(labels, "quantile"))
            )
        if kind is Kind.STATESET:
            return lambda _, labels: any(label == family.name for label, _ in labels)
        if allowed.issuperset(family.layout.roles):
            return None
        return lambda role, _: role in allowed


def _is_quantile(bound: float | None) -> bool:
    return bound is not None and 0 <= bound <= 1


def _is_apart(role: Role, kind: Kind, layout: Layout) -> bool:
    """Whether the text format has such samples as a family of their own."""
    return role in layout.roles and (role is Role.CREATED or kind is Kind.GAUGE_HISTOGRAM)


def _only(wanted: Role) -> Fits:
    return lambda role, _: role is wanted


def _bare(name: str, kind: Kind) -> str:
    """The family's name in OpenMetrics."""
    return name.removesuffix(_SUFFIX.get(kind, ""))


def _claimed(name: str, kind: Kind) -> list[str]:
    return [name, *[name + suffix for suffix in _CLAIMED.get(kind, ())]]
