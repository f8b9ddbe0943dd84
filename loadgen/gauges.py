"""How the load generator itself fares while it runs: its lag, its loop's lateness, its CPU."""

import time
from array import array
from collections.abc import Sequence

from firsttoken.loadgen.judge import wilson
from firsttoken.loadgen.record import Generator, Reading
from firsttoken.loadgen.summary import percentile

__all__ = ["Gauges", "at_least"]

_RECENT = 1024


class Gauges:
    """Collects over the measured window, from ``start`` to ``end`` (seconds of the run)."""

    def __init__(self, start: float, end: float) -> None:
        self._start, self._end = start, end
        self._lags = array("f")
        self._late = array("f")
        self.reading: Reading | None = None
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def took_up(self, intended: float, at: float) -> None:
        """A request that was due at ``intended`` was taken up at ``at``."""
        if self._start <= intended < self._end:
            self._lags.append(max(0.0, at - intended))

    def tick(self, now: float, late: float) -> None:
        """The loop came round at ``now``, so much later than it was to."""
        if self._start <= now < self._end:
            self._late.append(late)
            self._last = (now, time.thread_time())
            self._first = self._first or self._last

    @property
    def lag_p99(self) -> float | None:
        """The 99th percentile of the last requests' lag, in seconds."""
        recent = sorted(self._lags[-_RECENT:])
        return percentile(recent, 0.99) if recent else None

    @classmethod
    def together(cls, several: Sequence["Gauges"]) -> "Gauges":
        """What several processes collected, as one; the CPU is that of the busiest."""
        whole = cls(several[0]._start, several[0]._end)
        for one in several:
            whole._lags.extend(one._lags)
            whole._late.extend(one._late)
        busiest = max(several, key=cls._share)
        whole.reading = busiest.reading
        whole._first, whole._last = busiest._first, busiest._last
        return whole

    def _share(self) -> float:
        """CPU time over time, of one core."""
        if not (self._first and self._last and self._last[0] > self._first[0]):
            return 0.0
        wall, cpu = (b - a for a, b in zip(self._first, self._last, strict=True))
        return cpu / wall

    def result(self, held_back: int = 0, turns_dropped: int = 0) -> Generator:
        """What was collected, with the agenda's counts."""
        lags, late = sorted(self._lags), sorted(self._late)
        return Generator(
            cpu_share=round(self._share(), 4),
            lag_p50=_rounded(lags, 0.5),
            lag_p99=_rounded(lags, 0.99),
            lag_max=_rounded(lags, 1.0),
            late_wakeups=_rounded(late, 0.99),
            held_back=held_back,
            turns_dropped=turns_dropped,
            reading=self.reading,
            lag_p99_low=round(at_least(lags, 0.99), 6),
        )


def at_least(ordered: Sequence[float], share: float) -> float:
    """What a percentile is at least, with 97.5 % confidence; 0 where so few values say nothing.

    It is the highest value that is exceeded or reached by so many that the lower end of Wilson's
    interval for their share is above what the percentile leaves over.
    """
    count = len(ordered)
    for above in range(1, count + 1):
        if wilson(above, count)[0] > 1 - share:
            return ordered[count - above]
    return 0.0


def _rounded(ordered: list[float], share: float) -> float:
    return round(percentile(ordered, share), 6) if ordered else 0.0
