"""When requests come, as settings: closed loops, and open ones of any rate over time."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firsttoken.config import Duration, Model

__all__ = [
    "Arrivals",
    "Closed",
    "Constant",
    "Gamma",
    "Open",
    "Poisson",
    "Ramp",
    "Recorded",
    "Sine",
    "Spacing",
    "Step",
    "Steps",
]

Rate = Annotated[float, Field(gt=0, le=100_000)]
Pause = Annotated[Duration, Field(ge=0)]
Positive = Annotated[Duration, Field(gt=0)]


class Closed(Model):
    """A fixed number of users, each of whom asks again when the answer is there."""

    kind: Literal["closed"] = "closed"
    concurrency: int = Field(ge=1, le=100_000)
    think: Pause = 0.0
    ramp: Pause = 0.0


class Constant(Model):
    """Requests at equal distances, whatever the server does (open loop)."""

    kind: Literal["constant"] = "constant"
    rate: Rate


class Poisson(Model):
    """Requests of many independent users: exponential distances (open loop)."""

    kind: Literal["poisson"] = "poisson"
    rate: Rate


class Gamma(Model):
    """Gamma distances: below 1 ``burstiness`` is burstier than Poisson, above more regular.

    The shape parameter, as in vLLM's benchmark: the coefficient of variation is its root's inverse.
    """

    kind: Literal["gamma"] = "gamma"
    rate: Rate
    burstiness: float = Field(gt=0, le=1000)


Spacing = Literal["poisson", "constant"]


class _Varying(Model):
    spacing: Spacing = "poisson"


class Step(Model):
    """One rate for a time; 0 is a pause."""

    rate: float = Field(ge=0, le=100_000)
    duration: Positive


class Steps(_Varying):
    """One rate after another; the last goes on to the end."""

    kind: Literal["steps"] = "steps"
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if not any(step.rate for step in self.steps):
            raise ValueError("at least one step must have a rate above 0")
        return self


class Ramp(_Varying):
    """From one rate to another in a straight line, ``over`` a time (default: all of the run)."""

    kind: Literal["ramp"] = "ramp"
    start: float = Field(ge=0, le=100_000)
    end: float = Field(ge=0, le=100_000)
    over: Positive | None = None

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if not self.start + self.end:
            raise ValueError("start or end must be above 0")
        return self


class Sine(_Varying):
    """A rate that swings around ``rate`` by ``amplitude``, as days and nights do."""

    kind: Literal["sine"] = "sine"
    rate: Rate
    amplitude: float = Field(ge=0)
    period: Positive

    @model_validator(mode="after")
    def _not_negative(self) -> Self:
        if self.amplitude > self.rate:
            raise ValueError(f"amplitude ({self.amplitude}) must not be above rate ({self.rate})")
        return self


class Recorded(Model):
    """At recorded times, or those times stretched (open loop).

    ``file`` has one time a line, in seconds; without it they are those of the trace that the
    workload names.
    """

    kind: Literal["recorded"] = "recorded"
    file: Path | None = None
    speed: float | None = Field(default=None, gt=0, description="times as fast; 1 as recorded")
    rate: float | None = Field(
        default=None, gt=0, le=100_000, description="scaled to so many requests per second"
    )

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if self.speed is not None and self.rate is not None:
            raise ValueError("speed and rate exclude each other")
        return self


Open = Constant | Poisson | Gamma | Steps | Ramp | Sine | Recorded
Arrivals = Annotated[Closed | Open, Field(discriminator="kind")]
