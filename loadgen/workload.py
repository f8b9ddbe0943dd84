"""From a load to its plan: which workload it names, and when each session is due."""

import dataclasses
import itertools
from collections.abc import Iterator

from firsttoken.loadgen.plan import Planned, Session, Synthetic, Workload
from firsttoken.loadgen.schedule import arrivals, lengths
from firsttoken.loadgen.settings import LoadFile

__all__ = ["SyntheticWorkload", "plan", "workload_of"]


class SyntheticWorkload:
    """Made-up prompts and answers of the lengths that a load asks for."""

    def __init__(self, load: LoadFile) -> None:
        self._load = load

    def sessions(self, seed: int) -> Iterator[Session]:
        """One request a session, without end."""
        shared = self._load.shared_prefix_tokens
        for size in lengths(self._load.model_copy(update={"seed": seed})):
            yield (Planned(Synthetic(size.prompt, shared), size.output),)


def workload_of(load: LoadFile) -> Workload:
    """The workload that a load names: the one place where a kind of workload is chosen."""
    return SyntheticWorkload(load)


def plan(load: LoadFile) -> Iterator[Session]:
    """Session after session with its numbers, and in an open loop with its time.

    A closed loop's plan has no times and may have no end.
    """
    sessions = workload_of(load).sessions(load.seed)
    count = itertools.count()
    if not load.open_loop:
        for session in sessions:
            yield _numbered(session, count, None)
        return
    for intended, session in zip(arrivals(load), sessions, strict=False):
        yield _numbered(session, count, intended)


def _numbered(session: Session, count: Iterator[int], intended: float | None) -> Session:
    return tuple(
        dataclasses.replace(
            planned, index=next(count), turn=turn, intended=None if turn else intended
        )
        for turn, planned in enumerate(session)
    )
