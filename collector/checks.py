"""What OpenMetrics demands of the numbers of one metric, beyond what its lines show.

A strict reader refuses a whole page for one counter below zero.  So a metric whose numbers cannot
be right is left out of an OpenMetrics page; the text format, which has no such rules, has it.

That all metrics are right is asked of the whole page at once, which costs little; only where the
answer is no is each looked at.
"""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from firsttoken.collector.page import Kind, Role
from firsttoken.collector.picking import Picker, picker
from firsttoken.collector.writing import Block

__all__ = ["Checks"]

_BELOW_ZERO = (0.0).__gt__


class _Check(NamedTuple):
    """One metric: the lines that it has, and where their numbers are."""

    kind: Kind
    slots: range
    values: tuple[int, ...]
    buckets: tuple[int, ...]
    """In the order of their bounds."""
    counts: tuple[int, ...]
    sums: tuple[int, ...]
    below_zero: bool
    """Whether it has buckets for numbers below zero."""

    def holds(self, numbers: Sequence[float]) -> bool:
        """Whether the numbers can be right."""
        if self.kind is Kind.COUNTER:
            return all(numbers[place] >= 0 for place in self.values)
        if self.kind is Kind.INFO:
            return all(numbers[place] == 1 for place in self.values)
        if self.kind is Kind.STATESET:
            return all(numbers[place] in (0, 1) for place in self.values)
        counts = [numbers[place] for place in self.counts]
        if not all(count >= 0 and count.is_integer() for count in counts):
            return False
        # A quantile may be NaN, where nothing was observed, but not below zero.
        if any(numbers[place] < 0 for place in self.values):
            return False
        sums = [numbers[place] for place in self.sums]
        return self._sums_hold(sums) and self._buckets_hold(numbers, counts)

    def _sums_hold(self, sums: Sequence[float]) -> bool:
        if any(math.isnan(total) for total in sums):
            return False
        if self.below_zero:
            return self.kind is Kind.GAUGE_HISTOGRAM or not sums
        return all(total >= 0 for total in sums)

    def _buckets_hold(self, numbers: Sequence[float], counts: Sequence[float]) -> bool:
        if not self.buckets:
            return True
        values = [numbers[place] for place in self.buckets]
        rising = all(map(operator.le, values, values[1:]))
        whole = values[0] >= 0 and all(value.is_integer() for value in values)
        return rising and whole and all(count == values[-1] for count in counts)


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    """What all metrics of a page demand together; stricter than each alone is."""

    possible: bool
    """Whether there are numbers at all with which every metric is right."""
    positive: Picker
    quantiles: Picker
    """Not below zero, but may be NaN."""
    whole: Picker
    ones: Picker
    bits: Picker
    lower: Picker
    upper: Picker
    """Each number of ``lower`` is at most the one of ``upper`` at its side."""

    def hold(self, numbers: Sequence[float]) -> bool:
        """Whether every number fits."""
        positive = self.positive(numbers)
        return (
            self.possible
            and not math.isnan(sum(positive))
            and min(positive, default=0.0) >= 0
            and not any(map(_BELOW_ZERO, self.quantiles(numbers)))
            and set(self.ones(numbers)) <= {1.0}
            and set(self.bits(numbers)) <= {0.0, 1.0}
            and all(map(operator.le, self.lower(numbers), self.upper(numbers)))
            and all(map(float.is_integer, self.whole(numbers)))
        )


class Checks:
    """The rules for the numbers of a page; blocks are added in their order."""

    def __init__(self) -> None:
        self._lines = 0
        self._grouped: list[_Check] = []
        self._counters: list[tuple[int, int]] = []
        """Line and place of counters that have one line."""
        self._rules: _Rules | None = None

    def add(self, block: Block) -> None:
        """Take the next block into account."""
        first, self._lines = self._lines, self._lines + len(block.places)
        if block.kind in (Kind.GAUGE, Kind.UNKNOWN):
            return
        lines = block.arrangement
        if block.kind is Kind.COUNTER and not lines.ends:
            self._counters += enumerate(block.places, first)
            return
        if len(lines.below_zero) == 1:
            slots = range(first, self._lines)
            check = _check(block.kind, lines.roles, block.places, slots, lines.below_zero[0])
            self._grouped.append(check)
            return
        begin = 0
        ends = lines.ends or range(1, len(block.places) + 1)
        for end, below_zero in zip(ends, lines.below_zero, strict=True):
            roles, places = lines.roles[begin:end], block.places[begin:end]
            slots = range(first + begin, first + end)
            self._grouped.append(_check(block.kind, roles, places, slots, below_zero))
            begin = end

    def violations(self, numbers: Sequence[float]) -> Iterator[Sequence[int]]:
        """The lines of each metric whose numbers cannot be right."""
        if self._rules is None:
            self._rules = self._together()
        if self._rules.hold(numbers):
            return
        for line, place in self._counters:
            if not numbers[place] >= 0:
                yield (line,)
        for check in self._grouped:
            if not check.holds(numbers):
                yield check.slots

    def groups(self) -> Iterator[Sequence[int]]:
        """The lines of each metric that has several."""
        return (check.slots for check in self._grouped)

    def _together(self) -> _Rules:
        found: dict[str, list[int]] = {name: [] for name in _Rules.__slots__[1:]}
        found["positive"] += [place for _, place in self._counters]
        possible = True
        for check in self._grouped:
            if check.kind in (Kind.INFO, Kind.STATESET):
                found["ones" if check.kind is Kind.INFO else "bits"] += check.values
                continue
            found["quantiles" if check.kind is Kind.SUMMARY else "positive"] += check.values
            found["positive"] += (*check.counts, *check.buckets[:1])
            if not check.below_zero:
                found["positive"] += check.sums
            elif check.sums and check.kind is Kind.HISTOGRAM:
                possible = False
            found["whole"] += (*check.counts, *check.buckets)
            for count in check.counts if check.buckets else ():
                # At most and at least: the same.
                found["lower"] += (count, check.buckets[-1])
                found["upper"] += (check.buckets[-1], count)
            found["lower"] += check.buckets[:-1]
            found["upper"] += check.buckets[1:]
        return _Rules(possible, **{name: picker(places) for name, places in found.items()})


def _check(
    kind: Kind, roles: Sequence[Role], places: Sequence[int], slots: range, below_zero: bool
) -> _Check:
    """``places`` are those of the numbers; of lines with one role each follows the other."""
    found: dict[Role, tuple[int, ...]] = {}
    for role in set(roles):
        begin = roles.index(role)
        found[role] = tuple(places[begin : begin + roles.count(role)])
    return _Check(
        kind,
        slots,
        found.get(Role.VALUE, ()),
        found.get(Role.BUCKET, ()),
        found.get(Role.COUNT, ()) + found.get(Role.GCOUNT, ()),
        found.get(Role.SUM, ()) + found.get(Role.GSUM, ()),
        below_zero,
    )
