"""Picking items by their places, at the speed of C."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

__all__ = ["Picker", "picker"]

Picker = Callable[[Sequence[Any]], tuple[Any, ...]]


def picker(places: Sequence[int]) -> Picker:
    """A function from a sequence to its items at these places, in this order."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: tuple([items[place] for place in places])
