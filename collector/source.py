"""One source over time: asked, read, translated, and what is known of its health."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp

from firsttoken.collector.fetch import Body, Fetcher, FetchError
from firsttoken.collector.health import Vitals
from firsttoken.collector.lifetime import Lifetime
from firsttoken.collector.page import LimitError, MalformedError, Reading, Shape
from firsttoken.collector.reader import Limits, Reader
from firsttoken.collector.resource import attributes_of
from firsttoken.collector.restore import guessed, restored
from firsttoken.collector.selection import selection
from firsttoken.collector.settings import Settings, SourceSettings
from firsttoken.collector.translate import Contribution, Translator
from firsttoken.exporters.profile import Profile, load, load_all

__all__ = ["Result", "Source"]

log = logging.getLogger("firsttoken.collector")

_LARGE = 1 << 18
"""Bytes of a page from which on it is read beside the event loop, if it is new."""


class Result(NamedTuple):
    """One scrape of one source: a reading, or why there is none."""

    source: str
    reading: Reading | None
    duration: float
    size: int = 0
    reason: str = ""
    detail: str = ""
    since: float | None = None
    """Unix time from which the source's counters count, as far as is known."""

    @property
    def up(self) -> bool:
        """Whether the source was read whole."""
        return self.reading is not None


class Source:
    """A configured source.  Raises UsageError or ConfigError for a profile that is not right."""

    def __init__(
        self,
        settings: SourceSettings,
        shared: Settings,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        environment = os.environ if environment is None else environment
        self.settings = settings
        self.name = settings.name
        self._shared = shared
        self._clock = clock
        self._fetcher = Fetcher(settings, shared.max_bytes)
        self._reader = Reader(Limits(shared.max_samples, shared.max_label_length))
        self._selection = selection(settings.only, environment)
        self._fixed = _for(settings, load(settings.profile)) if settings.profile else None
        # Read now: the first page shall not wait for it.
        self._choices = () if self._fixed else load_all()
        self._translator = self._translating(self._fixed)
        self._contributions: dict[Shape, Contribution] = {}
        self._failures: Counter[str] = Counter()
        self._failed_at: dict[str, float] = {}
        self._read_at: float | None = None
        local = self._fetcher.local
        self.resource = attributes_of(settings, shared, environment, local=local)
        self.last: Result | None = None
        self.last_error: Result | None = None
        self.lifetime = Lifetime()

    @property
    def profile(self) -> Profile | None:
        """The profile in use: the configured one, or the one guessed from the last page."""
        return self._translator.profile

    @property
    def failed_at(self) -> Mapping[str, float]:
        """Reason -> unix time of the last failure for it."""
        return self._failed_at

    async def scrape(self, session: aiohttp.ClientSession, patience: float) -> Result:
        """Ask for the page and read it; every failure is in the result."""
        started = self._clock()
        size = 0
        try:
            limit = min(patience, self.settings.timeout or patience)
            body = await self._fetcher.fetch(session, limit)
            size = len(body.data)
            if size < _LARGE or self._reader.knows(body.data):
                reading = self._read(body)
            else:
                # Others are answered meanwhile, a probe for one.
                reading = await asyncio.to_thread(self._read, body)
        except FetchError as exc:
            took = self._clock() - started
            result = Result(self.name, None, took, size, exc.reason, str(exc))
        else:
            self.lifetime.note(reading)
            took = self._clock() - started
            result = Result(self.name, reading, took, size, since=self.lifetime.since)
        self.note(result)
        return result

    def late(self, waited: float) -> Result:
        """The result of a scrape that an answer could not wait for any longer."""
        return Result(self.name, None, waited, 0, "timeout", f"no whole answer in {waited:.3g} s")

    def _read(self, body: Body) -> Reading:
        try:
            reading = self._reader.read(body.data, openmetrics=body.openmetrics, sealed=body.sealed)
        except LimitError as exc:
            raise FetchError("too_large", str(exc)) from None
        except MalformedError as exc:
            kind = body.content_type
            told = f" (it was sent as {kind})" if kind == "text/html" else ""
            raise FetchError("malformed", f"{exc}{told}") from None
        self.contribution(reading.shape)
        return reading

    def note(self, result: Result) -> None:
        """Keep the result, and say in the log when the source's health changed."""
        before, self.last = self.last, result
        if result.up:
            self._read_at = self._clock()
            if before is None or not before.up:
                log.info("source %s is up: %d samples", self.name, _samples(result))
            return
        self.last_error = result
        self._failures[result.reason] += 1
        self._failed_at[result.reason] = time.time()
        if before is None or before.reason != result.reason:
            log.warning("source %s is down: %s: %s", self.name, result.reason, result.detail)

    def vitals(self, result: Result) -> Vitals:
        """How the source is, with the result that an answer has of it."""
        fates: Mapping[str, int] = {}
        dropped = 0
        if result.reading is not None:
            contribution = self.contribution(result.reading.shape)
            fates, dropped = contribution.outcomes, contribution.dropped
        return Vitals(
            up=result.up,
            duration=result.duration,
            samples=_samples(result),
            size=result.size,
            age=None if self._read_at is None else self._clock() - self._read_at,
            restarts=self.lifetime.restarts,
            dropped=dropped,
            cached=self._reader.remembered,
            families=fates,
            failures=self._failures,
            failed_at=self._failed_at,
        )

    def contribution(self, shape: Shape) -> Contribution:
        """What the source offers while its page has this shape."""
        found = self._contributions.get(shape)
        if found is None:
            selected = self._selection.shape(shape)
            if self._fixed is None:
                own = guessed(shape, self._choices)
                self._translator = self._translating(_for(self.settings, own) if own else None)
            if self.profile is not None and self._shared.names != "passthrough":
                selected = restored(selected, self.profile)
            found = self._translator.contribution(selected)
            # One shape at a time: an older one does not come back as the same object.
            self._contributions = {shape: found}
        return found

    def _translating(self, profile: Profile | None) -> Translator:
        return Translator(
            profile,
            self._shared.names,
            unknown=self._shared.unknown == "pass",
            one_pod=self.settings.only.pod is not None,
        )


def _for(settings: SourceSettings, profile: Profile) -> Profile:
    return profile.for_target(settings.attributes) if settings.attributes else profile


def _samples(result: Result) -> int:
    return result.reading.shape.size if result.reading else 0
