"""A page worked out in advance: everything but its numbers, for one form.

Writing a page is then to put each number into its place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from firsttoken.collector.blocks import blocks
from firsttoken.collector.checks import Check, checks
from firsttoken.collector.form import Form
from firsttoken.collector.merge import Merged
from firsttoken.collector.numbers import milliseconds, seconds
from firsttoken.collector.page import Reading
from firsttoken.collector.translate import Member
from firsttoken.collector.values import is_copied, number_text

__all__ = ["Plan", "plan"]


@dataclass(frozen=True, slots=True)
class _Special:
    """A line whose number is not simply copied."""

    slot: int
    member: Member


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Writes pages of one form for sources whose pages have certain shapes."""

    form: Form
    template: tuple[bytes, ...]
    """Line beginnings and, after each, a place for its number; the end of the page."""
    pick: Callable[[Sequence[bytes]], Sequence[bytes]]
    specials: tuple[_Special, ...]
    checks: tuple[Check, ...]
    """In OpenMetrics, what the numbers must be like."""
    slots: Mapping[int, int]
    """Place among all values -> number of the line that copies it."""

    def write(self, readings: Sequence[Reading]) -> bytes:
        """The page of these readings, whose shapes and order are those of the plan."""
        values: list[bytes] = []
        numbers: list[float] = []
        for reading in readings:
            values.extend(reading.values)
            numbers.extend(reading.numbers)
        parts = list(self.template)
        parts[1::2] = self.pick(values)
        for special in self.specials:
            text = number_text(special.member, values, numbers)
            if text is None:
                _leave_out(parts, special.slot)
            else:
                parts[2 * special.slot + 1] = text
        self._stamp(parts, readings)
        for check in self.checks:
            if not (check.holds(numbers) and _stamped_alike(check.slots, parts)):
                for slot in check.slots:
                    _leave_out(parts, slot)
        return b"".join(parts)

    def _stamp(self, parts: list[bytes], readings: Sequence[Reading]) -> None:
        """Timestamps, and in OpenMetrics exemplars, after the numbers that have them."""
        offset = 0
        for reading in readings:
            for place, stamp in _stamps(reading, openmetrics=self.form.openmetrics):
                slot = self.slots.get(offset + place)
                if slot is not None and parts[2 * slot + 1] and stamp:
                    parts[2 * slot + 1] += b" " + stamp
            offset += reading.shape.size


def plan(merged: Merged, form: Form) -> Plan:
    """The plan of a page with these families."""
    template: list[bytes] = []
    chosen: list[int] = []
    specials: list[_Special] = []
    found: list[Check] = []
    slots: dict[int, int] = {}
    line_end = b""
    for block in blocks(merged.families, form):
        header = block.header
        first = len(chosen)
        for beginning, member in zip(block.beginnings, block.members, strict=True):
            slot = len(chosen)
            left = line_end + header
            template += (left + beginning, b"")
            chosen.append(member.places[0])
            slots.setdefault(member.places[0], slot)
            if not is_copied(member):
                specials.append(_Special(slot, member))
            header, line_end = b"", b"\n"
        if form.openmetrics:
            found += checks(block, first)
    end = line_end + (b"# EOF\n" if form.openmetrics else b"")
    return Plan(form, (*template, end), _picker(chosen), tuple(specials), tuple(found), slots)


def _picker(chosen: list[int]) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    if len(chosen) > 1:
        pick: Any = itemgetter(*chosen)
        return pick  # type: ignore[no-any-return]
    return lambda values: [values[place] for place in chosen]


def _leave_out(parts: list[bytes], slot: int) -> None:
    """Take a line away, but neither the end of the line before it nor its family's comments."""
    if parts[2 * slot + 1]:
        above, newline, _ = parts[2 * slot].rpartition(b"\n")
        parts[2 * slot] = above if newline else b""
        parts[2 * slot + 1] = b""


def _stamped_alike(slots: Sequence[int], parts: Sequence[bytes]) -> bool:
    """Whether all lines of a metric have the same timestamp, or none has one."""
    stamps = {
        parts[2 * slot + 1].partition(b" # ")[0].partition(b" ")[2]
        for slot in slots
        if parts[2 * slot + 1]
    }
    return len(stamps) <= 1


def _stamps(reading: Reading, *, openmetrics: bool) -> Iterator[tuple[int, bytes]]:
    was_openmetrics = reading.shape.openmetrics
    for place, stamp in reading.timestamps.items():
        if was_openmetrics == openmetrics:
            yield place, stamp
        else:
            yield place, seconds(stamp) if openmetrics else milliseconds(stamp)
    if openmetrics:
        for place, exemplar in reading.exemplars.items():
            yield place, b"# " + exemplar
