"""A page worked out in advance: everything but its numbers, for one form.

Writing a page is then to put each number into its place.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from firsttoken.collector.blocks import Block, blocks
from firsttoken.collector.form import Form
from firsttoken.collector.merge import Merged
from firsttoken.collector.numbers import milliseconds, scaled, seconds
from firsttoken.collector.page import Kind, Reading, Role
from firsttoken.collector.translate import Member
from firsttoken.exporters.translation import combine

__all__ = ["Plan", "plan"]


@dataclass(frozen=True, slots=True)
class _Special:
    """A line whose number is not simply copied."""

    slot: int
    member: Member
    header: bytes
    """What is left of the line's place when the line is left out."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """Lines of one histogram: what a strict reader demands of their numbers."""

    buckets: tuple[int, ...]
    """Slots in the order of their bounds."""
    count: int | None
    slots: tuple[tuple[int, bytes], ...]
    """All lines of the histogram, and what is left in the place of each."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Writes pages of one form for sources whose pages have certain shapes."""

    form: Form
    template: tuple[bytes, ...]
    """Line beginnings and, after each, a place for its number; the end of the page."""
    pick: Callable[[Sequence[bytes]], Sequence[bytes]]
    specials: tuple[_Special, ...]
    checked: tuple[_Checked, ...]
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
            text = _special(special.member, values, numbers)
            if text is None:
                _leave_out(parts, special.slot, special.header)
            else:
                parts[2 * special.slot + 1] = text
        self._stamp(parts, readings)
        if self.form.openmetrics:
            for histogram in self.checked:
                if not _holds(histogram, parts):
                    for slot, header in histogram.slots:
                        _leave_out(parts, slot, header)
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
    checked: list[_Checked] = []
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
            if _is_special(member):
                specials.append(_Special(slot, member, left.removesuffix(b"\n")))
            header, line_end = b"", b"\n"
        checked.extend(_histograms(block, first, template))
    end = line_end + (b"# EOF\n" if form.openmetrics else b"")
    return Plan(form, (*template, end), _picker(chosen), tuple(specials), tuple(checked), slots)


def _picker(chosen: list[int]) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    if len(chosen) > 1:
        pick: Any = itemgetter(*chosen)
        return pick  # type: ignore[no-any-return]
    return lambda values: [values[place] for place in chosen]


def _is_special(member: Member) -> bool:
    sentinels = member.translation is not None and member.translation.has_sentinels
    return member.scale is not None or len(member.places) > 1 or sentinels


def _special(member: Member, values: Sequence[bytes], numbers: Sequence[float]) -> bytes | None:
    """The number's text of a line that is not copied, or None if there is nothing to say."""
    translation = member.translation
    places = member.places
    if translation is not None and translation.has_sentinels:
        places = tuple(place for place in places if not translation.drops(numbers[place]))
    if not places:
        return None
    text = values[places[0]]
    if len(places) > 1 and translation is not None:
        one = combine(translation.merge, [numbers[place] for place in places])
        if one is None:
            return None
        same = (values[place] for place in places if numbers[place] == one)
        text = next(same, _text(one))
    return text if member.scale is None else scaled(text, member.scale)


def _text(number: float) -> bytes:
    if math.isfinite(number):
        return repr(number).encode()
    return b"NaN" if math.isnan(number) else b"+Inf" if number > 0 else b"-Inf"


def _leave_out(parts: list[bytes], slot: int, header: bytes) -> None:
    parts[2 * slot], parts[2 * slot + 1] = header, b""


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


def _histograms(block: Block, first: int, template: Sequence[bytes]) -> Iterator[_Checked]:
    """The groups of a histogram's lines; ``first`` is the number of the block's first line."""
    if block.kind is not Kind.HISTOGRAM:
        return
    group: list[int] = []
    for place, end in enumerate(block.group_ends):
        group.append(place)
        if end:
            buckets = tuple(first + p for p in group if block.members[p].role is Role.BUCKET)
            counts = [first + p for p in group if block.members[p].role is Role.COUNT]
            yield _Checked(
                buckets,
                counts[0] if counts else None,
                tuple((first + p, _header_of(template[2 * (first + p)])) for p in group),
            )
            group = []


def _header_of(beginning: bytes) -> bytes:
    """A line's beginning without the line: what ended the line before, and comments."""
    head, newline, _ = beginning.rpartition(b"\n")
    return head if head or not newline else b""


def _holds(histogram: _Checked, parts: Sequence[bytes]) -> bool:
    """Whether the buckets rise and the last one is the count."""
    try:
        values = [float(parts[2 * slot + 1].split(b" ", 1)[0]) for slot in histogram.buckets]
        counted = (
            float(parts[2 * histogram.count + 1].split(b" ", 1)[0])
            if histogram.count is not None
            else values[-1]
        )
    except (ValueError, IndexError):
        return False
    rising = all(a <= b for a, b in itertools.pairwise(values))
    return rising and values[0] >= 0 and values[-1] == counted and counted.is_integer()
