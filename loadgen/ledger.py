"""Lengths and times of usual parts, of all flows together, until the flows they belong to are over.

One behind another they are written without a look at any flow, and a flow gets all of its own at
once: what each flow has for itself is in no cache when only one of its parts has come.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsttoken.loadgen.flow import Flow

__all__ = ["Ledger"]

_KEPT_MOST = 1 << 17
"""Of more parts (32 bytes each) flows get theirs before they are over: memory is bounded."""
_BLOCK = 8192  # parts that are looked through in one step
_FLOWS = 16  # that are given what is theirs in one step
_NOBODY = 0
_STAMP = np.dtype("V16")

Numbers = NDArray[np.int64]


class _Parts(NamedTuple):
    """Parts, by the number of their flow: ``_NOBODY`` once they were given to it."""

    owners: Numbers
    lengths: Numbers
    stamps: NDArray[np.void]

    def of(self, chosen: NDArray[np.intp]) -> "_Parts":
        return _Parts(self.owners[chosen], self.lengths[chosen], self.stamps[chosen])


class Ledger:
    """A place is where the parts of one flow at a time come from; flows have numbers here."""

    def __init__(self) -> None:
        self._flows: list[Flow | None] = [None]
        self._free: list[int] = []  # numbers
        self._owners = np.zeros(0, np.int64)  # the number of each place's flow
        self._over: list[int] = []
        self._new: list[_Parts] = []
        self._blocks: list[_Parts] = []

    def room_for(self, places: int) -> None:
        """Have at least so many places."""
        self._owners = np.append(self._owners, np.zeros(places - len(self._owners), np.int64))

    def open(self, place: int, flow: Flow) -> None:
        """What comes from a place is a flow's from now on."""
        if self._free:
            number = self._free.pop()
            self._flows[number] = flow
        else:
            number = len(self._flows)
            self._flows.append(flow)
        self._owners[place] = number

    def close(self, place: int) -> None:
        """Nothing more will come for a place's flow."""
        self._over.append(int(self._owners[place]))

    def note(self, places: Numbers, lengths: Numbers, stamps: NDArray[np.uint8]) -> None:
        """Take parts, with a row of 16 bytes for the time of each."""
        times = np.ascontiguousarray(stamps).view(_STAMP)[:, 0]
        self._new.append(_Parts(self._owners.take(places), lengths, times))

    def hand_out(self) -> Iterator[None]:
        """Give flows that are over what is theirs, a little at each step."""
        over, self._over = self._over, []
        blocks, new = self._blocks, self._new
        self._blocks, self._new = [], []
        given = np.full(len(self._flows), sum(map(_count, blocks + new)) > _KEPT_MOST)
        given[over] = True
        given[_NOBODY] = False
        taken = []
        for block in itertools.chain(blocks, _blocks(new)):
            mine = np.flatnonzero(given.take(block.owners))
            taken.append(block.of(mine))
            block.owners[mine] = _NOBODY
            left = np.flatnonzero(block.owners)
            if 2 * len(left) > _count(block):
                self._blocks.append(block)
            elif len(left):
                self._blocks.append(block.of(left))
            yield
        if taken:
            yield from self._give(_together(taken))
        for number in over:
            self._flows[number] = None
        self._free += over

    def _give(self, parts: _Parts) -> Iterator[None]:
        if not _count(parts):
            return
        # Sixteen bits are sorted in one pass over them.
        small = parts.owners.astype(np.uint16) if len(self._flows) < 1 << 16 else parts.owners
        parts = parts.of(small.argsort(kind="stable"))
        yield
        starts = np.flatnonzero(np.diff(parts.owners, prepend=_NOBODY))
        sums = np.add.reduceat(parts.lengths, starts).tolist()
        ends = np.append(starts[1:], _count(parts)).tolist()
        start = 0
        numbers = parts.owners[starts].tolist()
        for at, (number, end, length) in enumerate(zip(numbers, ends, sums, strict=True)):
            flow = self._flows[number]
            assert flow is not None  # noqa: S101
            flow.tokens += parts.stamps[start:end].tobytes()
            flow.bytes += length
            start = end
            if at % _FLOWS == 0:
                yield


def _count(parts: _Parts) -> int:
    return len(parts.owners)


def _blocks(parts: list[_Parts]) -> Iterator[_Parts]:
    """The same parts, as many together as are looked through at once."""
    some: list[_Parts] = []
    for one in parts:
        some.append(one)
        if sum(map(_count, some)) >= _BLOCK:
            yield _together(some)
            some = []
    if some:
        yield _together(some)


def _together(parts: list[_Parts]) -> _Parts:
    return _Parts(*map(np.concatenate, zip(*parts, strict=True)))
