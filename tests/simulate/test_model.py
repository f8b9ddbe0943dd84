"""The batching model without a clock: what is conserved, and how latency follows load."""

import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.simulate.capacity import capacity
from firsttoken.simulate.model import Request, Scheduler, Slowdown, Step, step_duration
from firsttoken.simulate.parameters import Parameters

TINY = Parameters(
    kv_blocks=12,
    block_size=4,
    max_num_seqs=5,
    max_num_batched_tokens=16,
    max_model_len=40,
)
sizes = st.tuples(st.integers(1, 30), st.integers(1, 10))


def request(prompt: int, output: int, *, kind: int = 0) -> Request:
    return Request([kind * 1000 + i for i in range(prompt)], [7] * output)


def run(
    scheduler: Scheduler,
    arrivals: Sequence[tuple[float, Request]],
    slowdown: Slowdown | None = None,
) -> list[Step]:
    """Play arrivals (in order of time) until nothing is left; returns the steps."""
    now, waiting, steps = 0.0, list(arrivals), []
    while waiting or scheduler.busy:
        while waiting and waiting[0][0] <= now:
            scheduler.add(waiting.pop(0)[1], now)
        step = scheduler.plan(now, slowdown or Slowdown())
        if step is None:
            assert not scheduler.busy, "requests are left, and none can go on"
            now = waiting[0][0]
            continue
        steps.append(step)
        assert len(steps) < 100_000
        now += step.duration
        scheduler.complete(step, now)
    return steps


def held(scheduler: Scheduler) -> set[int]:
    return {block for running in scheduler.running for block in running.blocks}


def ttft(one: Request) -> float:
    assert one.first_token is not None
    return one.first_token - one.queued


def tpot(one: Request) -> float:
    assert one.first_token is not None
    assert one.last_token is not None
    return (one.last_token - one.first_token) / (one.generated - 1)


@given(
    st.lists(st.tuples(sizes, st.integers(0, 2), st.integers(0, 4)), max_size=12),
    st.booleans(),
    st.data(),
)
def test_every_request_ends_in_order_and_no_block_leaks(
    requests: list[tuple[tuple[int, int], int, int]], caching: bool, data: Any
) -> None:
    scheduler = Scheduler(TINY.model_copy(update={"prefix_caching": caching}))
    made = [(request(*size, kind=kind), wait) for size, kind, wait in requests]
    aborted: set[int] = set()
    queue, now, tokens = list(made), 0.0, 0
    for _ in range(3000):
        if queue and queue[0][1] <= now:
            scheduler.add(queue.pop(0)[0], now)
        step = scheduler.plan(now, Slowdown())
        if step is not None:
            assert sum(count for _, count in step.work) <= TINY.max_num_batched_tokens
            assert len(scheduler.running) <= TINY.max_num_seqs
            if data.draw(st.integers(0, 9)) == 0:
                victim = data.draw(st.sampled_from([one for one, _ in made]))
                if victim in scheduler.running or victim in scheduler.waiting:
                    scheduler.abort(victim)
                    aborted.add(id(victim))
            tokens += len(scheduler.complete(step, now + 1))
        assert scheduler.pool.used == len(held(scheduler)) <= TINY.kv_blocks
        now += 1
        if not queue and not scheduler.busy:
            break
    ended = [one for one, _ in made if id(one) not in aborted]
    assert all(one.generated == len(one.output) for one in ended)
    assert tokens == sum(one.generated for one, _ in made)
    assert scheduler.pool.used == 0
    assert scheduler.pool.free == TINY.kv_blocks
    first = [one.scheduled for one in ended if one.scheduled is not None]
    assert first == sorted(first)


def test_ttft_grows_with_the_prompt() -> None:
    times = []
    for prompt in (100, 1000, 4000):
        one = request(prompt, 2)
        run(Scheduler(Parameters()), [(0.0, one)])
        times.append(ttft(one))
    parameters = Parameters()
    assert times[0] == pytest.approx(
        parameters.decode_base_s + 100 * parameters.prefill_s_per_token
    )
    assert times[0] < times[1] < times[2]


def test_ttft_grows_with_the_queue() -> None:
    parameters = Parameters(max_num_seqs=4, prefix_caching=False)
    requests = [request(200, 50) for _ in range(16)]
    run(Scheduler(parameters), [(0.0, one) for one in requests])
    waves = [statistics.mean(map(ttft, requests[i : i + 4])) for i in range(0, 16, 4)]
    assert waves == sorted(waves)
    assert waves[3] > 3 * (waves[1] - waves[0])


def test_tpot_grows_with_the_batch_and_with_the_context() -> None:
    def mean_tpot(batch: int, prompt: int) -> float:
        requests = [request(prompt, 40) for _ in range(batch)]
        run(Scheduler(Parameters(kv_blocks=16384)), [(0.0, one) for one in requests])
        return statistics.mean(map(tpot, requests))

    assert mean_tpot(1, 100) < mean_tpot(16, 100) < mean_tpot(64, 100)
    assert mean_tpot(8, 100) < mean_tpot(8, 2000) < mean_tpot(8, 6000)


@pytest.mark.parametrize(
    ("parameters", "prompt", "output", "limit"),
    [
        (Parameters(prefix_caching=False), 256, 128, "max_num_seqs"),
        (Parameters(prefix_caching=False, kv_blocks=1024), 1000, 200, "kv_blocks"),
        (
            Parameters(prefix_caching=False, max_num_batched_tokens=256, kv_blocks=8192),
            1200,
            100,
            "max_num_batched_tokens",
        ),
    ],
)
def test_throughput_saturates_at_the_capacity_that_is_worked_out(
    parameters: Parameters, prompt: int, output: int, limit: str
) -> None:
    expected = capacity(parameters, prompt, output)
    assert expected.limited_by == limit

    def throughput(load: float) -> float:
        count = 400
        rate = load * expected.requests_per_s
        requests = [request(prompt, output) for _ in range(count)]
        run(Scheduler(parameters), [(i / rate, one) for i, one in enumerate(requests)])
        ends = sorted(one.last_token or 0 for one in requests)
        return (count // 2) / (ends[3 * count // 4] - ends[count // 4])

    assert throughput(0.5) == pytest.approx(0.5 * expected.requests_per_s, rel=0.05)
    assert throughput(3.0) == pytest.approx(expected.requests_per_s, rel=0.15)


def test_preempted_requests_end_all_the_same() -> None:
    parameters = Parameters(kv_blocks=40, max_model_len=600, prefix_caching=False)
    requests = [request(100, 200, kind=i) for i in range(8)]
    steps = run(Scheduler(parameters), [(0.0, one) for one in requests])
    assert sum(step.preempted for step in steps) > 0
    assert sum(step.preempted for step in steps) == sum(one.preemptions for one in requests)
    assert all(one.generated == 200 for one in requests)


def test_a_prefix_that_was_seen_before_is_not_computed_again() -> None:
    scheduler = Scheduler(Parameters())
    first, second, other = request(1000, 2), request(1000, 2), request(1000, 2, kind=1)
    [steps, again, fresh] = [run(scheduler, [(0.0, one)]) for one in (first, second, other)]
    assert (first.cached, second.cached, other.cached) == (0, 992, 0)
    assert again[0].queried_tokens == 1000
    assert again[0].hit_tokens == 992
    assert again[0].prefill_tokens == 8
    assert fresh[0].prefill_tokens == steps[0].prefill_tokens == 1000


def test_without_the_prefix_cache_nothing_is_looked_up() -> None:
    scheduler = Scheduler(Parameters(prefix_caching=False))
    steps = run(scheduler, [(0.0, request(100, 2)), (0.0, request(100, 2))])
    assert sum(step.queried_tokens + step.hit_tokens for step in steps) == 0


def test_long_prompts_are_computed_in_chunks_beside_decoding_sequences() -> None:
    parameters = Parameters(max_num_batched_tokens=512)
    early, late = request(10, 50), request(2000, 2, kind=1)
    steps = run(Scheduler(parameters), [(0.0, early), (0.05, late)])
    mixed = [step for step in steps if step.prefill_tokens and step.decode_sequences]
    assert len(mixed) == 4
    assert all(step.prefill_tokens + step.decode_sequences <= 512 for step in steps)


def test_withheld_blocks_leave_room_for_the_longest_request() -> None:
    scheduler = Scheduler(Parameters(kv_blocks=1024, max_model_len=8192))
    scheduler.withhold(1.0)
    assert scheduler.pool.free == 512
    longest = request(8000, 192)
    run(scheduler, [(0.0, longest)])
    assert longest.generated == 192


def test_a_step_lasts_as_the_formula_says() -> None:
    p = Parameters()
    plain = step_duration(p, Slowdown(), 100, 10, 5000)
    slow = step_duration(p, Slowdown(prefill=20), 100, 10, 5000)
    assert plain == pytest.approx(0.009 + 10 * 50e-6 + 5000 * 50e-9 + 100 * 60e-6)
    assert slow - plain == pytest.approx(19 * 100 * 60e-6)
    assert step_duration(p, Slowdown(decode=2), 0, 10, 5000) == pytest.approx(
        2 * step_duration(p, Slowdown(), 0, 10, 5000)
    )
