"""The records of several processes that shared one plan, put together as the one run they were."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from firsttoken.errors import UsageError
from firsttoken.loadgen.plan import Session
from firsttoken.loadgen.record import Generator, Record, Run, ShardResult
from firsttoken.loadgen.shards import Clock, Shard

__all__ = ["SHARD", "Lost", "merge", "story", "worst"]

SHARD = "shard"
"""The key of a run's settings under which a process says which share of the plan was its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A process that did not reach its end: when, in seconds since the start, and why.

    ``at`` None: it never began.
    """

    at: float | None
    reason: str


def merge(
    runs: Sequence[Run],
    plan: Callable[[], Iterator[Session]] | None = None,
    *,
    lost: Mapping[int, Lost] | None = None,
    clocks: Mapping[int, tuple[Clock, float | None]] | None = None,
) -> Run:
    """One run out of its shards' own.

    ``plan`` gives the sessions that all were to ask, where they can be had; ``lost`` what is known
    of shards that broke off, beside what their records say; ``clocks`` what was measured of their
    clocks, and by how much they drifted.  Times are aligned by when each began.  Where a shard
    broke off the measured window ends, because the load was no longer the one asked for.

    Raises UsageError for runs that are no shards of one run.
    """
    by_index, of = _indexed(runs)
    base = min(run.started for run in runs)
    gone = {**_broken_off(by_index, of, base), **(lost or {})}
    planned = _planned(plan, of) if plan and runs[0].open_loop else None
    results = tuple(
        _result(
            index, by_index.get(index), base, gone.get(index), planned, (clocks or {}).get(index)
        )
        for index in range(of)
    )
    records = [_shifted(record, run.started - base) for run in runs for record in run.records]
    records.sort(key=lambda record: (record.ended or record.sent or record.intended, record.index))
    first = by_index[min(by_index)]
    return dataclasses.replace(
        first,
        started=base,
        measure=_window(runs, base, gone),
        load={key: value for key, value in first.load.items() if key != SHARD},
        interrupted=bool(gone),
        stopped="; ".join(story(result, of) for result in results if result.lost) or None,
        generator=worst([run.generator for run in runs]),
        records=tuple(records),
        shards=results,
    )


def worst(generators: Sequence[Generator]) -> Generator:
    """The generators as one: each figure that of the process that fared worst."""
    values = {
        field.name: max(getattr(one, field.name) for one in generators)
        for field in dataclasses.fields(Generator)
        if field.name != "reading"
    }
    values["held_back"] = sum(one.held_back for one in generators)
    ways = {one.reading for one in generators}
    return Generator(**values, reading=ways.pop() if len(ways) == 1 else None)


def _indexed(runs: Sequence[Run]) -> tuple[dict[int, Run], int]:
    """The runs by their number, and how many there should be."""
    if not runs:
        raise UsageError("nothing to merge")
    found: dict[int, Run] = {}
    first = runs[0]
    for run in runs:
        shard = run.load.get(SHARD)
        if not isinstance(shard, dict):
            raise UsageError("records of a whole run, not of a shard, cannot be merged")
        index = shard["index"]
        if index in found:
            raise UsageError(f"shard {index} is there twice")
        for what, one, other in (
            ("runs", shard["run"], first.load[SHARD]["run"]),
            (
                "plans",
                (shard["of"], run.schedule_hash),
                (first.load[SHARD]["of"], first.schedule_hash),
            ),
            ("targets", run.target, first.target),
            ("models", run.model, first.model),
        ):
            if one != other:
                raise UsageError(f"shards of different {what}: {one} and {other}")
        found[index] = run
    return found, first.load[SHARD]["of"]


def _broken_off(by_index: Mapping[int, Run], of: int, base: float) -> dict[int, Lost]:
    gone = {index: Lost(None, "has no records") for index in range(of) if index not in by_index}
    for index, run in by_index.items():
        if run.interrupted:
            at = run.measure[1] + run.started - base
            gone[index] = Lost(at, run.stopped or "broke off")
    return gone


def _planned(plan: Callable[[], Iterator[Session]], of: int) -> list[int]:
    """How many sessions are each shard's."""
    total = sum(1 for _ in plan())
    return [Shard(index, of).part(total) for index in range(of)]


def _result(
    index: int,
    run: Run | None,
    base: float,
    gone: Lost | None,
    planned: Sequence[int] | None,
    measured: tuple[Clock, float | None] | None,
) -> ShardResult:
    asked = sum(record.turn == 0 for record in run.records) if run else 0
    share = planned[index] if planned is not None else None
    offset, drift = measured or (None, None)
    return ShardResult(
        index=index,
        host=run.load[SHARD]["host"] if run else "",
        asked=asked,
        started=run.started - base if run else None,
        planned=share,
        missing=None if share is None else max(0, share - asked),
        lost=gone.reason if gone else None,
        clock_offset=offset.offset if offset else None,
        clock_error=offset.error if offset else None,
        clock_drift=drift,
        generator=run.generator if run else Generator(),
    )


def _window(runs: Sequence[Run], base: float, gone: Mapping[int, Lost]) -> tuple[float, float]:
    """When all measured: from when the last began until the first ended or broke off."""
    start = max(run.measure[0] + run.started - base for run in runs)
    end = min(run.measure[1] + run.started - base for run in runs)
    end = min([end, *(one.at for one in gone.values() if one.at is not None)])
    return start, max(start, end)


def _shifted(record: Record, by: float) -> Record:
    def at(time: float | None) -> float | None:
        return None if time is None else time + by

    return dataclasses.replace(
        record,
        intended=record.intended + by,
        sent=at(record.sent),
        first=at(record.first),
        last=at(record.last),
        ended=at(record.ended),
        first_byte=at(record.first_byte),
    )


def story(result: ShardResult, of: int) -> str:
    """What became of a shard that was lost, and what of the plan is missing for it."""
    text = f"shard {result.index} of {of} {result.lost}"
    if result.missing is not None:
        text += f": {result.missing} of its {result.planned} sessions are missing"
    return text
