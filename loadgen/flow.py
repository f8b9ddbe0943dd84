"""One request on its way: what came and when, and what it was read as.

Nearly all that comes are events that are like the one before but for their text.  Of those only
the time is kept, the moment they come; whatever looks different is kept, and read later.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsttoken.loadgen.answer import Reader
from firsttoken.loadgen.dialect import Answer, Dialect
from firsttoken.loadgen.plan import Planned, Session
from firsttoken.loadgen.record import Phase
from firsttoken.loadgen.wire import WireError, parse_head

__all__ = ["Clock", "Flow", "Prepared"]

_HEAD_MAX = 65536
_STAMP = struct.Struct("=qq")
ROOM, ROOM_MAX = 479, 1 << 16
"""How much is read at once: an event and its chunk mostly fit into what is cheap to allocate."""
TRIES = 4
"""So many parts that look new are read at once, one after another, to know those that follow."""
# A response in chunks ends with an empty line; so does each chunk of events that end with CRLF.
_MAY_BE_LAST = b"\r\n\r\n"


class Prepared(NamedTuple):
    """A planned request as it will be sent; ``rest`` are the turns that follow it."""

    planned: Planned
    trace_id: str
    request: bytes
    rest: Session = ()
    said: tuple[Mapping[str, Any], ...] = ()
    """What was said in the conversation, this request included."""


class Clock:
    """From the kernel's receive times (seconds and nanoseconds since 1970) to the run's clock."""

    __slots__ = ("offset", "second")

    def __init__(self) -> None:
        self.second = 0
        self.offset = 0.0

    def set(self, wall_ns: int, monotonic: float) -> None:
        """Both clocks at one moment."""
        self.second = wall_ns // 1_000_000_000
        self.offset = monotonic - (wall_ns - self.second * 1_000_000_000) * 1e-9

    def times(self, stamps: bytes | bytearray) -> list[float]:
        """Stamps, 16 bytes each, as seconds on the monotonic clock."""
        second, offset = self.second, self.offset
        return [(s - second) + offset + ns * 1e-9 for s, ns in _STAMP.iter_unpack(stamps)]

    def many(self, stamps: bytes | bytearray) -> NDArray[np.float64]:
        """The same for many of them."""
        numbers = np.frombuffer(stamps, np.int64).reshape(-1, 2)
        found = numbers[:, 1].astype(np.float64)
        found *= 1e-9
        found += numbers[:, 0] - self.second + self.offset
        return found


class Flow:
    """What is read into it: ``take`` each part, or where it is usual, ``tokens`` its stamp alone.

    A part is usual if its length is one of ``lines``, it begins with that line and ``before``, and
    ends with ``end``.  All times are monotonic.
    """

    __slots__ = (
        "_answer",
        "before",
        "bytes",
        "dials",
        "end",
        "ended",
        "error",
        "first_byte",
        "intended",
        "lines",
        "parts",
        "phase",
        "prepared",
        "reader",
        "receive",
        "retry",
        "room",
        "sent",
        "stamps",
        "started",
        "status",
        "tokens",
        "tries",
        "unsent",
        "user",
        "watch",
    )

    def __init__(
        self, prepared: Prepared, intended: float, phase: Phase, started: float, user: int
    ) -> None:
        self.prepared = prepared
        self.intended = intended
        self.phase = phase
        self.started = started
        self.user = user
        self.receive: Callable[[int, int], tuple[bytes, list[tuple[int, int, bytes]], int, object]]
        self.retry = False
        self.dials = 0
        self.restart()

    def restart(self) -> None:
        """As before anything was sent."""
        self.unsent = memoryview(self.prepared.request)
        self.sent: float | None = None
        self.first_byte: float | None = None
        self.ended: float | None = None
        self.status: int | None = None
        self.error: str | None = None
        self.before = self.end = b""
        self.lines: Mapping[int, bytes] = {}
        self.tokens = bytearray()  # stamps of usual parts
        self.parts: list[bytes] = []
        self.stamps = bytearray()
        self.reader: Reader | None = None
        self._answer: Answer | None = None
        self.bytes = 0
        self.watch = True
        self.tries = TRIES
        self.room = ROOM

    def take(self, data: bytes, stamp: bytes) -> bool:
        """Take a part that is not known to be usual; returns whether it has to be read now."""
        reader = self.reader if self.end else None
        if reader and data.endswith(self.end) and (count := reader.usual(data)):
            self.tokens += stamp * count
            self.bytes += len(data)
            return False
        self.end, self.lines = b"", {}  # nothing is usual until this has been read
        self.parts.append(data)
        self.stamps += stamp
        if self.watch or data.endswith(_MAY_BE_LAST):
            return not (self.reader is None and _is_head_of_chunks(data))
        if reader is not None and data.endswith(b"\n"):
            return False  # most often why the answer ended: its last part comes with the next
        self.tries -= 1
        return self.tries >= 0

    def digest(self, dialect: Dialect, clock: Clock, *, stream: bool) -> float | None:
        """Read what has come, and let go of it; returns the time of the last part.

        Raises WireError where it is not HTTP.
        """
        last = None
        if self.tokens:
            assert self.reader is not None  # noqa: S101
            usual = clock.many(self.tokens)
            self.reader.tokens(usual)
            self.tokens.clear()
            last = float(usual[-1])
        parts: Sequence[bytes] = self.parts
        if not parts:
            return last
        times: Sequence[float] = clock.times(self.stamps)
        last = times[-1]
        if len(parts[-1]) == self.room:
            self.room = min(4 * self.room, ROOM_MAX)
        if self.first_byte is None:
            self.first_byte = times[0]
        if self.reader is None:
            rest = self._head(parts, dialect, stream)
            if rest is None:
                return last
            parts, times = rest, times[len(times) - len(rest) :]
        self.parts = []
        self.stamps.clear()
        self.bytes += sum(map(len, parts))
        reader = self.reader
        assert reader is not None  # noqa: S101
        reader.feed(times, parts)
        if reader.learnt:
            self.before, self.end, self.lines = reader.before, reader.end, reader.lines
        if reader.recognises:
            self.tries = TRIES
        return last

    def answer(self) -> Answer:
        """What the response said, once it has ended."""
        if self._answer is None:
            self._answer = Answer() if self.reader is None else self.reader.finish()
        return self._answer

    def _head(
        self, parts: Sequence[bytes], dialect: Dialect, stream: bool
    ) -> Sequence[bytes] | None:
        """Take the head; returns the parts behind it.  An interim answer (1xx) is skipped."""
        data = b""
        for number, part in enumerate(parts, 1):
            data += part
            while (stop := data.find(b"\r\n\r\n")) >= 0:
                head, data = parse_head(data[:stop]), data[stop + 4 :]
                if head.status >= 200:
                    self.status = head.status
                    keep = bool(self.prepared.rest)
                    self.reader = Reader(head, dialect, stream=stream, keep_text=keep)
                    self.watch = not self.reader.chunked_events
                    return [data, *parts[number:]] if data else parts[number:]
            if len(data) > _HEAD_MAX:
                raise WireError("the head of the answer is too long")
        return None


def _is_head_of_chunks(data: bytes) -> bool:
    """Whether this is a good answer's head and nothing else: a chunk follows in any case."""
    good = data.startswith(b"HTTP/1.1 200 ") and b"chunked\r\n" in data
    return good and data.find(_MAY_BE_LAST) == len(data) - len(_MAY_BE_LAST)
