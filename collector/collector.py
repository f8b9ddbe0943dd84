"""All sources at once, to one page: one scrape shared by all who ask while it runs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from firsttoken.collector.form import Form
from firsttoken.collector.health import health_offers, health_reading
from firsttoken.collector.merge import Collision, Part, merge, shared_names
from firsttoken.collector.page import Shape
from firsttoken.collector.plan import Plan, plan
from firsttoken.collector.settings import Settings
from firsttoken.collector.source import Result, Source

__all__ = ["Answer", "Collector"]

_PLANS = 8
"""Plans that are kept: forms times sets of sources that are up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One merged page; ``results`` has one entry for each source, in the order configured."""

    page: bytes
    results: tuple[Result, ...]

    @property
    def any_up(self) -> bool:
        """Whether at least one source was read."""
        return any(result.up for result in self.results)


class Collector:
    """Scrapes the configured sources and merges what they say.  Use as an async context."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sources = tuple(Source(s, settings) for s in settings.sources)
        self.collisions: tuple[Collision, ...] = ()
        self._offered: dict[str, frozenset[str]] = {s.name: frozenset() for s in self.sources}
        self._plans: dict[tuple[Form, tuple[Shape | None, ...], frozenset[str]], Plan] = {}
        self._health_shape, self._health_offers = health_offers([s.name for s in self.sources])
        self._running: dict[str, asyncio.Task[Result]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Collector":
        connector = aiohttp.TCPConnector(limit_per_host=8, keepalive_timeout=120)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "firsttoken"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def answer(self, form: Form, patience: float | None = None) -> Answer:
        """A page of what every source says now.

        ``patience`` is how many seconds the caller waits; a source that takes longer is left out.
        """
        limit = self.settings.timeout if patience is None else patience
        started = time.monotonic()
        tasks = [self._scrape(source, limit) for source in self.sources]
        await asyncio.wait(tasks, timeout=limit)
        waited = time.monotonic() - started
        results = tuple(
            task.result() if task.done() else source.late(waited)
            for task, source in zip(tasks, self.sources, strict=True)
        )
        return Answer(self._page(form, results), results)

    def _scrape(self, source: Source, limit: float) -> asyncio.Task[Result]:
        """The scrape of a source that runs already, or a new one."""
        if self._session is None:
            raise RuntimeError("the collector is used as an async context")
        running = self._running.get(source.name)
        if running is None or running.done():
            running = asyncio.create_task(source.scrape(self._session, limit))
            self._running[source.name] = running
        return running

    def _page(self, form: Form, results: Sequence[Result]) -> bytes:
        readings = [health_reading(self._health_shape, results)]
        shapes: list[Shape | None] = []
        parts = [Part("", 0, self._health_offers)]
        offset = self._health_shape.size
        for source, result in zip(self.sources, results, strict=True):
            reading = result.reading
            shapes.append(reading.shape if reading else None)
            if reading is None:
                continue
            offers = source.contribution(reading.shape).offers
            self._offered[source.name] = frozenset(offer.name for offer in offers)
            labels = tuple(source.settings.labels.items())
            parts.append(Part(source.name, offset, offers, labels))
            readings.append(reading)
            offset += reading.shape.size
        return self._plan(form, tuple(shapes), parts).write(readings)

    def _plan(self, form: Form, shapes: tuple[Shape | None, ...], parts: list[Part]) -> Plan:
        shared = shared_names(self._offered)
        key = (form, shapes, shared)
        found = self._plans.pop(key, None)
        if found is None:
            merged = merge(parts, shared)
            self.collisions = merged.collisions
            found = plan(merged, form)
        self._plans[key] = found  # the newest last, so that the first is the one to forget
        while len(self._plans) > _PLANS:
            self._plans.pop(next(iter(self._plans)))
        return found

    def state(self) -> list[Mapping[str, object]]:
        """What is known of each source, for people and programs that ask why."""
        return [_state(source) for source in self.sources]


def _state(source: Source) -> dict[str, object]:
    last = source.last
    state: dict[str, object] = {
        "name": source.name,
        "url": source.settings.url,
        "profile": source.profile.name if source.profile else None,
        "up": last.up if last else None,
    }
    if last is None:
        return state
    state |= {"duration_seconds": round(last.duration, 6), "bytes": last.size}
    if last.reading is None:
        return state | {"reason": last.reason, "error": last.detail}
    shape = last.reading.shape
    contribution = source.contribution(shape)
    return state | {
        "samples": shape.size,
        "left_out": contribution.dropped,
        "families": [
            {"family": f.family, "outcome": f.outcome} | ({"name": f.name} if f.name else {})
            for f in contribution.fates
        ],
    }
