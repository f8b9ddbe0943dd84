"""Azure's LLM inference traces: a CSV file of invocation time, context and generated tokens.

https://github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and ...2024.md; the
multimodal trace of 2025 has these columns too.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from firsttoken.loadgen.trace import Row, Skipped

__all__ = ["COLUMNS", "rows"]

COLUMNS = frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(lines: Iterable[str]) -> Iterator[Row | Skipped]:
    """The requests of a file, the line of the columns' names first; times in Unix seconds."""
    for number, fields in enumerate(csv.DictReader(lines), 2):
        try:
            when = datetime.fromisoformat(fields["TIMESTAMP"].strip())
            prompt, output = int(fields["ContextTokens"]), int(fields["GeneratedTokens"])
        except (ValueError, AttributeError, TypeError):
            yield Skipped(number, "not a request")
            continue
        if prompt < 1 or output < 1:
            yield Skipped(number, "no tokens")
            continue
        at = when if when.tzinfo else when.replace(tzinfo=UTC)
        yield Row((at - _EPOCH).total_seconds(), prompt, output)
