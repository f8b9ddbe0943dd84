"""The objective file: what a service promises, in the words of its users.

``load`` reads it; everything that Prometheus and Alertmanager need is generated from the result.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, WithJsonSchema, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml
from firsttoken.rules.objectives import (
    METRICS,
    AnyObjective,
    Availability,
    Goodput,
    Latency,
    LatencyKey,
    Name,
    Objective,
    Ratio,
    Seconds,
    Throughput,
)

__all__ = [
    "METRICS",
    "AnyObjective",
    "Availability",
    "Goodput",
    "Latency",
    "LatencyKey",
    "Objective",
    "Pack",
    "Ratio",
    "SloFile",
    "Throughput",
    "load",
]

Pack = Literal["stall", "absence", "saturation", "gpu", "collector", "watchdog"]

_PERIOD = {"type": ["string", "number"], "examples": ["7d", "28d", "30d"]}
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class SloFile(Model):
    """One service's objectives; ``selector`` narrows all rules to some series."""

    version: Literal["firsttoken/v1"]
    service: Name
    period: Annotated[Duration, WithJsonSchema(_PERIOD)]
    labels: dict[LabelName, str] = Field(default_factory=dict)
    selector: dict[LabelName, str] = Field(default_factory=dict)
    group_by: tuple[LabelName, ...] = ()
    """Labels that stay apart beside the model, and stay on the alerts."""
    source: str = "semconv"
    engine: Literal["vllm", "other"] = "vllm"
    buckets: dict[LatencyKey, tuple[Seconds, ...]] = Field(default_factory=dict)
    """The bounds that the engine has, where they are not its defaults."""
    objectives: tuple[Objective, ...] = Field(min_length=1)
    packs: tuple[Pack, ...] = ()
    runbooks: str = ""
    """The address of the folder of runbooks; each alert carries that of its page."""

    @field_validator("period")
    @classmethod
    def _whole_period(cls, period: float) -> float:
        if not 60 <= period <= 366 * 86400 or period != int(period):
            raise ValueError("expected whole seconds from 1m to 366d, such as 7d, 28d or 30d")
        return period

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [objective.name for objective in self.objectives]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two objectives have the name {name}; each needs its own")
        reserved = {"severity", "slo", "service", "burn", "long", "short", "alertname"}
        for label in self.labels:
            if label in reserved:
                raise ValueError(f"labels: {label} is set by the rules themselves")
        return self


def load(path: Path) -> SloFile:
    """The objective file at ``path``; raises ConfigError with a sentence for each mistake."""
    return load_yaml(path, SloFile)
