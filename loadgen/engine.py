"""Runs a load: issues what is due when it is due, and has what came back turned into records."""

import asyncio
import contextlib
import gc
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

from firsttoken.loadgen.client import Client, Exchange
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.identity import identify
from firsttoken.loadgen.plan import Planned
from firsttoken.loadgen.prompts import Prompts
from firsttoken.loadgen.reading import Finished, Reading
from firsttoken.loadgen.records import INTERRUPTED, Generator, Phase, Record
from firsttoken.loadgen.settings import Closed, LoadFile
from firsttoken.loadgen.workload import plan

__all__ = ["Engine", "Snapshot"]

FAILURE_PAUSE_S = 0.1
"""How long a closed loop's user waits after a failure, so that a dead server is not flooded."""

_AHEAD_OPEN = 16


class Prepared(NamedTuple):
    """A planned request as it will be sent."""

    planned: Planned
    trace_id: str
    request: bytes


class Snapshot(NamedTuple):
    """The state of a run, for people who watch it; ``ttft_p50`` is over the last requests."""

    phase: Phase
    elapsed: float
    total: float
    issued: int
    done: int
    failed: int
    in_flight: int
    output_tokens: int
    ttft_p50: float | None


class Engine:
    """One run of one load; ``on_record`` is called with each record as its request ends."""

    def __init__(
        self,
        load: LoadFile,
        client: Client,
        prompts: Prompts,
        on_record: Callable[[Record], None],
        nonce: str = "",
    ) -> None:
        self._load, self._client, self._prompts = load, client, prompts
        self._nonce = nonce
        self._start_measure, self._end = load.warmup, load.warmup + load.duration
        self._path = "/v1/chat/completions" if load.api == "chat" else "/v1/completions"
        self._zero = 0.0
        self._issued = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = Reading(on_record)
        self._gauges = Gauges(self.now, self._start_measure, self._end)
        self._bodies = self._requests()
        # Bodies are written ahead of their time, never between being due and being sent.
        ahead = load.arrivals.concurrency if isinstance(load.arrivals, Closed) else _AHEAD_OPEN
        self._ready = deque(itertools.islice(self._bodies, ahead))
        self.stopped_at: float | None = None

    def now(self) -> float:
        """Seconds since the run's start."""
        return perf_counter() - self._zero

    def generator(self) -> Generator:
        """How the load generator itself fared."""
        return self._gauges.result()

    def begin(self) -> float:
        """Set the clock to zero, directly before ``run``; returns the Unix time of that moment."""
        gc.collect()
        self._zero = self._reading.zero = perf_counter()
        return time.time()

    async def run(self, stop: asyncio.Event) -> None:
        """Run to the end, or until ``stop`` is set; what is then in flight is broken off."""
        watching = asyncio.create_task(self._gauges.watch())
        reading = asyncio.create_task(self._reading.run())
        issuing = asyncio.create_task(self._issue_all())
        waiting = asyncio.create_task(stop.wait())
        with _no_collections():
            try:
                await asyncio.wait({issuing, waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
                if not issuing.done():
                    self.stopped_at = self.now()
            finally:
                await _cancel(issuing, waiting, watching, *self._tasks)
                self._reading.close()
                await reading
                self._client.close()
        if not issuing.cancelled():
            issuing.result()

    def snapshot(self) -> Snapshot:
        """The state at this moment."""
        elapsed = self.now()
        return Snapshot(
            phase=self._phase(elapsed),
            elapsed=round(elapsed, 3),
            total=self._end,
            issued=self._issued,
            done=self._reading.done,
            failed=self._reading.failed,
            in_flight=len(self._tasks),
            output_tokens=self._reading.output_tokens,
            ttft_p50=self._reading.ttft_p50,
        )

    def _phase(self, at: float) -> Phase:
        if at < self._start_measure:
            return "warmup"
        return "measure" if at < self._end else "drain"

    def _requests(self) -> Iterator[Prepared]:
        for (planned,) in plan(self._load):
            who = identify(self._nonce, planned.index, tracing=self._load.tracing)
            headers = (*who.headers, *planned.headers)
            body = self._prompts.body(planned)
            request = self._client.request("POST", self._path, body, headers)
            yield Prepared(planned, who.trace_id, request)

    async def _issue_all(self) -> None:
        if isinstance(self._load.arrivals, Closed):
            async with asyncio.TaskGroup() as users:
                for _ in range(self._load.arrivals.concurrency):
                    users.create_task(self._user())
        else:
            await self._open_loop()

    async def _open_loop(self) -> None:
        slots = asyncio.Semaphore(self._load.max_in_flight)
        while self._ready:
            intended = self._ready[0].planned.intended or 0.0
            await self._until(intended)
            self._gauges.took_up(intended, self.now())
            if slots.locked():
                self._gauges.held_back(intended)
            await slots.acquire()
            task = self._start(intended, Exchange())
            task.add_done_callback(lambda _: slots.release())
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _user(self) -> None:
        """One user of a closed loop: due again the moment the last answer ended."""
        intended = self.now()
        while intended < self._end:
            self._gauges.took_up(intended, self.now())
            exchange = Exchange()
            await asyncio.wait({self._start(intended, exchange)})
            failed = exchange.head is None or exchange.head.status != 200
            if failed or exchange.error is not None or exchange.ended is None:
                await asyncio.sleep(FAILURE_PAUSE_S)
                intended = self.now()
            else:
                intended = exchange.ended - self._zero

    def _start(self, intended: float, exchange: Exchange) -> asyncio.Task[None]:
        request = self._ready.popleft() if self._ready else next(self._bodies)
        task = asyncio.create_task(self._one(intended, request, exchange))
        self._issued += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _one(self, intended: float, prepared: Prepared, exchange: Exchange) -> None:
        request = prepared.request
        try:
            async with asyncio.timeout(self._load.timeout):
                connection = await self._client.start(request, exchange)
                # Streams of one batch end together: first all of their users ask again.
                await asyncio.sleep(0)
                self._ready.extend(itertools.islice(self._bodies, 1))
                await self._client.finish(connection, request, exchange)
        except TimeoutError:
            exchange.fail("timeout")
        except asyncio.CancelledError:
            exchange.fail(INTERRUPTED)
        phase = self._phase(intended)
        finished = Finished(prepared.planned, prepared.trace_id, intended, phase, exchange)
        self._reading.put(finished)

    async def _until(self, due: float) -> None:
        # uvloop's timers count whole milliseconds and may fire early: the last one is polled.
        while (left := due - self.now()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left if left > 0.001 else 0)


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """No garbage collection while times are taken: a full one stops everything for long."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
