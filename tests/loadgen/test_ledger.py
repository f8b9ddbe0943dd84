"""Every part's length and time gets to its flow, once, when the flow is over or much is kept."""

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen import ledger as module
from firsttoken.loadgen.ledger import Ledger

PLACES = 6
STAMP = struct.Struct("=qq")


class Book:
    """A ledger, and beside it what each flow is to have in the end."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.room_for(PLACES)
        self.open: dict[int, Any] = {}
        self.flows: list[Any] = []
        self.expected: dict[int, list[tuple[int, int]]] = {}
        self._time = 0

    def begin(self, place: int) -> None:
        if place in self.open:
            self.ledger.close(place)
        flow: Any = SimpleNamespace(tokens=bytearray(), bytes=0)
        self.ledger.open(place, flow)
        self.open[place] = flow
        self.flows.append(flow)
        self.expected[id(flow)] = []

    def note(self, places: list[int]) -> None:
        rows = []
        for place in places:
            self._time += 1
            self.expected[id(self.open[place])].append((self._time, 100 + place))
            rows.append(np.frombuffer(STAMP.pack(7, self._time), np.uint8))
        lengths = np.array([100 + place for place in places])
        self.ledger.note(np.array(places), lengths, np.array(rows))

    def hand_out(self) -> None:
        for _ in self.ledger.hand_out():
            pass

    def end(self) -> None:
        for place in self.open:
            self.ledger.close(place)
        self.hand_out()

    def found(self, flow: Any) -> list[int]:
        return [time for _, time in STAMP.iter_unpack(flow.tokens)]


@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(0, PLACES - 1), min_size=1, max_size=40),
            st.integers(0, PLACES - 1),
            st.none(),
        ),
        max_size=40,
    )
)
def test_each_flow_gets_all_of_its_own_and_nothing_else(steps: list[Any]) -> None:
    book = Book()
    for place in range(PLACES):
        book.begin(place)
    for step in steps:
        match step:
            case None:
                book.hand_out()
            case int():
                book.begin(step)
            case _:
                book.note(step)
    book.end()

    for flow in book.flows:
        expected = book.expected[id(flow)]
        assert book.found(flow) == [time for time, _ in expected]
        assert flow.bytes == sum(length for _, length in expected)


def test_a_flow_gets_its_parts_when_it_is_over() -> None:
    book = Book()
    book.begin(0)
    book.begin(1)
    book.note([0, 1, 0])
    book.hand_out()
    assert not book.flows[0].tokens

    book.begin(0)  # the first is over
    book.hand_out()
    assert [book.found(flow) for flow in book.flows] == [[1, 3], [], []]


def test_so_much_as_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_MOST", 10)
    book = Book()
    book.begin(0)
    book.note([0] * 10)
    book.hand_out()
    assert not book.flows[0].tokens

    book.note([0])
    book.hand_out()
    assert book.found(book.flows[0]) == list(range(1, 12))


def test_what_comes_while_parts_are_handed_out_is_handed_out_the_next_time() -> None:
    book = Book()
    book.begin(0)
    book.note([0, 0])
    book.begin(0)
    steps = book.ledger.hand_out()
    next(steps)
    book.note([0])
    book.begin(0)
    for _ in steps:
        pass
    assert [book.found(flow) for flow in book.flows] == [[1, 2], [], []]

    book.hand_out()
    assert [book.found(flow) for flow in book.flows] == [[1, 2], [3], []]
