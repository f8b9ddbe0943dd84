"""Sockets by epoll: it names those that have got something, and each of them is read by a call."""

import select
import struct
import time
from collections.abc import Iterator

from firsttoken.loadgen.connection import Connection
from firsttoken.loadgen.flow import Flow
from firsttoken.loadgen.record import Reading
from firsttoken.loadgen.sockets import Listener

__all__ = ["Polled"]

_EXTRA = 64  # bytes for a control message
_COARSE_S = 0.0012
_STAMP = struct.Struct("qq")


class Polled:
    """Any kind of connection; ``stamped`` is whether the kernel's times are asked for."""

    name: Reading = "epoll"
    batch = 64
    held = 0

    def __init__(self, listener: Listener, *, stamped: bool) -> None:
        self._listener = listener
        self.stamped = stamped
        self._poll = select.epoll()
        self._flows: dict[int, Flow | None] = {}
        self._connections: dict[int, Connection] = {}

    def opening(self, connection: Connection, *, write: bool = True) -> None:
        """Register it, or change what it waits for."""
        want = select.EPOLLOUT if write else select.EPOLLIN
        if connection.fd in self._connections:
            self._poll.modify(connection.fd, want)
        else:
            self._poll.register(connection.fd, want)
            self._flows[connection.fd], self._connections[connection.fd] = None, connection

    def reads(self, connection: Connection, flow: Flow) -> None:
        """From now on its readiness is a flow's."""
        if not connection.read:
            connection.read = True
            self._poll.modify(connection.fd, select.EPOLLIN)
        flow.receive = connection.receive
        self._flows[connection.fd] = flow

    def writes(self, connection: Connection) -> None:
        """It is not read from until all is written."""
        connection.read = False
        self._poll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
        self._flows[connection.fd] = None

    def rests(self, connection: Connection) -> None:
        """It stays registered, so that its end is seen."""
        self._flows[connection.fd] = None

    def drop(self, connection: Connection) -> None:
        """Forget it; closing takes it out of the poll."""
        self._flows.pop(connection.fd, None)
        self._connections.pop(connection.fd, None)

    def look(self) -> int:
        """Take what has come."""
        return self._look(0)

    def wait(self, due: float, other: float) -> int:
        """Take what comes first."""
        if due > other or due > _COARSE_S:
            # Python rounds an epoll's time-out up to the next millisecond.
            return self._look(max(0.0, min(other, due - _COARSE_S)))
        if due > 0:
            select.select([self._poll], [], [], due)
        return self._look(0)

    def take(self) -> None:
        """Nothing is held."""

    def hand_out(self) -> Iterator[None]:
        """Each flow has got all at once."""
        return iter(())

    def close(self) -> None:
        """Close the poll."""
        self._poll.close()

    def _look(self, timeout: float) -> int:
        events = self._poll.poll(timeout, self.batch)
        if events:
            self._take(events)
        return len(events)

    def _take(self, events: list[tuple[int, int]]) -> None:
        # All of them had come by now, however long the reading takes.
        now = _STAMP.pack(*divmod(time.time_ns(), 1_000_000_000))
        flows = self._flows
        for fd, _ in events:
            flow = flows.get(fd)
            if flow is None:
                self._other(fd)
                continue
            try:
                data, extra, _, _ = flow.receive(flow.room, _EXTRA)
            except OSError as exc:
                self._broken(flow, exc)
                continue
            if not data:
                self._listener.closed(flow)
                continue
            stamp = extra[0][2] if extra else now
            line = flow.lines.get(len(data))
            usual = line is not None and data.startswith(line + flow.before)
            if usual and data.endswith(flow.end):
                flow.tokens += stamp
                flow.bytes += len(data)
            elif flow.take(data, stamp):
                self._listener.settle(flow)

    def _broken(self, flow: Flow, exc: OSError) -> None:
        if not isinstance(exc, BlockingIOError):
            self._listener.closed(flow)

    def _other(self, fd: int) -> None:
        connection = self._connections.get(fd)
        if connection is not None:  # else one that was dropped a moment ago
            self._listener.happened(connection)
