"""Sockets by io_uring: one call gives what all of them have got, and when each part came."""

import errno
import struct
import time
from collections.abc import Iterator

import numpy as np

from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.ledger import Ledger
from firsttoken.loadgen.record import Reading
from firsttoken.loadgen.ring import (
    BUFFER,
    BUFFER_SIZE,
    COMPLETION,
    HEADER,
    LENGTH,
    MORE,
    STAMPED,
    TIME,
    Ring,
)
from firsttoken.loadgen.sockets import Listener
from firsttoken.loadgen.usual import UsualParts, in_order

__all__ = ["FEW", "Ringed"]

_BOTH = BUFFER | MORE
_STAMP = struct.Struct("=qq")
_TIME = slice(TIME, HEADER)
_FLAGS = 12  # where a completion has the lowest byte of its flags
_PARTS = bytes(flags for flags in range(256) if flags & _BOTH == _BOTH)
_PLACES = (1 << 32) - 1
_COMPLETIONS = np.dtype([("key", np.int64), ("result", np.int32), ("flags", np.uint32)])
FEW = 64
"""So many parts are taken as they come: numpy's calls cost more than they save."""
_AT_ONCE = 1024


class Ringed:
    """Connections without TLS.  Made by the thread that uses it; raises OSError where refused.

    Each connection has a place, which the next one has after it, and a key: a number that is never
    used again, so that what the kernel still says of a connection that was dropped is told apart
    from all others, whatever its file was called; and the place.  Keys are even, the odd one behind
    each is for when the connection can be written to.
    """

    name: Reading = "io_uring"
    batch = 96  # what is due meanwhile waits for less than a millisecond
    stamped = True

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._ring = Ring()
        memory = np.frombuffer(self._ring.memory, np.uint8)
        self._headers = memory[self._ring.start :].reshape(-1, BUFFER_SIZE)[:, STAMPED:HEADER]
        self._usual = UsualParts(memory, BUFFER_SIZE - HEADER)
        self._ledger = Ledger()
        self._flows: dict[int, Flow] = {}
        self._connections: dict[int, Connection] = {}
        self._waiting: set[int] = set()  # those that wait to be written to
        self._next = 0
        self._places: list[int] = []  # that are free
        self._room = 0
        self._unlearnt: set[int] = set()  # keys whose usual parts are not known to `_usual`
        self._held: list[bytes] = []
        self.held = 0

    def opening(self, connection: Connection, *, write: bool = True) -> None:
        """Give it its key, and wait for it."""
        assert write  # noqa: S101 (only TLS reads before it is ready)
        if not self._places:
            self._more_places()
        place = self._places.pop()
        self._next += 1
        connection.key = self._next << 32 | place << 1
        self._connections[connection.key] = connection
        self.writes(connection)

    def reads(self, connection: Connection, flow: Flow) -> None:
        """What comes from now on is a flow's; the kernel is asked for it once a connection."""
        key = connection.key
        if self._flows.get(key) is not flow:
            self._flows[key] = flow
            self._ledger.open(_place(key), flow)
        if not connection.read:
            connection.read = True
            self._ring.receive(connection.fd, connection.key)

    def writes(self, connection: Connection) -> None:
        """Ask once for room."""
        self._waiting.add(connection.key)
        self._ring.writable(connection.fd, connection.key + 1)

    def rests(self, connection: Connection) -> None:
        """What it still receives is nobody's."""
        if self._flows.pop(connection.key, None) is not None:
            self._usual.forget(_place(connection.key))
            self._ledger.close(_place(connection.key))

    def drop(self, connection: Connection) -> None:
        """Have the kernel let go of it too: it holds the socket for as long as it reads.

        At once, while the file still has its name: another might be opened under it.
        """
        key, ring = connection.key, self._ring
        self.rests(connection)
        if self._connections.pop(key, None) is None:
            return
        self._places.append(_place(key))
        if connection.read:
            ring.cancel(key)
        if key in self._waiting:
            self._waiting.remove(key)
            ring.cancel(key + 1)
        ring.submit()

    def look(self) -> int:
        """Take what has come, or hold it."""
        self._ring.enter(self.batch, 0)
        return self._fetch()

    def wait(self, due: float, other: float) -> int:
        """Take what comes first."""
        self._ring.enter(1, min(due, other))
        return self._fetch()

    def take(self) -> None:
        """Take some of what is held."""
        self._learn()
        data = b"".join(self._held)
        rest = data[_AT_ONCE * COMPLETION.size :]
        self._held = [rest] if rest else []
        self.held = len(rest) // COMPLETION.size
        told = np.frombuffer(data, _COMPLETIONS, len(data) // COMPLETION.size - self.held)
        places = (told["key"] & _PLACES) >> 1
        buffers = (told["flags"] >> 16).astype(np.int64)
        lengths = told["result"] - np.int64(HEADER)
        starts = buffers * BUFFER_SIZE + (self._ring.start + HEADER)
        headers = self._headers[buffers]
        usual = self._usual.among(places, starts, lengths) & headers[:, : LENGTH - STAMPED].any(1)
        stamps = headers[:, TIME - STAMPED :]
        if not usual.all():
            usual = in_order(usual, places)
            others = told[~usual].tolist()
            places, lengths, stamps = places[usual], lengths[usual], stamps[usual]
        else:
            others = []
        self._ledger.note(places, lengths, stamps)
        for one in others:
            self._one(*one)
        self._ring.free(len(told))

    def hand_out(self) -> Iterator[None]:
        """Give flows that are over what is theirs of the usual parts."""
        return self._ledger.hand_out()

    def close(self) -> None:
        """Close the ring."""
        self._ring.close()

    def _fetch(self) -> int:
        data = self._ring.completions()
        count = len(data) // COMPLETION.size
        if count <= FEW and not self.held:
            held = 0
            for key, result, flags in COMPLETION.iter_unpack(data):
                held += flags & BUFFER
                self._one(key, result, flags)
            self._ring.free(held)
            return count
        start = 0
        if data[_FLAGS :: COMPLETION.size].translate(None, _PARTS):
            for at, (key, result, flags) in enumerate(COMPLETION.iter_unpack(data)):
                if flags & _BOTH != _BOTH:
                    self._hold(data[start : at * COMPLETION.size])
                    start = (at + 1) * COMPLETION.size
                    self._at_once(key, result, flags)
        self._hold(data[start:])
        return count

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self.held += len(data) // COMPLETION.size

    def _at_once(self, key: int, result: int, flags: int) -> None:
        """A connection made, or its end; what came before that is taken before."""
        while self.held and not key & 1:
            self.take()
        self._one(key, result, flags)
        self._ring.free(flags & BUFFER)

    def _learn(self) -> None:
        for key in list(self._unlearnt):
            flow = self._flows.get(key)
            if flow is None or flow.lines:
                self._unlearnt.remove(key)
            if flow is not None and flow.lines:
                self._usual.learn(_place(key), flow.lines, flow.before, flow.end)

    def _one(self, key: int, result: int, flags: int) -> None:
        flow = self._flows.get(key)
        if flow is None or flags & _BOTH != _BOTH:
            self._other(key, result, flags)
            return
        at = self._ring.start + (flags >> 16) * BUFFER_SIZE
        part = self._ring.memory[at : at + result]
        line = flow.lines.get(result - HEADER)
        if (
            line is not None
            and part.startswith(line + flow.before, HEADER)
            and part.endswith(flow.end)
            and part[STAMPED]
        ):
            flow.tokens += part[_TIME]
            flow.bytes += result - HEADER
        else:
            self._unusual(key, flow, part)

    def _unusual(self, key: int, flow: Flow, part: bytes) -> None:
        # Without a time, the kernel had only begun to take them.
        stamp = part[_TIME] if part[STAMPED] else _now()
        read = flow.take(part[HEADER:], stamp)
        if not flow.lines and key not in self._unlearnt:
            self._unlearnt.add(key)
            self._usual.forget(_place(key))
        if read:
            self._listener.settle(flow)

    def _other(self, key: int, result: int, flags: int) -> None:
        """Something else than the usual: an end, a connection made, bytes that nobody awaits."""
        connection = self._connections.get(key & ~1)
        if connection is None:
            return  # dropped
        if key & 1:
            self._waiting.discard(connection.key)
            self._listener.happened(connection)
            return
        flow = self._flows.get(key)
        ended = not flags & MORE
        if result > HEADER and flow is not None:
            if ended:
                self._ring.receive(connection.fd, key)
            at = self._ring.start + (flags >> 16) * BUFFER_SIZE
            self._unusual(key, flow, self._ring.memory[at : at + result])
        elif result == -errno.ENOBUFS:  # more came at once than there are buffers for
            self._ring.receive(connection.fd, key)
        elif flow is not None:
            self._listener.closed(flow)
        else:
            self._listener.happened(connection)

    def _more_places(self) -> None:
        before, self._room = self._room, max(256, 2 * self._room)
        self._places = list(range(self._room - 1, before - 1, -1))
        self._usual.room_for(self._room)
        self._ledger.room_for(self._room)


def _place(key: int) -> int:
    return (key & _PLACES) >> 1


def _now() -> bytes:
    return _STAMP.pack(*divmod(time.time_ns(), 1_000_000_000))
