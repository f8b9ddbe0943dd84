"""Axes: from values to a place between 0 and 1, and the ticks that people expect."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Axis", "count", "linear", "logarithmic", "share", "span", "steps", "time"]

Text = Callable[[float], str]
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values; ``ticks`` are (value, text), all inside it."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    title: str = ""

    def place(self, value: float) -> float:
        """Where a value lies, from 0 at ``low`` to 1 at ``high``; beyond them it is set to them."""
        if self.log:
            if value <= self.low:
                return 0.0
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, part))


def span(seconds: float) -> str:
    """A latency as a tick has it: ``0``, ``2.5 ms``, ``1 s``."""
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{float(f'{seconds * 1000:.3g}'):g} ms"
    return f"{float(f'{seconds:.3g}'):g} s"


def count(value: float) -> str:
    """A number with thousands set apart, without needless decimals."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{float(f'{value * 100:.3g}'):g} %"


def linear(
    values: Iterable[float],
    *,
    text: Text = count,
    title: str = "",
    most: float | None = None,
    wanted: int = 5,
    low: float = 0.0,
) -> Axis:
    """From ``low`` to a little above the greatest value, or to ``most``."""
    highest = max((value for value in values if math.isfinite(value)), default=0.0)
    high = most if most is not None else highest * 1.06
    if high - low < 1e-9:
        high = low + 1.0
    step = _nice_step((high - low) / wanted)
    if most is None:
        high = max(high, low + step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple((i * step, text(round(i * step, 12))) for i in range(first, last + 1))
    return Axis(low, high, ticks, title=title)


def _nice_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(nice for nice in _NICE if nice * power >= rough * (1 - 1e-9)) * power


def logarithmic(values: Iterable[float], *, text: Text = span, title: str = "") -> Axis:
    """A log axis around positive values, with ticks at 1, 2 and 5 where there are few decades."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = (min(positive), max(positive)) if positive else (0.001, 1.0)
    low, high = low / 1.15, high * 1.15
    decades = math.log10(high / low)
    parts = (1, 2, 5) if decades <= 2.2 else (1, 3) if decades <= 3.2 else (1,)
    if decades < 0.75:  # narrower than that, round numbers of a linear scale are closer together
        step = _nice_step((high - low) / 4)
        found = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    else:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [part * 10.0**power for power in exponents for part in parts]
    ticks = tuple((value, text(value)) for value in found if low <= value <= high)
    return Axis(low, high, ticks, log=True, title=title)


def time(end: float, start: float = 0.0) -> Axis:
    """Time of a run, in seconds, minutes or hours as its length asks for."""
    length = max(end - start, 1.0)
    step = next((one for one in _CLOCK if length / one <= 9), _CLOCK[-1])
    unit, size = ("s", 1) if length < 180 else ("min", 60) if length < 3 * 3600 else ("h", 3600)
    if step < size:
        step = size
    first = math.ceil(start / step)
    ticks = tuple(
        (i * float(step), f"{i * step / size:g} {unit}")
        for i in range(first, math.floor((start + length) / step) + 1)
    )
    return Axis(start, start + length, ticks, title="since the first request")


def steps(start: float, end: float, number: int) -> tuple[float, ...]:
    """``number`` + 1 bounds of equal bins."""
    width = (end - start) / number
    return tuple(start + i * width for i in range(number + 1))
