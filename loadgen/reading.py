"""Turns exchanges that have ended into records, off the path on which bytes are stamped.

One reader takes them one after another and gives the event loop a turn after every few parts, so
that reading an answer (events, JSON) delays the stamp of another by well below a millisecond.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from firsttoken.loadgen.answer import Answer, Reader
from firsttoken.loadgen.client import Exchange
from firsttoken.loadgen.plan import Planned
from firsttoken.loadgen.records import INTERRUPTED, ErrorClass, Phase, Record
from firsttoken.loadgen.summary import percentile

__all__ = ["Finished", "Reading"]

PARTS_AT_ONCE = 32
_RECENT = 256


class Finished(NamedTuple):
    """An exchange that has ended, with what it was for."""

    planned: Planned
    trace_id: str
    intended: float
    phase: Phase
    exchange: Exchange


class Reading:
    """Reads what ``put`` is given until ``close``; counts as it goes, for those who watch."""

    def __init__(self, on_record: Callable[[Record], None]) -> None:
        self._on_record = on_record
        self._queue: asyncio.Queue[Finished | None] = asyncio.Queue()
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self.zero = 0.0
        self.done = self.failed = self.output_tokens = 0

    def put(self, finished: Finished) -> None:
        """Have an exchange read soon."""
        self._queue.put_nowait(finished)

    def close(self) -> None:
        """End ``run`` once everything put before has been read."""
        self._queue.put_nowait(None)

    @property
    def ttft_p50(self) -> float | None:
        """The median TTFT of the last requests, in seconds."""
        recent = sorted(self._recent)
        return round(percentile(recent, 0.5), 6) if recent else None

    async def run(self) -> None:
        """Read until closed."""
        while (finished := await self._queue.get()) is not None:
            record = self._record(finished, await self._read(finished.exchange))
            self.done += 1
            self.failed += not record.ok
            self.output_tokens += record.output_tokens or 0
            if record.ttft is not None:
                self._recent.append(record.ttft)
            self._on_record(record)

    async def _read(self, exchange: Exchange) -> Answer:
        head = exchange.head
        if head is None:
            return Answer()
        if head.status != 200:
            return Answer(error=f"http {head.status}")
        if "text/event-stream" not in head.headers.get("content-type", "").lower():
            return Answer(error="not an event stream")
        reader = Reader()
        for number, (at, part) in enumerate(zip(exchange.times, exchange.parts, strict=True), 1):
            reader.feed(at, part)
            if number % PARTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return reader.finish()

    def _record(self, finished: Finished, answer: Answer) -> Record:
        exchange, planned = finished.exchange, finished.planned
        error = exchange.error or answer.error
        first, last = (answer.times[0], answer.times[-1]) if answer.times else (None, None)
        return Record(
            index=planned.index,
            intended=finished.intended,
            sent=self._since(exchange.sent),
            first=self._since(first),
            last=self._since(last),
            ended=self._since(exchange.ended),
            chunks=len(answer.times),
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            output_source=answer.output_source,
            status=exchange.head.status if exchange.head else None,
            error=error,
            finish_reason=answer.finish_reason,
            gaps=answer.gaps,
            phase=finished.phase,
            error_class=None if error is None else error_class(error),
            first_byte=self._since(exchange.first_byte),
            bytes=sum(map(len, exchange.parts)),
            prompt_target=planned.prompt.tokens,
            output_target=planned.output_tokens,
            workload=planned.workload,
            model=planned.model,
            session=planned.session,
            turn=planned.turn,
            trace_id=finished.trace_id,
        )

    def _since(self, at: float | None) -> float | None:
        return None if at is None else at - self.zero


_CLASSES: tuple[tuple[str, ErrorClass], ...] = (
    ("connection refused", "refused"),
    ("connection lost", "reset"),
    ("certificate not trusted", "tls"),
    ("TLS handshake", "tls"),
    ("connect timeout", "timeout"),
    ("timeout", "timeout"),
    ("http ", "http"),
    ("bad answer", "protocol"),
    ("not an event stream", "protocol"),
    ("error in stream", "stream"),
    ("stream ended", "cut_short"),
    ("no tokens", "empty"),
    (INTERRUPTED, "interrupted"),
)


def error_class(error: str) -> ErrorClass:
    """The class of an error, by how it begins."""
    return next((found for begin, found in _CLASSES if error.startswith(begin)), "unreachable")
