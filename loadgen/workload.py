"""From a load to its plan: which workload it names, and when each session is due."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from firsttoken.errors import UsageError
from firsttoken.loadgen import kinds
from firsttoken.loadgen.datasets import BatchWorkload, ShareGptWorkload
from firsttoken.loadgen.mixture import Mixed, MixedWorkload
from firsttoken.loadgen.plan import Planned, Session, Workload
from firsttoken.loadgen.replaying import TraceWorkload
from firsttoken.loadgen.schedule import arrivals
from firsttoken.loadgen.settings import Closed, LoadFile, Recorded
from firsttoken.loadgen.synthetic import SyntheticWorkload
from firsttoken.loadgen.trace import mean_rate

__all__ = ["plan", "schedule_hash", "workload_of"]

_HASHED_SESSIONS = 1024
_CHARACTERS_A_TOKEN = 4
"""Of English text, about; used only where no tokenizer is at hand."""


def workload_of(load: LoadFile, count: Callable[[str], int] | None = None) -> Workload:
    """The workload that a load names: the one place where a kind of workload is chosen.

    ``count`` says how many tokens a text has, where that is known.  Raises ConfigError for a file
    that cannot be used.
    """
    kind = load.workload or kinds.Synthetic(prefix=_prefix(load))
    if isinstance(kind, kinds.TraceReplay):
        speed = load.arrivals.speed or 1.0 if isinstance(load.arrivals, Recorded) else None
        scaled = isinstance(load.arrivals, Recorded) and load.arrivals.rate is not None
        total = load.total
        return TraceWorkload(kind, None if speed is None or scaled else total * speed)
    if isinstance(kind, kinds.Mix):
        return MixedWorkload(
            [
                Mixed(part.name or part.kind, part.weight, _part(part, load, count))
                for part in kind.parts
            ]
        )
    return _part(kind, load, count)


def plan(load: LoadFile, workload: Workload | None = None) -> Iterator[Session]:
    """Session after session with its numbers, and in an open loop with its time.

    A closed loop's plan has no times and may have no end.  Raises UsageError for a trace that is
    shorter than the run.
    """
    workload = workload or workload_of(load)
    sessions = itertools.islice(workload.sessions(load.seed), load.requests)
    count = itertools.count()
    if isinstance(load.arrivals, Closed):
        for session in sessions:
            yield _numbered(session, count, None)
        return
    if isinstance(load.arrivals, Recorded) and load.arrivals.file is None:
        times = iter(_recorded(load, workload))
    else:
        times = iter(arrivals(load))
    for intended, session in zip(times, sessions, strict=False):
        yield _numbered(session, count, intended)


def schedule_hash(load: LoadFile, workload: Workload | None = None) -> str:
    """A name for what is sent when: two runs with the same one had the same plan.

    All times of an open loop are in it, and what the first sessions ask: a run may have millions.
    """
    closed = isinstance(load.arrivals, Closed)
    data = {
        "arrivals": load.arrivals.model_dump() if closed else None,
        "measure": [load.warmup, load.duration, load.cooldown],
        "requests": load.requests,
        "api": load.api,
    }
    found = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    found.update(arrivals(load).tobytes())
    for session in itertools.islice(plan(load, workload), _HASHED_SESSIONS):
        found.update(json.dumps([_essence(planned) for planned in session]).encode())
    return found.hexdigest()[:16]


def _prefix(load: LoadFile) -> kinds.Prefix | None:
    tokens = load.shared_prefix_tokens
    return kinds.Prefix(tokens=tokens) if tokens else None


def _part(
    kind: kinds.Part, load: LoadFile, count: Callable[[str], int] | None
) -> SyntheticWorkload | ShareGptWorkload | BatchWorkload:
    taken: Literal["chat", "completions"] = "chat" if load.api == "chat" else "completions"
    match kind:
        case kinds.Synthetic():
            return SyntheticWorkload(kind, load.prompt_tokens, load.output_tokens)
        case kinds.ShareGpt():
            return ShareGptWorkload(kind, taken, count or _estimate)
        case _:
            return BatchWorkload(kind, taken, one_model=load.model is not None)


def _estimate(text: str) -> int:
    return round(len(text) / _CHARACTERS_A_TOKEN)


def _recorded(load: LoadFile, workload: Workload) -> Iterator[float]:
    """The trace's times at the speed of the replay, up to the end of the run."""
    assert isinstance(load.arrivals, Recorded)  # noqa: S101
    assert isinstance(workload, TraceWorkload)  # noqa: S101
    rows = workload.trace.rows
    speed = load.arrivals.speed or 1.0
    if load.arrivals.rate is not None:
        speed = load.arrivals.rate / (mean_rate(rows) or load.arrivals.rate)
    total = load.total
    # A trace has no end but its last request: one mean gap after it.
    ends = (rows[-1].at + 1 / (mean_rate(rows) or 1.0)) / speed
    if workload.trace.whole and ends < total:
        raise UsageError(
            f"the trace has {ends:.4g} s of requests at this speed, warmup and duration ask for"
            f" {total:g} s: shorten them, or replay it more slowly"
        )
    return (row.at / speed for row in rows if row.at / speed < total)


def _numbered(session: Session, count: Iterator[int], intended: float | None) -> Session:
    first, *later = session
    numbered = first.numbered(next(count), 0, intended)
    if not later:
        return (numbered,)
    return (numbered, *(one.numbered(next(count), turn, None) for turn, one in enumerate(later, 1)))


def _essence(planned: Planned) -> list[Any]:
    """What makes one planned request another's equal, as JSON data."""
    intended = None if planned.intended is None else round(planned.intended, 6)
    prompt = hashlib.sha256(repr(planned.prompt).encode()).hexdigest()[:16]
    model, extra = planned.model, dict(planned.extra_body)
    return [intended, prompt, planned.output_tokens, model, round(planned.think, 6), extra]
