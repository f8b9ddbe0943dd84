"""Reads a file of a trace, whatever its format: told by its first line, gzip by its name."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TextIO, cast

from firsttoken.errors import ConfigError
from firsttoken.loadgen import azure, burstgpt, mooncake, replay
from firsttoken.loadgen.trace import Row, Skipped, Trace, collect

__all__ = ["Format", "detect", "read_trace"]

Format = Literal["azure", "burstgpt", "mooncake", "records"]


def detect(line: str) -> Format | None:
    """The format of a file with this first line; None where it is none that is known."""
    try:
        data = json.loads(line)
    except ValueError:
        columns = {name.strip() for name in next(csv.reader([line.lstrip("\ufeff")]), [])}
        if columns >= azure.COLUMNS:
            return "azure"
        return "burstgpt" if columns >= burstgpt.COLUMNS else None
    if not isinstance(data, dict):
        return None
    if data.get("kind") == "run":
        return "records"
    return "mooncake" if set(data) >= mooncake.FIELDS else None


def read_trace(
    path: Path,
    *,
    start: float = 0.0,
    length: float | None = None,
    longest: int | None = None,
    block_tokens: int = mooncake.BLOCK_TOKENS,
) -> Trace:
    """A stretch of the trace in a file.

    Raises ConfigError for a file that cannot be read, is no trace, or has no request there.
    """
    try:
        with _open(path) as lines:
            kind = detect(lines.readline())
            if kind is None:
                known = "Azure or BurstGPT CSV, Mooncake JSONL, or records of a run"
                raise ConfigError(path, [f"line 1: not a trace that is known ({known})"])
            lines.seek(0)
            found = _rows(kind, path, lines, block_tokens)
            trace = collect(found, start=start, length=length, longest=longest)
    except UnicodeDecodeError:
        raise ConfigError(path, ["is not UTF-8 text"]) from None
    except (OSError, EOFError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ConfigError(path, [f"cannot be read: {reason}"]) from None
    if not trace.rows:
        why = ", ".join(f"{count} {reason}" for reason, count in trace.skipped.items())
        raise ConfigError(path, [f"no request to replay{why and f' (left out: {why})'}"])
    return trace


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _rows(kind: Format, path: Path, lines: TextIO, block_tokens: int) -> Iterator[Row | Skipped]:
    if kind == "records":
        return replay.rows(path)
    if kind == "mooncake":
        return mooncake.rows(lines, block_tokens)
    return azure.rows(lines) if kind == "azure" else burstgpt.rows(lines)
