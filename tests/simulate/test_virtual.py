"""The model without a clock, held against what the engine's parameters say it must come to."""

import pytest

from firsttoken.simulate.capacity import capacity
from firsttoken.simulate.model import Slowdown, step_duration
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.virtual import Arrival, play

PARAMETERS = Parameters(max_num_seqs=8)


def test_one_request_alone_takes_its_prefill_and_its_steps() -> None:
    (served,) = play(PARAMETERS, [Arrival(5.0, 100, 4)])

    prefill = step_duration(PARAMETERS, Slowdown(), 100, 0, 0)
    decode = sum(step_duration(PARAMETERS, Slowdown(), 0, 1, 100 + n) for n in (1, 2, 3))
    assert served.first == pytest.approx(5.0 + prefill)
    assert served.last == pytest.approx(5.0 + prefill + decode)


def test_more_than_can_be_served_is_served_at_the_capacity() -> None:
    known = capacity(PARAMETERS, 64, 16)
    arrivals = [Arrival(number * 0.5 / known.requests_per_s, 64, 16) for number in range(1500)]

    ends = sorted(one.last for one in play(PARAMETERS, arrivals))
    assert 1000 / (ends[1250] - ends[250]) == pytest.approx(known.requests_per_s, rel=0.02)


def test_a_slowdown_shows_in_the_time_between_tokens() -> None:
    usual, slow = (
        play(PARAMETERS, [Arrival(0.0, 64, 20)], Slowdown(decode=factor))[0]
        for factor in (1.0, 1.1)
    )

    assert slow.last - slow.first == pytest.approx(1.1 * (usual.last - usual.first))
