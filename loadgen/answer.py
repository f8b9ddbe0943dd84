"""A streamed completion out of its events: when tokens came, how many, and how it ended."""

import dataclasses
import itertools
import json
import re
from typing import Any, Literal

from firsttoken.loadgen.sse import Decoder, Event

__all__ = ["Answer", "Reader"]

_TEXT = re.compile(rb'"(?:content|text)":"[^"]')
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


@dataclasses.dataclass(slots=True)
class Answer:
    """What a stream said; ``times`` are the arrivals of its content chunks, in the order given."""

    times: list[float] = dataclasses.field(default_factory=list)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    output_source: Literal["usage", "chunks"] | None = None
    finish_reason: str | None = None
    error: str | None = None

    @property
    def gaps(self) -> tuple[float, ...]:
        """The times between successive content chunks."""
        times = self.times
        return tuple(after - before for before, after in itertools.pairwise(times))


class Reader:
    """Reads the body of an event stream, part by part with each part's arrival time."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._answer = Answer()
        self._done = False

    def feed(self, time: float, data: bytes) -> None:
        """Take a part of the body that arrived at ``time``."""
        if _is_plain_token(data) and self._decoder.between and not self._done:
            self._answer.times.append(time)
            return
        for event in self._decoder.feed(data):
            self._event(time, event)

    def finish(self) -> Answer:
        """The answer, once the body has ended."""
        answer = self._answer
        if answer.error is None and not self._done:
            answer.error = "stream ended without [DONE]"
        if answer.error is None and not answer.times:
            answer.error = "no tokens in the answer"
        if answer.output_tokens is None and answer.times:
            answer.output_tokens, answer.output_source = len(answer.times), "chunks"
        return answer

    def _event(self, time: float, event: Event) -> None:
        if self._done:
            return
        if event.data == "[DONE]":
            self._done = True
            return
        try:
            chunk = json.loads(event.data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self._fail("error in stream: not JSON")
        elif event.name == "error" or chunk.get("error") or chunk.get("object") == "error":
            self._fail(f"error in stream: {_message(chunk)}")
        else:
            self._chunk(time, chunk)

    def _fail(self, error: str) -> None:
        if self._answer.error is None:
            self._answer.error = error

    def _chunk(self, time: float, chunk: dict[str, Any]) -> None:
        answer = self._answer
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            choice = choices[0]
            if choice.get("finish_reason") is not None:
                answer.finish_reason = str(choice["finish_reason"])
            if _has_content(choice):
                answer.times.append(time)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
            if isinstance(prompt, int):
                answer.prompt_tokens = prompt
            if isinstance(output, int):
                answer.output_tokens, answer.output_source = output, "usage"


def _is_plain_token(data: bytes) -> bool:
    """Whether a part is one whole event with text and nothing else of interest.

    Nearly every part of a stream is, and JSON is several times slower.  What is looked for cannot
    stand inside of a JSON string, because quotes in strings are escaped; other spacing, and
    whatever else is not recognised, takes the way through JSON.
    """
    return (
        data.startswith(b"data: {")
        and data.find(b"\n") == len(data) - 2
        and data.endswith(b"}\n\n")
        and b"\r" not in data
        and b'"finish_reason":null' in data
        and b'"usage":{' not in data
        and b'"error":' not in data
        and _TEXT.search(data) is not None
    )


def _has_content(choice: dict[str, Any]) -> bool:
    """Whether a chunk carries something that the model generated.

    A chunk that only announces the role, or only says why the answer ended, does not.  An empty
    text in any other chunk does: vLLM sends one for a token that is a part of a character.
    """
    if choice.get("token_ids"):
        return True
    delta = choice.get("delta")
    if isinstance(delta, dict):
        texts = [delta.get(name) for name in _TEXTS]
        if any(texts) or delta.get("tool_calls") or delta.get("function_call"):
            return True
        announced = "role" in delta
    else:
        texts = [choice.get("text")]
        announced = False
        if texts[0]:
            return True
    empty_piece = any(text == "" for text in texts)
    return empty_piece and not announced and choice.get("finish_reason") is None


def _message(chunk: dict[str, Any]) -> str:
    error = chunk.get("error", chunk)
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or "no message").strip().splitlines()[0][:120]
