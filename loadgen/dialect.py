"""What servers want to be asked and how they answer: OpenAI's two APIs, TGI's and llama.cpp's.

https://platform.openai.com/docs/api-reference, with vLLM's extras;
https://huggingface.co/docs/text-generation-inference (``/generate``, ``/generate_stream``);
https://github.com/ggml-org/llama.cpp/tree/master/tools/server (``/completion``).
"""

import dataclasses
import json
from array import array
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

__all__ = ["DIALECTS", "Answer", "Ask", "Dialect", "error_message"]

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


@dataclasses.dataclass(slots=True)
class Answer:
    """What a response said; ``times`` are the arrivals of its content chunks, in the order given.

    ``key`` is what its last piece of text was called; ``text`` is what
    was generated, where ``keep_text`` asks for it.
    """

    keep_text: bool = False
    times: "array[float]" = dataclasses.field(default_factory=lambda: array("d"))
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    output_source: Literal["usage", "chunks"] | None = None
    finish_reason: str | None = None
    error: str | None = None
    text: list[str] = dataclasses.field(default_factory=list)
    key: str = ""
    last_part: float = 0.0

    @property
    def gaps(self) -> "array[float]":
        """The times between successive content chunks."""
        times = np.frombuffer(self.times)
        return array("d", (times[1:] - times[:-1]).tobytes())

    def fail(self, error: str) -> None:
        """Note what went wrong, unless something has before."""
        if self.error is None:
            self.error = error

    def count(self, prompt: object, output: object) -> None:
        """Take the server's own counts, where they are numbers."""
        if isinstance(prompt, int):
            self.prompt_tokens = prompt
        if isinstance(output, int):
            self.output_tokens, self.output_source = output, "usage"

    def piece(self, time: float, text: object) -> None:
        """Take a piece of what was generated."""
        self.times.append(time)
        if self.keep_text and isinstance(text, str):
            self.text.append(text)


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """One request in the words of no API; ``prompt`` is a text, token ids or messages."""

    model: str
    prompt: Any
    output_tokens: int | None
    stream: bool = True
    exact: bool = True
    """Whether the answer is to have exactly that length, whatever the model would do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    """One API: where to ask, and how the question and the answers are put.

    ``chunk`` takes one event of a stream into an answer, ``whole`` an answer that was not streamed.
    ``says_done`` is whether a stream ends with ``[DONE]``.
    """

    streaming: str
    plain: str
    body: Callable[[Ask], dict[str, Any]]
    chunk: Callable[[Answer, float, dict[str, Any]], None]
    message: Callable[[Answer, dict[str, Any]], None]
    says_done: bool = True

    def path(self, *, stream: bool) -> str:
        """The path to ask at."""
        return self.streaming if stream else self.plain

    def whole(self, answer: Answer, data: bytes) -> None:
        """Take a body that was not streamed: all of it is one piece, there when it had ended."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and len(found) == 1:
            found = found[0]  # TGI answers /generate with a list at the path /
        if not isinstance(found, dict):
            answer.fail("bad answer: neither an event stream nor JSON")
        elif found.get("error"):
            answer.fail(f"error in answer: {error_message(found)}")
        else:
            self.message(answer, found)


def error_message(data: dict[str, Any]) -> str:
    """The first line of what a server says went wrong."""
    error = data.get("error", data)
    text = error.get("message") if isinstance(error, dict) else error
    lines = str(text or "no message").strip().splitlines()
    return lines[0][:120] if lines else "no message"


# --- OpenAI ---------------------------------------------------------------------------------------


def _openai(field: str) -> Callable[[Ask], dict[str, Any]]:
    def body(ask: Ask) -> dict[str, Any]:
        data: dict[str, Any] = {"model": ask.model, field: ask.prompt, "stream": ask.stream}
        if ask.stream:
            data["stream_options"] = {"include_usage": True}
        if ask.output_tokens is not None:
            data["max_tokens"] = ask.output_tokens
            if ask.exact:
                data["min_tokens"], data["ignore_eos"] = ask.output_tokens, True
        return data

    return body


def _openai_chunk(answer: Answer, time: float, data: dict[str, Any]) -> None:
    choices = data.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice = choices[0]
        if choice.get("finish_reason") is not None:
            answer.finish_reason = str(choice["finish_reason"])
        _openai_piece(answer, time, choice)
    usage = data.get("usage")
    if isinstance(usage, dict):
        answer.count(usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _openai_piece(answer: Answer, time: float, choice: dict[str, Any]) -> None:
    """Take a choice's content, where it carries something that the model generated.

    A chunk that only announces the role, or only says why the answer ended, does not.  An empty
    text in any other chunk does: vLLM sends one for a token that is a part of a character.
    """
    delta = choice.get("delta")
    where = delta if isinstance(delta, dict) else choice
    names = _TEXTS if isinstance(delta, dict) else ("text",)
    for name in names:
        if text := where.get(name):
            answer.piece(time, text if name in {"content", "text"} else None)
            answer.key = name
            return
    if choice.get("token_ids") or where.get("tool_calls") or where.get("function_call"):
        answer.piece(time, None)
        return
    empty_piece = any(where.get(name) == "" for name in names)
    if empty_piece and "role" not in where and choice.get("finish_reason") is None:
        answer.piece(time, None)


def _openai_message(answer: Answer, data: dict[str, Any]) -> None:
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        answer.fail("bad answer: no choices in it")
        return
    message = choice.get("message")
    where = message if isinstance(message, dict) else choice
    text = next((where[name] for name in ("text", *_TEXTS) if where.get(name)), None)
    usage = data.get("usage")
    if isinstance(usage, dict):
        answer.count(usage.get("prompt_tokens"), usage.get("completion_tokens"))
    if text is not None or answer.output_tokens or where.get("tool_calls"):
        answer.piece(answer.last_part, text)
    reason = choice.get("finish_reason")
    answer.finish_reason = None if reason is None else str(reason)


# --- TGI ------------------------------------------------------------------------------------------


def _tgi_body(ask: Ask) -> dict[str, Any]:
    # It has no way to go on past the end of text; whether it did is in the records.
    parameters: dict[str, Any] = {"details": True}
    if ask.output_tokens is not None:
        parameters["max_new_tokens"] = ask.output_tokens
    return {"inputs": ask.prompt, "parameters": parameters}


def _tgi_chunk(answer: Answer, time: float, data: dict[str, Any]) -> None:
    token = data.get("token")
    if isinstance(token, dict) and not (token.get("special") and data.get("generated_text")):
        answer.piece(time, token.get("text"))
    _tgi_details(answer, data.get("details"))


def _tgi_message(answer: Answer, data: dict[str, Any]) -> None:
    if "generated_text" not in data:
        answer.fail("bad answer: no generated_text in it")
        return
    answer.piece(answer.last_part, data["generated_text"])
    _tgi_details(answer, data.get("details"))


def _tgi_details(answer: Answer, details: object) -> None:
    if isinstance(details, dict):
        answer.count(details.get("input_length"), details.get("generated_tokens"))
        prefill = details.get("prefill")
        if answer.prompt_tokens is None and isinstance(prefill, list) and prefill:
            answer.prompt_tokens = len(prefill)
        if details.get("finish_reason") is not None:
            answer.finish_reason = str(details["finish_reason"])


# --- llama.cpp ------------------------------------------------------------------------------------


def _llamacpp_body(ask: Ask) -> dict[str, Any]:
    data: dict[str, Any] = {"prompt": ask.prompt, "stream": ask.stream}
    if ask.output_tokens is not None:
        data["n_predict"] = ask.output_tokens
        data["ignore_eos"] = ask.exact
    return data


def _llamacpp_chunk(answer: Answer, time: float, data: dict[str, Any]) -> None:
    if data.get("content") or (not data.get("stop") and "content" in data):
        answer.piece(time, data.get("content"))
        answer.key = "content"
    if data.get("stop"):
        _llamacpp_end(answer, data)


def _llamacpp_message(answer: Answer, data: dict[str, Any]) -> None:
    if "content" not in data:
        answer.fail("bad answer: no content in it")
        return
    answer.piece(answer.last_part, data["content"])
    _llamacpp_end(answer, data)


def _llamacpp_end(answer: Answer, data: dict[str, Any]) -> None:
    answer.count(data.get("tokens_evaluated"), data.get("tokens_predicted"))
    reasons = {"limit": "length", "eos": "stop", "word": "stop"}
    kind = data.get("stop_type")
    answer.finish_reason = reasons.get(kind, kind) if isinstance(kind, str) else "stop"


DIALECTS = {
    "chat": Dialect(
        "/v1/chat/completions",
        "/v1/chat/completions",
        _openai("messages"),
        _openai_chunk,
        _openai_message,
    ),
    "completions": Dialect(
        "/v1/completions", "/v1/completions", _openai("prompt"), _openai_chunk, _openai_message
    ),
    "tgi": Dialect(
        "/generate_stream", "/generate", _tgi_body, _tgi_chunk, _tgi_message, says_done=False
    ),
    "llamacpp": Dialect(
        "/completion",
        "/completion",
        _llamacpp_body,
        _llamacpp_chunk,
        _llamacpp_message,
        says_done=False,
    ),
}
"""By the name that a load file gives to the API."""
