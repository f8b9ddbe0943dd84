"""The engine's model in virtual time: what a load of an hour would get, worked out in seconds.

The same scheduler as the embedded engine's, without a clock, a network or an HTTP server between.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from firsttoken.simulate.model import Request, Scheduler, Slowdown
from firsttoken.simulate.parameters import Parameters

__all__ = ["Arrival", "Served", "play"]


_NONE = Slowdown()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that arrives ``at`` so many seconds, for so many tokens in and out."""

    at: float
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Served:
    """An arrival, and when its first and its last token were there."""

    arrival: Arrival
    first: float
    last: float


def play(
    parameters: Parameters, arrivals: Iterable[Arrival], slowdown: Slowdown = _NONE
) -> tuple[Served, ...]:
    """What each arrival gets, in the order of arrival; prompts share nothing with each other."""
    plain = parameters.model_copy(update={"prefix_caching": False})
    scheduler = Scheduler(plain)
    coming = deque(sorted(arrivals, key=lambda one: one.at))
    known: list[tuple[Arrival, Request]] = []
    now = 0.0
    while coming or scheduler.busy:
        while coming and coming[0].at <= now:
            arrival = coming.popleft()
            request = Request(range(arrival.prompt_tokens), range(arrival.output_tokens))
            scheduler.add(request, arrival.at)
            known.append((arrival, request))
        step = scheduler.plan(now, slowdown)
        if step is not None:
            now += step.duration
            scheduler.complete(step, now)
        elif coming:
            now = max(now, coming[0].at)
    return tuple(_served(arrival, request) for arrival, request in known)


def _served(arrival: Arrival, request: Request) -> Served:
    assert request.first_token is not None  # noqa: S101 (play ends when every request has)
    assert request.last_token is not None  # noqa: S101
    return Served(arrival, request.first_token, request.last_token)
