"""Quantiles and probabilities of the normal and of Student's t distribution."""

import math
from statistics import NormalDist

__all__ = ["p_value", "t_quantile", "z_quantile"]

_NORMAL = NormalDist()


def z_quantile(confidence: float) -> float:
    """Standard deviations to either side that hold so large a share of a normal distribution."""
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def t_quantile(confidence: float, freedom: float) -> float:
    """The same for Student's t with so many degrees of freedom; exact for 1 and 2.

    Above that, the expansion of Abramowitz and Stegun, 26.7.5: within 2 % from 3 degrees on.
    """
    share = 0.5 + confidence / 2
    if freedom <= 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom <= 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z, v = _NORMAL.inv_cdf(share), freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def p_value(t: float, freedom: float = math.inf) -> float:
    """Two-sided probability of a statistic at least as far from zero, were there no difference.

    Student's t is brought to the normal scale by Wallace's approximation (1959).
    """
    z = abs(t)
    if math.isfinite(freedom) and z > 0:
        z = math.sqrt(freedom * math.log1p(z * z / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return 2 * _NORMAL.cdf(-z)
