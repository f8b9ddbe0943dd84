"""All connections of a run: opened, kept and used again; and where requests begin and end.

What is done for each token, reading, is behind ``sockets``; all else happens once a request.
"""

import contextlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter

from firsttoken.loadgen.connection import Connection, Dialler, describe
from firsttoken.loadgen.dialect import Dialect
from firsttoken.loadgen.flow import Clock, Flow
from firsttoken.loadgen.polled import Polled
from firsttoken.loadgen.ringed import Ringed
from firsttoken.loadgen.sockets import Listener, Sockets
from firsttoken.loadgen.wire import WireError

__all__ = ["Network"]

_BODY_MAX = 1 << 28


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
        self.unread: dict[Flow, None] = {}
        """Flows of which something came that has to be read, soon."""
        self._idle: list[Connection] = []
        self._connections: set[Connection] = set()
        self._stamped = kernel_times and sys.platform == "linux" and not dialler.tls
        self.sockets: Sockets
        self.active: OrderedDict[Flow, Connection | None] = OrderedDict()
        self.set_clock()

    def open(self) -> None:
        """Begin to use the system, in the thread that will go on with it."""
        self.sockets = _sockets(self, stamped=self._stamped)

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

    def cut(self, flow: Flow, error: str) -> None:
        """End a flow that is under way, with an error."""
        if self._has_ended(flow):
            return
        flow.ended = perf_counter()
        self._drop(self.active[flow])
        self._digest(flow)
        self._end(flow, error)

    def read(self) -> None:
        """Read one of those that are ``unread``."""
        self._read(next(iter(self.unread)))

    def finish(self, flow: Flow) -> None:
        """Read what was handed out since a flow ended."""
        self._digest(flow)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            self._drop(connection)
        self.sockets.close()

    # --- Once a request ---------------------------------------------------------------------------

    def _dial(self, flow: Flow) -> None:
        self.active[flow] = None
        try:
            connection = self._dialler.open()
        except OSError as exc:
            flow.ended = perf_counter()
            self._end(flow, describe(exc))
            return
        self._connections.add(connection)
        self.sockets.opening(connection)
        connection.flow = flow
        self.active[flow] = connection

    def _begin(self, connection: Connection, flow: Flow) -> None:
        """Write the request on a connection that is ready."""
        self.active[flow] = connection
        connection.flow = flow
        flow.retry = connection.used
        self.sockets.reads(connection, flow)
        self._write(connection, flow)

    def _write(self, connection: Connection, flow: Flow) -> None:
        try:
            count = connection.send(flow.unsent)
        except OSError:
            self.closed(flow)
            return
        flow.unsent = flow.unsent[count:]
        if flow.unsent:
            self.sockets.writes(connection)
        else:
            flow.sent = perf_counter()

    def happened(self, connection: Connection) -> None:
        """Go on with connecting or writing, or close a kept one that the server has closed."""
        flow = connection.flow
        if flow is None:  # kept, and closed by the server
            self._drop(connection)
        elif connection.state != "ready":
            self._advance(connection, flow)
        else:
            self._write(connection, flow)
            if not flow.unsent and connection.flow is flow:
                self.sockets.reads(connection, flow)

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
            self.sockets.opening(connection, write=connection.wants_write)
        else:
            self._begin(connection, flow)

    def settle(self, flow: Flow) -> None:
        """Have a flow read when there is time for it."""
        self.unread[flow] = None

    def _has_ended(self, flow: Flow) -> bool:
        """Whether what came last, and was not read yet, was the end of a flow."""
        while self.sockets.held:
            self.sockets.take()
        if flow in self.unread:
            self._read(flow)
        return flow not in self.active

    def _read(self, flow: Flow) -> None:
        """Read what has come, and end the flow where it has ended."""
        del self.unread[flow]
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
        connection.flow = None
        self.sockets.rests(connection)
        connection.used = True
        if flow.reader is not None and flow.reader.keep_alive:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def closed(self, flow: Flow) -> None:
        """The server closed the connection while an answer was awaited or under way."""
        now = perf_counter()
        connection = self.active[flow]
        if self._has_ended(flow):
            self._drop(connection)
            return
        last = self._digest(flow)
        self._drop(connection)
        flow.ended = now
        if flow.first_byte is None and flow.error is None:
            self._lost_early(flow)
        elif flow.reader is not None and flow.reader.until_close:
            flow.ended = last or now
            self._end(flow, flow.error)
        else:
            where = "before an answer" if flow.reader is None else "mid-stream"
            self._end(flow, flow.error or f"connection lost {where}")

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
        self._connections.discard(connection)
        self.sockets.drop(connection)
        connection.flow = None
        connection.close()

    def _end(self, flow: Flow, error: str | None) -> None:
        flow.error = flow.error or error
        self.active.pop(flow, None)
        self._finished(flow)


def _sockets(listener: Listener, *, stamped: bool) -> Sockets:
    """By io_uring where the system lets us; container runtimes refuse it by default."""
    if stamped:
        with contextlib.suppress(OSError):
            return Ringed(listener)
    return Polled(listener, stamped=stamped)
