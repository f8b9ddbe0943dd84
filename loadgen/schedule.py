"""What is sent when: arrivals and lengths, fixed by the seed before the run.

Each question (arrivals, lengths) draws from a random stream of its own, so that changing one
leaves the other as it was.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from typing import NamedTuple

from firsttoken.loadgen.distributions import draw
from firsttoken.loadgen.settings import Closed, Constant, LoadFile

__all__ = ["Lengths", "arrivals", "lengths", "schedule_hash"]

_HASHED_LENGTHS = 1024


class Lengths(NamedTuple):
    """The sizes of one request in tokens."""

    prompt: int
    output: int


def arrivals(load: LoadFile) -> list[float]:
    """When each request of an open loop is due, in seconds from the start; empty if closed."""
    kind = load.arrivals
    if isinstance(kind, Closed):
        return []
    end = load.warmup + load.duration
    if isinstance(kind, Constant):
        times = (number / kind.rate for number in range(int(end * kind.rate) + 1))
        return [time for time in times if time < end]
    stream = random.Random(f"{load.seed}:arrivals")
    out = []
    time = stream.expovariate(kind.rate)
    while time < end:
        out.append(time)
        time += stream.expovariate(kind.rate)
    return out


def lengths(load: LoadFile) -> Iterator[Lengths]:
    """The sizes of request after request, without end."""
    stream = random.Random(f"{load.seed}:lengths")
    while True:
        yield Lengths(draw(load.prompt_tokens, stream), draw(load.output_tokens, stream))


def schedule_hash(load: LoadFile) -> str:
    """A name for what is sent when: two runs with the same one had the same schedule."""
    stream = lengths(load)
    plan = {
        "arrivals": [round(time, 6) for time in arrivals(load)] or load.arrivals.model_dump(),
        "lengths": [next(stream) for _ in range(_HASHED_LENGTHS)],
        "shared_prefix_tokens": load.shared_prefix_tokens,
        "measure": [load.warmup, load.duration],
    }
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]
