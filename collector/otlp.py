"""Merged samples as OTLP metrics: dotted names, attributes, histograms kept as they are.

What one family is in Prometheus becomes one metric here, by the OpenTelemetry specification,
"Prometheus and OpenMetrics Compatibility".  What OTLP cannot say is left out and counted.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
    ScopeMetrics,
)

from firsttoken.catalogue import Instrument
from firsttoken.collector.changes import Changes, Key
from firsttoken.collector.gathered import Gathered, Point
from firsttoken.collector.page import Kind, Labels, Role
from firsttoken.collector.resource import TARGET
from firsttoken.collector.translate import BOUND, Offer

__all__ = ["Exported", "Exporter", "Temporality"]

Temporality = Literal["cumulative", "delta"]
_INTEGERS = frozenset({"server.port", "http.response.status_code"})
"""Attributes that are numbers by the conventions."""
_SCOPE = "firsttoken.collector"


@dataclass(frozen=True, slots=True)
class Exported:
    """One export request, how many points it has, and how many samples had no place in it."""

    request: ExportMetricsServiceRequest
    points: int
    left_out: int


@dataclass(frozen=True, slots=True)
class _Series:
    """The samples of one series: a number, or the parts of a histogram or a summary."""

    key: Key
    points: tuple[Point, ...]
    since: float | None
    at: float

    def value(self, role: Role) -> float | None:
        """The value of the one sample of a role."""
        return next((point.value for point in self.points if point.role is role), None)

    @property
    def began(self) -> float | None:
        """When it began to count: as the series itself says, else as its source does."""
        created = self.value(Role.CREATED)
        return created if created is not None and created > 0 else self.since


class Exporter:
    """Makes export requests of successive scrapes; keeps what temporality and resets need.

    ``began`` is when the collector started, in Unix seconds: the start of its own counters.
    """

    def __init__(self, temporality: Temporality = "cumulative", *, began: float) -> None:
        self._began = began
        self._changes = Changes(began, delta=temporality == "delta")
        self._counting = (
            AGGREGATION_TEMPORALITY_DELTA
            if temporality == "delta"
            else AGGREGATION_TEMPORALITY_CUMULATIVE
        )

    def export(
        self, gathered: Gathered, now: float, resources: Mapping[str, Iterable[tuple[str, str]]]
    ) -> Exported:
        """One request with everything that was gathered at ``now`` (Unix seconds).

        ``resources`` has the resource attributes of each source, and the collector's own under an
        empty name; they take the place of ``target_info``.
        """
        request = ExportMetricsServiceRequest()
        scopes: dict[str, ScopeMetrics] = {}
        since = {result.source: result.since for result in gathered.results} | {"": self._began}
        points = left_out = 0
        for offer, found in gathered.points():
            if offer.name == TARGET:
                continue
            write = self._writer(offer)
            metrics: dict[str, Metric] = {}
            for series in _series(offer, found, since, now):
                metric = metrics.setdefault(series.key.source, _named(offer))
                if write is None or not write(metric, series):
                    left_out += len(series.points)
            for source, metric in metrics.items():
                kind = metric.WhichOneof("data")
                if kind is not None and (made := len(getattr(metric, kind).data_points)):
                    if source not in scopes:
                        scopes[source] = _scope(request, resources.get(source, ()))
                    scopes[source].metrics.append(metric)
                    points += made
        self._changes.end(now)
        return Exported(request, points, left_out)

    def _writer(self, offer: Offer) -> Callable[[Metric, _Series], bool] | None:
        """What writes a series of the family; None where OTLP has nothing like it."""
        metric = offer.metric
        if metric is not None and metric.instrument is Instrument.UPDOWNCOUNTER:
            return self._level
        writers = {
            Kind.COUNTER: self._counter,
            Kind.GAUGE: _gauge,
            Kind.UNKNOWN: _gauge,
            Kind.INFO: self._level,
            Kind.STATESET: self._level,
            Kind.HISTOGRAM: self._histogram,
            Kind.SUMMARY: self._summary,
        }
        return writers.get(offer.kind)

    def _counter(self, metric: Metric, series: _Series) -> bool:
        value = series.value(Role.VALUE)
        if value is None or math.isnan(value):
            return False
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = self._counting
        window = self._changes.window(series.key, series.began, series.at, (value,))
        if window is not None:
            metric.sum.data_points.add(
                attributes=_attributes(series.key.labels),
                start_time_unix_nano=_nanos(window.start),
                time_unix_nano=_nanos(series.at),
                as_double=window.values[0],
            )
        return True

    def _level(self, metric: Metric, series: _Series) -> bool:
        value = series.value(Role.VALUE)
        if value is None:
            return False
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        start = series.began or self._began
        metric.sum.data_points.add(
            attributes=_attributes(series.key.labels),
            start_time_unix_nano=_nanos(min(start, series.at)),
            time_unix_nano=_nanos(series.at),
            as_double=value,
        )
        return True

    def _histogram(self, metric: Metric, series: _Series) -> bool:
        buckets = _buckets(series)
        if buckets is None:
            return False
        bounds, counts = buckets
        total = series.value(Role.SUM)
        metric.histogram.aggregation_temporality = self._counting
        counted = (*counts, total or 0.0)
        window = self._changes.window(series.key, series.began, series.at, counted)
        if window is None:
            return True
        *own, summed = window.values
        point = metric.histogram.data_points.add(
            attributes=_attributes(series.key.labels),
            start_time_unix_nano=_nanos(window.start),
            time_unix_nano=_nanos(series.at),
            count=int(sum(own)),
            explicit_bounds=bounds,
            bucket_counts=[int(count) for count in own],
        )
        if total is not None:
            point.sum = summed
        return True

    def _summary(self, metric: Metric, series: _Series) -> bool:
        count, total = series.value(Role.COUNT), series.value(Role.SUM)
        if count is None or not _is_count(count):
            return False
        # Summaries have no temporality: they are cumulative.
        start = min(series.began or self._began, series.at)
        point = metric.summary.data_points.add(
            attributes=_attributes(series.key.labels),
            start_time_unix_nano=_nanos(start),
            time_unix_nano=_nanos(series.at),
            count=int(count),
            sum=total or 0.0,
        )
        for sample in series.points:
            if sample.role is Role.VALUE:
                quantile = float(dict(sample.labels).get(BOUND[Role.VALUE], "nan"))
                point.quantile_values.add(quantile=quantile, value=sample.value)
        return True


def _scope(
    request: ExportMetricsServiceRequest, resource: Iterable[tuple[str, str]]
) -> ScopeMetrics:
    """What the metrics of one resource are put into."""
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.extend(_pairs(resource))
    scope: ScopeMetrics = resource_metrics.scope_metrics.add()
    scope.scope.name = _SCOPE
    return scope


def _named(offer: Offer) -> Metric:
    known = offer.metric
    return Metric(
        name=known.name if known else offer.name,
        unit=known.unit if known else offer.unit,
        description=offer.help or "",
    )


def _series(
    offer: Offer, found: Sequence[Point], since: Mapping[str, float | None], now: float
) -> Iterator[_Series]:
    """The samples of a family, those of one series together, in the order of their first."""
    together: dict[Key, list[Point]] = {}
    for point in found:
        labels = point.labels
        bound = _bound(offer.kind, point.role)
        if bound:
            labels = tuple(item for item in labels if item[0] != bound)
        together.setdefault(Key(offer.name, labels, point.source), []).append(point)
    for key, points in together.items():
        stamp = next((p.timestamp for p in points if p.timestamp is not None), None)
        yield _Series(key, tuple(points), since.get(key.source), now if stamp is None else stamp)


def _bound(kind: Kind, role: Role) -> str | None:
    """The label that tells the samples of one series apart."""
    has = role is Role.BUCKET or (role is Role.VALUE and kind is Kind.SUMMARY)
    return BOUND[role] if has else None


def _gauge(metric: Metric, series: _Series) -> bool:
    value = series.value(Role.VALUE)
    if value is None:
        return False
    metric.gauge.data_points.add(
        attributes=_attributes(series.key.labels),
        time_unix_nano=_nanos(series.at),
        as_double=value,
    )
    return True


def _buckets(series: _Series) -> tuple[list[float], list[float]] | None:
    """Bounds but the infinite one, and each bucket's own count; None if it is no histogram."""
    cumulative = {
        float(dict(point.labels).get(BOUND[Role.BUCKET], "nan")): point.value
        for point in series.points
        if point.role is Role.BUCKET
    }
    count = series.value(Role.COUNT)
    if count is not None:
        cumulative.setdefault(math.inf, count)
    ordered = sorted(cumulative)
    if not ordered or math.isnan(ordered[0]) or ordered[-1] != math.inf:
        return None
    counts, before = [], 0.0
    for bound in ordered:
        value = cumulative[bound]
        if not _is_count(value) or value < before:
            return None
        counts.append(value - before)
        before = value
    return ordered[:-1], counts


def _is_count(value: float) -> bool:
    return value >= 0 and value.is_integer()  # infinities and NaN are no integers


def _nanos(seconds: float) -> int:
    """A timestamp that a page made up may be outside of what 64 bits can say."""
    return min(max(0, round(seconds * 1e9)), 2**64 - 1)


def _attributes(labels: Labels) -> list[KeyValue]:
    return _pairs(labels)


def _pairs(items: Iterable[tuple[str, str]]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any(name, text)) for name, text in items]


def _any(name: str, text: str) -> AnyValue:
    if name in _INTEGERS and text.isascii() and text.isdigit():
        return AnyValue(int_value=int(text))
    return AnyValue(string_value=text)
