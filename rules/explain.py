"""What generated alerts mean in plain words: what pages when, and how much budget is then spent."""

from decimal import ROUND_HALF_UP, Decimal

from firsttoken.config import format_duration
from firsttoken.rules.generate import tiers_of
from firsttoken.rules.model import DEFAULTS, Options, number
from firsttoken.rules.slo import AnyObjective, Availability, Latency, SloFile
from firsttoken.rules.windows import Tier

__all__ = ["explain"]

_SHARES = (Decimal(1), Decimal("0.5"), Decimal("0.2"), Decimal("0.1"))


def explain(slo: SloFile, options: Options = DEFAULTS) -> str:
    """A text for people, one paragraph an objective; raises UsageError as the rules do."""
    return "\n\n".join(_objective(slo, objective, options) for objective in slo.objectives) + "\n"


def _objective(slo: SloFile, objective: AnyObjective, options: Options) -> str:
    period = format_duration(slo.period)
    promise = f"of {objective.promise}"
    if isinstance(objective, Latency):
        promise = f"{objective.metric} within {format_duration(float(objective.threshold))}"
    elif isinstance(objective, Availability):
        promise = f"not ended with {' or '.join(objective.bad)}"
    lines = [
        f"{objective.name}: {number(objective.target)} % {promise}, over {period};"
        f" {number(objective.budget * 100)} % may be bad."
    ]
    for tier in tiers_of(slo, objective, options):
        lines += _tier(tier, options)
    return "\n".join(lines)


def _tier(tier: Tier, options: Options) -> list[str]:
    kind = "pages" if tier.severity == "critical" else "opens a ticket"
    lines = [
        f"  {tier.burn} {kind} when more than {_rounded(tier.threshold * 100)} % are bad over"
        f" {format_duration(tier.long)} and over {format_duration(tier.short)}"
        f" (burn rate {_rounded(tier.factor)}); {_rounded(tier.spent * 100)} % of the budget is"
        " then spent."
    ]
    times = []
    for share in _SHARES:
        after = tier.detects_after(share)
        said = "never" if after is None else f"after {format_duration(int(after))}"
        times.append(f"{number(share * 100)} % bad: {said}")
    lines.append(f"    {'; '.join(times)}")
    lines.append(
        f"    Silent with fewer than {options.fewest_bad} bad events in"
        f" {format_duration(tier.long)}."
    )
    return lines + [f"    Note: {note}." for note in tier.notes]


def _rounded(value: Decimal) -> str:
    return number(value.quantize(Decimal("0.01"), ROUND_HALF_UP))
