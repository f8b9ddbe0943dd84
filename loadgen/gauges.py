"""How the load generator itself fares while it runs: its lag, its loop's lateness, its CPU."""

import asyncio
import time
from collections.abc import Callable, Sequence

from firsttoken.loadgen.judge import wilson
from firsttoken.loadgen.records import Generator
from firsttoken.loadgen.summary import percentile

__all__ = ["Gauges", "at_least"]

TICK_S = 0.01


class Gauges:
    """Collects over the measured window; ``now`` gives seconds since the run's start."""

    def __init__(self, now: Callable[[], float], start: float, end: float) -> None:
        self._now, self._start, self._end = now, start, end
        self._lags: list[float] = []
        self._late: list[float] = []
        self._held_back = 0
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def took_up(self, intended: float, at: float) -> None:
        """A request that was due at ``intended`` was taken up at ``at``."""
        if self._start <= intended < self._end:
            self._lags.append(max(0.0, at - intended))

    def held_back(self, intended: float) -> None:
        """A request that was due had to wait, because as many as allowed were in flight."""
        if self._start <= intended < self._end:
            self._held_back += 1

    async def watch(self) -> None:
        """Tick until cancelled: each tick's lateness is the event loop's."""
        while True:
            due = self._now() + TICK_S
            await asyncio.sleep(TICK_S)
            now = self._now()
            if now < self._start:
                continue
            if now >= self._end:
                return
            self._late.append(max(0.0, now - due))
            self._last = (now, time.process_time())
            self._first = self._first or self._last

    def result(self) -> Generator:
        """What was collected."""
        lags, late = sorted(self._lags), sorted(self._late)
        share = 0.0
        if self._first and self._last and self._last[0] > self._first[0]:
            wall, cpu = (b - a for a, b in zip(self._first, self._last, strict=True))
            share = cpu / wall
        return Generator(
            cpu_share=round(share, 4),
            lag_p50=_rounded(lags, 0.5),
            lag_p99=_rounded(lags, 0.99),
            lag_max=_rounded(lags, 1.0),
            late_wakeups=_rounded(late, 0.99),
            held_back=self._held_back,
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
