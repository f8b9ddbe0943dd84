"""Records out of a JSONL file (or Parquet), read without holding them all."""

import contextlib
import itertools
import json
from array import array
from collections import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firsttoken.errors import ConfigError
from firsttoken.loadgen import parquet
from firsttoken.loadgen.record import (
    INTERRUPTED,
    PLAIN,
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
    "convert",
    "read",
]

READABLE = (VERSION, "firsttoken.records/v1")
IN_MEMORY = 20_000
"""Up to so many records are held; more are read from the file each time they are asked for."""
Rows = abc.Generator[dict[str, Any], None, None]


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
    gaps = array("d", [gap / unit for gap in row["gaps"]])
    return Record(**{name: row[name] for name in PLAIN if name in row}, gaps=gaps)
