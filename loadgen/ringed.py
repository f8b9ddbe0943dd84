"""Sockets by io_uring: one call gives what all of them have got, and when each part came."""

import errno
import struct
import time
from collections import deque
from collections.abc import Iterator

from firsttoken.loadgen.bulk import Bulk, key_of, place_of
from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.record import Reading
from firsttoken.loadgen.ring import (
    BUFFER,
    BUFFER_SIZE,
    COMPLETION,
    HEADER,
    MORE,
    STAMPED,
    TIME,
    Completion,
    Ring,
)
from firsttoken.loadgen.sockets import Listener

__all__ = ["FEW", "Ringed"]

_BOTH = BUFFER | MORE
_STAMP = struct.Struct("=qq")
_TIME = slice(TIME, HEADER)
_FLAGS = 12  # where a completion has the lowest byte of its flags
_PARTS = bytes(flags for flags in range(256) if flags & _BOTH == _BOTH)
FEW = 64
"""So many parts are taken as they come: numpy's calls cost more than they save."""


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
        self._bulk = Bulk(self._ring)
        self._flows: dict[int, Flow] = {}
        self._connections: dict[int, Connection] = {}
        self._waiting: set[int] = set()  # those that wait to be written to
        self._next = 0
        self._places: list[int] = []  # that are free
        self._room = 0
        self._unlearnt: set[int] = set()  # keys whose usual parts the bulk does not know
        self._others: deque[Completion] = deque()  # of the bulk, to be taken one by one
        self._taken = 0  # buffers that are free then

    @property
    def held(self) -> int:
        """How many parts were fetched and have not been taken."""
        return self._bulk.count + len(self._others)

    def opening(self, connection: Connection, *, write: bool = True) -> None:
        """Give it its key, and wait for it."""
        assert write  # noqa: S101 (only TLS reads before it is ready)
        if not self._places:
            self._more_places()
        place = self._places.pop()
        self._next += 1
        connection.key = key_of(self._next, place)
        self._connections[connection.key] = connection
        self.writes(connection)

    def reads(self, connection: Connection, flow: Flow) -> None:
        """What comes from now on is a flow's; the kernel is asked for it once a connection."""
        key = connection.key
        if self._flows.get(key) is not flow:
            self._flows[key] = flow
            self._bulk.begin(place_of(key), flow)
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
            self._bulk.end(place_of(connection.key))

    def drop(self, connection: Connection) -> None:
        """Have the kernel let go of it too: it holds the socket for as long as it reads.

        At once, while the file still has its name: another might be opened under it.
        """
        key, ring = connection.key, self._ring
        self.rests(connection)
        if self._connections.pop(key, None) is None:
            return
        self._places.append(place_of(key))
        self._unlearnt.discard(key)
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
        if not self._others:
            self._learn()
            self._taken, others = self._bulk.sort()
            self._others.extend(others)
        for _ in range(min(len(self._others), FEW)):
            self._one(*self._others.popleft())
        if not self._others:
            self._ring.free(self._taken)

    def hand_out(self) -> Iterator[None]:
        """Give flows that are over what is theirs of the usual parts."""
        return self._bulk.hand_out()

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
                    self._bulk.add(data[start : at * COMPLETION.size])
                    start = (at + 1) * COMPLETION.size
                    self._at_once(key, result, flags)
        self._bulk.add(data[start:])
        return count

    def _at_once(self, key: int, result: int, flags: int) -> None:
        """A connection made, or its end; what came before that is taken before."""
        while self.held and not key & 1:
            self.take()
        self._one(key, result, flags)
        self._ring.free(flags & BUFFER)

    def _learn(self) -> None:
        for key in list(self._unlearnt):
            flow = self._flows.get(key)
            if flow is None:
                self._unlearnt.remove(key)
            elif flow.lines:
                self._unlearnt.remove(key)
                self._bulk.learn(place_of(key), flow)

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
            self._bulk.forget(place_of(key))
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
        self._bulk.room_for(self._room)


def _now() -> bytes:
    return _STAMP.pack(*divmod(time.time_ns(), 1_000_000_000))
