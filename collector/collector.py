"""All sources at once, to one page: one scrape shared by all who ask while it runs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from firsttoken.collector.form import Form
from firsttoken.collector.gathered import Gathered
from firsttoken.collector.health import health_offers, health_reading
from firsttoken.collector.merge import Collision, Merged, Part, merge, shared_names
from firsttoken.collector.page import Reading, Shape
from firsttoken.collector.plan import Plan, plan
from firsttoken.collector.settings import Settings
from firsttoken.collector.source import Result, Source

__all__ = ["Answer", "Collector"]

K = TypeVar("K")
V = TypeVar("V")
_KEPT = 8
"""What is kept of what was worked out: forms times sets of sources that are up."""


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
        self._merges: dict[tuple[tuple[Shape | None, ...], frozenset[str]], Merged] = {}
        self._plans: dict[tuple[Form, Merged], Plan] = {}
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
        gathered = await self.gather(patience)
        return Answer(self.page(form, gathered), gathered.results)

    async def gather(self, patience: float | None = None) -> Gathered:
        """What every source says now, merged; ``patience`` as for ``answer``."""
        limit = self.settings.timeout if patience is None else patience
        started = time.monotonic()
        tasks = [self._scrape(source, limit) for source in self.sources]
        await asyncio.wait(tasks, timeout=limit)
        waited = time.monotonic() - started
        results = tuple(
            task.result() if task.done() else source.late(waited)
            for task, source in zip(tasks, self.sources, strict=True)
        )
        return self._merged(results)

    def page(self, form: Form, gathered: Gathered) -> bytes:
        """The page in a form.  What is worked out for it is kept for the next one like it."""
        key = (form, gathered.merged)
        found = self._plans.pop(key, None) or plan(
            gathered.merged, form, sum(reading.shape.size for reading in gathered.readings)
        )
        _keep(self._plans, key, found)
        return found.write(gathered.readings)

    def _scrape(self, source: Source, limit: float) -> asyncio.Task[Result]:
        """The scrape of a source that runs already, or a new one."""
        if self._session is None:
            raise RuntimeError("the collector is used as an async context")
        running = self._running.get(source.name)
        if running is None or running.done():
            running = asyncio.create_task(source.scrape(self._session, limit))
            self._running[source.name] = running
        return running

    def _merged(self, results: tuple[Result, ...]) -> Gathered:
        own = health_reading(self._health_shape, results)
        up = [(s, r.reading) for s, r in zip(self.sources, results, strict=True) if r.reading]
        for source, reading in up:
            offers = source.contribution(reading.shape).offers
            self._offered[source.name] = frozenset(offer.name for offer in offers)
        shared = shared_names(self._offered)
        shapes = tuple(result.reading.shape if result.reading else None for result in results)
        merged = self._merges.pop((shapes, shared), None)
        if merged is None:
            merged = merge(self._parts(up), shared)
            self.collisions = merged.collisions
        _keep(self._merges, (shapes, shared), merged)
        origins = (*(source.name for source, _ in up), "")
        return Gathered(merged, (*(reading for _, reading in up), own), origins, results)

    def _parts(self, up: Sequence[tuple[Source, Reading]]) -> list[Part]:
        # Its own metrics come first on the page, but their values last: then those of the first
        # source are where the source has them.
        parts = [Part("", sum(r.shape.size for _, r in up), self._health_offers)]
        offset = 0
        for source, reading in up:
            labels = tuple(source.settings.labels.items())
            offers = source.contribution(reading.shape).offers
            parts.append(Part(source.name, offset, offers, labels))
            offset += reading.shape.size
        return parts

    def state(self) -> list[Mapping[str, object]]:
        """What is known of each source, for people and programs that ask why."""
        return [_state(source) for source in self.sources]


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    """Keep the value as the newest, and forget the oldest ones."""
    kept[key] = value
    while len(kept) > _KEPT:
        kept.pop(next(iter(kept)))


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
