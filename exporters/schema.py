"""The form of a profile's file: what its keys are, and what a single line may say.

What a line names is looked up in the catalogue here, so that a mistake is reported with its line.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from firsttoken import attributes, catalogue
from firsttoken.catalogue import Instrument, Metric
from firsttoken.config import Model
from firsttoken.exporters.units import UnitError, factor
from firsttoken.naming import current

__all__ = ["Instance", "Kind", "KnownLine", "Merge", "MetricLine", "Part", "ProfileFile", "Values"]

Kind = Literal["counter", "gauge", "histogram", "any"]
Merge = Literal["refuse", "first", "max", "sum"]
Part = Literal["sum", "count"]

_ATTRIBUTES = {
    attribute.name: attribute
    for metric in catalogue.METRICS
    for attribute in (*metric.attributes, *attributes.PLACE)
}


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"not a regular expression: {exc}") from None
    return text


def _attribute(name: str) -> str:
    if current(name) not in _ATTRIBUTES:
        raise ValueError(f"{name} is no attribute of the catalogue")
    return current(name)


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9]+([.][0-9]+)*", text):
        raise ValueError(f"a version is numbers with dots, not {text!r}")
    return text


Regex = Annotated[str, AfterValidator(_regex)]
AttributeName = Annotated[str, AfterValidator(_attribute)]
Version = Annotated[str, AfterValidator(_version)]


class Values(Model):
    """Which values are measurements: ``min`` and above, and below ``below``."""

    min: float | None = None
    below: float | None = None


class Instance(Model):
    """A part of a device, such as a MIG slice, that reports under a label of its own.

    A series with the label has ``hw.id`` of its device, ``suffix`` and the label's value, and the
    device's as ``hw.parent``; where a label matches its expression in ``unless`` the series is of
    the whole device.  Of a ``scope: device`` line, whose values repeat on each part, one series is
    kept, without the labels in ``drop``.
    """

    label: str
    suffix: str
    unless: dict[str, Regex] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()


class MetricLine(Model):
    """One family of the source and the catalogue entry that means the same."""

    source: str = Field(alias="from", min_length=1)
    to: str
    part: Part | None = None
    type: Kind | None = None
    unit: str | None = None
    add: dict[AttributeName, str] = Field(default_factory=dict)
    default: dict[AttributeName, str] = Field(default_factory=dict)
    labels: dict[str, AttributeName | None] = Field(default_factory=dict)
    translate: dict[str, dict[str, str]] = Field(default_factory=dict)
    where: dict[str, Regex] = Field(default_factory=dict)
    scope: Literal["instance", "device"] = "instance"
    merge: Merge = "refuse"
    values: Values | None = None
    superseded_by: tuple[str, ...] = ()
    since: Version | None = None
    until: Version | None = None
    optional: bool = False
    note: str = ""

    @field_validator("superseded_by", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def metric(self) -> Metric:
        """The catalogue entry."""
        metric = catalogue.find(self.to)
        if metric is None:
            raise ValueError(f"{self.to} is no entry of the catalogue")
        return metric

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        metric = self.metric
        histogram = metric.instrument is Instrument.HISTOGRAM
        if self.part and metric.instrument is not Instrument.COUNTER:
            raise ValueError(f"a histogram's {self.part} cannot become {self.to}, no counter")
        if self.type not in (None, "any") and histogram != (self.type == "histogram"):
            raise ValueError(f"a {self.type} cannot become {self.to}, a {metric.instrument}")
        if self.unit is not None:
            try:
                factor(self.unit, metric.unit)
            except UnitError as exc:
                raise ValueError(f"{self.to}: {exc}") from None
        known = {attribute.name for attribute in (*metric.attributes, *attributes.PLACE)}
        named = (*self.add, *self.default, *(name for name in self.labels.values() if name))
        for name in named:
            if name not in known:
                raise ValueError(f"{self.to} has no attribute {name}")
        return self


class KnownLine(Model):
    """Families that the source has and no catalogue entry means, with the reason."""

    match: Regex
    why: str = Field(min_length=1)


class ProfileFile(Model):
    """One source: how to know its page, and a line for each of its families."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str = Field(min_length=1)
    provider: str = ""
    url: str = ""
    detect: tuple[Regex, ...] = ()
    include: tuple[str, ...] = ()
    prefixes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    ignore_case: bool = False
    labels: dict[str, AttributeName | None] = Field(default_factory=dict)
    fallback: dict[AttributeName, tuple[str, ...]] = Field(default_factory=dict)
    add: dict[AttributeName, str] = Field(default_factory=dict)
    translate: dict[str, dict[str, str]] = Field(default_factory=dict)
    values: Values = Field(default_factory=Values)
    instance: Instance | None = None
    metrics: tuple[MetricLine, ...] = ()
    known: tuple[KnownLine, ...] = ()
