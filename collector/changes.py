"""Since when each counting series counts, and by how much it grew since it was last sent."""

from collections.abc import Sequence
from typing import NamedTuple

from firsttoken.collector.page import Labels

__all__ = ["Changes", "Key", "Window"]

FORGOTTEN_S = 86_400.0
"""A series that was away for so long is a new one."""


class Key(NamedTuple):
    """A series: its family's name, its labels but for a bucket's bound, and its source."""

    family: str
    labels: Labels
    source: str


class Window(NamedTuple):
    """The time that values are of, in Unix seconds, and the values."""

    start: float
    values: tuple[float, ...]


class _Last(NamedTuple):
    start: float
    at: float
    values: tuple[float, ...]


class Changes:
    """Keeps the last values of each series; ``began`` is when the watching began."""

    def __init__(self, began: float, *, delta: bool) -> None:
        self._began = began
        self._delta = delta
        self._last: dict[Key, _Last] = {}
        self._seen: dict[str, float] = {}
        """Source -> when it was read before the present reading."""
        self._now: dict[str, float] = {}

    def window(
        self, key: Key, since: float | None, at: float, values: Sequence[float]
    ) -> Window | None:
        """The values as they are sent; ``since`` is when the source's counters began, if known.

        A value below the last one began anew since then, whatever the source says.  None where a
        delta is not known yet: of what was counted before the watching began.
        """
        values = tuple(values)
        last = self._last.get(key)
        self._now[key.source] = at
        found = self._begin(key, since, at, values) if last is None else None
        if last is not None:
            found = self._go_on(last, since, at, values)
        start = self._start(last, since, at, values)
        self._last[key] = _Last(start, at, values)
        if self._delta:
            return found
        return Window(start, values)

    def _start(
        self, last: _Last | None, since: float | None, at: float, values: tuple[float, ...]
    ) -> float:
        if last is None:
            return at if since is None or since > at else since
        if since is not None and last.start < since <= at:
            return since
        return last.at if _anew(last.values, values) else last.start

    def _begin(
        self, key: Key, since: float | None, at: float, values: tuple[float, ...]
    ) -> Window | None:
        if since is not None and self._began <= since <= at:
            return Window(since, values)
        before = self._seen.get(key.source)  # then the series was not there, so it counted from 0
        return None if before is None else Window(before, values)

    def _go_on(
        self, last: _Last, since: float | None, at: float, values: tuple[float, ...]
    ) -> Window:
        restarted = since is not None and last.start < since <= at
        if restarted or _anew(last.values, values):
            return Window(max(last.at, since) if restarted and since else last.at, values)
        grown = tuple(now - before for now, before in zip(values, last.values, strict=True))
        return Window(last.at, grown)

    def end(self, now: float) -> None:
        """One reading of all sources is done."""
        self._seen |= self._now
        self._now = {}
        old = [key for key, last in self._last.items() if now - last.at > FORGOTTEN_S]
        for key in old:
            del self._last[key]


def _anew(before: tuple[float, ...], now: tuple[float, ...]) -> bool:
    """Whether a counter began anew; histograms with other buckets are other counters too."""
    if len(before) != len(now):
        return True
    # The last value of several is a sum, which observations below 0 may lower.
    counted = len(now) - 1 if len(now) > 1 else 1
    return any(n < b for b, n in zip(before[:counted], now[:counted], strict=True))
