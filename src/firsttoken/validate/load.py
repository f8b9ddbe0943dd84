"""The load as a child process, so that the generator has an interpreter of its own to keep time in.

What it writes to its log, one JSON object a second, is how far it is; the records file is
written as requests end, so whatever happens to either process, what was measured is kept.
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firsttoken import servers
from firsttoken.errors import NotJudgedError
from firsttoken.loadgen.annotations import NO_MARK
from firsttoken.validate import engine
from firsttoken.validate.stack import own_command

__all__ = ["Load", "State", "load_arguments", "start"]

POLL_S = 0.1
WATCH_S = 1.0
LOST_AFTER = 2
"""Times in a row that the engine did not answer before the load is stopped."""
FINISH_S = 20.0


@dataclass(frozen=True, slots=True)
class State:
    """How far the load is, as it said last."""

    phase: str = "warmup"
    elapsed: float = 0.0
    total: float = 0.0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    ttft: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.elapsed:.0f} of {self.total:.0f} s", f"{self.done:,} requests done"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        parts.append(f"{self.in_flight} in flight")
        if self.ttft is not None:
            parts.append(f"median TTFT {self.ttft * 1000:.0f} ms")
        return ", ".join(parts)


def load_arguments(
    target: str,
    model: str,
    records: Path,
    file: Path | None,
    *,
    rate: float | None = None,
    concurrency: int | None = None,
    duration: float | None = None,
    tracing: bool = False,
    grafana: str | None = None,
) -> list[str]:
    """The command line of the load generator."""
    arguments = ["load", "run", "--target", target, "--model", model, "--out", str(records)]
    arguments += ["--progress", "json"]
    for flag, value in (
        ("--load", file),
        ("--rate", rate),
        ("--concurrency", concurrency),
        ("--duration", None if duration is None else f"{duration:g}s"),
        ("--grafana", grafana),
    ):
        if value is not None:
            arguments += [flag, str(value)]
    if tracing:
        arguments.append("--tracing")
    return own_command(*arguments)


class Load:
    """A load that runs; ``follow`` tells how far it is until a condition holds."""

    def __init__(self, child: servers.Child, target: str) -> None:
        self._child = child
        self._target = target
        self._read = 0
        self._watched = time.monotonic()
        self._silent = 0
        self.state = State()
        self.lost_at: float | None = None
        """Seconds into the load at which the engine was found gone."""

    def follow(self, *, phase: str | None = None) -> Iterator[State]:
        """The state whenever it changes, until the load ends or leaves the ``phase``."""
        while self._child.running and (phase is None or self.state.phase == phase):
            if self._update():
                yield self.state
            self._watch()
            time.sleep(POLL_S)
        self._update()

    def finish(self) -> int:
        """Stop it if it still runs, letting it write what it has; its exit code."""
        if self._child.running:
            with contextlib.suppress(ProcessLookupError):
                self._child.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.process.wait(FINISH_S)
        return self._child.stop()

    def complaint(self) -> str:
        """What it last said that is no progress."""
        lines = self._child.log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.strip() and not line.startswith("{")]
        return said[-1].removeprefix("firsttoken: ") if said else "it said nothing"

    def unmarked(self) -> str | None:
        """What Grafana would not do, where the load was to be marked there."""
        lines = self._child.log.read_text(errors="replace").splitlines()
        return next((line.removeprefix("firsttoken: ") for line in lines if NO_MARK in line), None)

    def _update(self) -> bool:
        text = self._child.log.read_text(errors="replace")
        end = text.rfind("\n") + 1
        fresh, self._read = text[self._read : end], end
        changed = False
        for line in fresh.splitlines():
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and "phase" in row:
                    self.state, changed = _state(row), True
        return changed

    def _watch(self) -> None:
        """Stop the load when the engine is gone: more failures would say nothing new."""
        if self.lost_at is not None or time.monotonic() - self._watched < WATCH_S:
            return
        self._silent = 0 if engine.alive(self._target) else self._silent + 1
        self._watched = time.monotonic()
        if self._silent >= LOST_AFTER:
            self.lost_at = self.state.elapsed
            self._child.process.send_signal(signal.SIGINT)


def _state(row: dict[str, Any]) -> State:
    return State(
        str(row["phase"]),
        float(row.get("elapsed") or 0.0),
        float(row.get("total") or 0.0),
        int(row.get("done") or 0),
        int(row.get("failed") or 0),
        int(row.get("in_flight") or 0),
        row.get("ttft_p50"),
    )


@contextlib.contextmanager
def start(arguments: list[str], target: str, log: Path) -> Iterator[Load]:
    """A running load, ended politely when the block is left.  Raises NotJudgedError."""
    with servers.start("load", arguments, log) as child:
        load = Load(child, target)
        try:
            yield load
        finally:
            load.finish()


def check_ended(load: Load, code: int, records: Path) -> None:
    """Raise NotJudgedError when the load ended without a single record."""
    if code not in (0, 130) and not (records.exists() and records.stat().st_size):
        raise NotJudgedError(f"the load could not be run: {load.complaint()}")
