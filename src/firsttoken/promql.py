"""PromQL expressions built from catalogue entries, so that no metric name is typed by hand.

All functions return text.  A ``Scope`` says in which vocabulary, with which matchers and kept apart
by which attributes an expression is built.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from firsttoken.catalogue import Instrument, Metric
from firsttoken.naming import current
from firsttoken.vocabulary import (
    SEMCONV,
    Condition,
    NotReportedError,
    Operator,
    Variant,
    Vocabulary,
    passes,
)

__all__ = [
    "Matcher",
    "Operator",
    "Scope",
    "bucket_rate",
    "count_rate",
    "divide",
    "gauge",
    "increase",
    "le_matcher",
    "mean",
    "native_bucket_rate",
    "native_count_rate",
    "quantile",
    "quote",
    "rate",
    "selector",
    "sum_rate",
]

Aggregation = Literal["sum", "avg", "max", "min", "count"]


def quote(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label matcher; ``name`` is an attribute's name, or a label's (``job``, ``instance``)."""

    name: str
    value: str
    operator: Operator = "="


@dataclass(frozen=True, slots=True)
class Scope:
    """Which series are read (``where``) and what stays apart (``by``, attributes or labels)."""

    where: tuple[Matcher, ...] = ()
    by: tuple[str, ...] = ()
    vocabulary: Vocabulary = SEMCONV
    extra: str = ""
    """Matchers written out, such as a dashboard's ``job=~"$job"``; put after ``where``."""

    def matching(self, *matchers: Matcher) -> "Scope":
        """The same scope with more matchers."""
        return replace(self, where=(*self.where, *matchers))

    def kept(self, *by: str) -> "Scope":
        """The same scope kept apart by other attributes."""
        return replace(self, by=by)

    def grouping(self, *more: str) -> str:
        """``by (a, b) `` with ``more`` labels first; empty when nothing is kept apart."""
        labels = [*more, *(self.vocabulary.label(name) for name in self.by)]
        return f" by ({', '.join(dict.fromkeys(labels))})" if labels else ""


def le_matcher(bound: Decimal) -> str:
    """The matcher of a bucket bound in each spelling that exporters and Prometheus 2 and 3 use.

    Whole numbers come as ``1`` and ``1.0``; Python and Go write one million and more with an
    exponent, and so does this.
    """
    plain = format(bound.normalize(), "f")
    if "." in plain:
        return f'le="{plain}"'
    if abs(bound) >= 1_000_000:
        exponent = f"{bound.normalize():e}"
        mantissa, _, power = exponent.partition("e")
        mantissa = mantissa.replace(".", "[.]")
        return f'le=~"{mantissa}e[+]0?{int(power)}|{plain}([.]0)?"'
    return f'le=~"{plain}([.]0)?"'


def selector(
    metric: Metric, scope: Scope, *, suffix: str = "", window: str = "", le: str = ""
) -> str:
    """The series of a metric: ``name_suffix{matchers}[window]``; raises NotReportedError."""
    variants = _variants(metric, scope)
    matchers = _matchers(metric, scope, variants)
    matchers += [part for part in (scope.extra, le) if part]
    name = f"{variants[0].series}{suffix}"
    if len(variants) > 1:
        names = "|".join(re.escape(variant.series) + suffix for variant in variants)
        matchers.insert(0, f"__name__=~{quote(names)}")
        name = ""
    braces = f"{{{', '.join(matchers)}}}" if matchers else ""
    return f"{name}{braces}{f'[{window}]' if window else ''}"


def _variants(metric: Metric, scope: Scope) -> tuple[Variant, ...]:
    """The variants with series that the scope's matchers can let through."""
    equal = {m.name: m.value for m in scope.where if m.operator == "="}
    asked = [(current(m.name), m) for m in scope.where]
    found = tuple(
        variant
        for variant in scope.vocabulary.find(metric, equal)
        if all(
            passes(m.operator, m.value, value)
            for name, m in asked
            for own, value in variant.fixed
            if own == name
        )
    )
    if not found:
        raise NotReportedError(metric, scope.vocabulary.name)
    return found


def _matchers(metric: Metric, scope: Scope, variants: tuple[Variant, ...]) -> list[str]:
    """What must stand in the braces, so that of every variant the right series are read.

    A variant has its fixed attributes without a label, and a label that only others are told
    apart by it does not have; where a matcher would then keep it out, no one selector will do.
    """
    conditions: dict[Condition, list[Variant]] = {}
    for m in scope.where:
        name = current(m.name)
        without = [variant for variant in variants if name in dict(variant.fixed)]
        if len(without) < len(variants):
            conditions[Condition(scope.vocabulary.label(m.name), m.operator, m.value)] = without
    for variant in variants:
        for condition in variant.where:
            conditions[condition] = [v for v in variants if condition not in v.where]
    for condition, without in conditions.items():
        if without and not passes(condition.operator, condition.value, ""):
            raise NotReportedError(metric, scope.vocabulary.name, "in what one selector can read")
    return [f"{c.label}{c.operator}{quote(c.value)}" for c in conditions]


def _scaled(expression: str, metric: Metric, scope: Scope) -> str:
    scales = {variant.scale for variant in _variants(metric, scope)}
    if scales == {Decimal(1)}:
        return expression
    if len(scales) > 1:
        raise ValueError(f"{metric.name}: its series in {scope.vocabulary.name} differ in unit")
    return f"{expression} * {format(scales.pop().normalize(), 'f')}"


def _rate(
    metric: Metric, window: str, scope: Scope, suffix: str = "", le: str = "", of: str = "rate"
) -> str:
    rates = []
    variants = _variants(metric, scope)
    for variant in variants:
        one = replace(scope.vocabulary, variants={metric.name: (variant,)})
        part = replace(scope, vocabulary=one)
        series = selector(metric, part, suffix=suffix, window=window, le=le)
        # Both functions drop the name, without which series of two names may have the same labels.
        told = f'label_replace({of}({series}), "series", "{variant.series}", "", "")'
        rates.append(told if len(variants) > 1 else f"{of}({series})")
    return f"sum{scope.grouping()} ({' or '.join(rates)})"


def _expect(metric: Metric, *instruments: Instrument) -> None:
    if metric.instrument not in instruments:
        allowed = " or ".join(instruments)
        raise ValueError(f"{metric.name} is a {metric.instrument}, not a {allowed}")


def rate(metric: Metric, window: str, scope: Scope) -> str:
    """A counter's increase per second."""
    _expect(metric, Instrument.COUNTER)
    return _scaled(_rate(metric, window, scope), metric, scope)


def increase(metric: Metric, window: str, scope: Scope) -> str:
    """By how much a counter grew."""
    _expect(metric, Instrument.COUNTER)
    return _scaled(_rate(metric, window, scope, of="increase"), metric, scope)


def count_rate(metric: Metric, window: str, scope: Scope) -> str:
    """A histogram's observations per second."""
    _expect(metric, Instrument.HISTOGRAM)
    return _rate(metric, window, scope, "_count")


def sum_rate(metric: Metric, window: str, scope: Scope) -> str:
    """The increase per second of a histogram's sum."""
    _expect(metric, Instrument.HISTOGRAM)
    return _scaled(_rate(metric, window, scope, "_sum"), metric, scope)


def bucket_rate(metric: Metric, bound: Decimal, window: str, scope: Scope) -> str:
    """A histogram's observations per second that are not above ``bound``, a bucket's bound."""
    _expect(metric, Instrument.HISTOGRAM)
    return _rate(metric, window, scope, "_bucket", le_matcher(bound))


def native_count_rate(metric: Metric, window: str, scope: Scope) -> str:
    """A native histogram's observations per second."""
    _expect(metric, Instrument.HISTOGRAM)
    return f"histogram_count({_rate(metric, window, scope)})"


def native_bucket_rate(metric: Metric, bound: Decimal, window: str, scope: Scope) -> str:
    """A native histogram's observations per second not above any ``bound``, 0 when idle.

    Within a bucket observations are taken to be spread evenly.
    """
    _expect(metric, Instrument.HISTOGRAM)
    whole = _rate(metric, window, scope)
    share = f"histogram_fraction(-Inf, {format(bound.normalize(), 'f')}, {whole})"
    return f"({share} * (histogram_count({whole}) > 0) or 0 * histogram_count({whole}))"


def divide(numerator: str, denominator: str) -> str:
    """A ratio that has no value, rather than NaN, where the denominator is 0."""
    return f"({numerator}) / ({denominator} > 0)"


def mean(metric: Metric, window: str, scope: Scope) -> str:
    """A histogram's mean observation."""
    return divide(sum_rate(metric, window, scope), count_rate(metric, window, scope))


def quantile(q: Decimal, metric: Metric, window: str, scope: Scope) -> str:
    """A histogram's quantile, as exact as its buckets."""
    _expect(metric, Instrument.HISTOGRAM)
    series = selector(metric, scope, suffix="_bucket", window=window)
    inner = f"sum{scope.grouping('le')} (rate({series}))"
    return _scaled(f"histogram_quantile({q}, {inner})", metric, scope)


def gauge(metric: Metric, scope: Scope, aggregation: Aggregation = "sum") -> str:
    """The current value, aggregated over what is not kept apart."""
    _expect(metric, Instrument.GAUGE, Instrument.UPDOWNCOUNTER)
    expression = f"{aggregation}{scope.grouping()} ({selector(metric, scope)})"
    return expression if aggregation == "count" else _scaled(expression, metric, scope)
