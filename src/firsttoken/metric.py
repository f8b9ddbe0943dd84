"""What a catalogue entry is: a metric, its attributes, and the Prometheus names derived from it."""

from dataclasses import dataclass, field
from enum import StrEnum

from firsttoken.naming import current, dotted_name, label_name, prometheus_name

__all__ = ["Attribute", "Instrument", "Metric", "Requirement", "Stability"]


class Instrument(StrEnum):
    """The OpenTelemetry instrument of a metric."""

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"

    @property
    def prometheus_type(self) -> str:
        """The metric type in Prometheus' text formats."""
        return "gauge" if self is Instrument.UPDOWNCOUNTER else self.value


class Stability(StrEnum):
    """Where a name comes from."""

    CONVENTION = "convention"
    EXTENSION = "extension"


class Requirement(StrEnum):
    """How strongly the conventions ask for an attribute."""

    REQUIRED = "required"
    CONDITIONALLY_REQUIRED = "conditionally_required"
    RECOMMENDED = "recommended"
    OPT_IN = "opt_in"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a metric or span; ``values`` are the known ones, others are allowed.

    They are the conventions', and where none of those fits, ours.
    """

    name: str
    requirement: Requirement = Requirement.RECOMMENDED
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", current(self.name))

    @property
    def label(self) -> str:
        """The Prometheus label name."""
        return label_name(self.name)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``unit`` is UCUM, ``buckets`` the advised upper bounds in that unit."""

    name: str
    instrument: Instrument
    unit: str
    help: str
    attributes: tuple[Attribute, ...]
    stability: Stability = Stability.CONVENTION
    buckets: tuple[float, ...] = ()
    prometheus: str = field(init=False)
    """The name in Prometheus' classic character set: of the family, which for a counter ends in
    ``_total``."""
    dotted: str = field(init=False)
    """The same name with dots, for clients that take UTF-8 names."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", current(self.name))
        counter = self.instrument is Instrument.COUNTER
        gauge = self.instrument is Instrument.GAUGE
        for attribute, derive in (("prometheus", prometheus_name), ("dotted", dotted_name)):
            derived = derive(self.name, self.unit, counter=counter, gauge=gauge)
            object.__setattr__(self, attribute, derived)
