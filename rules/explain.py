"""What generated alerts mean in plain words: what pages when, and how much budget is then spent."""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from firsttoken.config import format_duration
from firsttoken.errors import ConfigError
from firsttoken.rules import buckets, packs
from firsttoken.rules.generate import tiers_of
from firsttoken.rules.model import AlertRule, Context, number
from firsttoken.rules.objectives import AnyObjective, Availability, Goodput, Latency, told
from firsttoken.rules.slo import SloFile
from firsttoken.rules.windows import Tier

__all__ = ["explain"]

_SHARES = (Decimal(1), Decimal("0.5"), Decimal("0.2"), Decimal("0.1"))


def explain(context: Context) -> str:
    """A text for people, one paragraph an objective and one a pack.

    Raises ConfigError for thresholds off the bounds and UsageError for periods, as the rules do.
    """
    wrong = buckets.problems(context.slo)
    if wrong:
        raise ConfigError(f"objectives of {context.slo.service}", wrong)
    found = ["\n".join(_objective(context, one)) for one in context.slo.objectives]
    found += ["\n".join(_pack(context, pack)) for pack in dict.fromkeys(context.slo.packs)]
    return "\n\n".join(found) + "\n"


def _period(slo: SloFile) -> str:
    return f"each {slo.calendar}" if slo.calendar else f"over {format_duration(slo.period)}"


def _objective(context: Context, objective: AnyObjective) -> Iterator[str]:
    promise = f"of {objective.promise}"
    if isinstance(objective, Latency):
        promise = f"{objective.metric} within {told(objective.threshold)}"
    elif isinstance(objective, Availability) and not objective.gateway:
        promise = f"not ended with {' or '.join(objective.bad)}"
    yield (
        f"{objective.name}: {number(objective.target)} % {promise}, {_period(context.slo)};"
        f" {number(objective.budget * 100)} % may be bad."
    )
    if isinstance(objective, Latency | Goodput) and context.slo.histograms == "native":
        yield "  Within a bucket of the native histogram observations are taken to lie evenly."
    for tier in tiers_of(context.slo, objective, context.options):
        yield from _tier(tier, context.options.fewest_bad)


def _tier(tier: Tier, fewest: int) -> Iterator[str]:
    kind = "pages" if tier.severity == "critical" else "opens a ticket"
    long = format_duration(tier.long)
    yield (
        f"  {tier.burn} {kind} when more than {_rounded(tier.threshold * 100)} % are bad over"
        f" {long} and over {format_duration(tier.short)} (burn rate {_rounded(tier.factor)});"
        f" {_rounded(tier.spent * 100)} % of the budget is then spent."
    )
    times = []
    for share in _SHARES:
        after = tier.detects_after(share)
        said = "never" if after is None else f"after {format_duration(int(after))}"
        times.append(f"{number(share * 100)} % bad: {said}")
    yield f"    {'; '.join(times)}"
    # So many events in the window, and the fewest that alert are less than the threshold of them.
    enough = (fewest / tier.threshold).quantize(Decimal(1), ROUND_CEILING)
    yield (
        f"    Low traffic: fewer than {fewest} bad events in {long} alert nobody, so with fewer"
        f" than {enough:f} events there it takes more than {_rounded(tier.threshold * 100)} %."
    )
    for note in tier.notes:
        yield f"    Note: {note}."


def _pack(context: Context, pack: packs.Pack) -> Iterator[str]:
    yield f"pack {pack}:"
    for rule in packs.group(context, pack).rules:
        if isinstance(rule, AlertRule):
            kind = {"critical": "pages", "warning": "opens a ticket"}.get(
                rule.labels["severity"], "tells nobody by itself"
            )
            wait = f" for {format_duration(rule.wait)}" if rule.wait else ""
            yield f"  {rule.alert} {kind} when this holds{wait}: {rule.annotations['summary']}"
    for metric in packs.missing(context, pack):
        yield f"  Left out: {context.vocabulary.name} does not report {metric}."


def _rounded(value: Decimal) -> str:
    return number(value.quantize(Decimal("0.01"), ROUND_HALF_UP))
