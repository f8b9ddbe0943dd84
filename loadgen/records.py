"""Records in a JSONL file that a kill cannot spoil, written and read without holding them all.

The first line describes the run, the last says how it ended; between them one line a request, in
the order in which they ended.  Several processes append to one file, whole lines at a time.
"""

import contextlib
import dataclasses
import itertools
import json
import operator
import os
import time
from array import array
from collections import abc
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from firsttoken.errors import ConfigError
from firsttoken.loadgen import parquet
from firsttoken.loadgen.record import (
    INTERRUPTED,
    VERSION,
    ErrorClass,
    Generator,
    Phase,
    Record,
    Run,
    ShardResult,
    Streamed,
)

__all__ = [
    "INTERRUPTED",
    "VERSION",
    "ErrorClass",
    "Generator",
    "Phase",
    "Record",
    "Run",
    "Writer",
    "convert",
    "read",
]

READABLE = (VERSION, "firsttoken.records/v1")
IN_MEMORY = 20_000
"""Up to so many records are held; more are read from the file each time they are asked for."""
Rows = abc.Generator[dict[str, Any], None, None]
_FLUSH_BYTES = 1 << 16
_FLUSH_S = 0.2
_encode = json.JSONEncoder(separators=(",", ":")).encode
_PLAIN = tuple(name for name in Record.__slots__ if name != "gaps")
_plain = operator.attrgetter(*_PLAIN)


class Writer:
    """Appends a run to a file; ``add`` keeps a line for a moment, so that writes are few."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._path, self._append = path, append
        self._file = -1
        self._lines: list[str] = []
        self._size = 0
        self._flushed = 0.0

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, flags | (0 if self._append else os.O_TRUNC), 0o644)
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        os.close(self._file)

    def begin(self, run: Run) -> None:
        """Write what is known before the first request."""
        fields = ("version", "target", "model", "engine", "started", "measure", "load")
        head = {name: getattr(run, name) for name in (*fields, "schedule_hash")}
        self._line(json.dumps({"kind": "run", **head}, separators=(",", ":")))
        self.flush()

    def add(self, record: Record) -> None:
        """Write one finished request; times to the microsecond."""
        self._line(_line(record))

    def end(self, run: Run) -> None:
        """Write how the run ended."""
        tail: dict[str, Any] = {
            "kind": "end",
            "measure": run.measure,
            "interrupted": run.interrupted,
            "stopped": run.stopped,
            "generator": dataclasses.asdict(run.generator),
        }
        if run.shards:
            tail["shards"] = [dataclasses.asdict(shard) for shard in run.shards]
        self._line(json.dumps(tail, separators=(",", ":")))
        self.flush()

    def tick(self) -> None:
        """Flush what has waited for some time."""
        if self._lines and time.monotonic() - self._flushed > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand what was added to the system.  Raises ConfigError when the disk is full."""
        if not self._lines:
            return
        data = memoryview("".join(self._lines).encode())
        self._lines.clear()
        self._size = 0
        self._flushed = time.monotonic()
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as exc:
            raise ConfigError(self._path, [f"cannot be written: {exc.strerror}"]) from None

    def _line(self, line: str) -> None:
        self._lines.append(line + "\n")
        self._size += len(line)
        if self._size > _FLUSH_BYTES:
            self.flush()


def _line(record: Record) -> str:
    # Written by hand, because this runs while other streams are being timed: asdict copies
    # deeply, and json writes hundreds of floats several times slower than a format does.
    data = {
        name: round(value, 6) if value.__class__ is float else value
        for name, value in zip(_PLAIN, _plain(record), strict=True)
    }
    gaps = _microseconds(record.gaps)
    written = ("%d," * len(gaps) % tuple(gaps))[:-1]
    return f'{_encode(data)[:-1]},"gaps":[{written}]}}'


def _microseconds(gaps: Sequence[float]) -> list[int]:
    """Gaps as whole microseconds whose sum does not drift: each end is rounded, not each gap."""
    ends = np.asarray(gaps, np.float64).cumsum()
    ends *= 1e6
    ends += 0.5
    whole = ends.astype(np.int64)
    whole[1:] -= whole[:-1].copy()
    found: list[int] = whole.tolist()
    return found


def convert(source: Path, target: Path) -> None:
    """Write a records file as Parquet.  Raises ConfigError, and NotJudgedError without pyarrow."""
    parquet.write(_rows(source), target)


def read(path: Path) -> Run:
    """The run in a records file; one cut off anywhere is read as far as it goes, as interrupted.

    Raises ConfigError where the file cannot be read or is not a records file.
    """
    try:
        with contextlib.closing(_rows(path)) as rows:
            head = next(rows, None)
            if head is None or head.get("kind") != "run":
                raise ConfigError(
                    path, ["line 1: not a records file: expected the line of the run"]
                )
            version = head.get("version")
            if version not in READABLE:
                raise ConfigError(path, [f"line 1: version {version!r}, expected {VERSION!r}"])
            return _run(path, head, rows)
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigError(path, [f"not a records file: {exc}"]) from None


def _from_file(path: Path, version: str, count: int) -> Iterator[Record]:
    rows = (row for row in _rows(path) if "kind" not in row)
    for row in itertools.islice(rows, count):
        yield _record(row, version)


def _rows(path: Path) -> Rows:
    """The file's objects, one a line; what comes after the last line break was being written."""
    if path.suffix == ".parquet":
        yield from parquet.rows(path)
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = None
                with contextlib.suppress(ValueError):
                    row = json.loads(line)
                if isinstance(row, dict):
                    yield row
                elif line.endswith("\n"):
                    raise ConfigError(path, [f"line {number}: not a JSON object"])
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None


def _run(path: Path, head: dict[str, Any], rows: Iterator[dict[str, Any]]) -> Run:
    version = head["version"]
    held: list[Record] = []
    tail: dict[str, Any] = {}
    count, latest = 0, 0.0
    for row in rows:
        if row.get("kind") == "end":
            tail = row
            continue
        count += 1
        latest = max(latest, row["ended"] or 0.0)
        if count <= IN_MEMORY:
            held.append(_record(row, version))
        elif held:
            held.clear()

    def again() -> Iterator[Record]:
        return _from_file(path, version, count)

    start, end = tail.get("measure", head["measure"])
    if not tail:  # killed: nothing is known after the last request that ended
        end = min(end, max(start, latest))
    return Run(
        version=version,
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
        records=tuple(held) if count <= IN_MEMORY else Streamed(again, count),
        shards=tuple(map(_shard, tail.get("shards", ()))),
    )


def _shard(row: dict[str, Any]) -> ShardResult:
    return ShardResult(**{**row, "generator": Generator(**row["generator"])})


def _record(row: dict[str, Any], version: str) -> Record:
    # The first version had gaps in seconds.
    unit = 1e6 if version == VERSION else 1.0
    gaps = array("d", row["gaps"])
    seconds = np.frombuffer(gaps)
    seconds /= unit
    return Record(**{name: row[name] for name in _PLAIN if name in row}, gaps=gaps)
