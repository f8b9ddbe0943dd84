"""``python -m benchmarks.searches``: whole searches for a capacity that is known.

In virtual time, so that hundreds of them take minutes: each step is a load of the embedded engine's
model, or of a queue with a formula, judged as the records of a real load are.
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsttoken.loadgen.judge import Objective, keeps, parse_objective
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.loadgen.search import Aim, Outcome, Plan, Tried, next_plan, outcome
from firsttoken.loadgen.steady import assess, needed
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.virtual import Arrival, play

__all__ = ["GUESSES", "SERVERS", "Measure", "due", "find", "on_a_queue", "on_the_model", "truth"]

Floats = NDArray[np.float64]
Measure = Callable[[float, int, str], Run]
"""A load of a rate and of so many requests; the text fixes what chance does."""
WARMUP_S = 3.0
GUESSES = (0.001, 0.1, 0.8, 1.3, 100.0)
"""Starting guesses, as multiples of the truth."""


# --- Loads in virtual time ------------------------------------------------------------------------


def record(index: int, at: float, first: float, last: float, output: int, prompt: int) -> Record:
    """An answered request, its tokens evenly spread."""
    gap = (last - first) / max(1, output - 1)
    return Record(
        index=index, intended=at, sent=at, first=first, last=last, ended=last, chunks=output,
        prompt_tokens=prompt, output_tokens=output, output_source="usage", status=200, error=None,
        finish_reason="length", gaps=(gap,) * (output - 1), phase="measure",
    )  # fmt: skip


def run_of(records: Sequence[Record], start: float, end: float, **changes: object) -> Run:
    """A run of the records, measured from ``start`` to ``end``."""
    values: dict[str, object] = {
        "version": VERSION, "target": "http://server", "model": "sim", "engine": "sim 1",
        "started": 0.0, "measure": (start, end),
        "load": {"arrivals": {"kind": "poisson", "rate": 1.0}, "max_in_flight": 1024},
        "schedule_hash": "0" * 16, "interrupted": False, "stopped": None,
        "generator": Generator(), "records": tuple(records),
    }  # fmt: skip
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def due(rate: float, end: float, seed: str) -> Iterator[float]:
    """Poisson arrivals until ``end``."""
    stream, at = random.Random(seed), 0.0
    while (at := at + stream.expovariate(rate)) < end:
        yield at


def on_the_model(
    parameters: Parameters, prompt: int, output: int, sway: float = 0.0, period: float = 5.0
) -> Measure:
    """Loads of the embedded engine's model, whose speed may sway by a share over a period."""
    return partial(_on_the_model, parameters, prompt, output, sway * period / math.tau, period)


def _on_the_model(
    parameters: Parameters, prompt: int, output: int, ahead: float, period: float,
    rate: float, requests: int, seed: str,
) -> Run:  # fmt: skip
    """``ahead``: the most that a machine of swaying speed is ahead of a steady one, in seconds.

    The model runs in the machine's own time, and what it did is then brought to the clock's.
    """
    end = WARMUP_S + requests / rate
    at = np.fromiter(due(rate, end, seed), dtype=np.float64)
    phase = random.Random(f"{seed} phase").random()

    def gained(clock: Floats) -> Floats:
        return ahead * np.sin(math.tau * (clock / period + phase))

    def clock(own: Floats) -> Floats:
        found = own
        for _ in range(20):  # a contraction, by the sway
            found = own - gained(found)
        return found

    own = (at + gained(at)).tolist()
    served = play(parameters, [Arrival(moment, prompt, output) for moment in own])
    times = clock(np.array([(one.first, one.last) for one in served])).tolist()
    records = [
        record(number, due_at, first, last, output, prompt)
        for number, (due_at, (first, last)) in enumerate(zip(at.tolist(), times, strict=True))
    ]
    return run_of(records, WARMUP_S, end)


def on_a_queue(service: float) -> Measure:
    """Loads of one server that takes every request for ``service`` seconds, one by one."""
    return partial(_on_a_queue, service)


def _on_a_queue(service: float, rate: float, requests: int, seed: str) -> Run:
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


def share_within(rate: float, service: float, wait: float) -> float:
    """How many requests of an M/D/1 queue wait no longer, in the long run (Erlang, 1909)."""
    if rate * service >= 1:
        return 0.0
    total = 0.0
    for k in range(int(wait / service) + 1):
        x = rate * (k * service - wait)
        total += x**k / math.factorial(k) * math.exp(-x)
    return (1 - rate * service) * total


# --- Searches -------------------------------------------------------------------------------------


def find(
    measure: Measure,
    objectives: tuple[Objective, ...],
    aim: Aim,
    seed: int,
    confidence: float = 0.95,
) -> list[Tried]:
    """A whole search, as the command does it."""
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
    judged, (start, end) = assess(run, objectives, confidence), run.measure
    durations = [one.e2e for one in run.measured if one.e2e]
    ended = sum(start <= (one.ended or end) < end for one in run.records)
    return Tried(
        rate=len(run.measured) / (end - start) or plan.rate,
        verdict=judged.verdict,
        leaning=judged.leaning,
        fine=plan.fine,
        served=ended / (end - start) or None,
        serial=1 / statistics.median(durations) if durations else None,
    )


class Server(NamedTuple):
    """A server, what is promised of it, and its true capacity where a formula gives it."""

    name: str
    measure: Measure
    promised: tuple[str, ...]
    between: tuple[float, float]
    formula: Callable[[float], float] | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The promises."""
        return tuple(map(parse_objective, self.promised))


SERVICE_S = 0.01
SERVERS = {
    "full": Server(
        "full at its limit of sequences",
        on_the_model(Parameters(max_num_seqs=8), 32, 3), ("ttft<500ms@95",), (100, 500),
    ),
    "queue": Server(
        "one after another (M/D/1)",
        on_a_queue(SERVICE_S), ("ttft<50ms@95",), (1, 99),
        lambda rate: share_within(rate, SERVICE_S, 0.05 - SERVICE_S),
    ),
    "slow": Server(
        "slow tokens far below the limit",
        on_the_model(Parameters(decode_s_per_sequence=1e-3), 64, 8),
        ("tpot<24ms@90", "ttft<1s@95"), (10, 400),
    ),
    "swaying": Server(
        "full at its limit, its speed swaying by 10 %",
        on_the_model(Parameters(max_num_seqs=8), 32, 3, sway=0.1), ("ttft<500ms@95",), (100, 500),
    ),
}  # fmt: skip


def truth(server: Server, requests: int = 60_000) -> float:
    """The capacity: from the formula, or by bisection over loads of so many requests."""
    low, high = server.between
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        holds = (
            server.formula(middle) >= server.objectives[0].target
            if server.formula
            else _holds(server, server.measure(middle, requests, "truth"))
        )
        low, high = (middle, high) if holds else (low, middle)
    return math.sqrt(low * high)


def _holds(server: Server, run: Run) -> bool:
    return all(
        statistics.fmean(keeps(record, one) is True for record in run.measured) >= one.target
        for one in server.objectives
    )


class Found(NamedTuple):
    """How a search went against the truth."""

    steps: int
    covers: bool
    near: bool
    precise: bool


def searched(kind: str, true: float, precision: float, guess: float, seed: int) -> Found:
    """One search, from so many times the truth on."""
    server = SERVERS[kind]
    aim = Aim(start=guess * true, precision=precision, lowest=0.03, highest=10_000)
    steps = find(server.measure, server.objectives, aim, seed)
    found = outcome(steps, aim)
    return Found(
        steps=len(steps),
        covers=(found.low or 0.0) <= true <= (found.high or math.inf),
        near=found.estimate is not None and abs(found.estimate / true - 1) <= precision,
        precise=found.precise,
    )


# --- Steps alone ----------------------------------------------------------------------------------


def walk(capacity: float, start: float, room: float) -> Outcome:
    """A search on a server that is known for certain, but for rates within 1 % of its capacity.

    It is full at ``room`` times the capacity.
    """
    aim, steps = Aim(start=start, lowest=0.01, highest=10_000), list[Tried]()
    while (plan := next_plan(steps, aim)) is not None:
        likely: Literal["holds", "fails"] = "holds" if plan.rate <= capacity else "fails"
        decided = plan.fine and abs(plan.rate / capacity - 1) >= 0.01
        served = min(plan.rate, capacity * room)
        verdict = likely if decided else "undecided"
        steps.append(Tried(plan.rate, verdict, likely, plan.fine, served, serial=0.5))
    return outcome(steps, aim)


def walks(count: int) -> None:
    """Print how many of so many searches are not as precise as asked after 12 steps."""
    stream = random.Random(0)
    for room in (1.0, 1.3, 8.0):
        imprecise = 0
        for _ in range(count):
            capacity, start = (
                math.exp(stream.uniform(math.log(low), math.log(high)))
                for low, high in ((0.02, 4000), (0.01, 10_000))
            )
            imprecise += not walk(capacity, start, room).precise
        print(f"full at {room:g} times the capacity: {imprecise} of {count:,} not precise")


def main() -> None:
    """Print a line for each server and starting guess."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, help="so many searches of certain steps, and no more")
    parser.add_argument("--seeds", type=int, default=100, help="searches a guess")
    parser.add_argument("--precision", type=float, default=0.05)
    parser.add_argument("--guess", type=float, action="append", help="as a multiple of the truth")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    given = parser.parse_args()
    if given.walks:
        walks(given.walks)
        return
    print(f"{'server':45}{'guess':>7}{'covers':>9}{'near':>7}{'precise':>9}{'steps':>7}{'most':>6}")
    with ProcessPoolExecutor(given.processes) as pool:
        for kind in given.servers:
            began, server = time.monotonic(), SERVERS[kind]
            true = truth(server)
            print(f"{server.name:45}  {' and '.join(server.promised)}: truth {true:.4g} requests/s")
            for guess in given.guess or GUESSES:
                once = partial(searched, kind, true, given.precision, guess)
                found = list(pool.map(once, range(given.seeds)))
                counts = (
                    f"{sum(one.covers for one in found):9}{sum(one.near for one in found):7}"
                    f"{sum(one.precise for one in found):9}"
                )
                steps = [one.steps for one in found]
                print(
                    f"{'':45}{guess:7g}{counts}{statistics.fmean(steps):7.1f}{max(steps):6}"
                    f"   of {len(found)}",
                    flush=True,
                )
            print(f"{'':45}  {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
