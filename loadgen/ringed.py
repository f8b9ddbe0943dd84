"""Sockets by io_uring: one call gives what all of them have got, and when each part came."""

import errno
import struct
import time
from collections.abc import Iterator

import numpy as np

from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.record import Reading
from firsttoken.loadgen.ring import BUFFER, BUFFER_SIZE, HEADER, LENGTH, MORE, STAMPED, TIME, Ring
from firsttoken.loadgen.sockets import Listener

__all__ = ["Ringed"]

_BOTH = BUFFER | MORE
_STAMP = struct.Struct("=qq")
_TIME, _TOLD = slice(TIME, HEADER), slice(LENGTH, HEADER)
_SOME, _FLOWS = 2048, 16  # that are looked at in one step


class Ringed:
    """Connections without TLS.  Made by the thread that uses it; raises OSError where refused.

    Each connection has an even number of its own for what is received and the next odd one for
    when it can be written to; no number is used again, so that what the kernel still says of a
    connection that was dropped is told apart from all others, whatever its file was called.
    """

    name: Reading = "io_uring"
    batch = 96  # what is due meanwhile waits for less than a millisecond
    stamped = True

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._ring = Ring()
        self._flows: dict[int, Flow] = {}
        self._connections: dict[int, Connection] = {}
        self._waiting: set[int] = set()  # those that wait to be written to
        self._next = 0
        self._usual: list[Flow] = []  # whose the usual parts were,
        self._told = bytearray()  # and the length and time of each

    def opening(self, connection: Connection, *, write: bool = True) -> None:
        """Give it its number, and wait for it."""
        assert write  # noqa: S101 (only TLS reads before it is ready)
        self._next += 2
        connection.key = self._next
        self._connections[connection.key] = connection
        self.writes(connection)

    def reads(self, connection: Connection, flow: Flow) -> None:
        """What comes from now on is a flow's; the kernel is asked for it once a connection."""
        self._flows[connection.key] = flow
        if not connection.read:
            connection.read = True
            self._ring.receive(connection.fd, connection.key)

    def writes(self, connection: Connection) -> None:
        """Ask once for room."""
        self._waiting.add(connection.key)
        self._ring.writable(connection.fd, connection.key + 1)

    def rests(self, connection: Connection) -> None:
        """What it still receives is nobody's."""
        self._flows.pop(connection.key, None)

    def drop(self, connection: Connection) -> None:
        """Have the kernel let go of it too: it holds the socket for as long as it reads.

        At once, while the file still has its name: another might be opened under it.
        """
        key, ring = connection.key, self._ring
        self._flows.pop(key, None)
        if self._connections.pop(key, None) is None:
            return
        if connection.read:
            ring.cancel(key)
        if key in self._waiting:
            self._waiting.remove(key)
            ring.cancel(key + 1)
        ring.submit()

    def look(self) -> int:
        """Take what has come."""
        self._ring.enter(self.batch, 0)
        return self._take()

    def wait(self, due: float, other: float) -> int:
        """Take what comes first."""
        self._ring.enter(1, min(due, other))
        return self._take()

    def hand_out(self) -> Iterator[None]:
        """Give each flow the lengths and times of its usual parts.

        Until then they lie one behind another: what each flow has of its own is in no cache.
        """
        usual, told = self._usual, self._told
        self._usual, self._told = [], bytearray()
        if not usual:
            return
        owners = np.empty(len(usual), np.int64)
        for at in range(0, len(usual), _SOME):
            owners[at : at + _SOME] = list(map(id, usual[at : at + _SOME]))
            yield
        order = owners.argsort()
        yield
        owners = owners.take(order)
        parts = np.frombuffer(told, np.int64).reshape(len(usual), -1).take(order, 0)
        starts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
        yield
        lengths = np.add.reduceat(parts.view(np.uint32)[:, 0], starts, dtype=np.int64).tolist()
        stamps, size = parts[:, -2:].tobytes(), _STAMP.size
        ends = (size * np.append(starts[1:], len(usual))).tolist()
        start = 0
        firsts = order[starts].tolist()
        for number, (first, end, length) in enumerate(zip(firsts, ends, lengths, strict=True)):
            flow = usual[first]
            flow.tokens += stamps[start:end]
            flow.bytes += length
            start = end
            if number % _FLOWS == 0:
                yield

    def close(self) -> None:
        """Close the ring."""
        self._ring.close()

    def _take(self) -> int:
        ring, flows = self._ring, self._flows
        memory, start = ring.memory, ring.start
        whose, told = self._usual.append, self._told
        count = held = 0
        for key, result, flags in ring.completions():
            count += 1
            flow = flows.get(key)
            if flow is None or flags & _BOTH != _BOTH:
                held += flags & BUFFER
                self._other(key, result, flags)
                continue
            held += 1
            at = start + (flags >> 16) * BUFFER_SIZE
            part = memory[at : at + result]
            line = flow.lines.get(result - HEADER)
            if (
                line is not None
                and part.startswith(line + flow.before, HEADER)
                and part.endswith(flow.end)
                and part[STAMPED]
            ):
                whose(flow)
                told += part[_TOLD]
            else:
                self._unusual(flow, part)
        ring.free(held)
        return count

    def _unusual(self, flow: Flow, part: bytes) -> None:
        # Without a time, the kernel had only begun to take them.
        stamp = part[_TIME] if part[STAMPED] else _now()
        if flow.take(part[HEADER:], stamp):
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
            self._unusual(flow, self._ring.memory[at : at + result])
        elif result == -errno.ENOBUFS:  # more came at once than there are buffers for
            self._ring.receive(connection.fd, key)
        elif flow is not None:
            self._listener.closed(flow)
        else:
            self._listener.happened(connection)


def _now() -> bytes:
    return _STAMP.pack(*divmod(time.time_ns(), 1_000_000_000))
