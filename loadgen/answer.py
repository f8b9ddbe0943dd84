"""A response's body out of its parts: when tokens came, how many, and how it ended.

Most events of a stream differ in their piece of text alone.  Once one has been read through JSON,
others are recognised by what stands before and behind their text, which is a twentieth of the
work; whatever looks different is read through JSON again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from firsttoken.loadgen.dialect import Answer, Dialect, error_message
from firsttoken.loadgen.sse import Decoder, Event
from firsttoken.loadgen.wire import Framer, Head

__all__ = ["Reader"]

_DONE = "[DONE]"
_decode = json.JSONDecoder().raw_decode  # what ``loads`` does besides costs as much
_LONGEST = 2048
"""Events that are longer are rare, and recognised more slowly."""


class Reader:
    """Reads the body that follows ``head``.

    ``stream`` is whether a stream was asked for; ``keep_text`` also collects what was generated.
    """

    def __init__(
        self, head: Head, dialect: Dialect, *, stream: bool = True, keep_text: bool = False
    ) -> None:
        self._head = head
        self._framer = Framer(head)
        self._dialect = dialect
        self._answer = Answer(keep_text)
        self._decoder = Decoder()
        self._done = False
        self._failed = head.status != 200
        kind = head.headers.get("content-type", "").lower()
        self._events = "text/event-stream" in kind and not self._failed
        self._stream = stream
        # How a usual part looks: an event up to its text, and behind it; the lengths that it has,
        # and the size line of each.
        self.before = self._after = self.end = b""
        self.lines: Mapping[int, bytes] = {}
        self._held = b""  # the beginning of a part that looks usual so far
        self._whole = bytearray()  # of a body that is no event stream

    @property
    def complete(self) -> bool:
        """Whether the framing says that the body has ended."""
        return self._framer.complete

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again after this response."""
        return self._head.keep_alive

    @property
    def retry_after(self) -> float | None:
        """For how many seconds the server asks to be left alone, as ``Retry-After`` says."""
        value = self._head.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else None

    @property
    def until_close(self) -> bool:
        """Whether only the end of the connection ends the body."""
        return self._framer.until_close

    @property
    def chunked_events(self) -> bool:
        """Whether this is the usual case: an event stream in chunks."""
        return self._events and self._framer.chunked

    def tokens(self, times: NDArray[np.float64]) -> None:
        """Take the arrivals of usual parts, which were not kept."""
        self._answer.times.frombytes(times.tobytes())

    def feed(self, times: Sequence[float], parts: Sequence[bytes]) -> None:
        """Take parts of the response behind its head, with their arrivals.  Raises WireError."""
        for time, part in zip(times, parts, strict=True):
            rest = self._held + part if self._held else part
            self._held = b""
            if self.recognises:
                count, rest = self._usual(rest)
                self._answer.times.extend([time] * count)
                if self._begins(rest):
                    self._held = rest
                    continue
            if rest:
                self._one(time, rest)

    def usual(self, part: bytes) -> int:
        """How many usual events are in a part, 0 if there is anything else in it.

        May be asked only while usual parts may come (``learnt``).
        """
        count, rest = self._usual(part)
        return 0 if rest else count

    def finish(self) -> Answer:
        """The answer, once the body has ended."""
        answer = self._answer
        # The times of usual parts, and of others, were not taken in one order.
        np.frombuffer(answer.times).sort()
        if self._failed:
            return answer
        if not self._events and self._stream:
            answer.fail("not an event stream")
        elif not self._events:
            self._dialect.whole(answer, bytes(self._whole))
        elif answer.error is None and not self._done and self._dialect.says_done:
            answer.fail("stream ended without [DONE]")
        if answer.error is None and not answer.times:
            answer.fail("no tokens in the answer")
        if answer.output_tokens is None and answer.times and self._events:
            answer.output_tokens, answer.output_source = len(answer.times), "chunks"
        return answer

    @property
    def learnt(self) -> bool:
        """Whether it is known how a usual part looks, and one may come now."""
        return self.recognises and not self._held

    @property
    def recognises(self) -> bool:
        """Whether it is known how a usual part looks, and at most a piece of one has come."""
        return bool(self.end) and self._framer.between_chunks and self._decoder.between

    def _is_usual(self, part: bytes) -> bool:
        line = self.lines.get(len(part))
        return line is not None and part.startswith(line + self.before) and part.endswith(self.end)

    def _usual(self, part: bytes) -> tuple[int, bytes]:
        """How many usual events a part begins with, and what comes behind them."""
        if self._is_usual(part):
            return 1, b""
        pieces = part.split(b"\r\n")
        before, after, room = self.before, self._after, len(self.before) + len(self._after)
        count = at = 0
        # Whole chunks only: what stands behind the last break is another's beginning.
        for size, event in zip(pieces[:-1:2], pieces[1:-1:2], strict=False):
            if (
                not room <= len(event) < 2 * room
                or b"%x" % len(event) != size
                or not event.startswith(before)
                or not event.endswith(after)
            ):
                break
            count += 1
            at += len(size) + len(event) + 4
        return count, part[at:]

    def _begins(self, part: bytes) -> bool:
        """Whether this is a piece of a chunk with no whole event in it: the rest is waited for."""
        longest = 2 * (len(self.before) + len(self._after))
        ends_line = part.endswith((b"\r", b"\n"))
        return 0 < len(part) < longest and not ends_line and part.count(b"\r\n") < 2

    def _learn(self, body: bytes, state: tuple[object, ...]) -> None:
        """Note how an event looks around its text, if nothing but a piece of text was in it.

        Another that differs in the text alone can then say nothing else either.
        """
        answer = self._answer
        same = state == (answer.finish_reason, answer.output_tokens, answer.error, self._done)
        found = _text(answer.key).search(body) if same and answer.key else None
        if found and body.count(b"\n") == 2 and body.endswith(b"\n\n"):
            self.before, self._after = body[: found.start(1)], body[found.end(1) :]
            self.end = _shared(self._after + b"\r\n")
            self.lines = _lines(len(self.before) + len(self._after))

    def _one(self, time: float, part: bytes) -> None:
        body = self._framer.feed(part)
        if not body or self._failed:
            return
        answer = self._answer
        if not self._events:
            self._whole += body
            answer.last_part = time
            return
        whole = self._decoder.between or self._decoder.fresh
        events = self._decoder.feed(body)
        pieces = len(answer.times)
        state = (answer.finish_reason, answer.output_tokens, answer.error, self._done)
        for event in events:
            self._event(time, event)
        if whole and len(events) == 1 and len(answer.times) == pieces + 1 and not answer.keep_text:
            self._learn(body, state)

    def _event(self, time: float, event: Event) -> None:
        if self._done:
            return
        text = event.data.strip()
        if text == _DONE:
            self._done = True
            return
        try:
            data, end = _decode(text)
        except (ValueError, RecursionError):
            data, end = None, 0
        if not isinstance(data, dict) or end < len(text):
            self._answer.fail("error in stream: not JSON")
        elif event.name == "error" or data.get("error") or data.get("object") == "error":
            self._answer.fail(f"error in stream: {error_message(data)}")
        else:
            self._dialect.chunk(self._answer, time, data)


@cache
def _text(key: str) -> re.Pattern[bytes]:
    """Finds the text of a key, without the quotes around it."""
    return re.compile(rb'"%b"\s*:\s*"((?:[^"\\]|\\.)*)"' % key.encode())


@lru_cache(256)
def _shared(data: bytes) -> bytes:
    """The same bytes for all streams: then they are in the processor's cache."""
    return data


@lru_cache(256)
def _lines(room: int) -> Mapping[int, bytes]:
    """The size lines of chunks with one event, by the length of the whole chunk.

    ``room`` is what an event has besides its text: one that is twice as long might be two.
    """
    lines = (b"%x\r\n" % size for size in range(room, min(2 * room, _LONGEST)))
    return {int(line, 16) + len(line) + 2: line for line in lines}
