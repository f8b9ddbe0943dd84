"""Random streams by name: each question draws from its own, so that one leaves another alone."""

import itertools
import random
from bisect import bisect_right
from collections.abc import Sequence

__all__ = ["Choice", "derived", "stream", "zipf"]


def stream(seed: int, name: str) -> random.Random:
    """The stream of one question, such as the lengths of a load."""
    return random.Random(f"{seed}:{name}")


def derived(seed: int, name: str) -> int:
    """A seed for a part of what ``seed`` fixes."""
    return random.Random(f"{seed}:part:{name}").getrandbits(63)


def zipf(count: int, skew: float) -> list[float]:
    """Weights of ``count`` things of falling popularity: the n-th has 1/n to the power ``skew``."""
    return [1.0 / number**skew for number in range(1, count + 1)]


class Choice:
    """Draws numbers from 0 on with given weights."""

    def __init__(self, weights: Sequence[float], drawn_from: random.Random) -> None:
        self._bounds = list(itertools.accumulate(weights))
        self._stream = drawn_from

    def __call__(self) -> int:
        """The next number."""
        if len(self._bounds) == 1:
            return 0
        point = self._stream.random() * self._bounds[-1]
        return min(bisect_right(self._bounds, point), len(self._bounds) - 1)
