"""Burn-rate windows for any period, derived by exact arithmetic and checked before they are used.

The four tiers are those of Google's SRE workbook ("Alerting on SLOs", multiwindow, multi-burn-rate)
for 30 days; for another period the windows scale with it, so that the burn factors stay.  A tier
that could not work is adapted or left out, and says why.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from firsttoken.config import format_duration
from firsttoken.errors import UsageError

__all__ = ["Tier", "plan", "tiers"]

_BASE_PERIOD = 30 * 86400
_SHORT = 12
"""A short window is this part of its long one."""
_SCRAPES = 4
"""A rate over fewer scrapes than this loses too much when one is missed."""
_REACHABLE = Decimal("0.5")
"""No tier asks for a larger share of bad events than this, so that half an outage alerts."""
_MOST_SPENT = Decimal("0.5")
"""No tier may notice only when more than this share of the budget is spent."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows: it fires while both have a share of bad events above ``threshold``.

    ``long`` and ``short`` are seconds; ``factor`` is the burn rate, ``threshold`` the factor times
    the budget, and ``spent`` the share of the period's budget that is gone when it first fires.
    """

    burn: str
    severity: str
    factor: Decimal
    long: int
    short: int
    threshold: Decimal
    spent: Decimal
    notes: tuple[str, ...] = ()

    def detects_after(self, bad_share: Decimal) -> Decimal | None:
        """Seconds until it fires at a constant share of bad events, from none; None: never."""
        if bad_share <= self.threshold:
            return None
        return self.threshold * self.long / bad_share


_WORKBOOK = (
    ("page_fast", "critical", Decimal("14.4"), 3600),
    ("page_slow", "critical", Decimal(6), 6 * 3600),
    ("ticket_fast", "warning", Decimal(3), 86400),
    ("ticket_slow", "warning", Decimal(1), 3 * 86400),
)


def _rounded(seconds: Decimal) -> int:
    """Up to a length whose twelfth is whole: minutes for the short window when it is that long."""
    step = Decimal(_SHORT * 60 if seconds >= _SHORT * 60 else _SHORT)
    return int((seconds / step).to_integral_value(ROUND_CEILING) * step)


def tiers(period: int, budget: Decimal, scrape: int) -> tuple[Tier, ...]:
    """The tiers for a period, a budget (share of bad events) and a scrape interval, in seconds.

    Raises UsageError when no paging tier can work.
    """
    found: list[Tier] = []
    for burn, severity, nominal, base in _WORKBOOK:
        notes: list[str] = []
        factor = nominal
        length = Decimal(base) * period / _BASE_PERIOD
        threshold = factor * budget
        if threshold > _REACHABLE:
            length = length * threshold / _REACHABLE
            factor, threshold = _REACHABLE / budget, _REACHABLE
            notes.append(
                f"burn factor {nominal} would need more than {_percent(_REACHABLE)} bad events at"
                " this target: lower factor, longer window"
            )
        shortest = Decimal(_SHORT * _SCRAPES * scrape)
        if length < shortest:
            length = shortest
            notes.append(f"window stretched to {_SCRAPES} scrapes of {scrape}s in the short one")
        long = _rounded(length)
        spent = factor * long / period
        if spent > _MOST_SPENT or long > period:
            continue
        tier = Tier(burn, severity, factor, long, long // _SHORT, threshold, spent, tuple(notes))
        found = [old for old in found if not _covers(tier, old)]
        found.append(tier)
    if not any(tier.severity == "critical" for tier in found):
        needed = _shortest_period(budget, scrape)
        raise UsageError(
            f"period {format_duration(period)} is too short for scrapes every {scrape}s: no"
            f" paging window would notice before half of the budget is spent; scrape more often or"
            f" take a period of at least {format_duration(needed)}"
        )
    return tuple(found)


def _covers(new: Tier, old: Tier) -> bool:
    """Whether whatever fires ``old`` fires ``new`` as early and as loudly."""
    return new.severity == old.severity and new.long <= old.long and new.threshold <= old.threshold


def _shortest_period(budget: Decimal, scrape: int) -> int:
    factor = min(_WORKBOOK[1][2], _REACHABLE / budget)
    return int(
        (factor * _rounded(Decimal(_SHORT * _SCRAPES * scrape)) / _MOST_SPENT).quantize(
            Decimal(1), ROUND_CEILING
        )
    )


def plan(groups: Iterable[tuple[Tier, ...]]) -> tuple[int, ...]:
    """All window lengths of the tiers, ascending."""
    return tuple(sorted({w for group in groups for tier in group for w in (tier.long, tier.short)}))


def _percent(share: Decimal) -> str:
    return f"{format((share * 100).normalize(), 'f')} %"
