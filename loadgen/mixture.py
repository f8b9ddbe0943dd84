"""Several workloads at once: each session is of one of them, as often as its weight says."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from firsttoken.loadgen.plan import Session, Workload
from firsttoken.loadgen.streams import Choice, derived, stream

__all__ = ["Mixed", "MixedWorkload"]


class Mixed(NamedTuple):
    """A part of a mix; ``name`` keeps its draws apart from the others'."""

    name: str
    weight: float
    workload: Workload


class MixedWorkload:
    """The sessions of the parts, drawn by their weights; parts must not end."""

    def __init__(self, parts: Sequence[Mixed]) -> None:
        self._parts = tuple(parts)

    @property
    def longest(self) -> int | None:
        """The most tokens that a request can have, where every part knows it."""
        known = [part.workload.longest for part in self._parts]
        return None if None in known else max(filter(None, known))

    @property
    def models(self) -> frozenset[str]:
        """The models that are asked for by name."""
        return frozenset().union(*(part.workload.models for part in self._parts))

    @property
    def skipped(self) -> dict[str, int]:
        """What of the parts' sources cannot be asked, counted by reason."""
        return dict(sum((Counter(part.workload.skipped) for part in self._parts), Counter()))

    def sessions(self, seed: int) -> Iterator[Session]:
        """Session after session, without end; a part's own are the same whatever the others."""
        running = [part.workload.sessions(derived(seed, part.name)) for part in self._parts]
        chosen = Choice([part.weight for part in self._parts], stream(seed, "parts"))
        while True:
            yield next(running[chosen()])
