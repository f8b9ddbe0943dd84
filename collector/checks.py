"""What OpenMetrics demands of the numbers of one metric, beyond what its lines show.

A strict reader refuses a whole page for one counter below zero.  So a metric whose numbers cannot
be right is left out of an OpenMetrics page; the text format, which has no such rules, has it.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from firsttoken.collector.blocks import Block
from firsttoken.collector.page import Kind, Role

__all__ = ["Check", "checks"]


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One metric: the lines that it has, and where their numbers are."""

    kind: Kind
    slots: tuple[int, ...]
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
        rising = all(a <= b for a, b in itertools.pairwise(values))
        whole = values[0] >= 0 and all(value.is_integer() for value in values)
        return rising and whole and all(count == values[-1] for count in counts)


def checks(block: Block, first: int) -> Iterator[Check]:
    """The metrics of a block; ``first`` is the number of its first line on the page."""
    if block.kind in (Kind.GAUGE, Kind.UNKNOWN):
        return
    group: list[int] = []
    for line, end in enumerate(block.group_ends):
        group.append(line)
        if end:
            yield _check(block, group, first)
            group = []


def _check(block: Block, group: Sequence[int], first: int) -> Check:
    places: Mapping[Role, list[int]] = {role: [] for role in Role}
    lowest = math.inf
    for line in group:
        member = block.members[line]
        places[member.role] += member.places
        if member.role is Role.BUCKET:
            lowest = min(lowest, float(dict(member.labels)["le"]))
    return Check(
        block.kind,
        tuple(first + line for line in group),
        tuple(places[Role.VALUE]),
        tuple(places[Role.BUCKET]),
        (*places[Role.COUNT], *places[Role.GCOUNT]),
        (*places[Role.SUM], *places[Role.GSUM]),
        lowest < 0,
    )
