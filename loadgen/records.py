"""What happened to every request, as values and as a JSONL file that a kill cannot spoil.

Times are seconds since the run's start on one monotonic clock, None where it did not happen.
The file's first line describes the run, the last says how it ended; between them one line a
request, written as it ends.
"""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from firsttoken.errors import ConfigError

__all__ = [
    "INTERRUPTED",
    "VERSION",
    "ErrorClass",
    "Generator",
    "Phase",
    "Record",
    "Run",
    "Writer",
    "read",
]

VERSION = "firsttoken.records/v2"
READABLE = (VERSION, "firsttoken.records/v1")
INTERRUPTED = "interrupted"
"""The error of a request that the generator itself broke off because the run was stopped."""

Phase = Literal["warmup", "measure", "cooldown", "drain"]

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
    gaps: tuple[float, ...]
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
        """(last - first) / (output tokens - 1), in seconds; None below two tokens."""
        span = _span(self.first, self.last)
        if span is None or self.output_tokens is None or self.output_tokens < 2:
            return None
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


@dataclasses.dataclass(frozen=True, slots=True)
class Generator:
    """How the load generator itself fared in the measured window; times in seconds.

    ``lag`` is how late a due request was taken up, before any connecting; ``lag_p99_low`` is what
    its 99th percentile is at least, with 97.5 % confidence; ``late_wakeups`` is the
    99th percentile of the event loop's own lateness; ``held_back`` counts requests that had to
    wait for ``max_in_flight``; ``cpu_share`` is CPU time over time, of one core.
    """

    cpu_share: float = 0.0
    lag_p50: float = 0.0
    lag_p99: float = 0.0
    lag_max: float = 0.0
    late_wakeups: float = 0.0
    held_back: int = 0
    lag_p99_low: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run: what was asked of which server, how it ended, and all records."""

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
    records: tuple[Record, ...]

    @property
    def measured(self) -> tuple[Record, ...]:
        """Requests due in the measured window, less those that stopping the run broke off."""
        start, end = self.measure
        return tuple(
            r for r in self.records if start <= r.intended < end and r.error != INTERRUPTED
        )

    @property
    def measured_seconds(self) -> float:
        """Length of the measured window."""
        return max(0.0, self.measure[1] - self.measure[0])

    @property
    def open_loop(self) -> bool:
        """Whether requests were sent on schedule, whatever the server did."""
        arrivals = self.load.get("arrivals", {})
        return isinstance(arrivals, dict) and arrivals.get("kind") != "closed"


def _span(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


_PLAIN = tuple(name for name in Record.__slots__ if name != "gaps")


class Writer:
    """Appends a run to a file, a line at a time; each line is on its way to disk when written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", buffering=1)
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def begin(self, run: Run) -> None:
        """Write what is known before the first request."""
        fields = ("version", "target", "model", "engine", "started", "measure", "load")
        head = {name: getattr(run, name) for name in (*fields, "schedule_hash")}
        self._write(json.dumps({"kind": "run", **head}, separators=(",", ":")))

    def add(self, record: Record) -> None:
        """Write one finished request; times to the microsecond."""
        self._write(_line(record))

    def end(self, run: Run) -> None:
        """Write how the run ended."""
        tail = {
            "kind": "end",
            "measure": run.measure,
            "interrupted": run.interrupted,
            "stopped": run.stopped,
            "generator": dataclasses.asdict(run.generator),
        }
        self._write(json.dumps(tail, separators=(",", ":")))

    def _write(self, line: str) -> None:
        assert self._file is not None, "used outside its with block"  # noqa: S101
        try:
            self._file.write(line + "\n")
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None


def _line(record: Record) -> str:
    # Written by hand, because this runs while other streams are being timed: asdict copies
    # deeply, and json writes hundreds of floats several times slower than a format does.
    data: dict[str, Any] = {}
    for name in _PLAIN:
        value = getattr(record, name)
        data[name] = round(value, 6) if isinstance(value, float) else value
    gaps = ",".join([str(gap) for gap in _microseconds(record.gaps)])
    return f'{json.dumps(data, separators=(",", ":"))[:-1]},"gaps":[{gaps}]}}'


def _microseconds(gaps: Sequence[float]) -> list[int]:
    """Gaps as whole microseconds whose sum does not drift: each end is rounded, not each gap."""
    ends = [round(end * 1e6) for end in itertools.accumulate(gaps, initial=0.0)]
    return [after - before for before, after in itertools.pairwise(ends)]


def read(path: Path) -> Run:
    """The run in a records file; one cut off anywhere is read as far as it goes, as interrupted.

    Raises ConfigError where the file cannot be read or is not a records file.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None
    lines = text.split("\n")
    rows = [_row(path, number, line, number == len(lines)) for number, line in enumerate(lines, 1)]
    known = [row for row in rows if row is not None]
    if not known or known[0].get("kind") != "run":
        raise ConfigError(path, ["line 1: not a records file: expected the line of the run"])
    head, rest = known[0], known[1:]
    if head.get("version") not in READABLE:
        raise ConfigError(path, [f"line 1: version {head.get('version')!r}, expected {VERSION!r}"])
    ended = bool(rest) and rest[-1].get("kind") == "end"
    tail = rest.pop() if ended else {}
    try:
        return _run(head, rest, tail)
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigError(path, [f"not a records file: {exc}"]) from None


def _row(path: Path, number: int, line: str, final: bool) -> dict[str, Any] | None:
    if not line.strip():
        return None
    with contextlib.suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict):
            return row
    if final:  # no line break after it: the writer was cut off here
        return None
    raise ConfigError(path, [f"line {number}: not a JSON object"])


def _run(head: dict[str, Any], rows: list[dict[str, Any]], tail: dict[str, Any]) -> Run:
    # The first version had gaps in seconds.
    unit = 1e-6 if head["version"] == VERSION else 1.0
    records = tuple(
        Record(
            **{name: row[name] for name in _PLAIN if name in row},
            gaps=tuple([round(gap * unit, 6) for gap in row["gaps"]]),
        )
        for row in rows
    )
    start, end = tail.get("measure", head["measure"])
    if not tail:  # killed: nothing is known after the last request that ended
        end = min(end, max([start, *(r.ended for r in records if r.ended is not None)]))
    return Run(
        version=head["version"],
        target=head["target"],
        model=head["model"],
        engine=head["engine"],
        started=head["started"],
        measure=(start, end),
        load=head["load"],
        schedule_hash=head["schedule_hash"],
        interrupted=bool(tail.get("interrupted", True)),
        stopped=tail.get("stopped") if tail else "the records file was cut off",
        generator=Generator(**tail.get("generator", {})),
        records=records,
    )
