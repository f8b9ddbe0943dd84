"""One load of a test as a child process, stopped before its time when it is hopeless."""

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsttoken.errors import NotJudgedError
from firsttoken.loadgen.judge import Objective, keeps
from firsttoken.loadgen.records import Record, Run, read
from firsttoken.loadtest.observe import Observer
from firsttoken.loadtest.schema import Seen
from firsttoken.validate import load
from firsttoken.validate.stack import own_command

__all__ = ["Ask", "Hopeless", "Site", "Stepped", "run"]

LOOK_EVERY_S = 1.0
SERVED_S = 2.0
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the loads go, and what is common to all of them."""

    target: str
    model: str
    load_file: Path | None
    observer: Observer


@dataclass(frozen=True, slots=True)
class Ask:
    """What one load is; what is None is as the load file has it.  Times are seconds."""

    rate: float | None = None
    concurrency: int | None = None
    duration: float | None = None
    warmup: float | None = None
    seed: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    """How a load went; ``hopeless`` says why it was stopped before its time."""

    run: Run
    seen: Seen | None
    hopeless: str | None


class Hopeless:
    """Reads along in the records, and says when no more requests could save the objectives.

    That is when more requests have failed an objective than twice what the whole step may have:
    no guess, and no look at an interval before its time.
    """

    def __init__(
        self, records: Path, objectives: Sequence[Objective], ask: Ask, in_flight_max: int
    ) -> None:
        self._records, self._objectives = records, objectives
        self._start = ask.warmup or 0.0
        self._end = self._start + (ask.duration or math.inf)
        self._expected = (ask.rate or 0.0) * (ask.duration or 0.0)
        self._in_flight_max = in_flight_max
        self._read, self._part = 0, ""
        self._bad = [0] * len(objectives)

    def why(self, state: load.State) -> str | None:
        """The reason to stop now, or None."""
        for row in self._rows():
            self._count(row)
        for objective, bad in zip(self._objectives, self._bad, strict=True):
            allowed = (1 - objective.target) * self._expected
            if bad > 2 * allowed + 10 + 1e-6:
                return (
                    f"{bad} requests had already failed {objective.name}, where the whole step may"
                    f" have {allowed:.0f}"
                )
        # What an overloaded server serves is worth two seconds: it tells where to look next.
        late = state.elapsed >= self._start + SERVED_S
        if late and state.in_flight >= self._in_flight_max:
            return f"{state.in_flight} requests were in flight, all that max_in_flight allows"
        return None

    def _count(self, row: dict[str, Any]) -> None:
        if "intended" not in row or not self._start <= row["intended"] < self._end:
            return
        fields = {field.name for field in dataclasses.fields(Record)}
        gaps = tuple(gap * 1e-6 for gap in row.get("gaps", ()))
        record = Record(**{k: v for k, v in row.items() if k in fields and k != "gaps"}, gaps=gaps)
        for number, objective in enumerate(self._objectives):
            self._bad[number] += keeps(record, objective) is False

    def _rows(self) -> Iterator[dict[str, Any]]:
        if not self._records.exists():
            return
        with self._records.open(encoding="utf-8") as file:
            file.seek(self._read)
            text = self._part + file.read()
            self._read = file.tell()
        *lines, self._part = text.split("\n")
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):
                yield json.loads(line)


def run(
    site: Site, ask: Ask, records: Path, told: Told, objectives: Sequence[Objective] = (),
    *, in_flight_max: int = 1024, may_stop: bool = False,
) -> Stepped:  # fmt: skip
    """Run one load to its end, or until it is hopeless.  Raises NotJudgedError when it cannot be.

    ``may_stop``: whether it may be stopped when it is hopeless.
    """
    hopeless: str | None = None
    watcher = Hopeless(records, objectives, ask, in_flight_max) if may_stop else None
    looked = time.monotonic()
    records.unlink(missing_ok=True)
    arguments = _arguments(site, ask, records)
    log = records.with_suffix(".log")
    with (
        site.observer.watch() as watching,
        load.start(arguments, site.target, log) as running,
    ):
        for state in running.follow():
            told(str(state))
            if watcher and time.monotonic() - looked >= LOOK_EVERY_S:
                looked = time.monotonic()
                hopeless = watcher.why(state)
                if hopeless:
                    break
        code = running.finish()
        if running.lost_at is not None:
            raise NotJudgedError(f"the engine stopped answering {running.lost_at:.0f} s into it")
        if code not in (0, 130) or (code == 130 and not hopeless):
            raise NotJudgedError(f"the load could not be run: {running.complaint()}")
    return Stepped(read(records), watching.seen, hopeless)


def _arguments(site: Site, ask: Ask, records: Path) -> list[str]:
    given: list[str] = []
    for flag, value in (
        ("--load", site.load_file),
        ("--rate", ask.rate if ask.rate is None else f"{ask.rate:.6g}"),
        ("--concurrency", ask.concurrency),
        ("--duration", _seconds(ask.duration)),
        ("--warmup", _seconds(ask.warmup)),
        ("--seed", ask.seed),
        ("--prompt-tokens", ask.prompt_tokens),
        ("--output-tokens", ask.output_tokens),
    ):
        if value is not None:
            given += [flag, str(value)]
    common = ["--target", site.target, "--model", site.model, "--out", str(records)]
    return own_command("load", "run", *common, "--progress", "json", *given)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{math.ceil(value * 1000)}ms"
