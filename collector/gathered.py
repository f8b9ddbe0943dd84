"""What all sources said at one moment, merged: a page's families and samples as values.

The pages are written from it; so is anything else that sends the same samples elsewhere.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from firsttoken.collector.merge import Merged
from firsttoken.collector.page import Labels, Reading, Role
from firsttoken.collector.source import Result
from firsttoken.collector.translate import Member, Offer
from firsttoken.collector.values import is_copied, number_text

__all__ = ["Gathered", "Point"]


@dataclass(frozen=True, slots=True)
class Point:
    """One sample as it is served; the family it belongs to says name, type and unit."""

    role: Role
    labels: Labels
    """Attribute or label names (with dots where a convention has them), and values."""
    value: float
    source: str
    """The source's name; empty for the collector's own metrics."""
    timestamp: float | None
    """Unix seconds, where the source said so itself."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """One scrape of all sources.

    ``families`` have the catalogue's entry (``Offer.metric``) where there is one.  A ``Result`` has
    ``since``, the unix time from which its source's counters count.
    """

    merged: Merged
    readings: tuple[Reading, ...]
    """Those of the collector itself and of the sources that are up, in the order of ``origins``."""
    origins: tuple[str, ...]
    """Which source each reading is from; the collector's own has an empty name."""
    results: tuple[Result, ...]
    """One for each source, in the order configured, those that are down included."""

    @property
    def any_up(self) -> bool:
        """Whether at least one source was read."""
        return any(result.up for result in self.results)

    @cached_property
    def values(self) -> list[bytes]:
        """The numbers' text of all readings, one after the other."""
        return [value for reading in self.readings for value in reading.values]

    @cached_property
    def numbers(self) -> list[float]:
        """The same as numbers."""
        return [number for reading in self.readings for number in reading.numbers]

    def points(self) -> Iterator[tuple[Offer, tuple[Point, ...]]]:
        """Each family with its samples; a sample with nothing to say (not measured) is left out."""
        starts, offset = [], 0
        stamps: dict[int, float] = {}
        for reading in self.readings:
            starts.append(offset)
            stamps |= {offset + place: at for place, at in _stamps(reading).items()}
            offset += reading.shape.size
        for family in self.merged.families:
            found = (self._point(member, starts, stamps) for member in family.members)
            yield family, tuple(point for point in found if point is not None)

    def _point(
        self, member: Member, starts: Sequence[int], stamps: Mapping[int, float]
    ) -> Point | None:
        place = member.places[0]
        if is_copied(member):
            value = self.numbers[place]
        else:
            text = number_text(member, self.values, self.numbers)
            if text is None:
                return None
            value = float(text)
        source = self.origins[bisect_right(starts, place) - 1]
        return Point(member.role, member.labels, value, source, stamps.get(place))


def _stamps(reading: Reading) -> dict[int, float]:
    unit = 1.0 if reading.shape.openmetrics else 1000.0
    return {place: float(stamp) / unit for place, stamp in reading.timestamps.items()}
