"""Records as a Parquet file, for notebooks and data bases: a column a field, a row a request."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from firsttoken.errors import ConfigError, NotJudgedError
from firsttoken.loadgen.record import Record

__all__ = ["rows", "write"]

_ROWS = 10_000
_META = "firsttoken"
_INTEGERS = (
    *("index", "chunks", "prompt_tokens", "output_tokens", "status", "bytes", "prompt_target"),
    *("output_target", "turn"),
)
_TIMES = ("intended", "sent", "first_byte", "first", "last", "ended")


def write(lines: Iterator[dict[str, Any]], path: Path) -> None:
    """Write the ``lines`` of a JSONL file; times are seconds, gaps microseconds.

    Raises ConfigError where it cannot be written, NotJudgedError without pyarrow.
    """
    arrow, parquet = _library()
    types = {name: arrow.string() for name in Record.__slots__}
    types |= {name: arrow.int64() for name in _INTEGERS}
    types |= {name: arrow.float64() for name in _TIMES}
    types["gaps"] = arrow.list_(arrow.int32())
    schema = arrow.schema(list(types.items()))
    head: dict[str, Any] = next(lines, {})
    tail: dict[str, Any] = {}
    try:
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            while batch := list(islice(lines, _ROWS)):
                if batch[-1].get("kind") == "end":
                    tail = batch.pop()
                columns = {name: [row.get(name) for row in batch] for name in types}
                writer.write_table(arrow.table(columns, schema=schema))
            meta = json.dumps({"head": head, "tail": tail})
            writer.add_key_value_metadata({_META: meta})
    except OSError as exc:
        raise ConfigError(path, [f"cannot be written: {exc.strerror or exc}"]) from None


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the JSONL file that the Parquet file was made from.

    Raises ConfigError where it is none, NotJudgedError without pyarrow.
    """
    arrow, parquet = _library()
    try:
        with parquet.ParquetFile(path) as file:
            meta = json.loads(file.metadata.metadata[_META.encode()])
            yield meta["head"]
            for batch in file.iter_batches(batch_size=_ROWS):
                yield from batch.to_pylist()
            if meta["tail"]:
                yield meta["tail"]
    except (OSError, KeyError, TypeError, arrow.ArrowInvalid) as exc:
        raise ConfigError(path, [f"not a records file: {str(exc).splitlines()[0]}"]) from None


def _library() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise NotJudgedError("Parquet: pip install 'firsttoken[parquet]' is needed") from None
    return pyarrow, parquet
