"""Whether anything is due by an answer's end: only then must answers be read without delay."""

import math
from collections.abc import Mapping
from typing import Any

from firsttoken.loadgen.agenda import Agenda
from firsttoken.loadgen.flow import Prepared
from firsttoken.loadgen.plan import Planned, Session, Text
from firsttoken.loadgen.settings import LoadFile

ONE = Planned(Text("a"), 1, intended=0.0)


def agenda(*sessions: Session, **changes: Any) -> Agenda:
    def write(planned: Planned, rest: Session, said: tuple[Mapping[str, Any], ...]) -> Prepared:
        return Prepared(planned, "trace", b"request", rest, said)

    poisson = {"kind": "poisson", "rate": 1}
    load = LoadFile.model_validate({"duration": 10, "arrivals": poisson, **changes})
    found = Agenda(load, iter(sessions), write)
    while found.prepare():
        pass
    return found


def test_an_open_loop_of_single_requests_waits_for_no_answer() -> None:
    assert not agenda((ONE,), (ONE,)).awaits


def test_users_of_a_closed_loop_ask_again_when_they_are_answered() -> None:
    assert agenda((ONE,), arrivals={"kind": "closed", "concurrency": 1}).awaits


def test_turns_of_a_conversation_follow_answers() -> None:
    assert agenda((ONE,), (ONE, ONE)).awaits


def test_where_places_are_few_the_next_request_may_wait_for_an_answer() -> None:
    few = agenda(*[(ONE,)] * 80, max_in_flight=200)
    assert not few.awaits

    for _ in range(80):
        assert few.take(0.0) is not None
    assert few.next() == math.inf
    assert few.awaits
