"""What stands between a socket and the web server: how many clients, and how slow they may be.

A client that sends its request byte by byte, or does not read its answer, holds a connection; where
connections are counted, a few such clients would lock out the scraper.
"""

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["Gate"]

_HEAD_SECONDS = 10.0
"""In which a request's head must have come, and between two parts of an answer being taken."""
_HEAD_BYTES = 32 * 1024
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"
)

_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Gate:
    """Makes the protocols of new connections; ``made`` makes those of the web server."""

    def __init__(
        self,
        made: Callable[[], asyncio.Protocol],
        most: int,
        seconds: float = _HEAD_SECONDS,
    ) -> None:
        self._made = made
        self.most = most
        self.seconds = seconds
        self.connections = 0

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one connection."""
        return _Guarded(self, self._made())


class _Guarded(asyncio.Protocol):
    """Passes everything on, and ends a connection that takes too long."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol) -> None:
        self._gate = gate
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._admitted = False
        self._end = b""
        self._size = 0
        """Bytes of a head that is not whole yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, if there is room."""
        self._transport = cast(asyncio.Transport, transport)
        if self._gate.connections >= self._gate.most:
            self._transport.write(_FULL)
            self._transport.close()
            return
        self._admitted = True
        self._gate.connections += 1
        self._inner.connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        self._stop()
        if self._admitted:
            self._gate.connections -= 1
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on; the time runs until a head is whole, from the first byte of the next one."""
        if not self._admitted:
            return
        if b"\r\n\r\n" in self._end + data:
            self._stop()
            self._end, self._size = b"", 0
        else:
            self._end, self._size = (self._end + data)[-3:], self._size + len(data)
            if self._timer is None:
                self._start()
            if self._size > _HEAD_BYTES and self._transport is not None:
                self._transport.write(_LARGE)
                self._transport.close()
                return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        self._start()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has read what there was."""
        self._stop()
        self._inner.resume_writing()

    def _start(self) -> None:
        self._stop()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._gate.seconds, self._abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
