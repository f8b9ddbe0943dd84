"""Records without a server: of the engine's model in virtual time, of a queue with a formula."""

import math
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from firsttoken.loadgen.judge import Objective
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.loadgen.search import Aim, Plan, Tried, next_plan
from firsttoken.loadgen.steady import assess, needed
from firsttoken.loadgen.summary import summarise
from firsttoken.simulate.model import Slowdown
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.virtual import Arrival, play

Measure = Callable[[float, int, str], Run]
WARMUP_S = 3.0


def record(index: int, at: float, first: float, last: float, output: int, prompt: int) -> Record:
    gap = (last - first) / max(1, output - 1)
    return Record(
        index=index, intended=at, sent=at, first=first, last=last, ended=last, chunks=output,
        prompt_tokens=prompt, output_tokens=output, output_source="usage", status=200, error=None,
        finish_reason="length", gaps=(gap,) * (output - 1), phase="measure",
    )  # fmt: skip


def run_of(records: list[Record], start: float, end: float, **changes: object) -> Run:
    values: dict[str, object] = {
        "version": VERSION, "target": "http://server", "model": "sim", "engine": "sim 1",
        "started": 0.0, "measure": (start, end),
        "load": {"arrivals": {"kind": "poisson", "rate": 1.0}, "max_in_flight": 1024},
        "schedule_hash": "0" * 16, "interrupted": False, "stopped": None,
        "generator": Generator(), "records": tuple(records),
    }  # fmt: skip
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def due(rate: float, end: float, seed: str) -> Iterator[float]:
    stream, at = random.Random(seed), 0.0
    while (at := at + stream.expovariate(rate)) < end:
        yield at


def on_the_model(parameters: Parameters, prompt: int, output: int) -> Measure:
    """Loads of the embedded engine's model, an hour in a second."""

    def measure(rate: float, requests: int, seed: str) -> Run:
        end = WARMUP_S + requests / rate
        served = play(parameters, [Arrival(at, prompt, output) for at in due(rate, end, seed)])
        records = [
            record(number, one.arrival.at, one.first, one.last, output, prompt)
            for number, one in enumerate(served)
        ]
        return run_of(records, WARMUP_S, end)

    return measure


def on_a_queue(service: float) -> Measure:
    """Loads of one server that takes every request for ``service`` seconds, one by one."""

    def measure(rate: float, requests: int, seed: str) -> Run:
        end = WARMUP_S + requests / rate
        at = np.fromiter(due(rate, end, seed), dtype=np.float64)
        # Lindley's recursion in one go: each starts after all before it, or when it comes.
        number = np.arange(len(at))
        start = np.maximum.accumulate(at - number * service) + number * service
        records = [
            record(n, a, s + service, s + service, 1, 8)
            for n, a, s in zip(number.tolist(), at.tolist(), start.tolist(), strict=True)
        ]
        return run_of(records, WARMUP_S, end)

    return measure


def share_within(rate: float, service: float, wait: float) -> float:
    """How many requests of an M/D/1 queue wait no longer, in the long run (Erlang, 1909)."""
    if rate * service >= 1:
        return 0.0
    total = 0.0
    for k in range(int(wait / service) + 1):
        x = rate * (k * service - wait)
        total += x**k / math.factorial(k) * math.exp(-x)
    return (1 - rate * service) * total


def find(
    measure: Measure,
    objectives: tuple[Objective, ...],
    aim: Aim,
    seed: int,
    confidence: float = 0.95,
) -> list[Tried]:
    """A whole search, as the command does it, on made-up loads."""
    steps: list[Tried] = []
    size = needed(objectives, confidence, aim.precision)
    while (plan := next_plan(steps, aim)) is not None:
        steps.append(_step(measure, objectives, plan, size, f"{seed}:{len(steps)}", confidence))
    return steps


def _step(
    measure: Measure, objectives: tuple[Objective, ...], plan: Plan, size: int, seed: str,
    confidence: float,
) -> Tried:  # fmt: skip
    requests = size * plan.size if plan.fine else min(200, max(3, int(30 * plan.rate)))
    run = measure(plan.rate, requests, seed)
    judged, summary = assess(run, objectives, confidence), summarise(run)
    return Tried(
        rate=summary.offered_rate or plan.rate,
        verdict=judged.verdict,
        leaning=judged.leaning,
        fine=plan.fine,
        served=summary.request_rate or None,
        serial=1 / summary.e2e.p50 if summary.e2e else None,
    )


@cache
def noisy_run(
    schedule: int, noise: int, *, slowdown: float = 1.0, requests: int = 500, rate: float = 20.0
) -> Run:
    """A run of the model on a machine that drifts: ``schedule`` fixes what is asked, ``noise`` the
    machine, ``slowdown`` the cost of a decoding step."""
    asked, machine = random.Random(f"s{schedule}"), random.Random(f"n{noise}")
    end = WARMUP_S + requests / rate
    arrivals = [
        Arrival(at, *(max(4, int(asked.lognormvariate(mu, 0.5))) for mu in (4.6, 2.5)))
        for at in due(rate, end, f"a{schedule}")
    ]
    parameters = Parameters(max_num_seqs=32, decode_base_s=0.03)
    records, drift = [], 0.0
    for number, one in enumerate(play(parameters, arrivals, Slowdown(decode=slowdown))):
        drift = 0.9 * drift + machine.gauss(0, 0.015)
        factor = math.exp(drift + machine.gauss(0, 0.04))
        at = one.arrival.at
        first = at + (one.first - at) * factor
        last = first + (one.last - one.first) * factor
        output, prompt = one.arrival.output_tokens, one.arrival.prompt_tokens
        records.append(record(number, at, first, last, output, prompt))
    return run_of(records, WARMUP_S, end, schedule_hash=f"{schedule:016x}")


class MadeUp(NamedTuple):
    """The functions above, for tests."""

    on_the_model: Callable[[Parameters, int, int], Measure]
    on_a_queue: Callable[[float], Measure]
    share_within: Callable[[float, float, float], float]
    find: Callable[..., list[Tried]]
    noisy_run: Callable[..., Run]
    record: Callable[..., Record]
    run_of: Callable[..., Run]


@pytest.fixture(name="made_up", scope="session")
def _made_up() -> MadeUp:
    return MadeUp(on_the_model, on_a_queue, share_within, find, noisy_run, record, run_of)
