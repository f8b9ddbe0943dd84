"""The kinds of workload that a load file can name, as settings.

What is asked is apart from when: a workload gives sessions (one request, or the turns of a
conversation), and the load's arrivals say when each begins.
"""

import math
import random
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from firsttoken.config import Duration, Model
from firsttoken.loadgen.distributions import Distribution, Tokens
from firsttoken.loadgen.mooncake import BLOCK_TOKENS

__all__ = [
    "Batch",
    "Conversation",
    "Exponential",
    "LognormalPause",
    "Mix",
    "Part",
    "Pause",
    "Prefix",
    "ShareGpt",
    "Steady",
    "Synthetic",
    "TraceReplay",
    "WorkloadKind",
    "has_turns",
    "pause",
]

Weight = Annotated[float, Field(gt=0, le=1_000_000)]
Positive = Annotated[Duration, Field(gt=0)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Steady(Model):
    """Always the same pause."""

    kind: Literal["fixed"] = "fixed"
    seconds: Annotated[Duration, Field(ge=0)]


class Exponential(Model):
    """Pauses of a memoryless user."""

    kind: Literal["exponential"] = "exponential"
    mean: Positive


class LognormalPause(Model):
    """Mostly short, some very long; clipped to ``high``."""

    kind: Literal["lognormal"] = "lognormal"
    median: Positive
    sigma: float = Field(ge=0, le=5, description="standard deviation of the logarithm")
    high: Positive


def _bare_duration_is_fixed(value: object) -> object:
    return value if isinstance(value, dict | Model) else {"kind": "fixed", "seconds": value}


Pause = Annotated[
    Annotated[Steady | Exponential | LognormalPause, Field(discriminator="kind")],
    BeforeValidator(_bare_duration_is_fixed),
]


def pause(distribution: Pause, stream: random.Random) -> float:
    """One pause, in seconds."""
    match distribution:
        case Steady(seconds=seconds):
            return seconds
        case Exponential(mean=mean):
            return stream.expovariate(1 / mean)
        case LognormalPause(median=median, sigma=sigma, high=high):
            return min(high, median * math.exp(min(stream.gauss(0, sigma), 700)))


class Prefix(Model):
    """Groups of prompts that begin alike: system prompts, tenants, documents asked about."""

    tokens: Tokens
    groups: int = Field(default=1, ge=1, le=1_000_000)
    skew: float = Field(
        default=0.0, ge=0, le=10, description="Zipf's exponent: 0, all groups are as popular"
    )


class Conversation(Model):
    """Turns after the first: each asks with all that was said before it, after a pause."""

    turns: Distribution
    think: Pause = Steady(seconds=0.0)
    message_tokens: Distribution | None = None
    longest: Tokens | None = Field(
        default=None, description="a session ends before it would have more tokens in all"
    )


class _Named(Model):
    name: Name | None = None
    weight: Weight = 1.0
    models: dict[Name, Weight] = Field(
        default_factory=dict, description="served models or LoRA adapters, by their share"
    )


class Synthetic(_Named):
    """Made-up prompts of exact lengths; where it says nothing, the load's own lengths."""

    kind: Literal["synthetic"] = "synthetic"
    prompt_tokens: Distribution | None = None
    output_tokens: Distribution | None = None
    prefix: Prefix | None = None
    conversation: Conversation | None = None


class ShareGpt(_Named):
    """Conversations from a file in ShareGPT's form, in an order that the seed fixes."""

    kind: Literal["sharegpt"] = "sharegpt"
    file: Path
    turns: Literal["first", "all"] = "first"
    think: Pause = Steady(seconds=0.0)
    output_tokens: Distribution | None = None


class Batch(_Named):
    """Requests from a file in the form of OpenAI's batch input, each as it is."""

    kind: Literal["batch"] = "batch"
    file: Path


class TraceReplay(Model):
    """The lengths, and the common beginnings, of a recorded trace's requests, in their order."""

    kind: Literal["trace"] = "trace"
    file: Path
    start: Annotated[Duration, Field(ge=0)] = 0.0
    longest: Tokens | None = Field(
        default=None, description="requests of more tokens, prompt and answer, are left out"
    )
    block_tokens: Tokens = BLOCK_TOKENS
    models: dict[Name, Name] = Field(
        default_factory=dict, description="the trace's names of models to served ones"
    )


Part = Annotated[Synthetic | ShareGpt | Batch, Field(discriminator="kind")]


class Mix(Model):
    """Several workloads at once, each with its share of the sessions."""

    kind: Literal["mix"] = "mix"
    parts: tuple[Part, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [part.name or part.kind for part in self.parts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two parts are called {name}: give each a name of its own")
        return self


WorkloadKind = Annotated[
    Synthetic | ShareGpt | Batch | TraceReplay | Mix,
    Field(discriminator="kind"),
]


def has_turns(kind: WorkloadKind) -> bool:
    """Whether some session of it may have more than one turn."""
    match kind:
        case Mix(parts=parts):
            return any(map(has_turns, parts))
        case Synthetic(conversation=conversation):
            return conversation is not None
        case ShareGpt(turns=turns):
            return turns == "all"
        case _:
            return False
