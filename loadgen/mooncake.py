"""Mooncake's traces: a JSON object a line, with hashes of the prompt's blocks.

https://github.com/kvcache-ai/Mooncake, FAST25-release: ``timestamp`` in milliseconds, a hash in
``hash_ids`` for each block of 512 tokens, the last one partly filled.  A hash stands for a block
and all before it, so that two requests share what their lists begin with.
"""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from firsttoken.loadgen.trace import Row, Skipped

__all__ = ["BLOCK_TOKENS", "FIELDS", "rows"]

BLOCK_TOKENS = 512
FIELDS = frozenset({"timestamp", "input_length", "output_length"})


def rows(lines: Iterable[str], block_tokens: int = BLOCK_TOKENS) -> Iterator[Row | Skipped]:
    """The requests of a file; one whose blocks do not add up to its length is not replayed."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            row = _row(data)
        except (ValueError, KeyError, TypeError, OverflowError):
            yield Skipped(number, "not a request")
            continue
        if row.prompt < 1 or row.output < 1:
            yield Skipped(number, "no tokens")
        elif row.blocks and len(row.blocks) != -(-row.prompt // block_tokens):
            yield Skipped(number, f"hashes of blocks that are not of {block_tokens} tokens")
        else:
            yield row


def _row(data: dict[str, Any]) -> Row:
    at, blocks, session = data["timestamp"], data.get("hash_ids") or [], data.get("session_id")
    numbers = (data["input_length"], data["output_length"], *blocks)
    if not all(type(value) is int for value in numbers) or not math.isfinite(at):
        raise ValueError("not whole numbers")
    prompt, output, *_ = numbers
    return Row(at / 1000, prompt, output, tuple(blocks), session=session and str(session))
