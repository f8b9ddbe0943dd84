"""One source's pages to readings: all of the page or none of it.

A page differs from the one before it in its numbers alone, nearly always.  So the first page is
read line by line, and what it was made of is kept: how its white space runs, and every token that
is not a number.  A later page with the same skeleton is split once and its numbers are picked out;
any other page is read line by line again, with the series that are known already not parsed again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from firsttoken.collector import lines
from firsttoken.collector.families import Described, group, unfinished
from firsttoken.collector.page import MalformedError, Reading, Series, Shape

__all__ = ["Reader"]

_BLACK = bytes(set(range(256)) - set(b" \t\n\r\v\f"))
_SPECIAL = {"nan": b"NaN", "inf": b"+Inf", "-inf": b"-Inf"}


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """What of a page is the same in every scrape."""

    white: bytes
    others: tuple[bytes, ...]
    pick_others: Callable[[list[bytes]], tuple[bytes, ...]]
    pick_values: Callable[[list[bytes]], tuple[bytes, ...]]
    shape: Shape

    def read(self, body: bytes) -> Reading | None:
        """The page's reading if it has this skeleton and all its numbers are numbers."""
        if body.translate(None, _BLACK) != self.white:
            return None
        tokens = body.split()
        if len(tokens) != len(self.others) + self.shape.size:
            return None
        if self.pick_others(tokens) != self.others:
            return None
        values = self.pick_values(tokens)
        try:
            checked, numbers = _numbers(values)
        except MalformedError:
            return None
        return Reading(self.shape, checked, numbers)


class Reader:
    """Reads the pages of one source, remembering what does not change between them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Series] = {}
        self._described: Described = {}
        self._order: list[Series] = []
        self._shape: Shape | None = None
        self._skeleton: _Skeleton | None = None

    @property
    def remembered(self) -> int:
        """How many series are known; never more than the last page had."""
        return len(self._known)

    def read(self, body: bytes, *, openmetrics: bool = False, sealed: bool = True) -> Reading:
        """A whole page.

        ``sealed`` says that the transport vouches for the length; without it a page that ends in
        the middle of a line, or of a histogram, is taken for cut.  Raises MalformedError.
        """
        if self._skeleton is not None and self._skeleton.shape.openmetrics == openmetrics:
            reading = self._skeleton.read(body)
            if reading is not None:
                return reading
        return self._read_lines(body, openmetrics=openmetrics, sealed=sealed)

    def _read_lines(self, body: bytes, *, openmetrics: bool, sealed: bool) -> Reading:
        body = body.removeprefix(b"\xef\xbb\xbf")
        if not sealed and not body.endswith(b"\n"):
            raise MalformedError("cut: the last line does not end")
        page = _Page(self._known)
        page.add(_text_lines(body, openmetrics=openmetrics))
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
        self._skeleton = page.skeleton(body, shape)
        return Reading(shape, values, numbers, page.timestamps, page.exemplars)


class _Page:
    """One page while it is read line by line."""

    def __init__(self, known: dict[bytes, Series]) -> None:
        self._before = known
        self.known: dict[bytes, Series] = {}
        self.order: list[Series] = []
        self.values: list[bytes] = []
        self.timestamps: dict[int, bytes] = {}
        self.exemplars: dict[int, bytes] = {}
        self.described: Described = {}
        self._places: list[int] = []
        self._tokens = 0
        self._regular = True

    def add(self, text_lines: Sequence[bytes]) -> None:
        for line in text_lines:
            head, _, tail = line.rpartition(b" ")
            found = self._before.get(head)
            if found is None and tail:
                found = self.known.get(head) or lines.plain_series(head)
            if found is not None:
                self._sample(head, found, tail)
            elif line.lstrip(b" \t")[:1] == b"#":
                self._comment(line)
            elif line.strip():
                self._parse(line)

    def _parse(self, line: bytes) -> None:
        parsed = lines.sample(line)
        identity = parsed.identity.rstrip()
        found = self._before.get(identity) or self.known.get(identity)
        place = len(self.values)
        self._sample(identity, found or lines.series(identity), parsed.value)
        if parsed.timestamp is not None:
            self.timestamps[place] = parsed.timestamp
        if parsed.exemplar is not None:
            self.exemplars[place] = parsed.exemplar
        if line.split() != [*identity.split(), parsed.value]:
            self._regular = False

    def _sample(self, identity: bytes, found: Series, value: bytes) -> None:
        self.known[identity] = found
        self.order.append(found)
        self.values.append(value)
        self._tokens += len(identity.split())
        self._places.append(self._tokens)
        self._tokens += 1

    def _comment(self, line: bytes) -> None:
        self._tokens += len(line.split())
        said = lines.metadata(line)
        if said is not None:
            self.described.setdefault((said.what, said.name), said)

    def skeleton(self, body: bytes, shape: Shape) -> _Skeleton | None:
        """What later pages are held against, if numbers can be told apart by their place alone."""
        places = self._places
        if not self._regular or len(places) < 2:
            return None
        tokens = body.split()
        volatile = set(places)
        rest = [place for place in range(len(tokens)) if place not in volatile]
        if len(rest) < 2 or len(tokens) != self._tokens:
            return None
        pick: Any = itemgetter(*rest)
        return _Skeleton(
            body.translate(None, _BLACK), pick(tokens), pick, itemgetter(*places), shape
        )


def _text_lines(body: bytes, *, openmetrics: bool) -> list[bytes]:
    """The lines of a page, without what ends them; raises MalformedError."""
    if b"\r\n" in body:
        body = body.replace(b"\r\n", b"\n")
    found = body.split(b"\n")
    if not openmetrics:
        return found
    while found and not found[-1]:
        found.pop()
    if not found or found[-1] != b"# EOF":
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
        raise MalformedError(f"not a number: {bad.decode(errors='backslashreplace')!r}") from None
    if b"_" in b"".join(values):
        raise MalformedError("a number has an underscore")
    # One sum tells whether all are finite; if it overflows, looking closer does no harm.
    if math.isfinite(sum(numbers)):
        return values, numbers
    spelled = [
        value if math.isfinite(number) else _SPECIAL[str(number)]
        for value, number in zip(values, numbers, strict=True)
    ]
    return spelled, numbers


def _is_number(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
