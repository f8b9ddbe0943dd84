"""One source's pages to readings: all of the page or none of it.

A page differs from the one before it in its numbers alone, nearly always.  So the first page is
read line by line, and the beginning of each line, all that stands before its number, is kept.  Of a
later page the same beginnings are taken off, and what is left must be numbers; any other page is
read line by line again, with the series that are known already not parsed again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from firsttoken.collector import lines
from firsttoken.collector.families import Described, group, unfinished
from firsttoken.collector.page import LimitError, MalformedError, Reading, Series, Shape
from firsttoken.collector.picking import Picker, picker

__all__ = ["Limits", "Reader"]

_NUMERALS = b"0123456789.eE+-"
_SPECIAL = {"nan": b"NaN", "inf": b"+Inf", "-inf": b"-Inf"}
_SPELLED = frozenset((b"nan", b"inf", b"infinity"))
_WHITE = b" \t\r\v\f"
_LINES_PER_SAMPLE = 4
"""A family of one sample may have HELP, TYPE and UNIT; beyond that a page is not looked at."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a page may have before it is refused."""

    samples: int = 200_000
    label: int = 4096
    """Characters of a label's value."""


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """What of a page is the same in every scrape."""

    beginnings: tuple[bytes, ...]
    """Of each line all up to its number; of a line without a number all of it."""
    pick_others: Picker
    pick_values: Picker
    tailed: frozenset[int]
    """Samples after whose number something may stand."""
    shape: Shape

    def read(self, body: bytes) -> Reading | None:
        """The page's reading if it has this skeleton and all its numbers are numbers."""
        found = body.split(b"\n")
        if len(found) != len(self.beginnings):
            return None
        rest = list(map(bytes.removeprefix, found, self.beginnings))
        if any(self.pick_others(rest)):
            return None
        values: Sequence[bytes] = self.pick_values(rest)
        timestamps: dict[int, bytes] = {}
        exemplars: dict[int, bytes] = {}
        try:
            if self.tailed:
                values = list(values)
                for place in self.tailed:
                    said = lines.tail(values[place])
                    values[place] = said.value
                    _note(place, said, timestamps, exemplars)
            # A line that does not begin as it did is still whole here, and no number.
            checked, numbers = _numbers(values)
        except MalformedError:
            return None
        return Reading(self.shape, checked, numbers, timestamps, exemplars)


class Reader:
    """Reads the pages of one source, remembering what does not change between them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._known: dict[bytes, Series] = {}
        self._described: Described = {}
        self._order: list[Series] = []
        self._shape: Shape | None = None
        self._skeleton: _Skeleton | None = None

    @property
    def remembered(self) -> int:
        """How many series are known; never more than the last page had."""
        return len(self._known)

    def knows(self, body: bytes) -> bool:
        """Whether the page is, at a glance, like the one before, so that reading it is quick."""
        found = self._skeleton
        return found is not None and body.count(b"\n") == len(found.beginnings) - 1

    def read(self, body: bytes, *, openmetrics: bool = False, sealed: bool = True) -> Reading:
        """A whole page.

        ``sealed`` says that the transport vouches for the length; without it a page that ends in
        the middle of a line, or of a histogram, is taken for cut.  Raises MalformedError, and of
        it LimitError.
        """
        if self._skeleton is not None and self._skeleton.shape.openmetrics == openmetrics:
            reading = self._skeleton.read(body)
            if reading is not None:
                return reading
        return self._read_lines(body, openmetrics=openmetrics, sealed=sealed)

    def _read_lines(self, body: bytes, *, openmetrics: bool, sealed: bool) -> Reading:
        if body.count(b"\n") > _LINES_PER_SAMPLE * self._limits.samples:
            raise LimitError(f"more than {self._limits.samples} samples")
        body = body.removeprefix(b"\xef\xbb\xbf")
        if not sealed and not body.endswith(b"\n"):
            raise MalformedError("cut: the last line does not end")
        page = _Page(self._known, self._limits)
        page.add(_text_lines(body, openmetrics=openmetrics))
        if len(page.values) > self._limits.samples:
            raise LimitError(f"more than {self._limits.samples} samples")
        values, numbers = _numbers(page.values)
        shape = self._shape
        if (
            shape is None
            or shape.openmetrics != openmetrics
            or page.order != self._order
            or page.described != self._described
        ):
            families = group(page.order, page.described, openmetrics=openmetrics)
            shape = Shape(families, len(values), openmetrics)
            cut = None if sealed else unfinished(families)
            if cut is not None:
                raise MalformedError(f"cut: {cut} is not whole")
        # Only what this page has is kept, so that memory is bounded by one page under full churn.
        self._known, self._order, self._described = page.known, page.order, page.described
        self._shape = shape
        self._skeleton = page.skeleton(shape)
        return Reading(shape, values, numbers, page.timestamps, page.exemplars)


class _Page:
    """One page while it is read line by line."""

    def __init__(self, known: dict[bytes, Series], limits: Limits) -> None:
        self._before = known
        self._limits = limits
        self._names = lines.PlainNames()
        self._labels = lines.PlainLabels(limits.label)
        self.known: dict[bytes, Series] = {}
        self.order: list[Series] = []
        self.values: list[bytes] = []
        self.timestamps: dict[int, bytes] = {}
        self.exemplars: dict[int, bytes] = {}
        self.described: Described = {}
        self._beginnings: list[bytes] = []
        self._places: list[int] = []
        """The lines that are samples."""

    def add(self, text_lines: Sequence[bytes]) -> None:
        before = self._before.get if self._before else None
        names, sets, made = self._names, self._labels, tuple.__new__
        known, order, values = self.known, self.order, self.values
        places, beginnings = self._places, self._beginnings
        for line in text_lines:
            cut = line.rfind(b" ") + 1
            head = line[:cut]
            found = before(head) if before else None
            if found is None:
                begin = line[:1]
                if begin == b"#" or (begin in _WHITE and not _is_sample(line)):
                    self._comment(line)
                    continue
                start, _, rest = head.partition(b"{")
                name, labels = names[start], sets[rest]
                if name is None or labels is None:
                    self._parse(line)
                    continue
                # As ``Series`` does it, in half the time.
                found = made(Series, (name, labels))
            known[head] = found
            order.append(found)
            values.append(line[cut:])
            places.append(len(beginnings))
            beginnings.append(head)

    def _parse(self, line: bytes) -> None:
        head = lines.head(line)
        said = lines.tail(line[len(head) :])
        found = self._before.get(head) or self.known.get(head)
        if found is None:
            found = lines.series(head.strip())
            lines.check_labels(found.labels, self._limits.label)
        _note(len(self.values), said, self.timestamps, self.exemplars)
        self.known[head] = found
        self.order.append(found)
        self.values.append(said.value)
        self._places.append(len(self._beginnings))
        self._beginnings.append(head)

    def _comment(self, line: bytes) -> None:
        self._beginnings.append(line)
        said = lines.metadata(line)
        if said is not None:
            self.described.setdefault(said[:2], said)

    def skeleton(self, shape: Shape) -> _Skeleton:
        """What later pages are held against."""
        samples = set(self._places)
        others = [line for line in range(len(self._beginnings)) if line not in samples]
        tailed = frozenset((*self.timestamps, *self.exemplars))
        return _Skeleton(
            tuple(self._beginnings), picker(others), picker(self._places), tailed, shape
        )


def _is_sample(line: bytes) -> bool:
    return bool(line.strip()) and line.lstrip(b" \t")[:1] != b"#"


def _note(
    place: int, said: lines.Tail, timestamps: dict[int, bytes], exemplars: dict[int, bytes]
) -> None:
    """Keep what stands after a number."""
    if said.timestamp is not None:
        timestamps[place] = said.timestamp
    if said.exemplar is not None:
        exemplars[place] = said.exemplar


def _text_lines(body: bytes, *, openmetrics: bool) -> list[bytes]:
    """The lines of a page, without what ends them; raises MalformedError."""
    if b"\r\n" in body:
        body = body.replace(b"\r\n", b"\n")
    found = body.split(b"\n")
    if not openmetrics:
        return found
    last = len(found)
    while last and not found[last - 1]:
        last -= 1
    if not last or found[last - 1] != b"# EOF":
        raise MalformedError("cut: an OpenMetrics page ends with # EOF")
    if found.count(b"# EOF") > 1:
        raise MalformedError("# EOF is there more than once")
    return found


def _numbers(values: Sequence[bytes]) -> tuple[Sequence[bytes], tuple[float, ...]]:
    """The values' text, NaN and infinities in their usual spelling, and the values as numbers."""
    try:
        numbers = tuple(map(float, values))
    except ValueError:
        bad = next(value for value in values if not _is_number(value))
        raise MalformedError(f"not a number: {lines.shown(bad)}") from None
    # One sum tells whether all are finite; if it overflows, looking closer does no harm.
    if math.isfinite(sum(numbers)) and not b"".join(values).translate(None, _NUMERALS):
        return values, numbers
    spelled = [_spelled(value, number) for value, number in zip(values, numbers, strict=True)]
    return spelled, numbers


def _spelled(value: bytes, number: float) -> bytes:
    """A number's text as all readers know it; raises MalformedError for what only Python reads."""
    if value.translate(None, _NUMERALS) and value.lstrip(b"+-").lower() not in _SPELLED:
        raise MalformedError(f"not a number: {lines.shown(value)}")
    return value if math.isfinite(number) else _SPECIAL[str(number)]


def _is_number(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
