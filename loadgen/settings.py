"""What a load is: arrivals, lengths, durations and request settings, read from YAML or flags."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml
from firsttoken.errors import UsageError
from firsttoken.loadgen import kinds
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


class Closed(Model):
    """A fixed number of users, each of whom asks again as soon as the answer is there."""

    kind: Literal["closed"] = "closed"
    concurrency: int = Field(ge=1, le=100_000)


class Constant(Model):
    """Requests at equal distances, whatever the server does (open loop)."""

    kind: Literal["constant"] = "constant"
    rate: float = Field(gt=0, le=100_000, description="requests per second")


class Poisson(Model):
    """Requests of many independent users: exponential distances (open loop)."""

    kind: Literal["poisson"] = "poisson"
    rate: float = Field(gt=0, le=100_000, description="requests per second, on average")


class Recorded(Model):
    """At the times of the trace that the workload names, or those times stretched (open loop)."""

    kind: Literal["recorded"] = "recorded"
    speed: float | None = Field(default=None, gt=0, description="times as fast; 1 as recorded")
    rate: float | None = Field(
        default=None, gt=0, le=100_000, description="scaled to so many requests per second"
    )

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if self.speed is not None and self.rate is not None:
            raise ValueError("speed and rate exclude each other")
        return self


Arrivals = Annotated[Closed | Constant | Poisson | Recorded, Field(discriminator="kind")]


class LoadFile(Model):
    """One load against one server; everything has a default but what kind of arrivals it is."""

    version: Literal["firsttoken/v1"] = "firsttoken/v1"
    model: str | None = None
    api: Literal["completions", "chat"] = "chat"
    arrivals: Arrivals = Closed(concurrency=8)
    duration: Positive = 30.0
    warmup: Annotated[Duration, Field(ge=0)] = 5.0
    max_in_flight: int = Field(default=1024, ge=1, le=100_000)
    prompt_tokens: Distribution = Fixed(tokens=256)
    output_tokens: Distribution = Fixed(tokens=64)
    shared_prefix_tokens: int = Field(default=0, ge=0, le=TOKENS_MAX)
    workload: WorkloadKind | None = None
    seed: int = 0
    timeout: Positive = 120.0
    extra_body: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    tokenizer: Path | None = None
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
        if isinstance(self.arrivals, Recorded) and not isinstance(self.workload, TraceReplay):
            raise ValueError("arrivals: recorded needs a workload of kind trace")  # noqa: TRY004
        if self.api == "completions" and self.workload and kinds.has_turns(self.workload):
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


def api_key() -> str | None:
    """The key from FIRSTTOKEN_API_KEY, else OPENAI_API_KEY; None without either."""
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
