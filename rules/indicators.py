"""What an objective counts, as PromQL: all events a second and the bad ones, over a window."""

import difflib

from firsttoken import catalogue, promql, recorded
from firsttoken.catalogue import Instrument, Metric
from firsttoken.config import format_duration
from firsttoken.errors import ConfigError
from firsttoken.naming import current
from firsttoken.promql import Matcher, Operator, Scope
from firsttoken.rules.gateways import GATEWAYS, Counter, Gateway
from firsttoken.rules.model import Context, RecordingRule, number
from firsttoken.rules.objectives import (
    AnyObjective,
    Availability,
    Counted,
    Goodput,
    Latency,
    Ratio,
    Throughput,
)

__all__ = ["HTTP_REQUESTS", "matchers", "rates", "samples"]

HTTP_REQUESTS = next(m for m in catalogue.METRICS if m.name == current("http.server.requests"))
_REASON = "gen_ai.response.finish_reason"
_STATUS = "http.response.status_class"
_ROUTE = "http.route"
_OPERATORS: tuple[Operator, ...] = ("!=", "=~", "!~")


def rates(
    context: Context, objective: AnyObjective, window: str, *, alone: bool = False
) -> tuple[str, str]:
    """All events and bad events per second over a window such as ``5m``.

    The second reads the recorded first, which costs a third less, unless it must stand ``alone``.
    Raises NotReportedError where the vocabulary lacks the metric, ConfigError where a ratio names
    one that is no counter.
    """
    if isinstance(objective, Throughput | Goodput):
        return _sampled(context, objective, window)
    total = _total(context, objective, window)
    own = matchers({"service": context.slo.service, "slo": objective.name})
    known = f"sum{context.scope.grouping()} ({recorded.total(window)}{own})"
    return total, _bad(context, objective, window, total if alone else known)


def samples(context: Context, objective: AnyObjective) -> tuple[RecordingRule, ...]:
    """For a floor: whether there is demand now, and whether the floor is then missed; 0 or 1."""
    if not isinstance(objective, Throughput | Goodput):
        return ()
    gauges = [catalogue.REQUESTS_WAITING]
    if objective.demand == "running":
        gauges.append(catalogue.REQUESTS_RUNNING)
    held = " + ".join(promql.gauge(metric, context.scope) for metric in gauges)
    # A rate needs a few scrapes; shorter windows follow demand that comes and goes more closely.
    window = format_duration(max(60, 4 * context.options.scrape))
    pace = f"({_pace(context, objective, window)} or 0 * ({held}))"
    labels = {"service": context.slo.service, "slo": objective.name}
    demand = f"(({held}) > bool 0)"
    missed = f"({pace} < bool {number(objective.floor)})"
    return (
        RecordingRule(recorded.SAMPLE_TOTAL, demand, labels),
        RecordingRule(recorded.SAMPLE_BAD, f"{missed} * {demand}", labels),
    )


def matchers(labels: dict[str, str]) -> str:
    """Equality matchers in braces."""
    return "{" + ", ".join(f"{name}={promql.quote(value)}" for name, value in labels.items()) + "}"


def _good_rate(context: Context, objective: Latency | Goodput, window: str) -> str:
    metric = objective.catalogue_metric
    variant = context.vocabulary.find(metric, {})[0]
    # A source that counts in another unit has its bounds in that unit.
    bound = objective.threshold / variant.scale
    if context.slo.histograms == "native":
        return promql.native_bucket_rate(metric, bound, window, context.scope)
    return promql.bucket_rate(metric, bound, window, context.scope)


def _total(context: Context, objective: Latency | Availability | Ratio, window: str) -> str:
    if isinstance(objective, Latency):
        native = context.slo.histograms == "native"
        count = promql.native_count_rate if native else promql.count_rate
        return count(objective.catalogue_metric, window, context.scope)
    if isinstance(objective, Ratio):
        return _counted(context, objective, objective.total, window)
    if objective.gateway:
        gateway = GATEWAYS[objective.gateway]
        return _at_the_gateway(context, gateway, gateway.total, window)
    metric, attribute, scope = _outcomes(context, objective)
    ignored = (Matcher(attribute, reason, "!=") for reason in objective.ignored)
    return promql.rate(metric, window, scope.matching(*ignored))


def _bad(
    context: Context, objective: Latency | Availability | Ratio, window: str, total: str
) -> str:
    if isinstance(objective, Latency):
        # Count and buckets come from one scrape, but rates may differ in their last digits.
        return f"clamp_min({total} - {_good_rate(context, objective, window)}, 0)"
    # What has not happened yet often has no series.
    none = f"0 * {total}"
    if isinstance(objective, Ratio):
        part = f"{_counted(context, objective, objective.part, window)} or {none}"
        return part if objective.bad else f"clamp_min({total} - ({part}), 0)"
    if objective.gateway:
        gateway = GATEWAYS[objective.gateway]
        return f"{_at_the_gateway(context, gateway, gateway.bad, window)} or {none}"
    metric, attribute, scope = _outcomes(context, objective)
    if len(objective.bad) == 1:
        failed = scope.matching(Matcher(attribute, objective.bad[0]))
    else:
        failed = scope.matching(Matcher(attribute, "|".join(objective.bad), "=~"))
    return f"{promql.rate(metric, window, failed)} or {none}"


def _at_the_gateway(context: Context, gateway: Gateway, counter: Counter, window: str) -> str:
    """The rate of a gateway's counter, with the model under the label that it has elsewhere."""
    own = [f"{name}={promql.quote(value)}" for name, value in sorted(context.slo.selector.items())]
    matchers = ", ".join([*own, *counter.matchers])
    rate = f"rate({counter.series}{f'{{{matchers}}}' if matchers else ''}[{window}])"
    if gateway.model not in ("", context.model):
        rate = f'label_replace({rate}, "{context.model}", "$1", "{gateway.model}", "(.*)")'
    return f"sum{context.scope.grouping()} ({rate})"


def _outcomes(context: Context, objective: Availability) -> tuple[Metric, str, Scope]:
    if objective.of == "http":
        routes = Matcher(_ROUTE, objective.routes, "=~")
        return HTTP_REQUESTS, _STATUS, context.scope.matching(routes)
    return catalogue.REQUESTS_FINISHED, _REASON, context.scope


def _counted(context: Context, objective: Ratio, counted: Counted, window: str) -> str:
    scope = context.scope.matching(*(_matcher(*item) for item in sorted(counted.where.items())))
    metric = catalogue.find(counted.metric)
    if metric is None:
        if "." in counted.metric:
            raise _unknown(context, objective, counted)
        return _literal(counted.metric, scope, window)
    if metric.instrument is Instrument.COUNTER:
        return promql.rate(metric, window, scope)
    if metric.instrument is Instrument.HISTOGRAM:
        return promql.count_rate(metric, window, scope)
    raise ConfigError(
        f"objectives of {context.slo.service}",
        [f"objective {objective.name}: {metric.name} is of kind {metric.instrument}, no counter"],
    )


def _unknown(context: Context, objective: Ratio, counted: Counted) -> ConfigError:
    names = [metric.name for metric in catalogue.METRICS]
    near = difflib.get_close_matches(counted.metric, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(
        f"objectives of {context.slo.service}",
        [f"objective {objective.name}: {counted.metric} is not in the catalogue{hint}"],
    )


def _literal(name: str, scope: Scope, window: str) -> str:
    """The rate of a series that only its user knows."""
    where = ", ".join(
        f"{scope.vocabulary.label(m.name)}{m.operator}{promql.quote(m.value)}" for m in scope.where
    )
    braces = f"{{{where}}}" if where else ""
    return f"sum{scope.grouping()} (rate({name}{braces}[{window}]))"


def _matcher(name: str, value: str) -> Matcher:
    for operator in _OPERATORS:
        if value.startswith(operator):
            return Matcher(name, value.removeprefix(operator), operator)
    return Matcher(name, value)


def _pace(context: Context, objective: Throughput | Goodput, window: str) -> str:
    if isinstance(objective, Goodput):
        return _good_rate(context, objective, window)
    if objective.of == "requests":
        return promql.rate(catalogue.REQUESTS_FINISHED, window, context.scope)
    direction = objective.of.removesuffix("_tokens")
    scope = context.scope.matching(Matcher("gen_ai.token.type", direction))
    return promql.rate(catalogue.TOKENS_PROCESSED, window, scope)


def _sampled(context: Context, objective: AnyObjective, window: str) -> tuple[str, str]:
    # An event is an evaluation with demand, so that events a second mean the same as elsewhere.
    own = matchers({"service": context.slo.service, "slo": objective.name})
    every = context.options.scrape
    total, bad = (
        f"avg_over_time({name}{own}[{window}]) / {every}"
        for name in (recorded.SAMPLE_TOTAL, recorded.SAMPLE_BAD)
    )
    return total, bad
