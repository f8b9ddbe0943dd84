"""Under which series and label names a Prometheus knows the catalogue's metrics.

``SEMCONV`` is what the collector serves.  A profile yields another one, for a source that
Prometheus scrapes directly, so that the same rules and dashboards work on both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from firsttoken.catalogue import METRICS, Metric
from firsttoken.naming import current, label_name

__all__ = [
    "SEMCONV",
    "Condition",
    "NotReportedError",
    "Operator",
    "Variant",
    "Vocabulary",
    "passes",
]

Operator = Literal["=", "!=", "=~", "!~"]


class NotReportedError(ValueError):
    """Raised when a vocabulary has no series for a metric."""

    def __init__(self, metric: Metric, vocabulary: str, why: str = "") -> None:
        self.metric = metric
        self.vocabulary = vocabulary
        super().__init__(f"{vocabulary} does not report {metric.name}{why and f' {why}'}")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a label of a series must be, in PromQL's terms; a missing label is empty."""

    label: str
    operator: Operator
    value: str


def passes(operator: Operator, pattern: str, value: str) -> bool:
    """Whether a label's value passes a matcher."""
    same = value == pattern if operator in ("=", "!=") else bool(re.fullmatch(pattern, value))
    return same == (operator in ("=", "=~"))


@dataclass(frozen=True, slots=True)
class Variant:
    """One series that carries a metric, or the part of it that has the ``fixed`` attributes.

    A value of the series times ``scale`` is a value in the metric's unit.  Only series that meet
    all conditions of ``where`` are the metric.
    """

    series: str
    fixed: tuple[tuple[str, str], ...] = ()
    scale: Decimal = Decimal(1)
    where: tuple[Condition, ...] = ()
    carries: frozenset[str] | None = None
    """The attributes that its labels may say; None for any."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names of one kind of source; an attribute without an entry is its own label name."""

    name: str
    variants: Mapping[str, tuple[Variant, ...]] = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    def reports(self, metric: Metric) -> bool:
        """Whether the source has a series for the metric at all."""
        return bool(self.variants.get(metric.name))

    def find(self, metric: Metric, where: Mapping[str, str]) -> tuple[Variant, ...]:
        """The variants that can hold series with these attributes; raises NotReportedError."""
        wanted = {current(name): value for name, value in where.items()}
        found = tuple(
            variant
            for variant in self.variants.get(metric.name, ())
            if all(wanted.get(name, value) == value for name, value in variant.fixed)
            and _may_have(metric, variant, wanted)
        )
        if not found:
            raise NotReportedError(metric, self.name)
        return found

    def label(self, attribute: str) -> str:
        """The label that carries an attribute."""
        name = current(attribute)
        return self.labels.get(name) or label_name(name)


def _may_have(metric: Metric, variant: Variant, wanted: Mapping[str, str]) -> bool:
    """Whether the variant can have all of the metric's attributes that are asked for.

    An empty value asks for an attribute that is not there.
    """
    if variant.carries is None:
        return True
    own = {attribute.name for attribute in metric.attributes}
    has = {name for name, _ in variant.fixed} | variant.carries
    asked = {name for name, value in wanted.items() if value}
    return not (own & asked) - has


SEMCONV = Vocabulary("semconv", {metric.name: (Variant(metric.prometheus),) for metric in METRICS})
