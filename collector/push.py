"""Pushes what the collector gathers to an OTLP receiver, beside serving it.

A bounded queue stands between gathering and sending, so that a receiver that is away for a while
misses nothing that the queue can hold; what it cannot hold is dropped, the oldest first, and
counted.
"""

import asyncio
import contextlib
import gzip
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from firsttoken.collector.collector import Collector
from firsttoken.collector.health import Sending
from firsttoken.collector.otlp import Exporter
from firsttoken.collector.settings import OtlpSettings
from firsttoken.otlp.send import Sender, sender
from firsttoken.otlp.signals import METRICS

__all__ = ["Clock", "Pusher", "pushing"]

log = logging.getLogger("firsttoken.collector")
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_DRAIN_S = 5.0
SERVICE = "firsttoken-collector"
"""The ``service.name`` of the collector's own metrics."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time and waits: the machine's, or one on which a minute is soon over."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


_MACHINE = Clock()


@dataclass(frozen=True, slots=True)
class _Waiting:
    packed: bytes
    points: int


class Pusher:
    """Gathers on one task and sends on another; ``sending`` is how that goes."""

    def __init__(
        self, current: Callable[[], Collector], settings: OtlpSettings, clock: Clock = _MACHINE
    ) -> None:
        self._current, self._settings, self._clock = current, settings, clock
        self._exporter = Exporter(settings.temporality, began=clock.wall())
        self._queue: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.sending = Sending()

    async def gather(self) -> None:
        """Gather again and again, at equal distances."""
        clock = self._clock
        due = clock.monotonic()
        while True:
            due = max(due + self._settings.interval, clock.monotonic())
            await self.put()
            await clock.sleep(due - clock.monotonic())

    async def put(self) -> None:
        """Gather once, and put it into the queue."""
        collector = self._current()
        collector.sending = self.sending
        gathered = await collector.gather()
        resources = {source.name: source.resource for source in collector.sources}
        own = {"service.name": SERVICE, **collector.settings.resource}
        resources[""] = tuple(own.items())
        exported = self._exporter.export(gathered, self._clock.wall(), resources)
        if exported.points:
            data = exported.request.SerializeToString()
            self._queue.append(_Waiting(gzip.compress(data, 1, mtime=0), exported.points))
        self.sending.left_out += exported.left_out
        while len(self._queue) > self._settings.queue:
            self.sending.dropped += self._queue.popleft().points
        self.sending.waiting = len(self._queue)
        if self._queue:
            self._empty.clear()
            self._more.set()

    async def send(self, to: Sender) -> None:
        """Send what is in the queue, the oldest first; try again what may be tried again."""
        pause = _PAUSE_S
        while True:
            if not self._queue:
                self._empty.set()
                self._more.clear()
                await self._more.wait()
            head = self._queue[0]
            outcome = await to.send(head.packed)
            if outcome.kind == "retry":
                if pause == _PAUSE_S:
                    log.warning("OTLP: %s: %s", self._settings.endpoint, outcome.detail)
                # Spread, so that many collectors do not come back to a receiver all at once.
                await self._clock.sleep(outcome.after or pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _PAUSE_S
            self._done(head, outcome.kind == "taken", outcome.rejected, outcome.detail)

    def _done(self, head: _Waiting, taken: bool, rejected: int, detail: str) -> None:
        if self._queue and self._queue[0] is head:  # it may have had to go in the meantime
            self._queue.popleft()
        elif taken:
            self.sending.dropped -= head.points
        lost = rejected if taken else head.points
        self.sending.sent += head.points - lost
        self.sending.rejected += lost
        self.sending.waiting = len(self._queue)
        if lost:
            log.warning("OTLP: %s refused %d points: %s", self._settings.endpoint, lost, detail)

    async def drained(self) -> None:
        """Wait until everything was sent."""
        await self._empty.wait()


@contextlib.asynccontextmanager
async def pushing(
    current: Callable[[], Collector], settings: OtlpSettings, clock: Clock = _MACHINE
) -> AsyncIterator[Pusher]:
    """Push while the block runs; at its end what waits is given a moment to be sent.

    ``current`` gives the collector, which another configuration replaces.
    """
    pusher = Pusher(current, settings, clock)
    receiver = sender(
        METRICS,
        settings.endpoint,
        settings.protocol,
        headers=settings.headers,
        timeout=settings.timeout,
    )
    async with receiver as to:
        tasks = [asyncio.create_task(pusher.gather()), asyncio.create_task(pusher.send(to))]
        try:
            yield pusher
            tasks[0].cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    await pusher.put()
                    await pusher.drained()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
