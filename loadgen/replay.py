"""The records of one of our own runs as a trace: its times and lengths, to be had again."""

from collections.abc import Iterator
from pathlib import Path

from firsttoken.loadgen.records import read
from firsttoken.loadgen.trace import Row, Skipped

__all__ = ["rows"]


def rows(path: Path) -> Iterator[Row | Skipped]:
    """The requests of a records file, warm-up included, in the order in which they were due.

    Lengths are those that were asked for, else those that were had; a failed request of which
    neither is known cannot be replayed.  Raises ConfigError.
    """
    run = read(path)
    for number, record in enumerate(sorted(run.records, key=lambda r: r.intended), 2):
        # A later turn's target is what its user said, without the conversation before it.
        asked = record.prompt_target if record.turn == 0 else None
        prompt, output = asked or record.prompt_tokens, record.output_target or record.output_tokens
        if not prompt or not output:
            yield Skipped(number, "had failed")
        else:
            yield Row(record.intended, prompt, output, model=record.model, session=record.session)
