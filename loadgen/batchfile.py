"""Requests in the form of OpenAI's batch input files: a JSON object a line, sent as they are.

https://platform.openai.com/docs/guides/batch: ``custom_id``, ``method``, ``url`` and ``body``; the
same files are what ``vllm run-batch`` takes.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from firsttoken.loadgen.trace import Skipped

__all__ = ["PATHS", "Request", "requests"]

PATHS = ("/v1/chat/completions", "/v1/completions")


class Request(NamedTuple):
    """One request: where it goes, and its body."""

    name: str
    path: str
    body: dict[str, Any]


def requests(lines: Iterable[str]) -> Iterator[Request | Skipped]:
    """The requests of a file; those for other paths than ``PATHS`` cannot be streamed."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            url, body = data["url"], data["body"]
        except (ValueError, KeyError, TypeError):
            yield Skipped(number, "not a request")
            continue
        if data.get("method", "POST") != "POST" or url not in PATHS:
            yield Skipped(number, "for another path than completions")
        elif not isinstance(body, dict) or not (body.get("messages") or body.get("prompt")):
            yield Skipped(number, "asks nothing")
        else:
            yield Request(str(data.get("custom_id", number)), url, body)
