"""What a load is: arrivals, lengths, durations and request settings, read from YAML or flags."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml
from firsttoken.errors import ConfigError, UsageError
from firsttoken.loadgen import kinds
from firsttoken.loadgen.arrivals import Arrivals, Closed, Constant, Poisson, Recorded
from firsttoken.loadgen.distributions import TOKENS_MAX, Distribution, Fixed
from firsttoken.loadgen.kinds import TraceReplay, WorkloadKind

__all__ = [
    "Arrivals",
    "Closed",
    "Constant",
    "LoadFile",
    "Poisson",
    "Recorded",
    "api_key",
    "load",
]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
Positive = Annotated[Duration, Field(gt=0)]


class LoadFile(Model):
    """One load against one server; everything has a default but what kind of arrivals it is."""

    version: Literal["firsttoken/v1"] = "firsttoken/v1"
    model: str | None = None
    api: Literal["completions", "chat", "tgi", "llamacpp"] = "chat"
    stream: bool = True
    arrivals: Arrivals = Closed(concurrency=8)
    duration: Positive = 30.0
    warmup: Annotated[Duration, Field(ge=0)] = 5.0
    cooldown: Annotated[Duration, Field(ge=0)] = 0.0
    requests: int | None = Field(default=None, ge=1)
    stop_at_error_share: float | None = Field(default=None, gt=0, le=1)
    max_in_flight: int = Field(default=1024, ge=1, le=100_000)
    prompt_tokens: Distribution = Fixed(tokens=256)
    output_tokens: Distribution = Fixed(tokens=64)
    shared_prefix_tokens: int = Field(default=0, ge=0, le=TOKENS_MAX)
    workload: WorkloadKind | None = None
    ignore_eos: bool = True
    priority: int | None = None
    seed: int = 0
    timeout: Positive = 120.0
    extra_body: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    api_key_file: Path | None = None
    tokenizer: Path | None = None
    token_ids: bool = True
    """Whether prompts of the completions API are sent as token ids, where those are known."""
    processes: int = Field(default=1, ge=1, le=256)
    kernel_times: bool = True
    tracing: bool = False
    """Whether each request carries a W3C traceparent, so that the server's spans join it."""

    @model_validator(mode="before")
    @classmethod
    def _a_trace_keeps_its_times(cls, data: Any) -> Any:
        if isinstance(data, dict) and "arrivals" not in data:
            workload = data.get("workload")
            kind = workload.get("kind") if isinstance(workload, dict) else workload
            if kind == "trace" or isinstance(kind, TraceReplay):
                return {**data, "arrivals": Recorded()}
        return data

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        recorded = self.arrivals if isinstance(self.arrivals, Recorded) else None
        if recorded and recorded.file is None and not isinstance(self.workload, TraceReplay):
            raise ValueError("arrivals: recorded needs a file, or a workload of kind trace")
        if self.api != "chat" and self.workload and kinds.has_turns(self.workload):
            raise ValueError("conversations of several turns need api: chat")
        if self.shared_prefix_tokens and self.workload is not None:
            raise ValueError("shared_prefix_tokens goes into the workload: prefix: {tokens: ...}")
        return self

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                raise ValueError(f"{name!r} is not a header name")
            if name.lower() in {"content-length", "transfer-encoding", "host", "connection"}:
                raise ValueError(f"the header {name} is set by the load generator itself")
            if "\r" in value or "\n" in value:
                raise ValueError(f"the value of the header {name} holds a line break")
        return headers

    @classmethod
    def load(cls, path: Path) -> "LoadFile":
        """The load in a YAML file; raises ConfigError with one sentence for each mistake."""
        return load_yaml(path, cls)

    @property
    def open_loop(self) -> bool:
        """Whether requests are sent on schedule, whatever the server does."""
        return not isinstance(self.arrivals, Closed)

    @property
    def total(self) -> float:
        """Seconds in which requests are sent: warm-up, measured time and cool-down."""
        return self.warmup + self.duration + self.cooldown

    def public(self) -> dict[str, Any]:
        """The settings as JSON data, header values left out unless they name a variable."""
        data = self.model_dump(mode="json")
        data["headers"] = {
            name: value if _VARIABLE.fullmatch(value) else "***"
            for name, value in self.headers.items()
        }
        return data

    def resolved_headers(self) -> dict[str, str]:
        """The headers with ``${NAME}`` filled from the environment; raises UsageError."""
        return {name: _fill(name, value) for name, value in self.headers.items()}


def load(path: Path) -> LoadFile:
    """The load in a YAML file; raises ConfigError with one sentence for each mistake."""
    return LoadFile.load(path)


def api_key(file: Path | None = None) -> str | None:
    """The key in ``file``, else from FIRSTTOKEN_API_KEY or OPENAI_API_KEY; None without any.

    Raises ConfigError for a file that cannot be read, UsageError for a key that cannot be sent.
    """
    if file is not None:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
            raise ConfigError(file, [f"cannot be read: {reason}"]) from None
        if not key or not key.isprintable() or not key.isascii():
            raise ConfigError(file, ["expected a key in one line"])
        return key
    for name in ("FIRSTTOKEN_API_KEY", "OPENAI_API_KEY"):
        key = os.environ.get(name, "").strip()
        if key:
            if not key.isprintable() or not key.isascii():
                raise UsageError(f"{name} holds characters that a header cannot carry")
            return key
    return None


def _fill(header: str, value: str) -> str:
    def variable(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise UsageError(f"header {header}: the environment has no variable {name}")
        return os.environ[name]

    return _VARIABLE.sub(variable, value)
