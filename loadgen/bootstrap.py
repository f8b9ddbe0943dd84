"""How far a statistic of a run would vary if the run were repeated: the block bootstrap.

Requests that follow each other are alike, because they shared a queue or a batch; drawing them one
by one would pretend that there are more than there are.  Blocks of requests in the order in which
they were due are drawn instead, as long as the series itself asks for.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "VARIANCE_ROWS",
    "Floats",
    "Places",
    "Statistic",
    "block_length",
    "draws",
    "interval",
    "mean",
    "quantile",
    "replicate",
]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""From rows of values, NaN where there is none, to one number a row."""

_MOST_CELLS = 20_000_000
_FEWEST, _MOST = 200, 400
VARIANCE_ROWS = 200
_LONGEST_SHARE = 0.1
_FEWEST_VALUES = 10
_SEED = 20_240_607


def mean() -> Statistic:
    """The mean of each row."""

    def statistic(rows: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nansum(rows, axis=-1) / np.sum(~np.isnan(rows), axis=-1))

    return statistic


def quantile(share: float) -> Statistic:
    """The quantile of each row, linear between neighbours (Hyndman and Fan's type 7)."""

    def statistic(rows: Floats) -> Floats:
        missing = np.isnan(rows)
        if not missing.any():
            return _plain_quantile(rows, share)
        ordered = np.sort(rows, axis=-1)  # NaN last
        count = np.sum(~missing, axis=-1)
        place = share * np.maximum(count - 1, 0)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
        high = np.take_along_axis(ordered, above[..., None], axis=-1)[..., 0]
        return np.asarray(low + (high - low) * (place - below))

    return statistic


def _plain_quantile(rows: Floats, share: float) -> Floats:
    """The same where every value is there: two places are enough, without sorting the rest."""
    place = share * (rows.shape[-1] - 1)
    below = int(place)
    above = min(below + 1, rows.shape[-1] - 1)
    parted = np.partition(rows, (below, above), axis=-1)
    low, high = parted[..., below], parted[..., above]
    return np.asarray(low + (high - low) * (place - below))


def block_length(series: Floats) -> int:
    """The length of blocks for the mean of a series, by the rule of Politis and White (2004).

    In the form for the circular bootstrap, as corrected by Patton, Politis and White (2009).  Of
    a quantile, give it whether each value is above the quantile: that is what its error is made of.
    """
    values = series[~np.isnan(series)]
    count = len(values)
    if count < 4 or np.ptp(values) == 0:
        return 1
    centred = values - values.mean()
    reach = max(5, int(np.sqrt(np.log10(count))))
    most = min(int(np.ceil(np.sqrt(count))) + reach, count - 1)
    covariances = np.array(
        [np.dot(centred[lag:], centred[: count - lag]) / count for lag in range(most + 1)]
    )
    correlations = np.abs(covariances / covariances[0])
    bound = 2 * np.sqrt(np.log10(count) / count)
    # The last lag before a run of ``reach`` negligible correlations.
    negligible = correlations[1:] < bound
    last = most
    for lag in range(most - reach + 1):
        if negligible[lag : lag + reach].all():
            last = lag
            break
    width = min(2 * max(last, 1), most)
    lags = np.arange(-width, width + 1)
    taper = np.clip(2 * (1 - np.abs(lags) / width), 0, 1)
    covariance = covariances[np.abs(lags)]
    slope = float(np.sum(taper * np.abs(lags) * covariance))
    spectrum = float(np.sum(taper * covariance))
    if spectrum <= 0 or slope == 0:
        return 1
    length = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * count ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, max(1, _LONGEST_SHARE * count)))


def draws(count: int, length: int, generator: np.random.Generator, most: int = _MOST) -> Places:
    """Rows of positions in a series: blocks from anywhere, going on at its start after its end.

    ``most``: rows at most; half as many as an interval asks for are enough for a variance.
    """
    rows = int(np.clip(_MOST_CELLS // max(count, 1), _FEWEST, most))
    blocks = -(-count // length)
    starts = generator.integers(0, count, size=(rows, blocks, 1))
    places = (starts + np.arange(length)) % count
    return np.asarray(places.reshape(rows, -1)[:, :count])


def replicate(values: Floats, places: Places, statistic: Statistic) -> Floats:
    """The statistic of each row of positions, a few rows at a time."""
    at_once = max(1, 2_000_000 // max(1, places.shape[1]))
    parts = [
        statistic(values[places[start : start + at_once]])
        for start in range(0, len(places), at_once)
    ]
    return np.concatenate(parts)


def interval(values: Floats, share: float | None, confidence: float) -> tuple[float, float] | None:
    """The interval of a quantile, or of the mean where ``share`` is None.

    None where values are too few, or where the quantile's upper end is not among them: q^n must be
    below half of what the confidence leaves over.
    """
    count = int(np.sum(~np.isnan(values)))
    over = (1 - confidence) / 2
    if count < _FEWEST_VALUES or (share is not None and share**count > over):
        return None
    influence = values
    if share is not None:
        influence = (values > np.nanquantile(values, share)).astype(np.float64)
        influence[np.isnan(values)] = np.nan
    statistic = mean() if share is None else quantile(share)
    places = draws(len(values), block_length(influence), np.random.default_rng(_SEED))
    found = replicate(values, places, statistic)
    low, high = np.nanquantile(found, (over, 1 - over))
    return float(low), float(high)
