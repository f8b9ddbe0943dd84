"""Records into a JSONL file that a kill cannot spoil.

The first line describes the run, the last says how it ended; between them one line a request, in
the order in which they ended.  Several processes append to one file, whole lines at a time.
"""

import dataclasses
import json
import operator
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from firsttoken.errors import ConfigError
from firsttoken.loadgen.record import PLAIN, Record, Run

__all__ = ["Writer"]

_FLUSH_BYTES = 1 << 16
_FLUSH_S = 0.2
_encode = json.JSONEncoder(separators=(",", ":")).encode
_plain = operator.attrgetter(*PLAIN)


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
        for name, value in zip(PLAIN, _plain(record), strict=True)
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
