"""Numbers and objectives in words, the same in every form of a report."""

from datetime import datetime

from firsttoken.report.schema import Objective

__all__ = [
    "NONE",
    "between",
    "moment",
    "percent",
    "points",
    "rate",
    "seconds",
    "sentence",
]

NONE = "–"
"""What stands where there is no value."""


def percent(share: float) -> str:
    """A share as a percentage that never rounds up to 100 what is below it."""
    text = f"{share * 100:.1f}"
    if text == "100.0" and share < 1:
        text = f"{int(share * 10000) / 100:.2f}"
    return f"{text} %"


def points(difference: float) -> str:
    """The difference of two shares in percentage points, with its sign."""
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return f"{sign}{abs(difference) * 100:.1f}\N{NO-BREAK SPACE}pp"


def seconds(value: float | None) -> str:
    """A span of time with three significant digits at most, such as ``27.5 ms`` or ``1.25 s``."""
    if value is None:
        return NONE
    if value >= 10:
        return f"{value:,.1f} s"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.1 else f"{value * 1000:.1f} ms"


def between(low: str, high: str) -> str:
    """A range of two quantities, the unit once where it is the same."""
    first, _, unit = low.rpartition(" ")
    return f"{first}–{high}" if unit and high.endswith(f" {unit}") else f"{low} – {high}"


def rate(value: float | None) -> str:
    """A number of something a second, without the unit."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def moment(created: str) -> str:
    """An ISO 8601 time in UTC as people write it."""
    return datetime.fromisoformat(created).strftime("%-d %B %Y, %H:%M UTC")


def sentence(objective: Objective) -> str:
    """What an objective came to, in one sentence without a full stop."""
    name, promise = objective.name, objective.promise
    if objective.attained is None or objective.status not in ("passed", "missed"):
        how = objective.status.replace("_", " ")
        return f"{name} ({promise}) {how}: {objective.detail}"
    found, wanted = percent(objective.attained), f"{objective.target * 100:g} % wanted"
    if objective.count is None:
        return f"{name} {objective.status}: {found} of {promise}, {wanted}"
    of = f"{objective.count:,} requests"
    if objective.threshold is None:
        return f"{name} {objective.status}: {found} of {of} without error, {wanted}"
    return f"{name} {objective.status}: {promise} for {found} of {of}, {wanted}"
