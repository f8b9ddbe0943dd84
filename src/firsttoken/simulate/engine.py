"""The scheduler driven by the real clock: steps last as the model says, answers go to their owners.

Steps end at absolute times, each counted from the end of the one before, so that a late timer
delays one step and not all that follow.  All times are seconds of the event loop's clock.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from firsttoken.simulate.answers import Answer, Wish, Writer
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.metrics import EngineMetrics
from firsttoken.simulate.model import Request, Scheduler, Slowdown, Step
from firsttoken.simulate.settings import Simulation

__all__ = ["Delta", "Engine", "FinishReason", "Job", "running"]

FinishReason = Literal["stop", "length", "error"]

# A machine that was busy elsewhere for longer than this does not make up for it afterwards.
_CATCH_UP_S = 0.1


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens ``start`` to ``end`` of an answer, and how it ended if these were the last."""

    start: int
    end: int
    finish_reason: FinishReason | None


class Job:
    """A request in the engine and the answer that it will get; ``deltas`` gives it as it comes."""

    def __init__(self, request: Request, answer: Answer, wish: Wish, arrival: float) -> None:
        self.request = request
        self.answer = answer
        self.wish = wish
        self.arrival = arrival
        self.finish_reason: FinishReason | None = None
        self._news = asyncio.Event()

    def notify(self) -> None:
        """Called by the engine when the request got a token or ended."""
        self._news.set()

    async def deltas(self) -> AsyncIterator[Delta]:
        """What came since the last one; several tokens at once when the reader was slower."""
        sent = 0
        while True:
            await self._news.wait()
            self._news.clear()
            finished, generated = self.finish_reason, self.request.generated
            yield Delta(sent, generated, finished)
            if finished is not None:
                return
            sent = generated


class Engine:
    """Requests in, tokens out; start ``run`` as a task."""

    def __init__(self, simulation: Simulation, metrics: EngineMetrics) -> None:
        self.parameters = simulation.parameters
        self.scheduler = Scheduler(simulation.parameters)
        self.metrics = metrics
        self.late = 0.0  # seconds that steps ended after their time, summed
        self._writer = Writer(simulation.parameters, simulation.seed)
        self._jobs: dict[Request, Job] = {}
        self._work = asyncio.Event()
        self._computed = 0.0
        self._prefilled = 0.0
        self._current: tuple[float, Step] | None = None
        self.faults = Faults()
        self.inject(simulation.faults)

    def inject(self, faults: Faults) -> None:
        """Put other faults in force, from the next step on."""
        self.faults = faults
        self.scheduler.withhold(faults.kv_withheld)
        self._work.set()

    def submit(self, prompt: Sequence[int], wish: Wish, arrival: float) -> Job:
        """Queue a request whose prompt and ``wish.max_tokens`` together fit the model's length."""
        answer = self._writer.draw(wish)
        fails = self._writer.failing(self.faults.failing_share)
        request = Request(prompt, answer.tokens, fails=fails)
        job = Job(request, answer, wish, arrival)
        self._jobs[request] = job
        self.scheduler.add(request, asyncio.get_running_loop().time())
        self._work.set()
        return job

    def abort(self, job: Job) -> None:
        """Forget a request whose client is gone; nothing happens when it has ended already."""
        if self._jobs.pop(job.request, None) is not None:
            self.scheduler.abort(job.request)
            self.metrics.state(self.scheduler)
            self._work.set()

    def busy_seconds(self, now: float) -> tuple[float, float]:
        """Seconds spent in steps until now, and those of them that went into prompts."""
        if self._current is None:
            return self._computed, self._prefilled
        started, step = self._current
        part = min(1.0, max(0.0, (now - started) / step.duration)) if step.duration else 1.0
        return (
            self._computed + part * step.duration,
            self._prefilled + part * self._prefill_share(step) * step.duration,
        )

    async def run(self) -> None:
        """Compute until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            step = self._plan(loop.time())
            if step is None:
                self._work.clear()
                await self._work.wait()
                due = loop.time()
                continue
            now = loop.time()
            start = due if now - due < _CATCH_UP_S else now
            due = start + step.duration
            self._current = (start, step)
            await asyncio.sleep(max(0.0, due - now))
            await self._while_stalled()
            self._complete(step, loop.time())
            self.late += max(0.0, loop.time() - due)

    def _plan(self, now: float) -> Step | None:
        if self.faults.stalled or not self.scheduler.busy:
            return None
        slowdown = Slowdown(self.faults.prefill_slowdown, self.faults.decode_slowdown)
        return self.scheduler.plan(now, slowdown)

    async def _while_stalled(self) -> None:
        while self.faults.stalled:
            self._work.clear()
            await self._work.wait()

    def _complete(self, step: Step, now: float) -> None:
        self._current = None
        self._computed += step.duration
        self._prefilled += self._prefill_share(step) * step.duration
        emissions = self.scheduler.complete(step, now)
        jobs = []
        for emission in emissions:
            job = self._jobs[emission.request]
            jobs.append(job)
            if emission.ends:
                del self._jobs[emission.request]
                job.finish_reason = "error" if job.request.fails else job.answer.finish_reason
        # Counted before anybody is told, so that a client that has its answer finds it counted.
        self.metrics.step(step, emissions, self.scheduler)
        for emission, job in zip(emissions, jobs, strict=True):
            self.metrics.emission(emission, job.arrival, now)
            if job.finish_reason is not None:
                self.metrics.finished(
                    job.request, job.finish_reason, job.wish.max_tokens, job.arrival, now
                )
        for job in jobs:
            job.notify()

    def _prefill_share(self, step: Step) -> float:
        if not step.duration:
            return 0.0
        cost = self.parameters.prefill_s_per_token * self.faults.prefill_slowdown
        return min(1.0, step.prefill_tokens * cost / step.duration)


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """The engine computes while the block lasts; should it fail, the block fails with it."""
    owner = asyncio.current_task()

    def ended(task: asyncio.Task[None]) -> None:
        if owner is not None and not task.cancelled():
            owner.cancel()

    task = asyncio.create_task(engine.run())
    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
