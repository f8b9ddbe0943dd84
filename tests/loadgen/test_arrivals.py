"""Arrivals are what was asked for: Kolmogorov and Smirnov's test on their distances."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import ConfigError
from firsttoken.loadgen.schedule import arrivals, expected
from firsttoken.loadgen.settings import Closed, LoadFile
from firsttoken.loadgen.shards import Shard

LENGTH = 400.0


def load(seed: int = 1, **kind: Any) -> LoadFile:
    return LoadFile.model_validate(
        {"arrivals": kind, "duration": LENGTH, "warmup": 0, "seed": seed}
    )


def units(asked: LoadFile) -> list[float]:
    """The distances on a clock on which one arrival is expected a second."""
    at = [expected(asked.arrivals, time, LENGTH) for time in arrivals(asked)]  # type: ignore[arg-type]
    return [after - before for before, after in pairwise([0.0, *at])]


def differs(values: Sequence[float], shape: float = 1.0) -> bool:
    """Whether values are not gamma distributed with mean 1, at the 0.1 % level."""
    ordered = sorted(values)
    count = len(ordered)
    distance = max(
        max((number + 1) / count - _gamma(value, shape), _gamma(value, shape) - number / count)
        for number, value in enumerate(ordered)
    )
    return distance * math.sqrt(count) > 1.95


def _gamma(value: float, shape: float) -> float:
    """The distribution function of the gamma distribution with mean 1, by its series."""
    x = value * shape
    if x > 60:
        return 1.0
    term = total = 1 / shape
    for step in range(1, 400):
        term *= x / (shape + step)
        total += term
    return total * math.exp(-x + shape * math.log(x) - math.lgamma(shape)) if x else 0.0


POISSON = [
    {"kind": "poisson", "rate": 8},
    {"kind": "steps", "steps": [{"rate": 2, "duration": 100}, {"rate": 12, "duration": 9}]},
    {"kind": "ramp", "start": 0, "end": 16},
    {"kind": "ramp", "start": 10, "end": 2, "over": 200},
    {"kind": "sine", "rate": 8, "amplitude": 7, "period": 90},
]


@pytest.mark.parametrize("kind", POISSON, ids=lambda kind: kind["kind"])
def test_distances_are_exponential_at_the_rate_of_their_moment(kind: dict[str, Any]) -> None:
    asked = load(**kind)
    assert len(arrivals(asked)) == pytest.approx(expected(asked.arrivals, LENGTH, LENGTH), rel=0.1)  # type: ignore[arg-type]
    assert not differs(units(asked))


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gamma_distances_have_their_shape(burstiness: float) -> None:
    asked = load(kind="gamma", rate=8, burstiness=burstiness)
    assert not differs(units(asked), burstiness)
    assert differs(units(asked), 1.0) == (burstiness != 1.0)


def test_evenly_spaced_arrivals_follow_their_rate() -> None:
    asked = load(kind="ramp", start=1, end=3, spacing="constant")
    assert units(asked)[1:] == pytest.approx([1.0] * (len(arrivals(asked)) - 1), abs=1e-6)
    steps = [{"rate": 4, "duration": 1}, {"rate": 0, "duration": 1}, {"rate": 2, "duration": 1}]
    found = arrivals(load(kind="steps", steps=steps, spacing="constant"))
    assert [time for time in found if time < 3.6] == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0, 3.5], abs=1e-6
    )


def test_recorded_times_keep_their_distances_at_any_speed(tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text("100.5\n101\n103\n107\n")
    assert list(arrivals(load(kind="recorded", file=str(file)))) == [0, 0.5, 2.5, 6.5]
    assert list(arrivals(load(kind="recorded", file=str(file), speed=2))) == [0, 0.25, 1.25, 3.25]
    at_rate = arrivals(load(kind="recorded", file=str(file), rate=3))
    assert at_rate[-1] == pytest.approx(1.0)
    file.write_text("soon\n")
    with pytest.raises(ConfigError, match="one time in seconds a line"):
        arrivals(load(kind="recorded", file=str(file)))


@pytest.mark.parametrize("kind", [*POISSON, {"kind": "gamma", "rate": 3, "burstiness": 0.5}])
def test_a_seed_is_a_schedule(kind: dict[str, Any]) -> None:
    assert arrivals(load(**kind)) == arrivals(load(**kind))
    assert arrivals(load(**kind)) != arrivals(load(seed=2, **kind))


def test_the_limits_of_several_processes_are_those_of_one() -> None:
    asked = LoadFile(arrivals=Closed(concurrency=7), max_in_flight=11)
    parts = [Shard(number, 3).load(asked) for number in range(3)]
    assert sum(part.max_in_flight for part in parts) == 11
    users = [part.arrivals.concurrency for part in parts if isinstance(part.arrivals, Closed)]
    assert sorted(users) == [2, 2, 3]
