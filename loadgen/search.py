"""The highest rate at which all objectives hold: bracketing, then bisection, as a pure function.

What is tried next follows from the steps so far and from nothing else, so that a search that was
broken off goes on where it was.  Bracketing takes short steps, of which only the direction counts;
what ends the bracket in the end are steps that were decided for certain.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from firsttoken.loadgen.steady import Verdict

__all__ = ["Aim", "Outcome", "Plan", "Tried", "ends", "next_plan", "outcome"]

GROWTH = (4.0, 16.0)
"""By how much the rate grows while all holds; the last from then on."""
DECREASE = (4.0, 16.0)
"""By how much it falls while all fails and the server keeps up all the same."""
_COARSE = 3.0
"""A bracket wider than this is narrowed by short steps."""
_BESIDE = (0.9, 1.8, 3.0, 5.0)
"""How far beside a rate that could not be decided the next are, in units of the precision."""
_CLOSEST = 0.5
_SAFE = 1.001
_UNLIKE = 1.005
_OVERLOADED = 0.95
_TOLD = 1.01


@dataclass(frozen=True, slots=True)
class Tried:
    """A step of the search; rates are requests per second.

    ``fine``: it had as many requests as a decision needs.  ``leaning`` is what it looks like where
    it is undecided.  ``served`` is the rate of completed requests, which under more load than can
    be served is close to the highest possible.  ``serial`` is the rate at which one user alone
    would be served, the inverse of a request's median duration.
    """

    rate: float
    verdict: Verdict | Literal["not judged"]
    leaning: Literal["holds", "fails"] = "holds"
    fine: bool = True
    served: float | None = None
    serial: float | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """What is looked for: within ``precision`` of the truth to either side, from ``start`` on."""

    start: float = 1.0
    precision: float = 0.05
    lowest: float = 0.01
    highest: float = 100_000.0
    most_steps: int = 12

    @property
    def ratio(self) -> float:
        """How far apart the bracket's ends may be, so that its middle is precise enough."""
        return (1 + self.precision) ** 2


class Plan(NamedTuple):
    """The next step: its rate, and how many times the requests that a decision needs.

    0 is a short step, of which only the direction counts.
    """

    rate: float
    size: int

    @property
    def fine(self) -> bool:
        """Whether the step is to decide something."""
        return self.size > 0


class Outcome(NamedTuple):
    """The capacity between ``low`` and ``high``; None where it was not found to that side.

    ``estimate`` is the middle of both where that is ``precise`` enough, else the middle of what
    the undecided steps in between point at.
    """

    low: float | None
    high: float | None
    estimate: float | None
    precise: bool


def ends(steps: Iterable[Tried], *, likely: bool = False) -> tuple[float | None, float | None]:
    """The highest rate that holds, below all that fail, and the lowest that fails, above all that
    hold; with ``likely``, what a short or an unfair step only points at counts too.

    Steps that contradict each other, a rate that holds above one that fails, were both near the
    capacity: neither is an end then.
    """
    holding, failing = [0.0], [math.inf]
    for step in steps:
        soft = likely and step.verdict == "undecided" and not step.fine
        if step.verdict == "holds" or (soft and step.leaning == "holds"):
            holding.append(step.rate)
        elif step.verdict == "fails" or (likely and (soft or step.verdict == "not judged")):
            failing.append(step.rate)
    low = max(rate for rate in holding if rate < min(failing))
    high = min(rate for rate in failing if rate > max(holding))
    return low or None, high if math.isfinite(high) else None


def next_plan(steps: Sequence[Tried], aim: Aim) -> Plan | None:
    """The step to take next; None when the search is at its end, see ``outcome`` for what it is."""
    if len(steps) >= aim.most_steps or outcome(steps, aim).precise:
        return None
    if not steps:
        return Plan(_within(aim.start, aim), size=0)
    if steps[-1].verdict == "not judged" and not _tried(steps[:-1], steps[-1].rate):
        # A machine that was busy with something else for a moment is no limit: once more.
        return Plan(steps[-1].rate, size=int(steps[-1].fine))
    low, high = ends(steps, likely=True)
    if high is None:
        return _upwards(steps, aim)
    if low is None:
        return _downwards(steps, aim)
    return _between(steps, low, high, aim)


def outcome(steps: Sequence[Tried], aim: Aim) -> Outcome:
    """The capacity as far as the steps tell it for certain."""
    low, high = ends(steps)
    if low is None or high is None:
        return Outcome(low, high, None, precise=False)
    if high / low <= aim.ratio:
        return Outcome(low, high, math.sqrt(low * high), precise=True)
    return Outcome(low, high, _best_guess(steps, low, high), precise=False)


def _best_guess(steps: Sequence[Tried], low: float, high: float) -> float:
    """The middle of what the long steps in between point at, which decide nothing for certain."""
    pointing = [
        replace(step, verdict=step.leaning)
        for step in steps
        if step.fine and step.verdict == "undecided" and low < step.rate < high
    ]
    certain = (Tried(low, "holds"), Tried(high, "fails"))
    below, above = ends((*certain, *pointing))
    return math.sqrt((below or low) * (above or high))


def _within(rate: float, aim: Aim) -> float:
    return min(aim.highest, max(aim.lowest, rate))


def _upwards(steps: Sequence[Tried], aim: Aim) -> Plan | None:
    top = max(steps, key=lambda step: (step.rate, step.fine))
    if top.rate >= aim.highest:
        return None if top.fine or top.verdict == "holds" else Plan(top.rate, size=1)
    factor = GROWTH[min(len(steps), len(GROWTH)) - 1]
    # A server that answers one request after another takes at least so many a second.
    return Plan(_within(max(top.rate * factor, top.serial or 0.0), aim), size=0)


def _downwards(steps: Sequence[Tried], aim: Aim) -> Plan | None:
    bottom = min(steps, key=lambda step: (step.rate, not step.fine))
    if bottom.rate <= aim.lowest:
        return None if bottom.fine or bottom.verdict == "fails" else Plan(bottom.rate, size=1)
    served = _served(bottom)
    kept_up = sum(_served(step) is None for step in steps)
    factor = DECREASE[min(kept_up, len(DECREASE)) - 1]
    return Plan(_within(0.9 * served if served else bottom.rate / factor, aim), size=0)


def _served(step: Tried) -> float | None:
    """What an overloaded server served; None where it kept up, which says nothing of its most."""
    if step.served and step.served < _OVERLOADED * step.rate:
        return step.served
    return None


def _between(steps: Sequence[Tried], low: float, high: float, aim: Aim) -> Plan | None:
    open_rates = _undecided(steps)
    if not open_rates and high / low > aim.ratio:
        rate = _from_served(steps, low, high, aim)
        if rate is not None:
            return Plan(_within(rate, aim), size=1)
        return Plan(_halving(steps, low, high, aim), size=int(high / low <= _COARSE))
    # Near the capacity no number of requests decides: its two sides are looked for beside it.
    middle = math.exp(sum(map(math.log, open_rates)) / len(open_rates)) if open_rates else 0.0
    return _beside(steps, middle or math.sqrt(low * high), aim)


def _halving(steps: Sequence[Tried], low: float, high: float, aim: Aim) -> float:
    """The middle; or, where one decided step more ends the search, so far off it that if this one
    is not decided, a single one beside it ends the search too."""
    reach = aim.ratio / (1 + _CLOSEST * aim.precision) / _SAFE**2
    middle, certain = math.sqrt(low * high), ends(steps)
    if certain[0] == low:
        rate = min(middle, low * reach)
        return rate if rate >= high / aim.ratio else middle
    if certain[1] == high:
        rate = max(middle, high / reach)
        return rate if rate <= low * aim.ratio else middle
    return middle


def _undecided(steps: Sequence[Tried]) -> list[float]:
    """Rates between the certain ends that long steps left undecided, or decided both ways."""
    low, high = ends(steps)
    return [
        step.rate
        for step in steps
        if (low or 0.0) < step.rate < (high or math.inf)
        and (step.verdict in ("holds", "fails") or (step.fine and step.verdict == "undecided"))
    ]


def _from_served(steps: Sequence[Tried], low: float, high: float, aim: Aim) -> float | None:
    """Just below, then just above what an overloaded server served at the lowest such rate."""
    overloaded = [step for step in steps if _served(step)]
    if not overloaded:
        return None
    served = _served(min(overloaded, key=lambda step: step.rate)) or 0.0
    for rate in (served / (1 + 0.6 * aim.precision), served * (1 + 0.9 * aim.precision)):
        # What came to be of such a step is not quite the rate that was planned.
        tried = (step.rate / rate for step in steps if step.fine)
        about = 1 + _CLOSEST * aim.precision
        if low * _UNLIKE < rate < high / _UNLIKE and not any(
            1 / about < one < about for one in tried
        ):
            return rate
    return None


def _beside(steps: Sequence[Tried], middle: float, aim: Aim) -> Plan | None:
    """The side of ``middle`` that is known worse, as far from it as the precision allows."""
    low, high = ends(steps)
    low, high = low or aim.lowest / 2, high or aim.highest * 2
    taken = [one for one in steps if one.fine]
    # What could not be told apart with so many requests is, with more.
    size = 1 + min(2, len(_undecided(steps)))
    for side, other in sorted(
        ((middle / low, high / middle), (high / middle, middle / low)), key=lambda one: -one[0]
    ):
        sign = 1 if side == high / middle else -1
        # Together with the other side, if that is known well, it ends the search.
        last = aim.ratio / other / _SAFE
        fars = [1 + far * aim.precision for far in _BESIDE]
        for far in (last, *fars) if last >= 1 + _CLOSEST * aim.precision else fars:
            rate = middle * far**sign
            if low * _UNLIKE < rate < high / _UNLIKE and not _tried(taken, rate):
                return Plan(_within(rate, aim), size)
    known = sorted((low, *_undecided(steps), high))
    gaps = [(known[1], low), (high, known[-2])]
    above, below = max(gaps, key=lambda gap: gap[0] / gap[1])
    return Plan(_within(math.sqrt(above * below), aim), size) if above / below > _TOLD else None


def _tried(steps: Sequence[Tried], rate: float) -> bool:
    return any(1 / _UNLIKE < step.rate / rate < _UNLIKE for step in steps)
