"""All sources at once, to one page: one scrape shared by all who ask while it runs."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import aiohttp

from firsttoken.collector.form import Form
from firsttoken.collector.gathered import Gathered
from firsttoken.collector.health import Health, Sending
from firsttoken.collector.merge import Collision, Merged, Part, merge, shared_names
from firsttoken.collector.page import Reading, Shape
from firsttoken.collector.plan import Plan, plan
from firsttoken.collector.resource import TARGET, target_offer
from firsttoken.collector.settings import Settings
from firsttoken.collector.source import Result, Source
from firsttoken.collector.translate import Contribution, Fate, Member

__all__ = ["VIA", "Answer", "Collector"]

VIA = "X-Firsttoken-Collector"
"""A header of every request to a source: which collector asks."""

K = TypeVar("K")
V = TypeVar("V")
_KEPT = 8
"""What is kept of what was worked out: forms times sets of sources that are up."""


class Answer(NamedTuple):
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
        self._contributed: dict[str, Contribution] = {}
        self._shared = shared_names(self._offered)
        self._merges: dict[tuple[tuple[Shape | None, ...], frozenset[str]], Merged] = {}
        self._plans: dict[tuple[Form, Merged], Plan] = {}
        self._health = Health([source.name for source in self.sources])
        self.sending = Sending() if settings.otlp else None
        """How pushing what is gathered goes; whoever pushes puts its own in the place."""
        self.config_loaded = True
        """Whether the configuration was right when it was last read."""
        self.identity = secrets.token_hex(8)
        """By which a request of its own is known, should it come back."""
        self._running: dict[str, asyncio.Task[Result]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._asked_at: float | None = None
        self._answers = 0
        self.idle = asyncio.Event()
        """Set while no answer is being made."""
        self.idle.set()

    async def __aenter__(self) -> "Collector":
        connector = aiohttp.TCPConnector(limit_per_host=8, keepalive_timeout=120)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "firsttoken", VIA: self.identity},
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
        self._answers += 1
        self.idle.clear()
        try:
            return self._merged(await self._asked(patience))
        finally:
            self._answers -= 1
            if not self._answers:
                self.idle.set()

    async def results(self, patience: float, within: float = 30.0) -> tuple[Result, ...]:
        """How every source is; those that were asked in the last ``within`` seconds are not now.

        A source that takes longer than ``patience`` goes on being asked, and is as it was before.
        """
        if self._asked_at is None or time.monotonic() - self._asked_at > within:
            self._asked_at = time.monotonic()
            tasks = [self._scrape(source, self.settings.timeout) for source in self.sources]
            await asyncio.wait(tasks, timeout=patience)
        return tuple(source.last or source.late(patience) for source in self.sources)

    async def _asked(self, patience: float | None) -> tuple[Result, ...]:
        limit = self.settings.timeout if patience is None else patience
        started = time.monotonic()
        tasks = [self._scrape(source, limit) for source in self.sources]
        await asyncio.wait(tasks, timeout=limit)
        self._asked_at = time.monotonic()
        waited = self._asked_at - started
        return tuple(
            task.result() if task.done() else source.late(waited)
            for task, source in zip(tasks, self.sources, strict=True)
        )

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
        up = [(s, r.reading) for s, r in zip(self.sources, results, strict=True) if r.reading]
        for source, reading in up:
            contribution = source.contribution(reading.shape)
            if self._contributed.get(source.name) is not contribution:
                self._contributed[source.name] = contribution
                self._offered[source.name] = frozenset(o.name for o in contribution.offers)
                self._shared = shared_names(self._offered)
        shared = self._shared
        own = self._health.reading(
            [source.vitals(result) for source, result in zip(self.sources, results, strict=True)],
            collisions=len(self.collisions),
            loaded=self.config_loaded,
            sending=self.sending,
        )
        shapes = (own.shape, *(r.reading.shape if r.reading else None for r in results))
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
        before = sum(reading.shape.size for _, reading in up)
        parts = [Part("", before, self._health.offers)]
        targets: dict[str, list[Member]] = {}
        offset = 0
        for source, reading in up:
            labels = tuple(source.settings.labels.items())
            offers = source.contribution(reading.shape).offers
            for offer in offers:
                if offer.name == TARGET:
                    targets[source.name] = [member.moved(offset) for member in offer.members]
            rest = tuple(offer for offer in offers if offer.name != TARGET)
            parts.append(Part(source.name, offset, rest, labels))
            offset += reading.shape.size
        told = [(source.name, source.resource) for source, _ in up]
        if told:
            offer = target_offer(told, targets, before + self._health.one)
            parts.insert(1, Part(TARGET, 0, (offer,)))
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
    last, error = source.last, source.last_error
    state: dict[str, object] = {
        "name": source.name,
        "url": source.settings.url,
        "profile": source.profile.name if source.profile else None,
        "up": last.up if last else None,
        "restarts": source.lifetime.restarts,
        "since": source.lifetime.since,
        "resource": dict(source.resource),
    }
    if error is not None:
        at = source.failed_at[error.reason]
        state["last_error"] = {"reason": error.reason, "error": error.detail, "at": at}
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
        "families": [_fate(fate, source) for fate in contribution.fates],
    }


def _fate(fate: Fate, source: Source) -> dict[str, str]:
    told = {"family": fate.family, "outcome": fate.outcome}
    if fate.name:
        told["name"] = fate.name
    known = fate.outcome != "passed" or source.profile is None
    why = None if known or source.profile is None else source.profile.why_unnamed(fate.family)
    return told | ({"why": why} if why else {})
