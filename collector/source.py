"""One source over time: asked, read, translated, and what is known of its health."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from firsttoken.collector.fetch import Body, FetchError, fetch
from firsttoken.collector.lifetime import Lifetime
from firsttoken.collector.page import MalformedError, Reading, Shape
from firsttoken.collector.reader import Reader
from firsttoken.collector.settings import Settings, SourceSettings
from firsttoken.collector.translate import Contribution, Translator
from firsttoken.exporters.profile import Profile, guess, load, load_all

__all__ = ["Result", "Source"]

log = logging.getLogger("firsttoken.collector")


@dataclass(frozen=True, slots=True)
class Result:
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self._shared = shared
        self._clock = clock
        self._reader = Reader()
        self._fixed = _for(settings, load(settings.profile)) if settings.profile else None
        self._translator = self._translating(self._fixed)
        self._contributions: dict[Shape, Contribution] = {}
        self.last: Result | None = None
        self.lifetime = Lifetime()

    @property
    def profile(self) -> Profile | None:
        """The profile in use: the configured one, or the one guessed from the last page."""
        return self._translator.profile

    async def scrape(self, session: aiohttp.ClientSession, patience: float) -> Result:
        """Ask for the page and read it; every failure is in the result."""
        started = self._clock()
        size = 0
        try:
            limit = min(patience, self.settings.timeout or patience)
            body = await fetch(session, self.settings, limit, self._shared.max_bytes)
            size = len(body.data)
            reading = self._read(body)
        except FetchError as exc:
            result = self._failed(started, size, exc.reason, str(exc))
        else:
            self.lifetime.note(reading)
            since = self.lifetime.since
            took = self._clock() - started
            result = Result(self.name, reading, took, size, since=since)
        self.note(result)
        return result

    def late(self, waited: float) -> Result:
        """The result of a scrape that an answer could not wait for any longer."""
        return Result(self.name, None, waited, 0, "timeout", f"no whole answer in {waited:.3g} s")

    def _read(self, body: Body) -> Reading:
        try:
            return self._reader.read(body.data, openmetrics=body.openmetrics, sealed=body.sealed)
        except MalformedError as exc:
            kind = body.content_type
            told = f" (it was sent as {kind})" if kind == "text/html" else ""
            raise FetchError("malformed", f"{exc}{told}") from None

    def _failed(self, started: float, size: int, reason: str, detail: str) -> Result:
        return Result(self.name, None, self._clock() - started, size, reason, detail)

    def note(self, result: Result) -> None:
        """Keep the result, and say in the log when the source's health changed."""
        before, self.last = self.last, result
        if result.up and (before is None or not before.up):
            log.info("source %s is up: %d samples", self.name, _samples(result))
        elif not result.up and (before is None or before.reason != result.reason):
            log.warning("source %s is down: %s: %s", self.name, result.reason, result.detail)

    def contribution(self, shape: Shape) -> Contribution:
        """What the source offers while its page has this shape."""
        found = self._contributions.get(shape)
        if found is None:
            if self._fixed is None:
                guessed = guess(shape.names, load_all())
                own = _for(self.settings, guessed) if guessed else None
                self._translator = self._translating(own)
            found = self._translator.contribution(shape)
            # One shape at a time: an older one does not come back as the same object.
            self._contributions = {shape: found}
        return found

    def _translating(self, profile: Profile | None) -> Translator:
        return Translator(profile, self._shared.names, unknown=self._shared.unknown == "pass")


def _for(settings: SourceSettings, profile: Profile) -> Profile:
    return profile.for_target(settings.attributes) if settings.attributes else profile


def _samples(result: Result) -> int:
    return result.reading.shape.size if result.reading else 0
