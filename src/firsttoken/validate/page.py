"""Two merged pages, before and after the load, and what happened between them.

The difference of two scrapes is exact: nothing is extrapolated, as a rate over a window would be.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from firsttoken.catalogue import REQUEST_MODEL, Metric

__all__ = ["Histogram", "Page", "Window", "parse"]

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations: ``buckets`` are (upper bound, cumulative count), ascending, the last +Inf."""

    count: float
    total: float
    buckets: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float | None:
        """None without observations."""
        return self.total / self.count if self.count > 0 else None

    def share_within(self, bound: float) -> float | None:
        """The share that is not above ``bound``; None where it is not a bucket's bound."""
        for upper, count in self.buckets:
            if math.isclose(upper, bound, rel_tol=1e-9) and self.count > 0:
                return count / self.count
        return None

    def bucket_of(self, quantile: float) -> tuple[float, float] | None:
        """The bounds (above, up to) of the bucket that holds a quantile from 0 to 1."""
        if self.count <= 0:
            return None
        rank, lower = quantile * self.count, 0.0
        for upper, count in self.buckets:
            if count >= rank:
                return lower, upper
            lower = upper
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """The samples of one page by series name."""

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def value(self, name: str, labels: Labels) -> float:
        """A sample's value; 0 where the series does not exist (yet)."""
        return self.samples.get(name, {}).get(labels, 0.0)

    def bounds(self, metric: Metric) -> frozenset[float]:
        """The finite bucket bounds of a histogram."""
        series = self.samples.get(f"{metric.prometheus}_bucket", {})
        found = {float(dict(labels)["le"]) for labels in series}
        return frozenset(bound for bound in found if math.isfinite(bound))


def parse(text: str) -> Page:
    """A page in Prometheus' text format; raises ValueError for anything else."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            samples.setdefault(sample.name, {})[labels] = float(sample.value)
    return Page(samples)


@dataclass(frozen=True, slots=True)
class Window:
    """What happened to one model between two pages."""

    before: Page
    after: Page
    model: str | None = None

    def _series(self, name: str, where: Mapping[str, str]) -> dict[Labels, float]:
        """The increase of each series that carries the labels, and the model if any model."""
        found = {}
        for labels, value in self.after.samples.get(name, {}).items():
            own = dict(labels)
            model = own.get(REQUEST_MODEL.label)
            if self.model is not None and model not in (None, self.model):
                continue
            if all(own.get(key) == wanted for key, wanted in where.items()):
                found[labels] = value - self.before.value(name, labels)
        return found

    def counter(self, metric: Metric, **where: str) -> float | None:
        """How much a counter rose; None when it is not reported."""
        series = self._series(metric.prometheus, where)
        return sum(series.values()) if series else None

    def by_label(self, metric: Metric, label: str) -> dict[str, float]:
        """How much a counter rose, by the values of one label."""
        found: dict[str, float] = {}
        for labels, rise in self._series(metric.prometheus, {}).items():
            value = dict(labels).get(label, "")
            found[value] = found.get(value, 0.0) + rise
        return found

    def histogram(self, metric: Metric) -> Histogram | None:
        """The observations of a histogram between the pages; None when it is not reported."""
        counts = self._series(f"{metric.prometheus}_count", {})
        if not counts:
            return None
        buckets: dict[float, float] = {}
        for labels, rise in self._series(f"{metric.prometheus}_bucket", {}).items():
            bound = float(dict(labels)["le"])
            buckets[bound] = buckets.get(bound, 0.0) + rise
        total = sum(self._series(f"{metric.prometheus}_sum", {}).values())
        return Histogram(sum(counts.values()), total, tuple(sorted(buckets.items())))

    @property
    def restarted(self) -> bool:
        """Whether a counter of the engine's fell, as it does when the engine starts anew."""
        return any(
            rise < 0
            for name in self.after.samples
            if name.startswith("gen_ai_server_") and name.endswith(("_total", "_count"))
            for rise in self._series(name, {}).values()
        )
