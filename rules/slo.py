"""The objective file: what a service promises, in the words of its users.

``load`` reads it; everything that Prometheus and Alertmanager need is generated from the result.
"""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from firsttoken import catalogue
from firsttoken.catalogue import Metric
from firsttoken.config import Duration, Model, load_yaml, parse_duration

__all__ = [
    "METRICS",
    "Availability",
    "Latency",
    "LatencyKey",
    "Objective",
    "Pack",
    "SloFile",
    "load",
]

LatencyKey = Literal["ttft", "tpot", "itl", "e2e", "queue"]
Pack = Literal["stall", "absence", "saturation", "gpu", "collector", "watchdog"]

METRICS: dict[LatencyKey, Metric] = {
    "ttft": catalogue.TIME_TO_FIRST_TOKEN,
    "tpot": catalogue.TIME_PER_OUTPUT_TOKEN,
    "itl": catalogue.INTER_TOKEN_LATENCY,
    "e2e": catalogue.REQUEST_DURATION,
    "queue": catalogue.QUEUE_DURATION,
}
"""The histogram behind each latency that an objective may name."""


def _decimal(value: object) -> Decimal:
    # A YAML number comes as a float; its shortest text is what was written.
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("expected a number such as 95 or 99.9")  # noqa: TRY004 (pydantic's)
    try:
        number = Decimal(str(value).removesuffix("%"))
    except InvalidOperation:
        raise ValueError("expected a number such as 95 or 99.9") from None
    if not number.is_finite():
        raise ValueError("expected a number such as 95 or 99.9")
    return number


def _exact_seconds(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(repr(parse_duration(value))).normalize()


def _percent(value: object) -> Decimal:
    number = _decimal(value)
    if not 50 <= number <= Decimal("99.999"):
        raise ValueError(
            "expected a percentage from 50 to 99.999; 100 leaves no budget that could burn, and"
            " below 50 no burn rate above 1 can be reached"
        )
    return number


Percent = Annotated[Decimal, BeforeValidator(_percent)]
Seconds = Annotated[Decimal, BeforeValidator(_exact_seconds), Field(gt=0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class _Objective(Model):
    name: Name
    target: Percent

    @property
    def ratio(self) -> Decimal:
        """The share of events that must be good."""
        return self.target / 100

    @property
    def budget(self) -> Decimal:
        """The share of events that may be bad."""
        return 1 - self.ratio


class Latency(_Objective):
    """``target`` percent of the observations of ``metric`` are not above ``threshold`` seconds."""

    kind: Literal["latency"]
    metric: LatencyKey
    threshold: Seconds

    @property
    def catalogue_metric(self) -> Metric:
        """The histogram that is measured."""
        return METRICS[self.metric]


class Availability(_Objective):
    """``target`` percent of the requests do not end with one of the ``bad`` finish reasons.

    Requests that the client gave up (``ignored``) count neither way.  What never reaches the
    engine is not seen.
    """

    kind: Literal["availability"]
    bad: tuple[str, ...] = Field(default=("error",), min_length=1)
    ignored: tuple[str, ...] = ("abort",)


Objective = Annotated[Latency | Availability, Field(discriminator="kind")]


class SloFile(Model):
    """One service's objectives; ``selector`` narrows all rules to some series."""

    version: Literal["firsttoken/v1"]
    service: Name
    period: Duration
    labels: dict[LabelName, str] = Field(default_factory=dict)
    selector: dict[LabelName, str] = Field(default_factory=dict)
    source: str = "semconv"
    engine: Literal["vllm", "other"] = "vllm"
    buckets: dict[LatencyKey, tuple[Seconds, ...]] = Field(default_factory=dict)
    """The bounds that the engine has, where they are not its defaults."""
    objectives: tuple[Objective, ...] = Field(min_length=1)
    packs: tuple[Pack, ...] = ()

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
