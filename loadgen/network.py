"""All sockets of a run: connections are opened, kept and used again, and what comes is kept.

``look`` is the hot path: for each socket that has something, one read, and the bytes and their
time are put away.  Everything else happens once a request.
"""

import select
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter

from firsttoken.loadgen.connection import Connection, Dialler, describe
from firsttoken.loadgen.dialect import Dialect
from firsttoken.loadgen.flow import Clock, Flow
from firsttoken.loadgen.wire import WireError

__all__ = ["Network"]

_EXTRA = 64
_BATCH = 4096
_COARSE_S = 0.0012
_BODY_MAX = 1 << 28
_STAMP = struct.Struct("qq")
# A response in chunks ends with an empty line; so does each chunk of events that end with CRLF.
_MAY_BE_LAST = b"\r\n\r\n"


class Network:
    """Sends flows and fills them; ``finished`` is called with each that has ended."""

    def __init__(
        self,
        dialler: Dialler,
        dialect: Dialect,
        finished: Callable[[Flow], None],
        *,
        stream: bool,
        kernel_times: bool,
    ) -> None:
        self._stream = stream
        self._dialler, self._dialect, self._finished = dialler, dialect, finished
        self._clock = Clock()
        self._poll = select.epoll()
        self._idle: list[Connection] = []
        self._connections: dict[int, Connection] = {}
        self._flows: dict[int, Flow | None] = {}
        self.stamped = kernel_times and sys.platform == "linux" and not dialler.tls
        self.active: OrderedDict[Flow, Connection | None] = OrderedDict()
        self.set_clock()

    def set_clock(self) -> None:
        """Note how far the kernel's clock is from the monotonic one; it may be set at any time."""
        before = perf_counter()
        wall = time.time_ns()
        self._clock.set(wall, (before + perf_counter()) / 2)

    def send(self, flow: Flow) -> None:
        """Send a flow's request on a kept connection, else on a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.state == "ready":
                self._begin(connection, flow)
                return
        self._dial(flow)

    def look(self, timeout: float) -> int:
        """Take what has come, waiting for it if need be; returns from how many sockets."""
        events = self._poll.poll(timeout, _BATCH)
        if events:
            (self._take_stamped if self.stamped else self._take)(events)
        return len(events)

    def wait(self, due: float, other: float) -> int:
        """``look``, waiting until something is ``due``, to the microsecond, or ``other``'s time."""
        if due > other or due > _COARSE_S:
            # Python rounds an epoll's time-out up to the next millisecond.
            return self.look(max(0.0, min(other, due - _COARSE_S)))
        if due > 0:
            select.select([self._poll], [], [], due)
        return self.look(0)

    def cut(self, flow: Flow, error: str) -> None:
        """End a flow that is under way, with an error."""
        flow.ended = perf_counter()
        connection = self.active.get(flow)
        if connection is not None:
            self._drop(connection)
        self._digest(flow)
        self._end(flow, error)

    def digest(self, flow: Flow) -> None:
        """Read what has come of a flow so far, so that little is kept."""
        if flow in self.active and flow.parts:
            self._settle(flow)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._poll.close()

    # --- The hot path -----------------------------------------------------------------------------

    def _take_stamped(self, events: list[tuple[int, int]]) -> None:
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
                self._closed(flow)
                continue
            flow.parts.append(data)
            flow.stamps.append(extra[0][2] if extra else self._stamp())
            if flow.watch or data.endswith(_MAY_BE_LAST):
                self._settle(flow)

    def _take(self, events: list[tuple[int, int]]) -> None:
        now = perf_counter()  # all of them had come by now, however long the reading takes
        flows = self._flows
        for fd, _ in events:
            flow = flows.get(fd)
            if flow is None:
                self._other(fd)
                continue
            try:
                data = flow.receive(flow.room, _EXTRA)[0]
            except OSError as exc:
                self._broken(flow, exc)
                continue
            if not data:
                self._closed(flow)
                continue
            flow.parts.append(data)
            flow.times.append(now)
            if flow.watch or data.endswith(_MAY_BE_LAST):
                self._settle(flow)

    def _stamp(self) -> bytes:
        return _STAMP.pack(*divmod(time.time_ns(), 1_000_000_000))

    # --- Once a request ---------------------------------------------------------------------------

    def _dial(self, flow: Flow) -> None:
        self.active[flow] = None
        try:
            connection = self._dialler.open()
        except OSError as exc:
            flow.ended = perf_counter()
            self._end(flow, describe(exc))
            return
        self._connections[connection.fd] = connection
        self._poll.register(connection.fd, select.EPOLLOUT)
        self._flows[connection.fd] = None
        connection.flow = flow
        self.active[flow] = connection

    def _begin(self, connection: Connection, flow: Flow) -> None:
        """Write the request on a connection that is ready."""
        self.active[flow] = connection
        connection.flow = flow
        flow.fd, flow.receive, flow.retry = connection.fd, connection.receive, connection.used
        self._flows[connection.fd] = flow
        self._write(connection, flow)

    def _write(self, connection: Connection, flow: Flow) -> None:
        try:
            count = connection.send(flow.unsent)
        except OSError as exc:
            self._broken(flow, exc)
            return
        flow.unsent = flow.unsent[count:]
        if flow.unsent:
            self._poll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
            self._flows[connection.fd] = None  # until all is written
        else:
            flow.sent = perf_counter()

    def _other(self, fd: int) -> None:
        """Something happened to a connection that is not, or not only, being read from."""
        connection = self._connections.get(fd)
        if connection is None:
            return
        flow = connection.flow
        if flow is None:  # kept, and closed by the server
            self._drop(connection)
        elif connection.state != "ready":
            self._advance(connection, flow)
        else:
            self._write(connection, flow)
            if not flow.unsent and flow in self.active:
                self._poll.modify(fd, select.EPOLLIN)
                self._flows[fd] = flow

    def _advance(self, connection: Connection, flow: Flow) -> None:
        try:
            connection.advance()
        except OSError as exc:
            self._dialler.failed()
            self._drop(connection)
            flow.dials += 1
            if flow.dials < self._dialler.addresses:
                self._dial(flow)
                return
            flow.ended = perf_counter()
            self._end(flow, describe(exc))
            return
        if connection.state == "handshake":
            want = select.EPOLLOUT if connection.wants_write else select.EPOLLIN
            self._poll.modify(connection.fd, want)
        else:
            self._poll.modify(connection.fd, select.EPOLLIN)
            self._begin(connection, flow)

    def _settle(self, flow: Flow) -> None:
        """Read what has come, and end the flow where it has ended."""
        last = self._digest(flow)
        if flow.error is not None or flow.bytes > _BODY_MAX:
            self._drop(self.active[flow])
            flow.ended = last or perf_counter()
            self._end(flow, flow.error or "bad answer: longer than 256 MiB")
        elif flow.reader is not None and flow.reader.complete:
            flow.ended = last
            self._release(flow)
            self._end(flow, None)

    def _digest(self, flow: Flow) -> float | None:
        try:
            return flow.digest(self._dialect, self._clock, stream=self._stream)
        except WireError as exc:
            flow.error = f"bad answer: {exc}"
            flow.parts.clear()
            return None

    def _release(self, flow: Flow) -> None:
        connection = self.active[flow]
        assert connection is not None  # noqa: S101
        connection.flow = self._flows[connection.fd] = None
        connection.used = True
        if flow.reader is not None and flow.reader.keep_alive:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _closed(self, flow: Flow) -> None:
        """The server closed the connection while an answer was awaited or under way."""
        now = perf_counter()
        last = self._digest(flow)
        self._drop(self.active[flow])
        flow.ended = now
        if flow.first_byte is None and flow.error is None:
            self._lost_early(flow)
        elif flow.reader is not None and flow.reader.until_close:
            flow.ended = last or now
            self._end(flow, flow.error)
        else:
            where = "before an answer" if flow.reader is None else "mid-stream"
            self._end(flow, flow.error or f"connection lost {where}")

    def _broken(self, flow: Flow, exc: OSError) -> None:
        if isinstance(exc, BlockingIOError):
            return
        self._closed(flow)

    def _lost_early(self, flow: Flow) -> None:
        """Nothing came back: on a kept connection that is no failure of the server's.

        It closed the connection just as it was used again; the request goes out once more on a new
        one (RFC 9112, 9.3.1).
        """
        if not flow.retry:
            self._end(flow, "connection lost before an answer")
            return
        for connection in self._idle:
            self._drop(connection)
        self._idle.clear()
        flow.restart()
        self._dial(flow)

    def _drop(self, connection: Connection | None) -> None:
        if connection is None or connection.state == "closed":
            return
        self._connections.pop(connection.fd, None)
        self._flows.pop(connection.fd, None)
        connection.flow = None
        connection.close()  # which takes it out of the poll too

    def _end(self, flow: Flow, error: str | None) -> None:
        flow.error = flow.error or error
        self.active.pop(flow, None)
        self._finished(flow)
