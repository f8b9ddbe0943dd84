"""Distributions of numbers of tokens: how a file says them, and how they are drawn."""

import bisect
import math
import random
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from firsttoken.config import Model

__all__ = [
    "TOKENS_MAX",
    "Distribution",
    "Fixed",
    "Lognormal",
    "Normal",
    "Quantiles",
    "Tokens",
    "Uniform",
    "draw",
    "largest",
]

TOKENS_MAX = 10_000_000
Tokens = Annotated[int, Field(ge=1, le=TOKENS_MAX)]


class Fixed(Model):
    """Always the same number of tokens."""

    kind: Literal["fixed"] = "fixed"
    tokens: Tokens


class _Bounded(Model):
    low: Tokens = 1
    high: Tokens

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


class Uniform(_Bounded):
    """Every number from low to high is as likely."""

    kind: Literal["uniform"] = "uniform"


class Normal(_Bounded):
    """Around a mean; what falls outside low..high is set to that bound."""

    kind: Literal["normal"] = "normal"
    mean: float = Field(gt=0)
    stddev: float = Field(ge=0)


class Lognormal(_Bounded):
    """Mostly short, some very long, as real prompts are; clipped to low..high."""

    kind: Literal["lognormal"] = "lognormal"
    median: float = Field(gt=0)
    sigma: float = Field(ge=0, le=5, description="standard deviation of the logarithm")


class Quantiles(Model):
    """What was measured somewhere: tokens by share of the requests, straight lines between."""

    kind: Literal["quantiles"] = "quantiles"
    at: dict[Annotated[float, Field(ge=0, le=1)], Tokens]

    @model_validator(mode="after")
    def _rising_from_0_to_1(self) -> Self:
        shares = sorted(self.at)
        if shares[:1] != [0.0] or shares[-1:] != [1.0]:
            raise ValueError("at must say the tokens at 0 (the least) and at 1 (the most)")
        if any(self.at[low] > self.at[high] for low, high in pairwise(shares)):
            raise ValueError("at must not fall: a larger share has as many tokens or more")
        return self


def _bare_integer_is_fixed(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"kind": "fixed", "tokens": value}
    return value


Distribution = Annotated[
    Annotated[
        Fixed | Uniform | Normal | Lognormal | Quantiles,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_bare_integer_is_fixed),
]


def draw(distribution: Distribution, stream: random.Random) -> int:
    """One number of tokens."""
    match distribution:
        case Fixed(tokens=tokens):
            return tokens
        case Uniform(low=low, high=high):
            return stream.randint(low, high)
        case Normal(mean=mean, stddev=stddev, low=low, high=high):
            return min(high, max(low, round(stream.gauss(mean, stddev))))
        case Lognormal(median=median, sigma=sigma, low=low, high=high):
            # A lognormal's median is e to the mean of its logarithm; 700 keeps clear of overflow.
            exponent = min(stream.gauss(0, sigma), 700)
            return min(high, max(low, round(median * math.exp(exponent))))
        case Quantiles(at=at):
            return _between(sorted(at.items()), stream.random())


def largest(distribution: Distribution) -> int:
    """The largest number of tokens that a distribution gives."""
    match distribution:
        case Fixed(tokens=tokens):
            return tokens
        case Quantiles(at=at):
            return max(at.values())
        case _:
            return distribution.high


def _between(points: list[tuple[float, int]], share: float) -> int:
    """The tokens at a share below 1."""
    above = bisect.bisect_right(points, share, key=lambda point: point[0])
    (low, fewest), (high, most) = points[above - 1], points[above]
    return round(fewest + (most - fewest) * (share - low) / (high - low))
