"""One run from its settings to its records: reach, learn to write prompts, run, write it all."""

import asyncio
import contextlib
import dataclasses
import secrets
import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

from firsttoken.errors import NotJudgedError
from firsttoken.loadgen.merge import SHARD
from firsttoken.loadgen.page import Tally, serving, text
from firsttoken.loadgen.plan import Session, Workload
from firsttoken.loadgen.processes import Shards
from firsttoken.loadgen.prompts import counter, learn
from firsttoken.loadgen.record import VERSION, Generator, Run, ShardResult
from firsttoken.loadgen.records import read
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.shards import Shard
from firsttoken.loadgen.target import Served, client_for, reach
from firsttoken.loadgen.worker import Ended, Share, Snapshot, Worker
from firsttoken.loadgen.workload import plan, schedule_hash, workload_of
from firsttoken.loadgen.writer import Writer

__all__ = ["Crew", "Part", "Stop", "Team", "Watch", "run_load", "with_fast_loop"]

T = TypeVar("T")
Watch = Callable[[Snapshot], None]
LATE_S = 1.0
"""By so much a process may come too late for an agreed start."""


class Part(NamedTuple):
    """This process' part in a run that others have parts in.

    ``run_id`` is what all have in common; ``start_at`` when all begin, in Unix time.
    """

    shard: Shard
    run_id: str
    start_at: float | None = None


class Stop:
    """Ends a run early; ``reason`` is what the records say of it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        """Stop, unless already stopped."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()


def with_fast_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


class Crew(Protocol):
    """What carries a run out: a thread, several processes, or a cluster of them.

    ``lead`` is how long before the start it must be told of it, in seconds.
    """

    lead: float

    async def prepare(self) -> None: ...
    async def run(self, zero: float) -> None: ...
    def stop(self) -> None: ...
    async def close(self) -> None: ...
    def snapshot(self) -> Snapshot | None: ...
    def ended(self) -> Ended: ...
    def shards(self) -> tuple[ShardResult, ...]: ...


Team = Callable[[Share, Workload], Crew]
"""Puts a crew together for a share of a load, the sessions of which the workload gives."""


class Alone:
    """A run in a thread of this process, beside which nothing else happens here."""

    lead = 0.02

    def __init__(self, share: Share, sessions: Iterator[Session]) -> None:
        self._worker = Worker(share, sessions)
        self._thread: asyncio.Future[None] | None = None

    async def prepare(self) -> None:
        """Write the first requests."""
        await asyncio.to_thread(self._worker.prepare)

    async def run(self, zero: float) -> None:
        """Run from ``zero`` to the end."""
        self._thread = asyncio.ensure_future(asyncio.to_thread(self._worker.run, zero))
        await asyncio.shield(self._thread)

    def stop(self) -> None:
        """End the run soon."""
        self._worker.stop()

    async def close(self) -> None:
        """Wait for the thread."""
        self.stop()
        if self._thread is not None:
            await asyncio.wait({self._thread})

    def snapshot(self) -> Snapshot:
        """The state at this moment."""
        return self._worker.snapshot()

    def tally(self) -> Tally:
        """What the run's own page shows."""
        return self._worker.tally or Tally()

    def ended(self) -> Ended:
        """How it ended."""
        return self._worker.ended()

    def shards(self) -> tuple[ShardResult, ...]:
        """None but itself."""
        return ()


async def run_load(
    load: LoadFile,
    target: str,
    out: Path | None,
    stop: Stop,
    watch: Watch | None = None,
    part: Part | None = None,
    team: Team | None = None,
    *,
    listen: str | None = None,
) -> Run:
    """Run a load against a server; ``watch`` is called once a second, and at the end.

    ``part``: only this part of it is asked; ``team``: by whom.  ``listen`` (HOST:PORT) is where
    the run's own metrics are served meanwhile, where no team carries it out.  Raises
    NotJudgedError when the server cannot be reached, UsageError and ConfigError for what does not
    fit.
    """
    client = client_for(target, load)
    workload = workload_of(load, counter(load))
    served = await reach(client, load, workload)
    vocabulary = await learn(client, load, served.model)
    part = part or Part(Shard(), secrets.token_hex(8))
    with _place(out) as file:
        share = Share(
            part.shard.load(load),
            client.target,
            client.headers,
            served.model,
            vocabulary,
            part.run_id,
            file,
            part.shard,
            tallied=listen is not None,
        )
        run = _planned(load, share, workload, served)
        with Writer(file) as writer:
            crew = (team or _crew)(share, workload)
            try:
                await crew.prepare()
                started = _start(part.start_at, crew.lead)
                run = dataclasses.replace(run, started=started)
                writer.begin(run)
                async with serving(listen, lambda: text(_tally(crew), run.provider)):
                    await _watched(crew, perf_counter() + started - time.time(), stop, watch)
            finally:
                await crew.close()
            writer.end(_ended(run, crew, stop))
        done = read(file)
    if out is None:
        _let_go(done, file.parent)
    return done


@contextlib.contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    """Where the records go; a folder made for them is removed if there is no run."""
    if out is not None:
        yield out
        return
    folder = Path(tempfile.mkdtemp(prefix="firsttoken-"))
    try:
        yield folder / "records.jsonl"
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _let_go(done: Run, folder: Path) -> None:
    """Remove a folder that was made for the records, once nobody can ask for them any more."""
    if isinstance(done.records, tuple):
        shutil.rmtree(folder, ignore_errors=True)
    else:  # so many that they stay in the file
        weakref.finalize(done.records, shutil.rmtree, folder, ignore_errors=True)


def _planned(load: LoadFile, share: Share, workload: Workload, served: Served) -> Run:
    """What is known of a run before its start."""
    settings = {**load.public(), "prompt_source": share.vocabulary.source}
    if share.shard.of > 1:
        settings[SHARD] = {
            "index": share.shard.index,
            "of": share.shard.of,
            "run": share.nonce,
            "host": socket.gethostname(),
        }
    if workload.skipped:
        settings["left_out"] = dict(workload.skipped)
    return Run(
        version=VERSION,
        target=share.target,
        model=served.model,
        engine=served.engine,
        started=0.0,
        measure=(load.warmup, load.warmup + load.duration),
        load=settings,
        schedule_hash=schedule_hash(load, workload),
        interrupted=False,
        stopped=None,
        generator=Generator(),
        records=(),
    )


def _tally(crew: Crew) -> Tally:
    return crew.tally() if isinstance(crew, Alone | Shards) else Tally()


def _crew(share: Share, workload: Workload) -> Crew:
    if share.load.processes > 1:
        return Shards(share)
    return Alone(share, share.shard.deal(plan(share.load, workload)))


def _start(agreed: float | None, lead: float) -> float:
    """When to begin, in Unix time.  Raises NotJudgedError where it is too late for it."""
    soonest = time.time() + lead
    if agreed is None:
        return soonest
    if soonest - agreed > LATE_S:
        raise NotJudgedError(
            f"the agreed start has passed {soonest - agreed:.1f} s ago: agree on a later one"
        )
    return agreed


async def _watched(crew: Crew, zero: float, stop: Stop, watch: Watch | None) -> None:
    running = asyncio.create_task(crew.run(zero))
    stopping = asyncio.create_task(stop.event.wait())
    try:
        while not running.done() and not stopping.done():
            await asyncio.wait(
                {running, stopping}, timeout=1 if watch else None, return_when="FIRST_COMPLETED"
            )
            if watch and (state := crew.snapshot()):
                watch(state)
    finally:
        crew.stop()
        stopping.cancel()
        await asyncio.wait({running})
    running.result()
    if watch and (state := crew.snapshot()):
        watch(state)


def _ended(run: Run, crew: Crew, stop: Stop) -> Run:
    end = crew.ended()
    start, until = run.measure
    if end.stopped_at is not None:
        until = min(until, max(start, end.stopped_at))
    return dataclasses.replace(
        run,
        measure=(start, until),
        interrupted=end.stopped_at is not None,
        stopped=(stop.reason or end.reason) if end.stopped_at is not None else None,
        generator=end.generator,
        shards=crew.shards(),
    )
