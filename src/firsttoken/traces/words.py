"""vLLM's words in its spans, and today's: the tables alone, which need no OTLP library."""

from typing import NamedTuple

from firsttoken.catalogue import (
    DECODE_DURATION,
    PREFILL_DURATION,
    QUEUE_DURATION,
    REQUEST_DURATION,
)

__all__ = [
    "OPERATIONS",
    "PROMPT_SUFFIX",
    "PROVIDER_NAME",
    "RENAMES",
    "REQUEST_ID",
    "SPAN_NAME",
    "Operation",
]

SPAN_NAME = "llm_request"
"""vLLM's name of a request's span."""
REQUEST_ID = "gen_ai.request.id"
"""What joins a span with the log; no convention has it, so it stays as it is."""

RENAMES: tuple[tuple[str, str], ...] = (
    ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
    ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
    ("gen_ai.latency.time_to_first_token", "gen_ai.response.time_to_first_chunk"),
    ("gen_ai.latency.e2e", REQUEST_DURATION.name),
    ("gen_ai.latency.time_in_queue", QUEUE_DURATION.name),
    ("gen_ai.latency.time_in_model_prefill", PREFILL_DURATION.name),
    ("gen_ai.latency.time_in_model_decode", DECODE_DURATION.name),
    ("gen_ai.latency.time_in_model_inference", "gen_ai.server.inference.duration"),
    ("gen_ai.request.n", "gen_ai.request.choice.count"),
)
"""Attribute as vLLM (up to 0.32 at least) names it -> its name now."""


class Operation(NamedTuple):
    """How ids of an operation's requests begin, and what its id has behind the response's."""

    prefix: str
    operation: str


OPERATIONS = (
    Operation("chatcmpl-", "chat"),
    Operation("cmpl-", "text_completion"),
    Operation("embd-", "embeddings"),
)
PROMPT_SUFFIX = r"^(cmpl-.*)-[0-9]+$"
"""The id of a completion's request is its response's, a hyphen, and the number of the prompt."""
PROVIDER_NAME = "vllm"
