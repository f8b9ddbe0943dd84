"""The engine on the real clock: steps end at the times that the model says, without drift."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from firsttoken.simulate.answers import Wish
from firsttoken.simulate.engine import Engine, running
from firsttoken.simulate.metrics import EngineMetrics
from firsttoken.simulate.settings import Simulation


def engine(**parameters: float) -> Engine:
    costs = {"prefill_s_per_token": 1e-6, "decode_s_per_sequence": 0}
    simulation = Simulation.model_validate(
        {"parameters": costs | {"decode_s_per_context_token": 0} | parameters}
    )
    return Engine(simulation, EngineMetrics(simulation, CollectorRegistry()))


class LateLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer, and past it by a millisecond."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when() + 0.001)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def test_late_timers_do_not_add_up() -> None:
    async def check() -> None:
        simulated = engine(decode_base_s=0.003)
        loop = asyncio.get_running_loop()
        async with running(simulated):
            job = simulated.submit([5] * 10, Wish(300, ignore_eos=True), loop.time())
            async for delta in job.deltas():
                last = delta
        assert (last.end, last.finish_reason) == (300, "length")
        assert job.request.last_token is not None
        # One late timer at the end, and not 300.
        assert job.request.last_token == pytest.approx(300 * 0.003 + 10e-6 + 0.001, abs=1e-4)
        assert simulated.late == pytest.approx(300 * 0.001)

    with asyncio.Runner(loop_factory=LateLoop) as runner:
        runner.run(check())


def test_a_reader_that_is_slow_gets_several_tokens_at_once() -> None:
    async def check() -> None:
        simulated = engine(decode_base_s=0.001)
        async with running(simulated):
            job = simulated.submit([5], Wish(40, ignore_eos=True), 0.0)
            sizes = []
            async for delta in job.deltas():
                sizes.append(delta.end - delta.start)
                if job.finish_reason is None:
                    await asyncio.sleep(0.015)
        assert sum(sizes) == 40
        assert max(sizes) > 5

    asyncio.run(check())


def test_work_is_accounted_while_a_step_runs_and_after() -> None:
    async def check() -> None:
        simulated = engine(decode_base_s=0.2, prefill_s_per_token=1e-4)
        loop = asyncio.get_running_loop()
        async with running(simulated):
            assert simulated.busy_seconds(loop.time()) == (0, 0)
            job = simulated.submit([5] * 1000, Wish(1), loop.time())
            await asyncio.sleep(0.1)
            busy, prefill = simulated.busy_seconds(loop.time())
            assert 0.05 < busy <= 0.3
            assert 0 < prefill < busy
            async for _ in job.deltas():
                pass
            busy, prefill = simulated.busy_seconds(loop.time())
            assert (round(busy, 9), round(prefill, 9)) == (0.3, 0.1)

    asyncio.run(check())


def test_an_engine_that_fails_does_not_leave_its_owner_waiting() -> None:
    async def check() -> None:
        simulated = engine()
        async with running(simulated):
            simulated.scheduler.pool = None  # type: ignore[assignment]
            simulated.submit([5], Wish(1), 0.0)
            await asyncio.Event().wait()

    with pytest.raises(AttributeError):
        asyncio.run(check())
