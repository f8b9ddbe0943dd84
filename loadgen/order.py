"""Confidence intervals of percentiles, from order statistics: nothing is assumed of the shape.

The number of values below the true quantile is binomial, so that two ranks of the ordered values
enclose it with known probability (David and Nagaraja, "Order Statistics", 2003, section 7.1).
"""

import math
from collections.abc import Sequence

__all__ = ["interval", "needed", "quantile", "ranks"]

_TAIL = 0.025


def ranks(count: int, share: float) -> tuple[int | None, int | None]:
    """The ranks, from 1, that enclose a quantile with at least 95 %; None beyond the ends.

    The lower is the greatest whose chance of lying above the quantile is at most 2.5 %, the upper
    the least whose chance of lying below it is.
    """
    if count <= 0 or not 0 < share < 1:
        return None, None
    low: int | None = None
    high: int | None = None
    spread = 10 * math.sqrt(count * share * (1 - share)) + 10
    first = max(0, math.floor(count * share - spread))
    below = 0.0
    for number in range(first, min(count, math.ceil(count * share + spread)) + 1):
        # below = P(at most number - 1 values lie below the quantile)
        if number >= 1 and below <= _TAIL:
            low = number
        if number >= 1 and high is None and 1 - below <= _TAIL:
            high = number
        below += _binomial(count, share, number)
    return low, high


def _binomial(count: int, share: float, number: int) -> float:
    logarithm = (
        math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1)
        + number * math.log(share) + (count - number) * math.log1p(-share)
    )  # fmt: skip
    return math.exp(logarithm)


def quantile(ordered: Sequence[float], count: int, share: float) -> float | None:
    """The value that ``share`` of ``count`` do not exceed; None where that many never had one.

    ``ordered`` holds those that did, ascending.
    """
    rank = math.ceil(share * count - 1e-9)
    return ordered[rank - 1] if 1 <= rank <= len(ordered) else None


def interval(
    ordered: Sequence[float], count: int, share: float
) -> tuple[float | None, float | None]:
    """The 95 % interval of that value; an end is None where the values do not reach so far."""
    low, high = ranks(count, share)
    return (
        ordered[low - 1] if low is not None and low <= len(ordered) else None,
        ordered[high - 1] if high is not None and high <= len(ordered) else None,
    )


def needed(share: float) -> int:
    """How many values a percentile needs, so that the largest bounds it from above (97.5 %)."""
    return math.ceil(math.log(_TAIL) / math.log(share))
