"""Objectives to rule groups: bad and total events recorded apart, and divided last.

Per objective: one group with the rates of all windows and the alerts on them, so that an alert
reads what was just recorded, and those of ``periods`` for the budget; per service one of constants.
"""

from decimal import Decimal
from itertools import chain

from firsttoken import promql, recorded
from firsttoken.config import format_duration
from firsttoken.errors import ConfigError, UsageError
from firsttoken.rules import buckets, packs, periods
from firsttoken.rules.indicators import matchers, rates, samples
from firsttoken.rules.model import (
    DEFAULTS,
    AlertRule,
    Context,
    Group,
    Options,
    RecordingRule,
    number,
)
from firsttoken.rules.slo import AnyObjective, Goodput, Latency, SloFile
from firsttoken.rules.windows import Tier, plan, tiers
from firsttoken.vocabulary import SEMCONV, NotReportedError, Vocabulary

__all__ = ["ALERT", "rule_groups", "tiers_of"]

ALERT = "LLMErrorBudgetBurn"
_ALWAYS = (300, 3600)
"""Windows that dashboards show for every period."""


def rule_groups(
    slo: SloFile, vocabulary: Vocabulary = SEMCONV, options: Options = DEFAULTS
) -> tuple[Group, ...]:
    """All rule groups of an objective file, in a stable order.

    Raises ConfigError for thresholds off the engine's bucket bounds and for metrics that the
    vocabulary does not have, UsageError where a period is too short to be watched.
    """
    context = Context(slo, vocabulary, options)
    wrong = buckets.problems(slo)
    if wrong:
        raise ConfigError(f"objectives of {slo.service}", wrong)
    try:
        groups = [
            group for objective in slo.objectives for group in _objective_groups(context, objective)
        ]
        groups += [packs.group(context, pack) for pack in dict.fromkeys(slo.packs)]
    except NotReportedError as exc:
        raise ConfigError(f"objectives of {slo.service}", [str(exc)]) from None
    return (*groups, *periods.elapsed(context), _constants(context))


def tiers_of(slo: SloFile, objective: AnyObjective, options: Options) -> tuple[Tier, ...]:
    """The tiers of one objective; raises UsageError where none can page, naming the objective."""
    try:
        return tiers(int(slo.period), objective.budget, options.scrape)
    except UsageError as exc:
        raise UsageError(f"objective {objective.name}: {exc}") from None


def _objective_groups(context: Context, objective: AnyObjective) -> tuple[Group, ...]:
    found = tiers_of(context.slo, objective, context.options)
    labels = {"service": context.slo.service, "slo": objective.name}
    windows = sorted({*plan([found]), *_ALWAYS})
    recordings = chain.from_iterable(
        _rates(context, objective, window, labels) for window in windows
    )
    alerts = [_burn_alert(context, objective, tier) for tier in found]
    name = f"firsttoken-{context.slo.service}-{objective.name}"
    rules: list[RecordingRule | AlertRule] = [*samples(context, objective), *recordings, *alerts]
    base = format_duration(windows[0])
    return (
        Group(f"{name}.rules", tuple(rules), context.options.scrape),
        *periods.groups(context, objective, name, base),
    )


def _rates(
    context: Context, objective: AnyObjective, window: int, labels: dict[str, str]
) -> tuple[RecordingRule, RecordingRule]:
    text = format_duration(window)
    total, bad = rates(context, objective, text)
    return (
        RecordingRule(recorded.total(text), total, labels),
        RecordingRule(recorded.bad(text), bad, labels),
    )


def _burn_alert(context: Context, objective: AnyObjective, tier: Tier) -> AlertRule:
    own = matchers({"service": context.slo.service, "slo": objective.name})
    long, short = format_duration(tier.long), format_duration(tier.short)
    shares = [promql.divide(recorded.bad(w) + own, recorded.total(w) + own) for w in (long, short)]
    legs = [f"{share} > {number(tier.threshold)}" for share in shares]
    # Half an event less, because a rate over a window extrapolates a little.
    fewest = number(Decimal(context.options.fewest_bad) - Decimal("0.5"))
    guard = f"{recorded.bad(long)}{own} * {tier.long} >= {fewest}"
    whose = f"{{{{ with $labels.{context.model} }}}}Model {{{{ . }}}} of {{{{ end }}}}"
    return context.alert(
        ALERT,
        "\nand ".join([*legs, guard]),
        "An objective's error budget burns too fast.",
        f"{whose}{context.slo.service} misses its objective {objective.name}"
        f" ({number(objective.target)} % of {objective.promise}):"
        " {{ $value | humanizePercentage }} of the events in the"
        f" last {long} are bad, more than the {number(tier.threshold * 100)} % at which"
        f" {number((tier.spent * 100).quantize(Decimal('0.1')))} % of the budget of"
        f" {format_duration(context.period)} go in {long}.",
        severity=tier.severity,
        labels={"slo": objective.name, "burn": tier.burn, "long": long, "short": short},
    )


def _windows_of(tier: Tier) -> tuple[dict[str, str], ...]:
    """The labels of a tier's limit in each of its windows."""
    return tuple(
        {recorded.BURN_LABEL: tier.burn, recorded.WINDOW_LABEL: format_duration(window)}
        for window in (tier.long, tier.short)
    )


def _constants(context: Context) -> Group:
    rules: list[RecordingRule] = []
    for objective in context.slo.objectives:
        labels = {"service": context.slo.service, "slo": objective.name}
        values = [
            (recorded.OBJECTIVE, objective.ratio, {}),
            (recorded.BUDGET, objective.budget, {}),
            (recorded.PERIOD, Decimal(context.period), {}),
            (recorded.INFO, Decimal(1), {**context.slo.labels, "kind": objective.kind}),
        ]
        if isinstance(objective, Latency | Goodput):
            metric = {recorded.METRIC_LABEL: objective.catalogue_metric.name}
            values.append((recorded.THRESHOLD, objective.threshold, metric))
        rules += [
            RecordingRule(name, f"vector({number(value)})", {**more, **labels})
            for name, value, more in values
        ]
        rules += [
            RecordingRule(recorded.LIMIT, f"vector({number(tier.threshold)})", {**labels, **own})
            for tier in tiers_of(context.slo, objective, context.options)
            for own in _windows_of(tier)
        ]
    name = f"firsttoken-{context.slo.service}-constants.rules"
    return Group(name, tuple(rules), context.options.scrape)
