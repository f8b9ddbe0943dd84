"""Lines up to their numbers: what the text format and OpenMetrics write in the same way."""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.numbers import canonical
from firsttoken.collector.page import Kind, Labels, Layout, Role
from firsttoken.collector.translate import BOUND, Member, Offer, named

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


_ESCAPED = re.compile(r'[\\\n"]')
_NUMERAL = re.compile(
    r"[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?|inf|Inf)|[nN]a[nN]"
)


class _Labels:
    """Labels as lines have them; each set of labels is worked out once for a page."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._shown: dict[Labels, str] = {}
        self._tails: dict[Labels, bytes] = {}
        self._keys: dict[str, str] = {}
        self._texts: dict[tuple[str, str], str] = {}
        self._clash = False
        """Whether two labels of this page are one in this form."""
        self._first: dict[frozenset[str], str] = {}
        self._limits: dict[tuple[str, str], tuple[float, bytes]] = {}

    def shown(self, labels: Labels) -> str:
        """Name and value of each, joined; the same for the same labels in another order."""
        found = self._shown.get(labels)
        if found is None:
            found = self._shown[labels] = self._joined(labels)
        return found

    def tail(self, labels: Labels) -> bytes:
        """What stands between a line's name and its number."""
        found = self._tails.get(labels)
        if found is None:
            shown = self.shown(labels)
            found = self._tails[labels] = f"{{{shown}}} ".encode() if shown else b" "
        return found

    def _joined(self, labels: Labels) -> str:
        known = self._texts
        try:
            texts = [known[item] for item in labels]
        except KeyError:
            for item in labels:
                if item not in known:
                    known[item] = self._text(item)
            texts = [known[item] for item in labels]
        if self._clash:
            # Of two labels of one name the first counts.
            first: dict[str, str] = {}
            for (label, _), text in zip(labels, texts, strict=True):
                first.setdefault(self._keys[label], text)
            texts = list(first.values())
        return self._first.setdefault(frozenset(texts), ",".join(texts))

    def _text(self, item: tuple[str, str]) -> str:
        """A label's name and value as a line has them."""
        label, value = item
        key = self._keys.get(label)
        if key is None:
            key = self._form.label(label)
            if self._form.utf8 and needs_quotes(key, label=True):
                key = _quoted(key)
            self._clash |= key in self._keys.values()
            self._keys[label] = key
        return f"{key}={_quoted(value)}"

    def limit(self, bound: str, text: str) -> tuple[float, bytes]:
        """A bound as a number (minus infinity if it is none), and the end of a line's tail."""
        found = self._limits.get((bound, text))
        if found is None:
            number = _number(text)
            shown = _quoted(canonical(text) if self._form.openmetrics else text)
            found = -math.inf if number is None else number, f"{bound}={shown}}} ".encode()
            self._limits[bound, text] = found
        return found

    def bound(self, labels: Labels, bound: str) -> float | None:
        """The number of a bound, if there is one; minus infinity if it is no number."""
        limit = _apart(labels, bound)[1]
        return None if limit is None else self.limit(bound, limit[1])[0]


def _apart(labels: Labels, bound: str) -> tuple[Labels, tuple[str, str] | None]:
    """The labels without ``bound``, and that."""
    if labels and labels[-1][0] == bound:
        return labels[:-1], labels[-1]
    limit = next((item for item in labels if item[0] == bound), None)
    return tuple([item for item in labels if item is not limit]) if limit else labels, limit


Fits = Callable[[Role, Labels], bool]
"""Whether a format has a line for a sample."""


_Line = tuple[int, float, int, bytes]
"""A line's place within its metric: role and bound; which member it is, and its tail."""


class Writer:
    """What both formats have in common."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.labels = _Labels(form)
        self._arranged: dict[tuple[Layout, Kind, Hashable], Arrangement] = {}
        self._names: dict[str, str] = {}

    def shown(self, family: Offer) -> str:
        """The name of a family's samples, less what each has behind it."""
        found = self._names.get(family.name)
        if found is None:
            found = self._names[family.name] = self.form.name(family.name, family.dotted)
        return found

    def block(
        self, kind: Kind, header: bytes, family: Offer, arrangement: Arrangement
    ) -> Block | None:
        """The block of a family, or None if it has no line."""
        roles, tails = arrangement.roles, arrangement.tails
        if not roles:
            return None
        shown = self.shown(family)
        names = {role: shown + role for role in set(roles)}
        if Role.CREATED in names:
            names[Role.CREATED] = self.form.name(*named(Role.CREATED, family))
        heads = {role: f"\n{name}".encode() for role, name in names.items()}
        if self.quotes(shown):
            heads = {role: f"\n{{{_quoted(name)}".encode() for role, name in names.items()}
            lines = [_quoted_line(heads[r], t) for r, t in zip(roles, tails, strict=True)]
        elif len(heads) == 1:
            head = heads[roles[0]]
            lines = [head + tail for tail in tails]
        else:
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
            found = self._arranged[key] = self._arrange(layout, kind, fits, whole=whole)
        return found

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
        groups: dict[str, list[_Line]] = {}
        group: list[_Line] = []
        before: Labels | None = None
        alone = prefix = b""
        all_roles, all_labels, limits = layout.roles, layout.labels, self.labels.limit
        for place in places:
            role, rest = all_roles[place], all_labels[place]
            bound = bounds.get(role)
            limit = None
            if bound is not None:
                rest, limit = _apart(rest, bound)
            if rest != before:
                before, alone = rest, self.labels.tail(rest)
                group = groups.setdefault(self.labels.shown(rest), [])
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
        shown = _quoted(name) if self.quotes(name) else name
        text = f"\n# TYPE {shown} {kind}"
        if said is not None:
            text = f"\n# HELP {shown} {self._help(said)}{text}"
        return (f"{text}\n# UNIT {shown} {unit}" if unit else text).encode()

    def _help(self, text: str) -> str:
        if text.isalnum() or not _ESCAPED.search(text):
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


def _number(text: str) -> float | None:
    """The number that every reader, whatever it is written in, takes a bound for; or None."""
    if not _NUMERAL.fullmatch(text):
        return None
    number = float(text)
    # Too large for a number is an error to some; infinity has a spelling of its own.
    return number if math.isfinite(number) or not text[-1:].isdigit() else None


def _quoted(text: str) -> str:
    if text.isalnum() or not _ESCAPED.search(text):
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
