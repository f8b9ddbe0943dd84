"""Under which series and label names a Prometheus knows the catalogue's metrics.

``SEMCONV`` is what the collector serves.  A profile yields another one, for a source that
Prometheus scrapes directly, so that the same rules and dashboards work on both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from firsttoken.catalogue import METRICS, Metric
from firsttoken.naming import current, label_name

__all__ = ["SEMCONV", "NotReportedError", "Variant", "Vocabulary"]


class NotReportedError(ValueError):
    """Raised when a vocabulary has no series for a metric."""

    def __init__(self, metric: Metric, vocabulary: str) -> None:
        self.metric = metric
        self.vocabulary = vocabulary
        super().__init__(f"{vocabulary} does not report {metric.name}")


@dataclass(frozen=True, slots=True)
class Variant:
    """One series that carries a metric, or the part of it that has the ``fixed`` attributes.

    A value of the series times ``scale`` is a value in the metric's unit.
    """

    series: str
    fixed: tuple[tuple[str, str], ...] = ()
    scale: Decimal = Decimal(1)


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
        )
        if not found:
            raise NotReportedError(metric, self.name)
        return found

    def label(self, attribute: str) -> str:
        """The label that carries an attribute."""
        name = current(attribute)
        return self.labels.get(name) or label_name(name)


SEMCONV = Vocabulary("semconv", {metric.name: (Variant(metric.prometheus),) for metric in METRICS})
