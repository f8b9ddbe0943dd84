"""Since when a source's counters count, and how often it has begun anew."""

import operator
import time
from collections.abc import Callable

from firsttoken.collector.page import Family, Kind, Labels, Reading, Role, Shape
from firsttoken.collector.picking import Picker, picker

__all__ = ["Lifetime"]

START = "process_start_time_seconds"
_WATCHED = 64
"""Counters that are looked at where the page does not say when its process started."""

_Counted = tuple[str, Labels]
"""A family and the labels of one of its counters."""


class Lifetime:
    """What successive readings of one source tell about its process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._shape: Shape | None = None
        self._told: int | None = None
        self._series: tuple[_Counted, ...] = ()
        self._pick: Picker = picker(())
        self._last: tuple[float, ...] = ()
        """What the watched series were at last."""
        self.since: float | None = None
        """Unix seconds: the start that the page tells, else when it was first read since."""
        self.restarts = 0

    def note(self, reading: Reading) -> None:
        """Take a reading into account."""
        before, series = self._last, self._series
        known = reading.shape is self._shape
        if not known:
            self._watch(reading.shape)
        if self._told is not None:
            self._begin(reading.numbers[self._told])
            return
        now = self._last = self._pick(reading.numbers)
        if not known:
            last = dict(zip(series, before, strict=True))
            before = tuple([last.get(s, n) for s, n in zip(self._series, now, strict=True)])
        if self.since is None or any(map(operator.lt, now, before)):
            self._begin(self._clock())

    def _watch(self, shape: Shape) -> None:
        self._shape = shape
        self._told = _told(shape)
        found = () if self._told is not None else _watched(shape)
        self._series = tuple([series for _, series in found])
        self._pick = picker([place for place, _ in found])
        self._last = ()

    def _begin(self, since: float) -> None:
        if self.since is not None and since != self.since:
            self.restarts += 1
        self.since = since


def _told(shape: Shape) -> int | None:
    for family in shape.families:
        if family.name == START:
            return family.places[0]
    return None


def _watched(shape: Shape) -> tuple[tuple[int, _Counted], ...]:
    found = [item for family in shape.families for item in _counts(family)]
    return tuple(found[:_WATCHED])


def _counts(family: Family) -> list[tuple[int, _Counted]]:
    if family.kind is Kind.COUNTER:
        return _with(family, Role.VALUE)
    if family.kind in (Kind.HISTOGRAM, Kind.SUMMARY):
        return _with(family, Role.COUNT)
    return []


def _with(family: Family, wanted: Role) -> list[tuple[int, _Counted]]:
    return [(p, (family.name, labels)) for p, role, labels in family.samples if role is wanted]
