"""What happened to every request, as values.

Times are seconds since the run's start on one monotonic clock, None where it did not happen.
"""

import dataclasses
import itertools
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, overload

__all__ = [
    "INTERRUPTED",
    "PLAIN",
    "VERSION",
    "ErrorClass",
    "Generator",
    "Phase",
    "Reading",
    "Record",
    "Run",
    "ShardResult",
    "Streamed",
]

VERSION = "firsttoken.records/v2"
INTERRUPTED = "interrupted"
"""The error of a request that the generator itself broke off because the run was stopped."""

Phase = Literal["warmup", "measure", "cooldown", "drain"]

Reading = Literal["io_uring", "epoll"]
"""How the load generator learns what its sockets have got."""

ErrorClass = Literal[
    "refused",
    "dns",
    "unreachable",
    "tls",
    "timeout",
    "reset",
    "http",
    "protocol",
    "stream",
    "cut_short",
    "empty",
    "wrong_token_count",
    "interrupted",
]
"""What kind of failure an ``error`` is; few enough to count by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One request: when it was due, what came back and when, and how it ended.

    ``first_byte`` is the first of the response, its head; ``first`` and ``last`` are content.
    ``prompt_target`` and ``output_target`` are the tokens that were asked for, ``bytes`` what came
    of the body.  ``trace_id`` is what its request carried as ``X-Request-Id``.
    """

    index: int
    intended: float
    sent: float | None
    first: float | None
    last: float | None
    ended: float | None
    chunks: int
    prompt_tokens: int | None
    output_tokens: int | None
    output_source: Literal["usage", "chunks"] | None
    status: int | None
    error: str | None
    finish_reason: str | None
    gaps: Sequence[float]
    phase: Phase
    error_class: ErrorClass | None = None
    first_byte: float | None = None
    bytes: int = 0
    prompt_target: int | None = None
    output_target: int | None = None
    workload: str = "synthetic"
    model: str | None = None
    session: str | None = None
    turn: int = 0
    trace_id: str | None = None

    def __post_init__(self) -> None:
        # A tuple of numbers takes four times as much memory.
        if not isinstance(self.gaps, array):
            object.__setattr__(self, "gaps", array("d", self.gaps))

    @property
    def ok(self) -> bool:
        """Whether a complete answer came."""
        return self.error is None

    @property
    def ttft(self) -> float | None:
        """First generated content since the request's last byte was sent, in seconds."""
        return _span(self.sent, self.first)

    @property
    def scheduled_ttft(self) -> float | None:
        """First generated content since the moment the request was due, in seconds."""
        return _span(self.intended, self.first)

    @property
    def tpot(self) -> float | None:
        """(last - first) / (output tokens - 1), in seconds; None below two tokens or chunks."""
        span = _span(self.first, self.last)
        if span is None or (self.output_tokens or 0) < 2 or self.chunks < 2:
            return None
        assert self.output_tokens is not None  # noqa: S101
        return span / (self.output_tokens - 1)

    @property
    def e2e(self) -> float | None:
        """End of the response since the request's last byte was sent, in seconds."""
        return _span(self.sent, self.ended)

    @property
    def scheduled_e2e(self) -> float | None:
        """End of the response since the moment the request was due, in seconds."""
        return _span(self.intended, self.ended)

    @property
    def lag(self) -> float | None:
        """How long after it was due the request's last byte was sent, in seconds."""
        return _span(self.intended, self.sent)


PLAIN = tuple(name for name in Record.__slots__ if name != "gaps")
"""The fields of a record that have one value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Generator:
    """How the load generator itself fared in the measured window; times in seconds.

    ``lag`` is how late a due request was taken up, before any connecting; ``lag_p99_low`` is what
    its 99th percentile is at least, with 97.5 % confidence; ``late_wakeups`` is the
    99th percentile of the event loop's own lateness; ``held_back`` counts requests that had to
    wait for ``max_in_flight``; ``turns_dropped`` those that were not sent, because the turn
    before them failed; ``cpu_share`` is CPU time over time, of one core; ``reading`` how its
    sockets were read.
    """

    cpu_share: float = 0.0
    lag_p50: float = 0.0
    lag_p99: float = 0.0
    lag_max: float = 0.0
    late_wakeups: float = 0.0
    held_back: int = 0
    lag_p99_low: float = 0.0
    turns_dropped: int = 0
    reading: Reading | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ShardResult:
    """How one of several processes that shared a run's plan fared; times in seconds.

    It ``started`` so long after the first of them.  ``planned`` sessions were its share, None in a
    closed loop; ``missing`` of them were never asked.  ``lost`` says what became of a process that
    did not reach its end.  Its clock was ``clock_offset`` ahead, give or take ``clock_error``, and
    ``clock_drift`` more at the end.
    """

    index: int
    host: str
    asked: int
    started: float | None = None
    planned: int | None = None
    missing: int | None = None
    lost: str | None = None
    clock_offset: float | None = None
    clock_error: float | None = None
    clock_drift: float | None = None
    generator: Generator = Generator()


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run: what was asked of which server, how it ended, and all records.

    ``shards`` has a line for each process, where several on a cluster shared the plan.
    """

    version: str
    target: str
    model: str
    engine: str | None
    started: float
    measure: tuple[float, float]
    load: dict[str, Any]
    schedule_hash: str
    interrupted: bool
    stopped: str | None
    generator: Generator
    records: Sequence[Record]
    shards: tuple[ShardResult, ...] = ()

    @property
    def measured(self) -> Sequence[Record]:
        """Requests due in the measured window, less those that stopping the run broke off."""
        start, end = self.measure

        def inside() -> Iterator[Record]:
            for record in self.records:
                if start <= record.intended < end and record.error != INTERRUPTED:
                    yield record

        return tuple(inside()) if isinstance(self.records, tuple) else Streamed(inside)

    @property
    def measured_seconds(self) -> float:
        """Length of the measured window."""
        return max(0.0, self.measure[1] - self.measure[0])

    @property
    def provider(self) -> str:
        """The server's name in metrics and spans: such as ``vllm`` of ``vllm 0.32.0``.

        Of a server that does not say, what its API is like.
        """
        name = re.sub(r"[^a-z0-9_.]", "_", (self.engine or "").lower().partition(" ")[0])
        return name if name and not name[0].isdigit() else "openai"

    @property
    def open_loop(self) -> bool:
        """Whether requests were sent on schedule, whatever the server did."""
        arrivals = self.load.get("arrivals", {})
        return isinstance(arrivals, dict) and arrivals.get("kind") != "closed"


def _span(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


class Streamed(Sequence[Record]):
    """So many records that they are read anew each time; ``records`` gives them from the first."""

    def __init__(self, records: Callable[[], Iterable[Record]], count: int | None = None) -> None:
        self._records, self._count = records, count

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records())

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, at: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(at, slice):
            chosen = range(*at.indices(len(self)))
            return tuple(record for number, record in enumerate(self) if number in chosen)
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return next(itertools.islice(self, at % len(self), None))
