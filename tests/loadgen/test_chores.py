"""What can wait: an answer is recorded once it has all its times, and nothing due waits for it."""

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from firsttoken.loadgen.chores import WORK_EVERY_S, Chores


class World:
    """Sockets that keep the times of three flows, a clock that each step moves on, and a log."""

    def __init__(self, *, requests: int = 0, step: float = 0.0) -> None:
        self.time = 0.0
        self.done: list[Any] = []
        self._step, self._requests = step, requests
        network: Any = SimpleNamespace(sockets=self, finish=lambda flow: self._did(f"read {flow}"))
        self.chores = Chores(network, self._prepare, lambda flow: self._did(flow), self.now)
        self.stamped = True

    def now(self) -> float:
        return self.time

    def hand_out(self) -> Iterator[None]:
        for number in range(3):
            self._did(f"times {number}")
            yield

    def over(self, *flows: Any) -> None:
        self.chores.over.extend(flows)

    def record(self) -> None:
        """Hand times out, and record what is over by then."""
        self.chores.hand_out()
        while self.chores.behind:
            self.chores.work(math.inf)

    def _prepare(self) -> bool:
        if not self._requests:
            return False
        self._requests -= 1
        self._did("written")
        return True

    def _did(self, what: Any) -> None:
        self.done.append(what)
        self.time += self._step


def test_an_answer_is_recorded_after_all_flows_have_got_their_times() -> None:
    world = World()
    world.over("a", "b")
    world.record()

    times = ["times 0", "times 1", "times 2"]
    assert world.done == [*times, "read a", "a", "read b", "b"]
    assert not world.chores.behind


def test_an_answer_that_ends_while_times_are_handed_out_waits_for_the_next_time() -> None:
    world = World(step=1.0)
    world.over("a")
    world.chores.hand_out()
    world.chores.work(math.inf)
    world.over("late")
    while world.chores.behind:
        world.chores.work(math.inf)

    assert world.done[-1] == "a"
    world.record()
    assert world.done[-1] == "late"


def test_work_stops_when_a_request_is_due_and_goes_on_afterwards() -> None:
    world = World(requests=3, step=0.001)
    world.chores.work(due=0.0005)

    assert (world.done, world.chores.behind) == (["written"], True)
    world.chores.work(math.inf)
    assert (len(world.done), world.chores.behind) == (3, True)
    world.chores.work(math.inf)
    assert not world.chores.behind


def test_requests_are_written_some_together() -> None:
    world = World(requests=1)
    world.chores.work(math.inf)
    world._requests = 1
    world.chores.work(math.inf)
    assert world.done == ["written"]

    world.time = WORK_EVERY_S
    world.chores.work(math.inf)
    assert world.done == ["written", "written"]


def test_in_the_end_everything_is_recorded() -> None:
    world = World(step=1.0)
    world.over("a")
    world.chores.hand_out()
    world.chores.work(math.inf)
    world.over("b")
    world.chores.finish()

    assert [done for done in world.done if done in {"a", "b"}] == ["a", "b"]
