"""The requests of vLLM's OpenAI-compatible API as far as they are simulated, and its errors.

Sampling options that a real model heeds (``temperature`` and its like) are checked and have no
effect.  What would change the shape of an answer, and is not simulated, is refused.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from firsttoken.simulate.answers import Wish
from firsttoken.simulate.tokenizer import SIZE, Tokenizer

__all__ = [
    "ApiError",
    "ChatRequest",
    "CompletionRequest",
    "DetokenizeRequest",
    "GenerationRequest",
    "TokenizeRequest",
    "parse",
]

_TokenId = Annotated[int, Field(ge=0)]


class ApiError(Exception):
    """An answer that is an error; ``body`` is its JSON."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or "BadRequestError"
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI and vLLM shape it."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.param,
                "code": self.status,
            }
        }


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | None = None


class StreamOptions(BaseModel):
    """``stream_options`` of a request."""

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class GenerationRequest(_Body):
    """What completions and chat have in common."""

    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    return_token_ids: bool | None = None
    n: int | None = 1
    logprobs: bool | int | None = None
    echo: bool | None = False
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    structured_outputs: dict[str, Any] | None = None

    @property
    def usage_at_end(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def usage_always(self) -> bool:
        """Whether every chunk has the usage so far."""
        options = self.stream_options
        return bool(options and options.include_usage and options.continuous_usage_stats)

    @abstractmethod
    def limit(self) -> int | None:
        """The limit on output tokens that the request names."""

    @abstractmethod
    def prompt_ids(self, tokenizer: Tokenizer) -> Sequence[int]:
        """The prompt's tokens."""

    def wish(self, prompt_tokens: int, max_model_len: int) -> Wish:
        """The answer that is asked for; raises ApiError where vLLM would refuse the request."""
        self._refuse_unsupported()
        self._refuse_sampling()
        limit = self.limit()
        if limit is not None and limit > max_model_len:
            raise _refusal(
                f"max_tokens={limit} cannot be greater than max_model_len={max_model_len}.",
                "max_tokens",
            )
        if prompt_tokens == 0:
            raise _refusal("The decoder prompt cannot be empty", "prompt")
        if prompt_tokens >= max_model_len:
            raise _refusal(
                f"This model's maximum context length is {max_model_len} tokens, and the prompt"
                f" has {prompt_tokens}, which leaves no room for an answer.",
                "input_tokens",
            )
        room = max_model_len - prompt_tokens
        tokens = room if limit is None else min(limit, room)
        if tokens < 1:
            raise _refusal(f"max_tokens must be at least 1, got {tokens}.", "max_tokens")
        if not 0 <= self.min_tokens <= tokens:
            raise _refusal(
                f"min_tokens must be between 0 and max_tokens={tokens}, got {self.min_tokens}.",
                "min_tokens",
            )
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if "" in stop:
            raise _refusal("stop cannot contain an empty string.", "stop")
        return Wish(tokens, self.min_tokens, self.ignore_eos, stop, self.seed)

    def _refuse_unsupported(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise _refusal(
                "Stream options can only be defined when `stream=True`.", "stream_options"
            )
        if self.n not in (None, 1):
            raise _refusal(
                f"The simulated engine gives one answer a request: n=1, not {self.n}.", "n"
            )
        for name in ("logprobs", "echo", "tools", "structured_outputs"):
            if getattr(self, name):
                raise _refusal(f"The simulated engine does not do {name}.", name)
        if (self.response_format or {}).get("type", "text") != "text":
            raise _refusal("The simulated engine answers in plain text.", "response_format")

    def _refuse_sampling(self) -> None:
        if self.temperature is not None and self.temperature < 0:
            raise _refusal(
                f"temperature must be non-negative, got {self.temperature}.", "temperature"
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise _refusal(f"top_p must be in (0, 1], got {self.top_p}.", "top_p")
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            if value is not None and not -2 <= value <= 2:
                raise _refusal(f"{name} must be in [-2, 2], got {value}.", name)


class CompletionRequest(GenerationRequest):
    """Body of ``/v1/completions``; one prompt, as text or as token ids."""

    prompt: str | list[_TokenId] | list[str] | list[list[_TokenId]]
    max_tokens: int | None = 16
    add_special_tokens: bool = True

    @field_validator("prompt")
    @classmethod
    def _one_prompt(cls, prompt: Any) -> Any:
        if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
            if len(prompt) != 1:
                raise ValueError(f"the simulated engine takes one prompt, not {len(prompt)}")
            return prompt[0]
        return prompt

    def limit(self) -> int | None:
        """``max_tokens``, and 16 without it."""
        return 16 if self.max_tokens is None else self.max_tokens

    def prompt_ids(self, tokenizer: Tokenizer) -> Sequence[int]:
        """The prompt's tokens; raises ApiError for an id that there is not."""
        if isinstance(self.prompt, str):
            return tokenizer.encode(self.prompt, special=self.add_special_tokens)
        ids = [token for token in self.prompt if isinstance(token, int)]
        return _in_vocabulary(ids)


class Message(BaseModel):
    """One message of a conversation; of content in parts, only text counts."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The content as text."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class ChatRequest(GenerationRequest):
    """Body of ``/v1/chat/completions``."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    def limit(self) -> int | None:
        """``max_completion_tokens``, else the older ``max_tokens``; no limit without them."""
        if self.max_completion_tokens is not None:
            return self.max_completion_tokens
        return self.max_tokens

    def prompt_ids(self, tokenizer: Tokenizer) -> Sequence[int]:
        """The conversation's tokens, up to where the answer begins."""
        return tokenizer.chat([(message.role, message.text) for message in self.messages])


class TokenizeRequest(_Body):
    """Body of ``/tokenize``: a prompt or a conversation."""

    prompt: str | None = None
    messages: list[Message] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = True
    return_token_strs: bool | None = False

    def ids(self, tokenizer: Tokenizer) -> list[int]:
        """The tokens; raises ApiError when there is nothing to tokenize."""
        if self.prompt is not None:
            return tokenizer.encode(self.prompt, special=self.add_special_tokens)
        if self.messages is not None:
            pairs = [(message.role, message.text) for message in self.messages]
            return tokenizer.chat(pairs, answer=self.add_generation_prompt)
        raise _refusal("Either prompt or messages is required.", "body.prompt")


class DetokenizeRequest(_Body):
    """Body of ``/detokenize``."""

    tokens: list[_TokenId]

    def text(self, tokenizer: Tokenizer) -> str:
        """The text; raises ApiError for an id that there is not."""
        return tokenizer.decode(_in_vocabulary(self.tokens))


B = TypeVar("B", bound=_Body)


def parse(data: object, kind: type[B], model: str) -> B:
    """A request's JSON as a ``kind``; raises ApiError, also when it is for another model."""
    try:
        body = kind.model_validate(data)
    except ValidationError as exc:
        problems = exc.errors(include_url=False, include_input=False)
        lines = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:10]]
        raise ApiError(
            f"{len(problems)} validation error(s): " + "; ".join(lines),
            kind="Bad Request",
            param=_place(problems[0]["loc"]),
        ) from None
    if body.model and body.model != model:
        raise ApiError(
            f"The model `{body.model}` does not exist. Valid aliases: {model}.",
            status=404,
            kind="NotFoundError",
            param="model",
        )
    return body


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the body; names of a union's branches are left out."""
    parts = [str(part) for part in location if not set("[]()") & set(str(part))]
    return ".".join(["body", *(part for part in parts if part not in ("str", "int", "bool"))])


def _in_vocabulary(ids: list[int]) -> list[int]:
    if ids and max(ids) >= SIZE:
        raise _refusal(f"Token id {max(ids)} is out of vocabulary", "prompt")
    return ids


def _refusal(message: str, param: str) -> ApiError:
    return ApiError(message, param=param)
