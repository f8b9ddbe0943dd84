"""A run's plan shared among processes: who asks what, and how their clocks compare.

The plan is one, the same for every process; its sessions are dealt out in turn, as cards are.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from firsttoken.config import parse_duration
from firsttoken.errors import UsageError
from firsttoken.loadgen.arrivals import Closed
from firsttoken.loadgen.plan import Session
from firsttoken.loadgen.settings import LoadFile

__all__ = ["AHEAD_S", "Clock", "Probe", "Shard", "clock", "parse_shard", "parse_start"]

AHEAD_S = 5.0
"""How long before its start a process should have been told of it."""

_SHARD = re.compile(r"(\d+|job)/(\d+)")
_INDEX = "JOB_COMPLETION_INDEX"
"""What Kubernetes tells each pod of an indexed Job."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """One share of a plan, counted from 0."""

    index: int = 0
    of: int = 1

    def deal(self, sessions: Iterable[Session]) -> Iterator[Session]:
        """This shard's sessions, every ``of``-th one."""
        return itertools.islice(sessions, self.index, None, self.of)

    def part(self, count: int) -> int:
        """This shard's part of a number of users or places; all parts add up to it."""
        return count // self.of + (self.index < count % self.of)

    def load(self, load: LoadFile) -> LoadFile:
        """A load whose limits of what is in flight are this shard's.

        Raises UsageError where it has no user.
        """
        changes: dict[str, Any] = {"max_in_flight": max(1, self.part(load.max_in_flight))}
        if isinstance(load.arrivals, Closed):
            users = self.part(load.arrivals.concurrency)
            if not users:
                raise UsageError(
                    f"shard {self.index} of {self.of}: {load.arrivals.concurrency} users are too"
                    " few for so many shards"
                )
            changes["arrivals"] = load.arrivals.model_copy(update={"concurrency": users})
        return load.model_copy(update=changes)

    def within(self, number: int, count: int) -> "Shard":
        """One of the ``count`` shards that this one is shared among."""
        return Shard(self.index + self.of * number, self.of * count)


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard in ``K/N``, or in ``job/N`` where the pod of an indexed Job knows its K.

    Raises UsageError.
    """
    found = _SHARD.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"shard {text!r}: expected K/N, such as 0/4, or job/4")
    first, of = found.group(1), int(found.group(2))
    if first == "job":
        first = environment.get(_INDEX, "")
        if not first.isdecimal():
            raise UsageError(f"shard {text!r}: {_INDEX} says no number; is this an indexed Job?")
    index = int(first)
    if index >= of:
        raise UsageError(f"shard {text!r}: shards are counted from 0 to {max(of - 1, 0)}")
    return Shard(index, of)


def parse_start(text: str, now: float) -> float:
    """The moment that a text means, in Unix time: RFC 3339, seconds since 1970, or ``every:1m``.

    ``every:1m`` is the next full minute that is at least ``AHEAD_S`` away, so that processes which
    are ready within one minute agree without being told.  Raises UsageError.
    """
    try:
        if text.startswith("every:"):
            step = parse_duration(text.removeprefix("every:"))
            if step < AHEAD_S:
                raise UsageError(f"start {text!r}: at least every:{AHEAD_S:g}s")
            return math.ceil((now + AHEAD_S) / step) * step
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"start {text!r}: expected a time such as 2026-11-26T12:00:00Z, seconds since 1970, or"
            " every:1m"
        ) from None
    if when.tzinfo is None:
        raise UsageError(f"start {text!r}: say which zone, such as {text}Z")
    return when.timestamp()


class Probe(NamedTuple):
    """Our time when we asked, another's when it answered, and ours when we had the answer."""

    asked: float
    theirs: float
    heard: float


class Clock(NamedTuple):
    """How far another clock is ahead of ours, and by how much that may be wrong, in seconds."""

    offset: float
    error: float


def clock(probes: Sequence[Probe]) -> Clock:
    """Another clock's offset, from the quickest of some questions.

    As in NTP (RFC 5905, section 8): whatever the ways there and back took, the answer was given
    between the two times, so the error is at most half of what was between them.
    """
    if not probes:
        raise ValueError("no probes")
    best = min(probes, key=lambda probe: probe.heard - probe.asked)
    return Clock(best.theirs - (best.asked + best.heard) / 2, (best.heard - best.asked) / 2)
