"""Runs a load: issues what is due when it is due, and has what came back turned into records."""

import asyncio
import contextlib
import gc
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from firsttoken.loadgen.client import Client, Exchange
from firsttoken.loadgen.conversation import said
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.identity import identify
from firsttoken.loadgen.plan import Planned, Session
from firsttoken.loadgen.prompts import Message, Prompts
from firsttoken.loadgen.reading import Finished, Reading
from firsttoken.loadgen.records import INTERRUPTED, Generator, Phase, Record
from firsttoken.loadgen.settings import Closed, LoadFile
from firsttoken.loadgen.workload import plan

__all__ = ["Engine", "Snapshot"]

FAILURE_PAUSE_S = 0.1
"""How long a closed loop's user waits after a failure, so that a dead server is not flooded."""

_AHEAD_OPEN = 16


class Prepared(NamedTuple):
    """A planned request as it will be sent, and the turns of its session after it."""

    planned: Planned
    trace_id: str
    request: bytes
    later: Session = ()


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
        sessions: Iterable[Session] | None = None,
    ) -> None:
        self._load, self._client, self._prompts = load, client, prompts
        self._nonce, self._sessions = nonce, plan(load) if sessions is None else sessions
        self._start_measure, self._end = load.warmup, load.warmup + load.duration
        self._path = "/v1/chat/completions" if load.api == "chat" else "/v1/completions"
        self._zero = 0.0
        self._issued = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._talks: set[asyncio.Task[Exchange]] = set()
        self._reading = Reading(on_record)
        self._gauges = Gauges(self.now, self._start_measure, self._end)
        self._bodies = self._requests()
        # Bodies are written ahead of their time, never between being due and being sent.
        closed = load.arrivals.concurrency if isinstance(load.arrivals, Closed) else 0
        self._ahead = closed or _AHEAD_OPEN
        self._ready = deque(itertools.islice(self._bodies, self._ahead))
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
                await _cancel(issuing, waiting, watching, *self._talks, *self._tasks)
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
        for first, *later in self._sessions:
            yield self._prepare(first)._replace(later=tuple(later))

    def _prepare(self, planned: Planned, before: Sequence[Message] = ()) -> Prepared:
        who = identify(self._nonce, planned.index, tracing=self._load.tracing)
        headers = (*who.headers, *planned.headers)
        body = self._prompts.body(planned, before)
        request = self._client.request("POST", self._path, body, headers)
        return Prepared(planned, who.trace_id, request)

    async def _issue_all(self) -> None:
        if isinstance(self._load.arrivals, Closed):
            async with asyncio.TaskGroup() as users:
                for _ in range(self._load.arrivals.concurrency):
                    users.create_task(self._user())
        else:
            await self._open_loop()

    async def _open_loop(self) -> None:
        slots = asyncio.Semaphore(self._load.max_in_flight)
        while prepared := self._next():
            intended = prepared.planned.intended or 0.0
            await self._until(intended)
            exchange = Exchange()
            task = await self._send(prepared, intended, exchange, slots)
            if prepared.later:
                talk = asyncio.create_task(self._later(prepared, task, exchange, slots))
                self._talks.add(talk)
                talk.add_done_callback(self._talks.discard)
        while self._tasks or self._talks:
            await asyncio.wait(self._tasks | self._talks)

    async def _user(self) -> None:
        """One user of a closed loop: due again the moment the last answer ended."""
        intended = self.now()
        while intended < self._end and (prepared := self._next()):
            exchange = Exchange()
            task = await self._send(prepared, intended, exchange)
            exchange = await self._later(prepared, task, exchange)
            if _answered(exchange) and exchange.ended is not None:
                intended = exchange.ended - self._zero
            else:
                await asyncio.sleep(FAILURE_PAUSE_S)
                intended = self.now()

    async def _later(
        self,
        prepared: Prepared,
        task: asyncio.Task[None],
        exchange: Exchange,
        slots: asyncio.Semaphore | None = None,
    ) -> Exchange:
        """The turns after a session's first, each a pause after the answer before it.

        Returns the last exchange.  A session ends with a failure, and with the run.
        """
        await asyncio.wait({task})
        before: list[Message] = []
        planned = prepared.planned
        for following in prepared.later:
            if not _answered(exchange) or exchange.ended is None:
                break
            intended = exchange.ended - self._zero + following.think
            if intended >= self._end:
                break
            before += self._prompts.messages(planned)
            before.append({"role": "assistant", "content": said(exchange.body)})
            turn, planned = self._prepare(following, before), following
            await self._until(intended)
            exchange = Exchange()
            await asyncio.wait({await self._send(turn, intended, exchange, slots)})
        return exchange

    def _next(self) -> Prepared | None:
        """The plan's next session; None at its end."""
        return self._ready.popleft() if self._ready else next(self._bodies, None)

    async def _send(
        self,
        prepared: Prepared,
        intended: float,
        exchange: Exchange,
        slots: asyncio.Semaphore | None = None,
    ) -> asyncio.Task[None]:
        """Send what is due, in an open loop once there is a place for it among those in flight."""
        self._gauges.took_up(intended, self.now())
        if slots and slots.locked():
            self._gauges.held_back(intended)
        if slots:
            await slots.acquire()
        task = asyncio.create_task(self._one(intended, prepared, exchange))
        self._issued += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if slots:
            task.add_done_callback(lambda _: slots.release())
        return task

    async def _one(self, intended: float, prepared: Prepared, exchange: Exchange) -> None:
        request = prepared.request
        try:
            async with asyncio.timeout(self._load.timeout):
                connection = await self._client.start(request, exchange)
                # Streams of one batch end together: first all of their users ask again.
                await asyncio.sleep(0)
                if len(self._ready) < self._ahead:
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


def _answered(exchange: Exchange) -> bool:
    """Whether an answer came to its end, as far as can be told before it is read."""
    return exchange.head is not None and exchange.head.status == 200 and exchange.error is None


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
