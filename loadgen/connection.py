"""Connections to the one server: sockets that never block, with TLS where it is asked for.

On Linux the kernel notes when each segment arrived (``SO_TIMESTAMPNS``).  That time is the same
however late the process comes to read, so that neither a burst of hundreds of streams nor the
process' own work can delay a measurement.
"""

import contextlib
import errno
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from firsttoken.loadgen.flow import Flow

__all__ = ["Connection", "Dialler", "describe"]

_SO_TIMESTAMPNS = 35  # of asm-generic/socket.h; Python's socket has no name for it
State = Literal["connecting", "handshake", "ready", "closed"]


class Connection:
    """One connection; ``receive`` has the signature of ``socket.recvmsg`` in any case."""

    __slots__ = ("fd", "flow", "key", "read", "receive", "sock", "state", "used", "wants_write")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None, host: str) -> None:
        self.sock: Any = sock
        self.fd = sock.fileno()
        self.state: State = "connecting"
        self.used = False
        self.key = 0  # what the ring calls it, where there is one,
        self.read = False  # and whether anyone is told of what comes
        self.wants_write = False
        self.flow: Flow | None = None
        self.receive: Callable[[int, int], tuple[bytes, list[Any], int, Any]] = sock.recvmsg
        if context is None:
            if sys.platform == "linux":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        else:
            self.sock = context.wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
            self.receive = self._receive_tls

    def advance(self) -> None:
        """Go on with connecting; ``state`` says how far it is.  Raises OSError."""
        if self.state == "connecting":
            failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed))
            self.state = "handshake" if isinstance(self.sock, ssl.SSLSocket) else "ready"
        if self.state == "handshake":
            try:
                self.sock.do_handshake()
                self.state = "ready"
            except ssl.SSLWantReadError:
                self.wants_write = False
            except ssl.SSLWantWriteError:
                self.wants_write = True

    def send(self, data: memoryview) -> int:
        """Write what fits; returns how many bytes.  Raises OSError."""
        try:
            count: int = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        return count

    def close(self) -> None:
        """Close at once."""
        self.state = "closed"
        self.sock.close()

    def _receive_tls(self, size: int, _: int) -> tuple[bytes, list[Any], int, None]:
        """All that has been decrypted: what is left inside would not wake anyone."""
        try:
            parts = [self.sock.recv(size)]
            while self.sock.pending():
                parts.append(self.sock.recv(size))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b"", [], 0, None
        return b"".join(parts), [], 0, None


class Dialler:
    """Opens connections to a server; names are looked up apart, because that can take long."""

    LOOK_UP_AGAIN_S = 5.0

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host, self._port, self._context = host, port, context
        self._addresses: list[Any] = []
        self._failure: OSError | None = None
        self._looked_up = 0.0
        self._turn = 0

    def look_up(self) -> None:
        """Find the server's addresses; a failure is raised by ``open``, for every request."""
        self._looked_up = time.monotonic()
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            self._failure = exc
        else:
            self._addresses, self._failure = found, None

    def open(self) -> Connection:
        """A connection that is being made.  Raises OSError."""
        if self._failure is not None:
            self._look_up_again()
            raise self._failure
        family, kind, protocol, _, address = self._addresses[self._turn % len(self._addresses)]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
            return Connection(sock, self._context, self._host)
        except OSError:
            sock.close()
            raise

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self._context is not None

    @property
    def addresses(self) -> int:
        """How many addresses there are to try."""
        return max(1, len(self._addresses))

    def failed(self) -> None:
        """A connection could not be made: the next goes to the next address."""
        self._turn += 1
        self._look_up_again()

    def _look_up_again(self) -> None:
        if time.monotonic() - self._looked_up > self.LOOK_UP_AGAIN_S:
            self._looked_up = time.monotonic()
            threading.Thread(target=self.look_up, daemon=True).start()


def describe(error: OSError) -> str:
    """A short description of a failure to connect, the same for all failures of one kind."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return f"name not resolved: {(error.strerror or 'unknown').lower()}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS handshake failed"
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if isinstance(error, ConnectionResetError) or error.errno in {errno.ECONNRESET, errno.EPIPE}:
        return "connection lost before an answer"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "connect timeout"
    text = (error.strerror or str(error) or type(error).__name__).lower()
    # asyncio words the failure of several addresses itself, with their number in the text.
    return "connection refused" if "connect call failed" in text else text
