"""A run over a Ray cluster: one worker a place, one plan, one start, one file of records.

Each worker is an actor with the load generator of one process in it.  This side tells them when to
begin, in their own clocks' time, and takes their records as they are written.  A worker that is
lost costs its share of the plan, and is said.
"""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from firsttoken.errors import FirstTokenError, NotJudgedError, UsageError
from firsttoken.loadgen.arrivals import Closed
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.merge import story
from firsttoken.loadgen.plan import Workload
from firsttoken.loadgen.rayworker import RemoteWorker, State
from firsttoken.loadgen.record import ShardResult
from firsttoken.loadgen.shards import Clock, Probe, Shard, clock
from firsttoken.loadgen.worker import Ended, Share, Snapshot, added
from firsttoken.loadgen.workload import plan

__all__ = ["RayCrew", "connect"]

PROBES = 20
POLL_S = 0.5
CLOSE_S = 5.0
PLACE_S = 60.0
"""How long a cluster may take to start the workers."""
_TURN = b'"turn":0,'


class _Member:
    """A worker as this side knows it."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.host, self.pid = "", 0
        self.before: Clock | None = None
        self.after: Clock | None = None
        self.snapshot: Snapshot | None = None
        self.ended: Ended | None = None
        self.lost: str | None = None
        self.lost_at: float | None = None
        self.asked = 0


class RayCrew:
    """The workers of a run, from this side; ``leave`` says to leave the cluster at the end.

    Raises UsageError for more workers than users.
    """

    lead = 1.0

    def __init__(
        self, ray: Any, share: Share, workload: Workload, workers: int | None, *, leave: bool
    ) -> None:
        self._ray, self._leave = ray, leave
        self._share, self._workload = share, workload
        count = workers or max(1, sum(1 for node in ray.nodes() if node["Alive"]))
        arrivals = share.load.arrivals
        if isinstance(arrivals, Closed) and count > arrivals.concurrency:
            raise UsageError(f"{count} workers for {arrivals.concurrency} users: fewer workers")
        # Threads: the run, its state, the clock, and a call to stop.
        options = {"num_cpus": 1, "max_concurrency": 4, "scheduling_strategy": "SPREAD"}
        actor = ray.remote(**options)(RemoteWorker)
        common = ray.put(workload)
        self.members: list[_Member] = []
        for number in range(count):
            shard = share.shard.within(number, count)
            mine = share._replace(load=Shard(number, count).load(share.load), shard=shard)
            self.members.append(_Member(actor.remote(mine, common)))
        self._zero = 0.0
        self._stopped = False
        load = share.load
        self._none = Gauges(load.warmup, load.warmup + load.duration)  # where all were lost

    async def prepare(self) -> None:
        """Wait for the workers, have them write their first requests, compare clocks."""
        try:
            async with asyncio.timeout(PLACE_S):
                for member in self.members:
                    member.host, member.pid = await _of(member.actor.prepare.remote())
        except TimeoutError:
            free = self._ray.available_resources().get("CPU", 0)
            raise NotJudgedError(
                f"Ray: no room for {len(self.members)} workers of a core each within"
                f" {PLACE_S:g} s ({free:g} cores are free)"
            ) from None
        except self._ray.exceptions.RayError as exc:
            cause = getattr(exc, "cause", None)
            if isinstance(cause, FirstTokenError):
                raise cause from None
            raise NotJudgedError(f"Ray: a worker did not start: {_reason(exc)}") from None
        for member in self.members:
            member.before = await self._clock(member)

    async def run(self, zero: float) -> None:
        """Run from ``zero`` to the end of all workers that are there."""
        self._zero = zero
        start = time.time() + zero - perf_counter()
        await asyncio.gather(*(self._follow(member, start) for member in self.members))

    def stop(self) -> None:
        """End the run soon."""
        if not self._stopped:
            self._stopped = True
            for member in self.members:
                member.actor.stop.remote()

    async def close(self) -> None:
        """Let go of the workers, and of a cluster that was started here."""
        for member in self.members:
            if member.lost is None:
                with contextlib.suppress(self._ray.exceptions.RayError, TimeoutError):
                    async with asyncio.timeout(CLOSE_S):
                        await _of(member.actor.close.remote())
            self._ray.kill(member.actor)
        if self._leave:
            await asyncio.to_thread(self._ray.shutdown)

    def snapshot(self) -> Snapshot | None:
        """What the workers said last, together."""
        found = [member.snapshot for member in self.members if member.snapshot is not None]
        return added(found) if found else None

    def ended(self) -> Ended:
        """How it ended in all of them together; where one was lost, the run ended there."""
        ends = [member.ended for member in self.members if member.ended is not None]
        stops = [end.stopped_at for end in ends] + [member.lost_at for member in self.members]
        reasons = [story(result, len(self.members)) for result in self.shards() if result.lost]
        reasons += [end.reason for end in ends if end.reason is not None]
        return Ended(
            min((at for at in stops if at is not None), default=None),
            "; ".join(reasons) or None,
            Gauges.together([end.gauges for end in ends] or [self._none]),
            sum(end.held_back for end in ends),
            sum(end.turns_dropped for end in ends),
        )

    def shards(self) -> tuple[ShardResult, ...]:
        """How each worker fared, and what is missing of the share of one that was lost."""
        return tuple(self._result(number, member) for number, member in enumerate(self.members))

    @functools.cached_property
    def _total(self) -> int | None:
        """How many sessions are planned; None in a closed loop."""
        load = self._share.load
        if not load.open_loop:
            return None
        return sum(1 for _ in self._share.shard.deal(plan(load, self._workload)))

    def _result(self, number: int, member: _Member) -> ShardResult:
        total = self._total
        planned = None if total is None else Shard(number, len(self.members)).part(total)
        missing = None if planned is None else max(0, planned - member.asked)
        before, after = member.before, member.after
        values: dict[str, Any] = {}
        if member.ended is not None:
            values["generator"] = member.ended.generator
        if before is not None:
            values |= {"clock_offset": before.offset, "clock_error": before.error}
        if before is not None and after is not None:
            values["clock_drift"] = after.offset - before.offset
        return ShardResult(
            index=number,
            host=member.host,
            asked=member.asked,
            started=0.0,
            planned=planned,
            missing=missing,
            lost=member.lost,
            **values,
        )

    async def _follow(self, member: _Member, start: float) -> None:
        assert member.before is not None  # noqa: S101
        # A worker's clock that is ahead of ours shows the agreed moment later.
        running = asyncio.ensure_future(_of(member.actor.run.remote(start + member.before.offset)))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=POLL_S)
                await self._take(member)
            member.ended = await running
            await self._take(member)
            member.after = await self._clock(member)
        except self._ray.exceptions.RayTaskError as exc:
            raise NotJudgedError(f"Ray: worker {member.host}: {_reason(exc)}") from None
        except self._ray.exceptions.RayError:
            member.lost_at = max(0.0, perf_counter() - self._zero)
            member.lost = f"was lost after {member.lost_at:.1f} s"
            member.snapshot = None
            running.cancel()

    async def _take(self, member: _Member) -> None:
        """A worker's state, and its records into the file."""
        state: State = await _of(member.actor.state.remote())
        member.snapshot = state.snapshot
        if state.lines:
            member.asked += state.lines.count(_TURN)
            await asyncio.to_thread(_append, self._share.out, state.lines)

    async def _clock(self, member: _Member) -> Clock:
        probes = []
        for _ in range(PROBES):
            asked = time.time()
            theirs = await _of(member.actor.clock.remote())
            probes.append(Probe(asked, theirs, time.time()))
        return clock(probes)


def connect(workers: int | None) -> Callable[[Share, Workload], RayCrew]:
    """A team on the Ray cluster that this machine is part of, else on one that is started here.

    ``workers`` None is one for each node.  Call it before the event loop has its signal handlers,
    because Ray sets its own.  Raises NotJudgedError where Ray is not installed or not reached.
    """
    try:
        import ray
    except ImportError:
        raise NotJudgedError("--cluster ray: pip install 'firsttoken[ray]' is needed") from None
    ours = not ray.is_initialized()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is to be sent elsewhere
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError as exc:
            if os.environ.get("RAY_ADDRESS"):
                raise NotJudgedError(f"Ray: {_reason(exc)}") from None
            places = max(workers or 1, os.cpu_count() or 1)
            ray.init(num_cpus=places, include_dashboard=False, **quiet)
    return lambda share, workload: RayCrew(ray, share, workload, workers, leave=ours)


async def _of(reference: Any) -> Any:
    """What a call to a worker gave.  Raises RayError where it was lost."""
    return await asyncio.wrap_future(reference.future())


def _append(path: Path, lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(lines)


def _reason(error: BaseException) -> str:
    """The last line of a text that is long with Ray's own stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
