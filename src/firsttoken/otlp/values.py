"""What OTLP carries, as frozen values: spans, metric points and log records.

Times are nanoseconds since the Unix epoch, ids are lower-case hexadecimal and empty where there is
none, resources and attributes are plain mappings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

__all__ = [
    "Attributes",
    "Event",
    "Explicit",
    "LogRecord",
    "Point",
    "Quantiles",
    "Span",
    "SpanKind",
    "Status",
    "Temporality",
    "Value",
]

Value = str | bool | int | float | bytes | tuple["Value", ...] | Mapping[str, "Value"] | None
Attributes = Mapping[str, Value]
Temporality = Literal["delta", "cumulative"]


class SpanKind(IntEnum):
    """The role of a span, numbered as in OTLP."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Status(IntEnum):
    """How a span ended, numbered as in OTLP."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment of a span."""

    name: str
    time: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """One span with the resource and scope that it came from."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    start: int
    end: int
    attributes: Attributes = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    status: Status = Status.UNSET
    status_message: str = ""
    resource: Attributes = field(default_factory=dict)
    scope: str = ""

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Explicit:
    """One state of an explicit-bucket histogram; ``counts`` has one more entry than ``bounds``."""

    count: int
    sum: float | None
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """One state of a summary; ``values`` are (quantile, value)."""

    count: int
    sum: float
    values: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One data point of a metric; ``temporality`` is None for a gauge or a summary.

    ``value`` is None where the point has no recorded value, and of an exponential histogram, whose
    buckets are not kept here.
    """

    name: str
    unit: str
    description: str
    kind: str
    attributes: Attributes
    time: int
    start: int
    value: float | int | Explicit | Quantiles | None
    temporality: Temporality | None = None
    monotonic: bool = False
    resource: Attributes = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record."""

    time: int
    observed: int
    severity: int
    severity_text: str
    body: Value
    attributes: Attributes = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""
    resource: Attributes = field(default_factory=dict)
    scope: str = ""
