"""Parts that wait in a ring's buffers: of many together the usual ones are written down.

Each connection has a place, which is in the key of what comes from it.
"""

from collections.abc import Iterator

import numpy as np

from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.ledger import Ledger
from firsttoken.loadgen.ring import (
    BUFFER_SIZE,
    COMPLETION,
    HEADER,
    LENGTH,
    STAMPED,
    TIME,
    Completion,
    Ring,
)
from firsttoken.loadgen.usual import UsualParts, in_order

__all__ = ["Bulk", "key_of", "place_of"]

_PLACES = (1 << 32) - 1
_COMPLETIONS = np.dtype([("key", np.int64), ("result", np.int32), ("flags", np.uint32)])
_AT_ONCE = 1024


def key_of(number: int, place: int) -> int:
    """The key of a connection: a number of its own, and its place.  It is even."""
    return number << 32 | place << 1


def place_of(key: int) -> int:
    """The place in a key, or in the odd one behind it."""
    return (key & _PLACES) >> 1


class Bulk:
    """Completed receives, in their order, until they are sorted."""

    def __init__(self, ring: Ring) -> None:
        self._start = ring.start
        memory = np.frombuffer(ring.memory, np.uint8)
        self._headers = memory[ring.start :].reshape(-1, BUFFER_SIZE)[:, STAMPED:HEADER]
        self._usual = UsualParts(memory, BUFFER_SIZE - HEADER)
        self._ledger = Ledger()
        self._completions: list[bytes] = []
        self.count = 0

    def room_for(self, places: int) -> None:
        """Have at least so many places."""
        self._usual.room_for(places)
        self._ledger.room_for(places)

    def begin(self, place: int, flow: Flow) -> None:
        """What comes from a place is a flow's from now on."""
        self._ledger.open(place, flow)

    def end(self, place: int) -> None:
        """Nothing more will come for a place's flow."""
        self._usual.forget(place)
        self._ledger.close(place)

    def learn(self, place: int, flow: Flow) -> None:
        """Recognise what is usual in a place's flow from now on."""
        self._usual.learn(place, flow.lines, flow.before, flow.end)

    def forget(self, place: int) -> None:
        """Recognise nothing of a place until more is learnt."""
        self._usual.forget(place)

    def add(self, completions: bytes) -> None:
        """Let parts wait."""
        if completions:
            self._completions.append(completions)
            self.count += len(completions) // COMPLETION.size

    def sort(self) -> tuple[int, list[Completion]]:
        """Write down what is usual of the next parts; returns how many there were, and the others.

        Whatever comes after another in its stream is one too: what it is depends on that.
        """
        data = b"".join(self._completions)
        rest = data[_AT_ONCE * COMPLETION.size :]
        self._completions = [rest] if rest else []
        count = min(self.count, _AT_ONCE)
        self.count -= count
        told = np.frombuffer(data, _COMPLETIONS, count)
        places = (told["key"] & _PLACES) >> 1
        buffers = (told["flags"] >> 16).astype(np.int64)
        lengths = told["result"] - np.int64(HEADER)
        starts = buffers * BUFFER_SIZE + (self._start + HEADER)
        headers = self._headers[buffers]
        usual = self._usual.among(places, starts, lengths) & headers[:, : LENGTH - STAMPED].any(1)
        stamps = headers[:, TIME - STAMPED :]
        others: list[Completion] = []
        if not usual.all():
            usual = in_order(usual, places)
            others = told[~usual].tolist()
            places, lengths, stamps = places[usual], lengths[usual], stamps[usual]
        self._ledger.note(places, lengths, stamps)
        return count, others

    def hand_out(self) -> Iterator[None]:
        """Give flows that are over what is theirs of the usual parts."""
        return self._ledger.hand_out()
