"""Made-up series for unit tests of rules, in promtool's notation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from firsttoken import catalogue
from firsttoken.catalogue import Metric
from firsttoken.promql import quote
from firsttoken.rules.gateways import GATEWAYS
from firsttoken.rules.indicators import HTTP_REQUESTS
from firsttoken.rules.model import Context
from firsttoken.rules.objectives import (
    AnyObjective,
    Availability,
    Counted,
    Goodput,
    Latency,
    Ratio,
    Throughput,
)

__all__ = ["MODEL", "Phase", "input_series", "names_models", "one_series"]

MODEL = "some/model"
_RATE = 600
"""Requests in a step."""


@dataclass(frozen=True, slots=True)
class Phase:
    """So many steps with this share of bad events among ``requests`` in each.

    ``resets``: the counters begin at 0 again; ``absent``: nothing reports.
    """

    steps: int
    bad: Decimal
    requests: int = _RATE
    resets: bool = False
    absent: bool = False

    @property
    def bad_requests(self) -> int:
        """How many of them are bad."""
        return int(self.bad * self.requests)


def names_models(objective: AnyObjective) -> bool:
    """Whether the series of an objective say which model they are about."""
    gateway = objective.gateway if isinstance(objective, Availability) else None
    return gateway is None or bool(GATEWAYS[gateway].model)


def input_series(
    context: Context, objective: AnyObjective, phases: Sequence[Phase], step: int,
    model: str = MODEL,
) -> list[dict[str, str]]:  # fmt: skip
    """The series of one model that an objective reads, with a sample every ``step`` seconds."""
    labels = {
        **dict.fromkeys(context.slo.group_by, "some"), **context.slo.selector, context.model: model
    }  # fmt: skip
    if isinstance(objective, Latency):
        return _histogram(context, objective, labels, phases)
    if isinstance(objective, Availability) and objective.gateway:
        gateway = GATEWAYS[objective.gateway]
        own = {**dict.fromkeys(context.slo.group_by, "some"), **context.slo.selector}
        own |= {gateway.model: model} if gateway.model else {}
        bad = _one(gateway.bad.series, own | dict(gateway.bad.sample), _counter(phases, _bad))
        # A counter of its own counts the bad among all; one that has both, beside the others.
        apart = gateway.bad.series == gateway.total.series
        rest = _counter(phases, _good if apart else lambda one: one.requests)
        return [bad, _one(gateway.total.series, own | dict(gateway.total.sample), rest)]
    if isinstance(objective, Availability):
        return _outcomes(context, objective, labels, phases)
    if isinstance(objective, Ratio):
        return _ratio(context, objective, labels, phases)
    return _floor(context, objective, labels, phases, step)


def one_series(
    context: Context, metric: Metric, attributes: Mapping[str, str], values: str
) -> dict[str, str]:
    """One series of a metric; raises NotReportedError where the source has none like it."""
    variant = context.vocabulary.find(metric, attributes)[0]
    own = {key: value for key, value in attributes.items() if key not in dict(variant.fixed)}
    labels = {**dict.fromkeys(context.slo.group_by, "some"), **context.slo.selector}
    labels |= {context.vocabulary.label(key): value for key, value in own.items()}
    labels |= {one.label: one.value for one in variant.where if one.operator == "="}
    return _one(variant.series, labels, values)


def _histogram(
    context: Context, objective: Latency | Goodput, labels: dict[str, str], phases: Sequence[Phase]
) -> list[dict[str, str]]:
    variant = context.vocabulary.find(objective.catalogue_metric, {})[0]
    bound = {"le": format((objective.threshold / variant.scale).normalize(), "f")}
    return [
        _one(f"{variant.series}_count", labels, _counter(phases, lambda one: one.requests)),
        _one(f"{variant.series}_bucket", labels | bound, _counter(phases, _good)),
    ]


def _outcomes(
    context: Context, objective: Availability, labels: dict[str, str], phases: Sequence[Phase]
) -> list[dict[str, str]]:
    metric, attribute, good = catalogue.REQUESTS_FINISHED, catalogue.FINISH_REASON.name, "stop"
    if objective.of == "http":
        metric, attribute, good = HTTP_REQUESTS, "http.response.status_class", "2xx"
        labels = labels | {context.vocabulary.label("http.route"): "/v1/completions"}
    reason = context.vocabulary.label(attribute)
    name = _name(context, metric)
    return [
        _one(name, labels | {reason: objective.bad[0]}, _counter(phases, _bad)),
        _one(name, labels | {reason: good}, _counter(phases, _good)),
    ]


def _ratio(
    context: Context, objective: Ratio, labels: dict[str, str], phases: Sequence[Phase]
) -> list[dict[str, str]]:
    part = _bad if objective.bad else _good
    found = [
        _counted(context, objective.part, labels, _counter(phases, part)),
        _counted(context, objective.total, labels, _counter(phases, lambda one: one.requests)),
    ]
    if objective.part.metric == objective.total.metric and _equal(objective.total) == {}:
        # The total is the sum of its parts, so what is not in the part comes beside it.
        rest = _good if objective.bad else _bad
        other = {context.vocabulary.label(name): "other" for name in _equal(objective.part)}
        found[1] = _counted(context, objective.total, labels | other, _counter(phases, rest))
    return found


def _equal(counted: Counted) -> dict[str, str]:
    return {name: value for name, value in counted.where.items() if value[:2] not in _OPERATORS}


_OPERATORS = ("!=", "=~", "!~")


def _counted(
    context: Context, counted: Counted, labels: dict[str, str], values: str
) -> dict[str, str]:
    metric = catalogue.find(counted.metric)
    name = counted.metric if metric is None else _name(context, metric)
    if metric is not None and metric.instrument.value == "histogram":
        name += "_count"
    own = {context.vocabulary.label(key): value for key, value in _equal(counted).items()}
    return _one(name, labels | own, values)


def _floor(
    context: Context, objective: Throughput | Goodput, labels: dict[str, str],
    phases: Sequence[Phase], step: int,
) -> list[dict[str, str]]:  # fmt: skip
    waiting = " ".join(_gauge(phase) for phase in phases)
    enough = int(objective.floor * 2 * step) + 1
    pace = _alternating(phases, enough)
    found = [
        _one(_name(context, metric), labels, waiting)
        for metric in (catalogue.REQUESTS_WAITING, catalogue.REQUESTS_RUNNING)
    ]
    if isinstance(objective, Goodput):
        bucket = _histogram(context, objective, labels, phases)[1]
        return [*found, {**bucket, "values": pace}]
    if objective.of == "requests":
        reason = {context.vocabulary.label(catalogue.FINISH_REASON.name): "stop"}
        return [*found, _one(_name(context, catalogue.REQUESTS_FINISHED), labels | reason, pace)]
    direction = {"gen_ai.token.type": objective.of.removesuffix("_tokens")}
    variant = context.vocabulary.find(catalogue.TOKENS_PROCESSED, direction)[0]
    if not variant.fixed:
        labels = labels | {context.vocabulary.label(k): v for k, v in direction.items()}
    return [*found, _one(variant.series, labels, pace)]


def _gauge(phase: Phase) -> str:
    if phase.absent:
        return f"_x{phase.steps}"
    return f"{5 if phase.requests else 0}x{phase.steps - 1}"


def _alternating(phases: Sequence[Phase], enough: int) -> str:
    """A counter that grows by ``enough`` in good steps and not at all in a phase's bad share."""
    values = ["0"]
    value = 0
    for phase in phases:
        for before, after in pairwise(int(phase.bad * n) for n in range(phase.steps + 1)):
            value += 0 if after > before else enough
            values.append("_" if phase.absent else str(value))
    return " ".join(values)


def _good(phase: Phase) -> int:
    return phase.requests - phase.bad_requests


def _bad(phase: Phase) -> int:
    return phase.bad_requests


def _counter(phases: Sequence[Phase], each: Callable[[Phase], int]) -> str:
    """promtool's notation: start, then so many steps of so much."""
    parts, value = ["0"], 0
    for phase in phases:
        growth = each(phase)
        if phase.absent:
            parts[-1] = "_" if len(parts) == 1 else parts[-1]
            parts.append(f"_x{phase.steps}")
            continue
        value = 0 if phase.resets else value
        parts.append(f"{value + growth}+{growth}x{phase.steps - 1}")
        value += growth * phase.steps
    return " ".join(parts)


def _name(context: Context, metric: Metric) -> str:
    return context.vocabulary.find(metric, {})[0].series


def _one(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    braces = "{" + ",".join(f"{key}={quote(value)}" for key, value in labels.items()) + "}"
    return {"series": name + braces, "values": values}
