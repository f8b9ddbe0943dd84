"""Lines up to their numbers: what the text format and OpenMetrics write in the same way."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from firsttoken.collector.form import Form, needs_quotes
from firsttoken.collector.numbers import canonical
from firsttoken.collector.page import Kind, Labels, Role
from firsttoken.collector.translate import BOUND, Member, Offer, named

__all__ = ["GROUPED", "Block", "Writer"]

GROUPED = (Kind.HISTOGRAM, Kind.GAUGE_HISTOGRAM, Kind.SUMMARY)
_ORDER = {
    role: place
    for place, role in enumerate(
        (Role.VALUE, Role.BUCKET, Role.COUNT, Role.SUM, Role.GCOUNT, Role.GSUM, Role.CREATED)
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The lines of one name: comments, then the beginnings of the samples' lines."""

    kind: Kind
    header: bytes
    beginnings: tuple[bytes, ...]
    """Each begins with the end of the line before."""
    members: tuple[Member, ...]
    group_ends: tuple[int, ...]
    """After which lines a metric (the same labels less ``le``) ends; empty if after each."""


_NUMERAL = re.compile(
    r"[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?|inf|Inf)|[nN]a[nN]"
)


class _Bounded(NamedTuple):
    """A set of labels taken apart into a metric's and the bound of one of its lines."""

    metric: str
    """The metric's labels as lines have them."""
    bound: float


class _Labels:
    """Labels as lines have them; each set of labels is worked out once for a page."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._shown: dict[tuple[Labels, str | None], str] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._first: dict[frozenset[str], str] = {}
        self._bounded: dict[tuple[Labels, str], _Bounded] = {}

    def shown(self, labels: Labels, bound: str | None) -> str:
        """Name and value of each, joined; the same for the same labels in another order.

        ``bound`` is the label that tells a metric's lines apart: it comes last.
        """
        found = self._shown.get((labels, bound))
        if found is None:
            found = self._joined(labels) if bound is None else self._with_bound(labels, bound)
            self._shown[labels, bound] = found
        return found

    def _joined(self, labels: Labels) -> str:
        pairs: dict[str, str] = {}
        for item in labels:
            name, text = self._pairs.get(item) or self._pair(item)
            pairs.setdefault(name, text)
        return self._first.setdefault(frozenset(pairs.values()), ",".join(pairs.values()))

    def _with_bound(self, labels: Labels, bound: str) -> str:
        rest, limit = _apart(labels, bound)
        metric = self.shown(rest, None)
        if limit is None:
            return metric
        value = canonical(limit[1]) if self._form.openmetrics else limit[1]
        text = f"{bound}={_quoted(value)}"
        return f"{metric},{text}" if metric else text

    def _pair(self, item: tuple[str, str]) -> tuple[str, str]:
        """A label's name, and name and value as a line has them."""
        name = self._form.label(item[0])
        key = _quoted(name) if needs_quotes(name, label=True) else name
        found = name, f"{key}={_quoted(item[1])}"
        self._pairs[item] = found
        return found

    def bounded(self, labels: Labels, bound: str) -> _Bounded:
        """The labels less ``bound``, and its number; minus infinity without one."""
        found = self._bounded.get((labels, bound))
        if found is None:
            rest, limit = _apart(labels, bound)
            number = _number(limit[1]) if limit else None
            shown = self.shown(rest, None)
            found = self._bounded[labels, bound] = _Bounded(
                shown, -math.inf if number is None else number
            )
        return found


def _apart(labels: Labels, bound: str) -> tuple[Labels, tuple[str, str] | None]:
    """The labels without ``bound``, and that."""
    if labels and labels[-1][0] == bound:
        return labels[:-1], labels[-1]
    limit = next((item for item in labels if item[0] == bound), None)
    return tuple([item for item in labels if item is not limit]) if limit else labels, limit


class Writer:
    """What both formats have in common."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.labels = _Labels(form)
        self._written: set[bytes] = set()

    def block(
        self, kind: Kind, header: bytes, family: Offer, metrics: Sequence[Sequence[Member]]
    ) -> Block | None:
        """The block of some metrics, each with its lines, or None if there is none."""
        names: dict[Role, tuple[str, bool]] = {}
        grouped = kind in GROUPED
        shown, written = self.labels.shown, self._written
        beginnings: list[bytes] = []
        members: list[Member] = []
        ends: list[int] = []
        for metric in metrics:
            for member in metric:
                role = member.role
                pairs = shown(member.labels, BOUND.get(role) if grouped else None)
                if role not in names:
                    shown_name = self.form.name(*named(role, family))
                    quotes = needs_quotes(shown_name, label=False)
                    names[role] = (_quoted(shown_name) if quotes else shown_name, quotes)
                name, quotes = names[role]
                if quotes:
                    text = f"\n{{{name},{pairs}}} " if pairs else f"\n{{{name}}} "
                else:
                    text = f"\n{name}{{{pairs}}} " if pairs else f"\n{name} "
                line = text.encode()
                if line not in written:
                    written.add(line)
                    beginnings.append(line)
                    members.append(member)
            if beginnings and (not ends or ends[-1] != len(beginnings)):
                ends.append(len(beginnings))
        if not members:
            return None
        # A list of each line's number says nothing, and is long.
        told = () if len(ends) == len(members) else tuple(ends)
        return Block(kind, header, tuple(beginnings), tuple(members), told)

    def metrics(self, members: Sequence[Member], kind: Kind) -> Sequence[Sequence[Member]]:
        """The metrics one after the other, each with its buckets or quantiles in rising order."""
        grouped = kind in GROUPED
        if not grouped and all(member.role is Role.VALUE for member in members):
            return [(member,) for member in members]
        groups: dict[str, list[tuple[int, float, int, Member]]] = {}
        for place, member in enumerate(members):
            bound = BOUND.get(member.role, "") if grouped else ""
            found = self.labels.bounded(member.labels, bound)
            if member.role is Role.BUCKET and found.bound == -math.inf:
                continue  # no reader takes a bucket without a bound
            key = (_ORDER[member.role], found.bound, place, member)
            groups.setdefault(found.metric, []).append(key)
        return [[key[3] for key in sorted(group)] for group in groups.values()]

    def header(self, name: str, said: str | None, kind: str, unit: str = "") -> bytes:
        """The comments of a family."""
        shown = _quoted(name) if needs_quotes(name, label=False) else name
        lines = []
        if said is not None:
            lines.append(f"# HELP {shown} {self._help(said)}")
        lines.append(f"# TYPE {shown} {kind}")
        if unit:
            lines.append(f"# UNIT {shown} {unit}")
        return "".join(f"\n{line}" for line in lines).encode()

    def _help(self, text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        return escaped.replace('"', '\\"') if self.form.openmetrics else escaped


def _number(text: str) -> float | None:
    """The number that every reader, whatever it is written in, takes a bound for; or None."""
    if not _NUMERAL.fullmatch(text):
        return None
    number = float(text)
    # Too large for a number is an error to some; infinity has a spelling of its own.
    return number if math.isfinite(number) or not text[-1:].isdigit() else None


def _quoted(text: str) -> str:
    if text.isalnum():
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'
