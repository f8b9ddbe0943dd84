"""Tiers for any period and target: they work, or they are refused with a sentence."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.errors import UsageError
from firsttoken.rules.windows import Tier, tiers

DAY = 86400


def test_thirty_days_give_the_workbooks_table() -> None:
    found = tiers(30 * DAY, Decimal("0.01"), 30)

    assert [(t.burn, t.factor, t.long, t.short, t.spent) for t in found] == [
        ("page_fast", Decimal("14.4"), 3600, 300, Decimal("0.02")),
        ("page_slow", Decimal(6), 21600, 1800, Decimal("0.05")),
        ("ticket_fast", Decimal(3), 86400, 7200, Decimal("0.1")),
        ("ticket_slow", Decimal(1), 259200, 21600, Decimal("0.1")),
    ]


def test_twenty_eight_days_keep_every_factor_at_one_or_more() -> None:
    assert [t.factor for t in tiers(28 * DAY, Decimal("0.01"), 30)] == [Decimal("14.4"), 6, 3, 1]


def test_a_factor_that_a_wide_target_cannot_reach_is_lowered_and_says_so() -> None:
    fast = tiers(30 * DAY, Decimal("0.1"), 30)[0]

    assert (fast.factor, fast.threshold) == (Decimal(5), Decimal("0.5"))
    assert fast.long == pytest.approx(2.88 * 3600, abs=720)
    assert "more than 50 % bad" in fast.notes[0]


def test_a_period_too_short_for_the_scrapes_is_refused_with_one_that_is_long_enough() -> None:
    with pytest.raises(UsageError, match=r"period of at least 2h24m") as refused:
        tiers(3600, Decimal("0.01"), 15)

    assert "15s" in str(refused.value)
    assert tiers(8640, Decimal("0.01"), 15)


@given(
    period=st.integers(3600, 90 * DAY),
    target=st.decimals("90", "99.99", places=2),
    scrape=st.sampled_from([1, 5, 15, 30, 60]),
)
def test_every_tier_can_fire_and_never_below_the_sustainable_rate(
    period: int, target: Decimal, scrape: int
) -> None:
    budget = 1 - target / 100
    with contextlib.suppress(UsageError):
        found = tiers(period, budget, scrape)
        assert_all_work(found, period, scrape)
        return
    with pytest.raises(UsageError, match="period of at least"):
        tiers(period, budget, scrape)


def assert_all_work(found: tuple[Tier, ...], period: int, scrape: int) -> None:
    assert any(tier.severity == "critical" for tier in found)
    for tier in found:
        assert tier.factor >= 1
        assert tier.threshold <= Decimal("0.5")
        assert tier.short >= 4 * scrape
        assert tier.short * 12 == tier.long <= period
        assert 0 < tier.spent <= Decimal("0.5")
        assert tier.detects_after(Decimal(1)) is not None
        assert tier.detects_after(tier.threshold) is None
