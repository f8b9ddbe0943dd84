"""Answers as vLLM writes them: JSON bodies, and the chunks of a stream with as little work a token.

Everything of a chunk that stays the same through a request is encoded once; a token costs the
encoding of its text.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from firsttoken.simulate.answers import Answer

__all__ = ["DONE", "ChatFormat", "CompletionFormat", "Format", "Head", "event", "usage"]

DONE = b"data: [DONE]\n\n"
# vLLM's last chunk and whole answers have one, made of its version and configuration.
FINGERPRINT = "vllm-0.32.0-simulated"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of an answer share."""

    model: str
    prompt: Sequence[int]
    token_ids: bool  # whether they are returned
    running_usage: bool  # whether every chunk has the usage so far
    usage_at_end: bool  # whether a chunk with the usage follows the last token


class Format(Protocol):
    """How one endpoint writes its answers."""

    def opening(self) -> bytes:
        """What comes before the first token."""
        ...

    def chunk(
        self, text: str, tokens: Sequence[int], total: int, answer: Answer, finish: str | None
    ) -> bytes:
        """One chunk of a stream; ``total`` counts the tokens up to its end."""
        ...

    def closing(self, completion_tokens: int) -> bytes:
        """The chunk with the usage at the end of a stream."""
        ...

    def body(self, answer: Answer) -> dict[str, Any]:
        """The answer as a whole."""
        ...


def event(data: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return f"data: {_encode(data)}\n\n".encode()


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The usage of a request."""
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }


class _Writer:
    """Chunks made of a beginning and an end that are encoded once, and of what is between."""

    prefix = ""
    kind = ""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.shared = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "object": self.kind,
            "created": int(time.time()),
            "model": head.model,
        }
        self._begin = _encode(self.shared)[:-1] + ',"choices":['
        self._end = "]}"

    def _frame(self, choice: str, total: int, finish: str | None) -> bytes:
        end = self._end
        if self.head.running_usage:
            end = f'],"usage":{_encode(usage(len(self.head.prompt), total))}}}'
        if finish is not None and not self.head.usage_at_end:
            end = f'{end[:-1]},"system_fingerprint":"{FINGERPRINT}"}}'
        return f"data: {self._begin}{choice}{end}\n\n".encode()

    def _finish(self, answer: Answer, finish: str | None) -> tuple[str, str]:
        if finish is None:
            return "null", "null"
        return f'"{finish}"', _encode(answer.stop_reason)

    def _ids(self, tokens: Sequence[int]) -> str:
        return _encode(list(tokens)) if self.head.token_ids else "null"

    def closing(self, completion_tokens: int) -> bytes:
        """The chunk with the usage at the end of a stream."""
        counts = usage(len(self.head.prompt), completion_tokens)
        last = {"choices": [], "usage": counts, "system_fingerprint": FINGERPRINT}
        return event({**self.shared, **last})

    def _usage(self, answer: Answer) -> dict[str, Any]:
        counts: dict[str, Any] = {**usage(len(self.head.prompt), len(answer.tokens))}
        return {**counts, "prompt_tokens_details": None, "completion_tokens_details": None}


class CompletionFormat(_Writer):
    """``/v1/completions``."""

    prefix = "cmpl"
    kind = "text_completion"

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        # The first chunk alone has the prompt's ids.
        self._prompt_ids = _encode(list(head.prompt)) if head.token_ids else "null"

    def opening(self) -> bytes:
        """Nothing: the first token is in the first chunk."""
        return b""

    def chunk(
        self, text: str, tokens: Sequence[int], total: int, answer: Answer, finish: str | None
    ) -> bytes:
        """One chunk of a stream."""
        ended, reason = self._finish(answer, finish)
        prompt_ids, self._prompt_ids = self._prompt_ids, "null"
        return self._frame(
            f'{{"index":0,"text":{_encode(text)},"logprobs":null,"finish_reason":{ended},'
            f'"stop_reason":{reason},"prompt_token_ids":{prompt_ids},'
            f'"token_ids":{self._ids(tokens)}}}',
            total,
            finish,
        )

    def body(self, answer: Answer) -> dict[str, Any]:
        """The answer as a whole."""
        ids = self.head.token_ids
        choice = {
            "index": 0,
            "text": "".join(answer.texts),
            "logprobs": None,
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": list(answer.tokens) if ids else None,
            "prompt_logprobs": None,
            "prompt_token_ids": list(self.head.prompt) if ids else None,
        }
        return {
            **self.shared,
            "choices": [choice],
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": self._usage(answer),
            "kv_transfer_params": None,
        }


class ChatFormat(_Writer):
    """``/v1/chat/completions``."""

    prefix = "chatcmpl"
    kind = "chat.completion.chunk"

    def opening(self) -> bytes:
        """The chunk that names the role, which goes out together with the first token."""
        head = self.head
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        first = {**self.shared, "choices": [choice]}
        if head.running_usage:
            first["usage"] = usage(len(head.prompt), 0)
        first["prompt_token_ids"] = list(head.prompt) if head.token_ids else None
        return event(first)

    def chunk(
        self, text: str, tokens: Sequence[int], total: int, answer: Answer, finish: str | None
    ) -> bytes:
        """One chunk of a stream."""
        ended, reason = self._finish(answer, finish)
        stop = f'"stop_reason":{reason},' if finish else ""
        return self._frame(
            f'{{"index":0,"delta":{{"content":{_encode(text)}}},"logprobs":null,'
            f'"finish_reason":{ended},{stop}"token_ids":{self._ids(tokens)}}}',
            total,
            finish,
        )

    def body(self, answer: Answer) -> dict[str, Any]:
        """The answer as a whole."""
        ids = self.head.token_ids
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(answer.texts),
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
            "reasoning": None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": list(answer.tokens) if ids else None,
        }
        return {
            **self.shared,
            "object": "chat.completion",
            "choices": [choice],
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": self._usage(answer),
            "prompt_logprobs": None,
            "prompt_token_ids": list(self.head.prompt) if ids else None,
            "kv_transfer_params": None,
        }
