"""When requests are due: arrivals, fixed by the seed before the run."""

from firsttoken.loadgen.settings import Closed, Constant, LoadFile, Recorded
from firsttoken.loadgen.streams import stream

__all__ = ["arrivals"]


def arrivals(load: LoadFile) -> list[float]:
    """When each request of an open loop is due, in seconds from the start; empty if closed."""
    kind = load.arrivals
    if isinstance(kind, Closed | Recorded):
        return []
    end = load.warmup + load.duration
    if isinstance(kind, Constant):
        times = (number / kind.rate for number in range(int(end * kind.rate) + 1))
        return [time for time in times if time < end]
    gaps = stream(load.seed, "arrivals")
    out = []
    time = gaps.expovariate(kind.rate)
    while time < end:
        out.append(time)
        time += gaps.expovariate(kind.rate)
    return out
