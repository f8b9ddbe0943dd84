"""One run from its settings to its records: reach, learn to write prompts, run, write it all."""

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from firsttoken.loadgen.engine import Engine, Snapshot
from firsttoken.loadgen.prompts import Prompts, counter, learn
from firsttoken.loadgen.records import VERSION, Generator, Record, Run, Writer
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.target import client_for, reach
from firsttoken.loadgen.workload import plan, schedule_hash, workload_of

__all__ = ["Stop", "Watch", "run_load", "with_fast_loop"]

T = TypeVar("T")
Watch = Callable[[Snapshot], None]


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


async def run_load(
    load: LoadFile,
    target: str,
    out: Path | None,
    stop: Stop,
    watch: Watch | None = None,
) -> Run:
    """Run a load against a server; ``watch`` is called once a second, and at the end.

    Raises NotJudgedError when the server cannot be reached, UsageError and ConfigError for what
    does not fit.
    """
    client = client_for(target, load)
    records: list[Record] = []
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        workload = workload_of(load, counter(load))
        served = await reach(client, load, workload)
        vocabulary = await learn(client, load, served.model)
        writer = stack.enter_context(Writer(out)) if out else None

        def on_record(record: Record) -> None:
            records.append(record)
            if writer:
                writer.add(record)

        nonce = secrets.token_hex(8)
        prompts = Prompts(load, served.model, vocabulary, nonce)
        engine = Engine(load, client, prompts, on_record, nonce, plan(load, workload))
        settings = {**load.public(), "prompt_source": vocabulary.source}
        if workload.skipped:
            settings["left_out"] = dict(workload.skipped)
        digest = schedule_hash(load, workload)
        run = Run(
            version=VERSION,
            target=client.target,
            model=served.model,
            engine=served.engine,
            started=engine.begin(),
            measure=(load.warmup, load.warmup + load.duration),
            load=settings,
            schedule_hash=digest,
            interrupted=False,
            stopped=None,
            generator=Generator(),
            records=(),
        )
        if writer:
            writer.begin(run)
        await _watched(engine, stop, watch)
        run = _ended(run, engine, stop, tuple(records))
        if writer:
            writer.end(run)
    return run


async def _watched(engine: Engine, stop: Stop, watch: Watch | None) -> None:
    async def report() -> None:
        while watch:
            await asyncio.sleep(1)
            watch(engine.snapshot())

    reporting = asyncio.create_task(report())
    try:
        await engine.run(stop.event)
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
    if watch:
        watch(engine.snapshot())


def _ended(run: Run, engine: Engine, stop: Stop, records: tuple[Record, ...]) -> Run:
    start, end = run.measure
    if engine.stopped_at is not None:
        end = min(end, max(start, engine.stopped_at))
    return dataclasses.replace(
        run,
        measure=(start, end),
        interrupted=engine.stopped_at is not None,
        stopped=stop.reason if engine.stopped_at is not None else None,
        generator=engine.generator(),
        records=records,
    )
