"""The objective file: what a service promises, in the words of its users.

``load`` reads it; everything that Prometheus and Alertmanager need is generated from the result.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, WithJsonSchema, field_validator, model_validator

from firsttoken.config import Duration, Model, load_yaml, parse_duration
from firsttoken.rules.bounds import ENGINES, EngineName, LatencyKey
from firsttoken.rules.objectives import (
    METRICS,
    AnyObjective,
    Availability,
    Goodput,
    Latency,
    Name,
    Objective,
    Ratio,
    Seconds,
    Throughput,
)

__all__ = [
    "CALENDARS",
    "METRICS",
    "AnyObjective",
    "Availability",
    "Calendar",
    "Goodput",
    "Latency",
    "LatencyKey",
    "Objective",
    "Pack",
    "Ratio",
    "SloFile",
    "Throughput",
    "load",
    "with_source",
]

Pack = Literal["stall", "absence", "saturation", "gpu", "collector", "watchdog", "estimates"]

Calendar = Literal["week", "month", "quarter"]
CALENDARS: dict[Calendar, int] = {"week": 7, "month": 30, "quarter": 90}
"""A calendar period -> the days for which its burn windows are made."""

_PERIOD = {"type": ["string", "number"], "examples": ["7d", "28d", "30d"]}
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class SloFile(Model):
    """One service's objectives; ``selector`` narrows all rules to some series."""

    version: Literal["firsttoken/v1"]
    service: Name
    period: Annotated[Duration, WithJsonSchema(_PERIOD)] = 0.0
    calendar: Calendar | None = None
    """Instead of ``period``: budgets begin anew with each (UTC; weeks with Monday)."""
    labels: dict[LabelName, str] = Field(default_factory=dict)
    selector: dict[LabelName, str] = Field(default_factory=dict)
    group_by: tuple[LabelName, ...] = ()
    """Labels that stay apart beside the model, and stay on the alerts."""
    source: str = "semconv"
    engine: EngineName = "vllm"
    engine_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+([.][0-9]+)*$")] | None = None
    histograms: Literal["classic", "native"] = "classic"
    buckets: dict[LatencyKey, tuple[Seconds, ...]] = Field(default_factory=dict)
    """The bounds that the engine has, where they are not its defaults."""
    objectives: tuple[Objective, ...] = Field(json_schema_extra={"minItems": 1})
    packs: tuple[Pack, ...] = ()
    runbooks: str = ""
    """The address of the folder of runbooks; each alert carries that of its page."""
    grafana: str = ""
    """Grafana's address; each alert carries that of the panel to look at."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        found = dict(data)
        calendar = data.get("calendar")
        if calendar in CALENDARS:
            found["period"] = CALENDARS[calendar] * 86400
        # What was dumped has both, and the period is then the calendar's.
        given = data.get("period")
        both = calendar is not None and given is not None
        # With neither, the missing period is one mistake among the others that there may be.
        if both and not _same(given, found["period"]):
            raise ValueError("give either period, such as 30d, or calendar: week, month or quarter")
        if "engine" not in data and isinstance(data.get("source"), str):
            found["engine"] = _engine_of(data["source"])
        return found

    @field_validator("objectives", mode="before")
    @classmethod
    def _some(cls, objectives: object) -> object:
        # A minimum length would also be missed when the only objective has a mistake of its own.
        if isinstance(objectives, list | tuple) and not objectives:
            raise ValueError("expected one objective or more")
        return objectives

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


def _same(duration: object, seconds: object) -> bool:
    try:
        return parse_duration(duration) == parse_duration(seconds)
    except ValueError:
        return False


def _engine_of(source: str) -> EngineName:
    """The engine among the profiles that are scraped; vLLM where none is one."""
    for name in source.split(","):
        for engine in ENGINES:
            if name.strip() == engine:
                return engine
    return "vllm"


def with_source(slo: SloFile, source: str | None) -> SloFile:
    """The file for a Prometheus that scrapes another source; thresholds are then its engine's.

    An engine that the file names, and not its source, stays.
    """
    if source is None or source == slo.source:
        return slo
    engine = _engine_of(source) if slo.engine == _engine_of(slo.source) else slo.engine
    return slo.model_copy(update={"source": source, "engine": engine})


def load(path: Path) -> SloFile:
    """The objective file at ``path``; raises ConfigError with a sentence for each mistake."""
    return load_yaml(path, SloFile)
