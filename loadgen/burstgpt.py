"""BurstGPT's traces: a CSV file of time, model, tokens and, from the third on, conversations.

https://github.com/HPMLL/BurstGPT (schema in its README): ``Timestamp`` in seconds, ``Session ID``
for conversations only; answers of 0 tokens are requests that had failed.
"""

import csv
import math
from collections.abc import Iterable, Iterator

from firsttoken.loadgen.trace import Row, Skipped

__all__ = ["COLUMNS", "rows"]

COLUMNS = frozenset({"Timestamp", "Model", "Request tokens", "Response tokens"})


def rows(lines: Iterable[str]) -> Iterator[Row | Skipped]:
    """The requests of a file, the line of the columns' names first."""
    for number, fields in enumerate(csv.DictReader(lines), 2):
        try:
            at = float(fields["Timestamp"])
            prompt, output = int(fields["Request tokens"]), int(fields["Response tokens"])
        except (ValueError, TypeError):
            yield Skipped(number, "not a request")
            continue
        if not math.isfinite(at):
            yield Skipped(number, "not a request")
        elif output < 1:
            yield Skipped(number, "had failed")
        elif prompt < 1:
            yield Skipped(number, "no tokens")
        else:
            session = (fields.get("Session ID") or "").strip()
            model = (fields["Model"] or "").strip()
            yield Row(at, prompt, output, model=model or None, session=session or None)
