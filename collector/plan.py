"""A page worked out in advance: everything but its numbers, for one form.

Writing a page is then to put each number into its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from firsttoken.collector.blocks import blocks
from firsttoken.collector.checks import Checks
from firsttoken.collector.form import Form
from firsttoken.collector.merge import Merged
from firsttoken.collector.numbers import milliseconds, seconds
from firsttoken.collector.page import Kind, Reading, Role
from firsttoken.collector.picking import Picker, picker
from firsttoken.collector.translate import Member
from firsttoken.collector.values import Converter, is_copied, number_text

__all__ = ["Plan", "plan"]

_EXEMPLARY = {
    Kind.COUNTER: Role.VALUE,
    Kind.HISTOGRAM: Role.BUCKET,
    Kind.GAUGE_HISTOGRAM: Role.BUCKET,
}
"""Where OpenMetrics allows exemplars."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Writes pages of one form for sources whose pages have certain shapes."""

    form: Form
    template: tuple[bytes, ...]
    """Line beginnings and, after each, a place for its number; the end of the page."""
    pick: Picker
    """A line's number, from all values and what was worked out, which stands behind them."""
    converted: tuple[tuple[Converter, Picker], ...]
    combined: tuple[Member, ...]
    checks: Checks
    """In OpenMetrics, what the numbers must be like."""
    chosen: tuple[int, ...]
    """Of each line its place among all values, or that of the first it is worked out from."""
    exemplary: bytes
    """Of each line whether OpenMetrics allows an exemplar on it."""
    _slots: dict[int, int] = field(default_factory=dict)

    def write(self, readings: Sequence[Reading]) -> bytes:
        """The page of these readings, whose shapes and order are those of the plan."""
        values: list[bytes | None] = []
        numbers: list[float] = []
        for reading in readings:
            values.extend(reading.values)
            numbers.extend(reading.numbers)
        complete = self._work_out(values, numbers)
        parts = list(self.template)
        picked = self.pick(values)
        parts[1::2] = picked
        if not complete:
            for slot, text in enumerate(picked):
                if text is None:
                    _leave_out(parts, slot)
        stamped = any(reading.timestamps or reading.exemplars for reading in readings)
        if stamped:
            self._stamp(parts, readings)
        if self.form.openmetrics:
            self._check(parts, numbers, stamped=stamped)
        return b"".join(parts)[1:]

    def _work_out(self, values: list[bytes | None], numbers: Sequence[float]) -> bool:
        """Put what is not copied behind the values; whether each of them says something."""
        complete = True
        more: list[bytes | None] = []
        for converter, pick in self.converted:
            found = list(map(converter.__getitem__, pick(values)))
            complete = complete and None not in found
            more += found
        texts: Sequence[bytes] = values  # type: ignore[assignment]  # None comes only behind them
        for member in self.combined:
            text = number_text(member, texts, numbers)
            complete = complete and text is not None
            more.append(text)
        values += more
        return complete

    def _check(self, parts: list[bytes], numbers: Sequence[float], *, stamped: bool) -> None:
        wrong = list(self.checks.violations(numbers))
        if stamped:
            wrong += [group for group in self.checks.groups() if not _stamped_alike(group, parts)]
        for slots in wrong:
            for slot in slots:
                _leave_out(parts, slot)

    def _stamp(self, parts: list[bytes], readings: Sequence[Reading]) -> None:
        """Timestamps, and in OpenMetrics exemplars, after the numbers that have them."""
        if not self._slots:
            for slot, place in enumerate(self.chosen):
                self._slots.setdefault(place, slot)
        offset = 0
        for reading in readings:
            for place, stamp in _stamps(reading, openmetrics=self.form.openmetrics):
                slot = self._slots.get(offset + place, -1)
                allowed = slot >= 0 and (stamp[:1] != b"#" or self.exemplary[slot])
                if allowed and stamp and parts[2 * slot + 1]:
                    parts[2 * slot + 1] += b" " + stamp
            offset += reading.shape.size


def plan(merged: Merged, form: Form, size: int) -> Plan:
    """The plan of a page with these families; ``size`` is how many values all readings have."""
    template: list[bytes] = []
    members: list[Member] = []
    chosen: list[int] = []
    exemplary = bytearray()
    checks = Checks()
    for block in blocks(merged.families, form):
        begin = len(template)
        template += block.beginnings
        template[begin] = block.header + template[begin]
        members += block.members
        chosen += block.places
        if form.openmetrics:
            checks.add(block)
            allowed = _EXEMPLARY.get(block.kind)
            roles = block.arrangement.roles
            exemplary += bytes(
                [role is allowed for role in roles] if allowed is not None else len(roles)
            )
    picked, converted, combined = _worked_out(members, chosen, size)
    # After each beginning a place for its number.
    parts = [b""] * (2 * len(template) + 1)
    parts[:-1:2] = template
    parts[-1] = b"\n# EOF\n" if form.openmetrics else b"\n"
    return Plan(
        form,
        tuple(parts),
        picker(picked),
        tuple(converted),
        tuple(combined),
        checks,
        tuple(chosen),
        bytes(exemplary),
    )


def _worked_out(
    members: Sequence[Member], chosen: Sequence[int], size: int
) -> tuple[list[int], list[tuple[Converter, Picker]], list[Member]]:
    """Where each line's number is, and what stands behind the values that are copied."""
    groups: dict[Converter.Key, list[int]] = {}
    combined: list[int] = []
    picked = list(chosen)
    plain = (None, None)
    before: tuple[object, ...] = plain
    group: list[int] | None = None
    # Of nearly all members their fields tell it, which is quicker than to ask.
    for line in [i for i, m in enumerate(members) if m[3:] != plain or len(m[2]) > 1]:
        member = members[line]
        if len(member.places) > 1:
            combined.append(line)
            continue
        if member[3:] != before:
            # A family's lines follow each other, and are treated alike.
            before = member[3:]
            key = Converter.key(member)
            group = None if is_copied(member) else groups.setdefault(key, [])
        if group is not None:
            group.append(line)
    behind = size
    converted = []
    for key, lines in groups.items():
        converted.append((Converter(key), picker([picked[line] for line in lines])))
        for line in lines:
            picked[line], behind = behind, behind + 1
    for line in combined:
        picked[line], behind = behind, behind + 1
    return picked, converted, [members[line] for line in combined]


def _leave_out(parts: list[bytes], slot: int) -> None:
    """Take a line away, but not its family's comments."""
    if parts[2 * slot + 1] != b"":
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
    stamps: Mapping[int, bytes] = reading.timestamps
    for place, stamp in stamps.items():
        if was_openmetrics == openmetrics:
            yield place, stamp
        else:
            yield place, seconds(stamp) if openmetrics else milliseconds(stamp)
    if openmetrics:
        for place, exemplar in reading.exemplars.items():
            yield place, b"# " + exemplar
