"""When requests are due: arrivals, fixed by the seed before the run."""

import itertools
import math
import random
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from firsttoken.errors import ConfigError
from firsttoken.loadgen.arrivals import (
    Closed,
    Constant,
    Gamma,
    Open,
    Poisson,
    Ramp,
    Recorded,
    Sine,
    Steps,
)
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.streams import stream

__all__ = ["arrivals", "expected"]

_BISECTIONS = 60


def arrivals(load: LoadFile) -> "array[float]":
    """When each session of an open loop is due, in seconds from the start; empty if closed.

    Raises ConfigError for a file of recorded times that cannot be used.
    """
    kind, end = load.arrivals, load.total
    if isinstance(kind, Closed) or (isinstance(kind, Recorded) and kind.file is None):
        return array("d")
    if isinstance(kind, Recorded):
        assert kind.file is not None  # noqa: S101
        return array("d", _below(_recorded(kind.file, kind), end))
    # A process of rate 1 whose time is stretched: where the rate is r, it runs r times as fast.
    reach = expected(kind, end, end)
    units = _units(kind, stream(load.seed, "arrivals"))
    if isinstance(kind, Constant | Poisson | Gamma):
        rate = kind.rate
        return array("d", _below((unit / rate for unit in units), end))
    inside = itertools.takewhile(lambda unit: unit < reach, units)
    return array("d", (_when(unit, lambda at: expected(kind, at, end), end) for unit in inside))


def expected(kind: Open, at: float, total: float) -> float:
    """How many arrivals are expected until ``at``, of a run of ``total`` seconds."""
    match kind:
        case Constant(rate=rate) | Poisson(rate=rate) | Gamma(rate=rate):
            return rate * at
        case Steps(steps=steps):
            count, begin = 0.0, 0.0
            for number, step in enumerate(steps, 1):
                last = number == len(steps)
                span = at - begin if last else min(step.duration, at - begin)
                count += step.rate * max(0.0, span)
                begin += step.duration
            return count
        case Ramp(start=start, end=end, over=over):
            over = over or total
            within = min(at, over)
            area = start * within + (end - start) * within * within / (2 * over)
            return area + end * max(0.0, at - over)
        case Sine(rate=rate, amplitude=amplitude, period=period):
            turn = 2 * math.pi / period
            return rate * at + amplitude / turn * (1 - math.cos(turn * at))
        case Recorded():
            raise ValueError("recorded times have no rate")


def _units(kind: Open, draws: random.Random) -> Iterator[float]:
    """Arrivals of a process of rate 1; a constant one begins at zero."""
    constant = isinstance(kind, Constant) or getattr(kind, "spacing", "") == "constant"
    if constant:
        yield from map(float, itertools.count())
    at = 0.0
    while True:
        if isinstance(kind, Gamma):
            at += draws.gammavariate(kind.burstiness, 1 / kind.burstiness)
        else:
            at += draws.expovariate(1.0)
        yield at


def _below(times: Iterator[float], end: float) -> Iterator[float]:
    return itertools.takewhile(lambda time: time < end, times)


def _when(unit: float, count: Callable[[float], float], end: float) -> float:
    """The moment until which ``unit`` arrivals are expected, by bisection."""
    low, high = 0.0, end
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) < unit else (low, middle)
    return high


def _recorded(file: Path, kind: Recorded) -> Iterator[float]:
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise ConfigError(file, [f"cannot be read: {reason}"]) from None
    try:
        times = sorted(float(line) for line in lines)
    except ValueError as exc:
        raise ConfigError(file, [f"expected one time in seconds a line: {exc}"]) from None
    if not times or not all(map(math.isfinite, times)):
        raise ConfigError(file, ["expected one time in seconds a line"])
    speed, span = kind.speed or 1.0, times[-1] - times[0]
    if kind.rate is not None and span:
        speed = kind.rate / ((len(times) - 1) / span)
    return ((time - times[0]) / speed for time in times)
