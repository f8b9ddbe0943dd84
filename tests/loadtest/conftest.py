"""Records without a server: of the engine's model in virtual time, of a queue with a formula."""

import math
import random
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
from benchmarks.searches import (
    WARMUP_S,
    Measure,
    due,
    find,
    on_a_queue,
    on_the_model,
    record,
    run_of,
    share_within,
)

from firsttoken.loadgen.records import Record, Run
from firsttoken.loadgen.search import Tried
from firsttoken.simulate.model import Slowdown
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.virtual import Arrival, Served, play


@cache
def served(schedule: int, slowdown: float, requests: int, rate: float) -> tuple[Served, ...]:
    """What the model makes of a schedule."""
    asked = random.Random(f"s{schedule}")
    arrivals = [
        Arrival(at, *(max(4, int(asked.lognormvariate(mu, 0.5))) for mu in (4.6, 2.5)))
        for at in due(rate, WARMUP_S + requests / rate, f"a{schedule}")
    ]
    parameters = Parameters(max_num_seqs=32, decode_base_s=0.03)
    return play(parameters, arrivals, Slowdown(decode=slowdown))


@cache
def noisy_run(
    schedule: int, noise: int, *, slowdown: float = 1.0, requests: int = 500, rate: float = 20.0
) -> Run:
    """A run of the model on a machine that drifts: ``schedule`` fixes what is asked, ``noise`` the
    machine, ``slowdown`` the cost of a decoding step."""
    machine, end = random.Random(f"n{noise}"), WARMUP_S + requests / rate
    records, drift = [], 0.0
    for number, one in enumerate(served(schedule, slowdown, requests, rate)):
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

    on_the_model: Callable[..., Measure]
    on_a_queue: Callable[[float], Measure]
    share_within: Callable[[float, float, float], float]
    find: Callable[..., list[Tried]]
    noisy_run: Callable[..., Run]
    record: Callable[..., Record]
    run_of: Callable[..., Run]


@pytest.fixture(name="made_up", scope="session")
def _made_up() -> MadeUp:
    return MadeUp(on_the_model, on_a_queue, share_within, find, noisy_run, record, run_of)
