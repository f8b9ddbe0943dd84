"""The records of one of our own runs as a trace: its times and lengths, to be had again."""

from collections.abc import Iterator
from pathlib import Path

from firsttoken.loadgen.records import read
from firsttoken.loadgen.trace import Row, Skipped

__all__ = ["rows"]


def rows(path: Path) -> Iterator[Row | Skipped]:
    """The requests of a records file, warm-up included, in the order in which they were due.

    A request that failed before its tokens were counted cannot be replayed.  Raises ConfigError.
    """
    run = read(path)
    for number, record in enumerate(sorted(run.records, key=lambda r: r.intended), 2):
        if record.prompt_tokens is None or not record.output_tokens:
            yield Skipped(number, "had failed")
        else:
            yield Row(record.intended, record.prompt_tokens, record.output_tokens)
