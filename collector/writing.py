"""Lines up to their numbers: what the text format and OpenMetrics write in the same way."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.labels import LabelText, has_escapes, quoted
from firsttoken.collector.page import Kind, Labels, Layout, Role, apart
from firsttoken.collector.translate import BOUND, Member, Offer

__all__ = ["Arrangement", "Block", "Fits", "Writer"]

GROUPED = (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM, Kind.SUMMARY)
_ORDER = {
    role: place
    for place, role in enumerate(
        (Role.VALUE, Role.BUCKET, Role.COUNT, Role.SUM, Role.GCOUNT, Role.GSUM, Role.CREATED)
    )
}


_BUCKET = _ORDER[Role.BUCKET]


class Arrangement(NamedTuple):
    """The lines of a family with a certain layout, whatever its name is."""

    order: tuple[int, ...]
    """Of each line, which of the family's members it is."""
    as_is: bool
    """Whether these are all members in their own order."""
    roles: tuple[Role, ...]
    tails: tuple[bytes, ...]
    """What stands between a line's name and its number."""
    ends: tuple[int, ...]
    """After which lines a metric (the same labels less ``le``) ends; empty if after each."""
    below_zero: tuple[bool, ...]
    """Of each metric, whether it has buckets for numbers below zero."""


class Block(NamedTuple):
    """The lines of one name: comments, then the beginnings of the samples' lines."""

    kind: Kind
    header: bytes
    beginnings: Sequence[bytes]
    """Each begins with the end of the line before."""
    members: Sequence[Member]
    places: Sequence[int]
    """Of each line that of its number, or the first of those that it is made from."""
    arrangement: Arrangement


Fits = Callable[[Role, Labels], bool]
"""Whether a format has a line for a sample."""


_Line = tuple[int, float, int, bytes]
"""A line's place within its metric: role and bound; which member it is, and its tail."""


class Writer:
    """What both formats have in common."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.labels = LabelText(form)
        self._arranged: dict[tuple[Layout, Kind, Hashable], Arrangement] = {}
        self._names: dict[str, str] = {}
        self._patterns: dict[tuple[Kind, object, object], Arrangement] = {}
        """Type, roles and bounds -> the lines of a metric without any other label."""

    def shown(self, family: Offer, role: Role = Role.VALUE) -> str:
        """The name of a family's samples; a counter's ``_created`` replaces ``_total``."""
        found = self._names.get(family.name)
        if found is None:
            found = family.name
            # A name of the catalogue has nothing that underscores would be put for.
            if family.metric is None or self.form.escaping != "underscores":
                found = self.form.name(found, family.dotted)
            self._names[family.name] = found
        if role is Role.CREATED and family.kind is Kind.COUNTER:
            found = found.removesuffix("_total")
        return found + role

    def block(
        self, kind: Kind, header: bytes, family: Offer, arrangement: Arrangement
    ) -> Block | None:
        """The block of a family, or None if it has no line."""
        roles, tails = arrangement.roles, arrangement.tails
        if not roles:
            return None
        shown = self.shown(family)
        if self.quotes(shown):
            names = {role: quoted(self.shown(family, role)) for role in set(roles)}
            heads = {role: f"\n{{{name}".encode() for role, name in names.items()}
            lines = [_quoted_line(heads[r], t) for r, t in zip(roles, tails, strict=True)]
        elif not any(roles):
            head = f"\n{shown}".encode()
            lines = [head + tail for tail in tails]
        else:
            heads = {role: f"\n{self.shown(family, role)}".encode() for role in set(roles)}
            lines = [heads[role] + tail for role, tail in zip(roles, tails, strict=True)]
        members: Sequence[Member] = family.members
        if not arrangement.as_is:
            members = [members[place] for place in arrangement.order]
        places = [member[2][0] for member in members]
        return Block(kind, header, lines, members, places, arrangement)

    def quotes(self, name: str) -> bool:
        """Whether a name as it is shown can only be written in quotes."""
        return self.form.utf8 and needs_quotes(name, label=False)

    def arranged(
        self, layout: Layout, kind: Kind, what: Hashable, fits: Fits | None, *, whole: bool = False
    ) -> Arrangement:
        """The lines of a family with this layout.

        ``fits`` says which samples have one, if not all, and ``what`` tells apart the answers that
        it may give for one layout; ``whole`` leaves out histograms that lack what OpenMetrics
        demands.
        """
        key = (layout, kind, what)
        found = self._arranged.get(key)
        if found is None:
            if layout.metric is not None and fits is None:
                found = self._one_metric(layout, layout.metric, kind, whole=whole)
            else:
                found = self._arrange(layout, kind, fits, whole=whole)
            self._arranged[key] = found
        return found

    def _one_metric(
        self, layout: Layout, metric: Labels, kind: Kind, *, whole: bool
    ) -> Arrangement:
        """The lines of a family that is one metric: like any other's with the same bounds."""
        key = (kind, layout.roles, layout.bounds)
        pattern = self._patterns.get(key)
        if pattern is None:
            own = tuple([(bound,) if bound else () for bound in layout.bounds])
            pattern = self._arrange(Layout(layout.roles, own), kind, None, whole=whole)
            self._patterns[key] = pattern
        if not metric:
            return pattern
        begin = self.labels.tail(metric)[:-2]
        tails = [begin + (b"} " if tail == b" " else b"," + tail[1:]) for tail in pattern.tails]
        order, as_is, roles, _, ends, below_zero = pattern
        return Arrangement(order, as_is, roles, tuple(tails), ends, below_zero)

    def _arrange(
        self, layout: Layout, kind: Kind, fits: Fits | None, *, whole: bool
    ) -> Arrangement:
        roles, labels = layout.roles, layout.labels
        places: Sequence[int] = range(len(roles))
        if fits is not None:
            places = [i for i in places if fits(roles[i], labels[i])]
        grouped = kind in GROUPED
        if kind is Kind.GAUGE or not (grouped or any(map(roles.__getitem__, places))):
            tail = self.labels.tail
            # What is there already is not said twice.
            tails: dict[bytes, int] = {}
            for place in places:
                tails.setdefault(tail(labels[place]), place)
            return _arrangement(
                roles, tuple(tails.values()), tuple(tails), (), (False,) * len(tails)
            )
        lines: list[_Line] = []
        ends: list[int] = []
        below_zero: list[bool] = []
        for metric in self._metrics(layout, places, BOUND if grouped else {}):
            if whole and not _is_whole(metric, kind):
                continue
            lines += metric
            ends.append(len(lines))
            below_zero.append(metric[0][0] == _BUCKET and metric[0][1] < 0)
        if not lines:
            return _arrangement(roles, (), (), (), ())
        _, _, order, shown = zip(*lines, strict=True)
        # A list of each line's number says nothing, and is long.
        told = () if len(ends) == len(lines) else tuple(ends)
        return _arrangement(roles, order, shown, told, tuple(below_zero))

    def _metrics(
        self, layout: Layout, places: Sequence[int], bounds: Mapping[Role, str]
    ) -> Iterable[Sequence[_Line]]:
        """The metrics one after the other, each with its buckets or quantiles in rising order."""
        groups: dict[bytes, list[_Line]] = {}
        group: list[_Line] = []
        before: Labels | None = None
        alone = prefix = b""
        all_roles, all_labels, limits = layout.roles, layout.labels, self.labels.limit
        for place in places:
            role, rest = all_roles[place], all_labels[place]
            bound = bounds.get(role)
            limit = None
            if bound is not None:
                rest, limit = apart(rest, bound)
            if rest != before:
                before, alone = rest, self.labels.tail(rest)
                group = groups.setdefault(alone, [])
                prefix = alone[:-2] + b"," if rest else b"{"
            if limit is not None and bound is not None:
                number, text = limits(bound, limit[1])
                if role is Role.VALUE or number > -math.inf:
                    group.append((_ORDER[role], number, place, prefix + text))
            elif role is not Role.BUCKET:  # no reader takes a bucket without a bound
                group.append((_ORDER[role], -math.inf, place, alone))
        return [_distinct(group) for group in groups.values() if group]

    def header(self, name: str, said: str | None, kind: str, unit: str = "") -> bytes:
        """The comments of a family."""
        shown = quoted(name) if self.quotes(name) else name
        text = f"\n# TYPE {shown} {kind}"
        if said is not None:
            text = f"\n# HELP {shown} {self._help(said)}{text}"
        return (f"{text}\n# UNIT {shown} {unit}" if unit else text).encode()

    def _help(self, text: str) -> str:
        if not has_escapes(text):
            return text
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        return escaped.replace('"', '\\"') if self.form.openmetrics else escaped


def _arrangement(
    roles: Sequence[Role],
    order: tuple[int, ...],
    tails: tuple[bytes, ...],
    ends: tuple[int, ...],
    below_zero: tuple[bool, ...],
) -> Arrangement:
    as_is = order == tuple(range(len(roles)))
    own = tuple(roles) if as_is else tuple([roles[place] for place in order])
    return Arrangement(order, as_is, own, tails, ends, below_zero)


def _distinct(metric: list[_Line]) -> Sequence[_Line]:
    """The lines in their order, each of them once."""
    metric.sort()
    if len({line[:2] for line in metric}) == len(metric):
        return metric
    found: dict[tuple[int, bytes], _Line] = {}
    for line in metric:
        found.setdefault((line[0], line[3]), line)
    return tuple(found.values())


def _is_whole(metric: Sequence[_Line], kind: Kind) -> bool:
    """Whether it has all that OpenMetrics demands: the last bucket, and count with sum."""
    have = {line[0]: line[1] for line in metric}
    count, total = Role.COUNT, Role.SUM
    if kind is Kind.GAUGE_HISTOGRAM:
        count, total = Role.GCOUNT, Role.GSUM
    return have.get(_BUCKET) == math.inf and (_ORDER[count] in have) == (_ORDER[total] in have)


def _quoted_line(head: bytes, tail: bytes) -> bytes:
    """A line whose name stands in quotes among its labels."""
    return head + (b"," + tail[1:] if tail[:1] == b"{" else b"} ")
