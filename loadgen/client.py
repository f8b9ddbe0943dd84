"""A minimal HTTP/1.1 client that stamps bytes where they arrive, before anything looks at them.

Connections to the one server are kept alive and used again.  A response's parts and their arrival
times are kept as they came; reading them is left for when the response has ended.
"""

import asyncio
import contextlib
import ssl
from array import array
from collections.abc import Sequence
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

from firsttoken.errors import UsageError
from firsttoken.loadgen.wire import Framer, Head, WireError, parse_head

__all__ = ["Client", "Exchange", "reason"]

Headers = Sequence[tuple[str, str]]
FETCH_TIMEOUT_S = 10.0
_HEAD_MAX = 65536


class Exchange:
    """One request and what has come back so far; times are ``perf_counter`` seconds."""

    __slots__ = ("done", "ended", "error", "first_byte", "head", "parts", "sent", "times")

    def __init__(self) -> None:
        self.sent: float | None = None
        self.head: Head | None = None
        self.times = array("d")
        self.parts: list[bytes] = []
        self.ended: float | None = None
        self.error: str | None = None
        self.first_byte: float | None = None
        self.done = asyncio.Event()

    @property
    def body(self) -> bytes:
        """All of the body that came."""
        return b"".join(self.parts)

    def fail(self, error: str) -> None:
        """End it with an error, unless it has ended."""
        if not self.done.is_set():
            self.error = error
            self.ended = perf_counter()
            self.done.set()


class _Connection(asyncio.Protocol):
    """One connection, with at most one exchange under way."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._framer: Framer | None = None
        self._head = b""
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not descend from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, exchange: Exchange) -> None:
        """Write a request; the answer goes to ``exchange``."""
        assert self._transport is not None  # noqa: S101
        self._exchange, self._framer, self._head = exchange, None, b""
        self._transport.write(request)
        exchange.sent = perf_counter()

    def close(self) -> None:
        """Close at once, without waiting for anything."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    @property
    def open(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()  # first of all: this is the measurement
        exchange = self._exchange
        if exchange is None:  # nothing was asked
            self.close()
            return
        if exchange.first_byte is None:
            exchange.first_byte = now
        try:
            if self._framer is None:
                data = self._take_head(data, exchange)
                if self._framer is None:
                    return
            if data:
                body = self._framer.feed(data)
                if body:
                    exchange.times.append(now)
                    exchange.parts.append(body)
        except WireError as exc:
            self.close()
            exchange.fail(f"bad answer: {exc}")
            return
        if self._framer.complete:
            self._finish(exchange, now)

    def _take_head(self, data: bytes, exchange: Exchange) -> bytes:
        """Collect the head; returns what came behind it.  An interim answer (1xx) is skipped."""
        self._head += data
        while (stop := self._head.find(b"\r\n\r\n")) >= 0:
            head, rest = parse_head(self._head[:stop]), self._head[stop + 4 :]
            if head.status >= 200:
                exchange.head, self._framer = head, Framer(head)
                return rest
            self._head = rest
        if len(self._head) > _HEAD_MAX:
            raise WireError("the head of the answer is too long")
        return b""

    def _finish(self, exchange: Exchange, now: float) -> None:
        self._exchange, self.used = None, True
        exchange.ended = now
        exchange.done.set()
        if exchange.head is not None and exchange.head.keep_alive and self.open:
            self._client.put_back(self)
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        now = perf_counter()
        self._client.forget(self)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if exc is None and self._framer is not None and self._framer.until_close:
            exchange.ended = now
            exchange.done.set()
        elif self._framer is not None:
            exchange.fail("connection lost mid-stream")
        else:
            exchange.fail("connection lost before an answer")


class Client:
    """Asks one server; ``start`` sends and returns, so that the caller decides when to wait."""

    def __init__(self, target: str, headers: dict[str, str]) -> None:
        url = urlsplit(target)
        try:
            port = url.port
        except ValueError:
            raise UsageError(f"target {target!r}: the port is not a number below 65536") from None
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise UsageError(f"target {target!r}: expected http://HOST:PORT or https://HOST")
        if url.username or url.password or url.query or url.fragment:
            raise UsageError(
                f"target {url.hostname!r}: a plain address is expected; a key goes into the"
                " environment as FIRSTTOKEN_API_KEY"
            )
        self.target = target.rstrip("/").removesuffix("/v1")
        self._host, self._tls = url.hostname, url.scheme == "https"
        self._port = port or (443 if self._tls else 80)
        self._context = ssl.create_default_context() if self._tls else None
        self._base = urlsplit(self.target).path
        self._headers = "".join(
            f"{name}: {value}\r\n"
            for name, value in {
                "Host": url.netloc,
                "Accept-Encoding": "identity",
                **headers,
            }.items()
        ).encode("latin-1", errors="replace")
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    def request(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> bytes:
        """The bytes of a request with a JSON body; ``headers`` are this request's own."""
        line = f"{method} {self._base}{path} HTTP/1.1\r\n".encode()
        for name, value in headers:
            line += f"{name}: {value}\r\n".encode("latin-1", errors="replace")
        if not body:
            return line + self._headers + b"\r\n"
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return line + self._headers + kind + body

    async def exchange(self, request: bytes, exchange: Exchange) -> None:
        """Send a request and wait for the end of its answer; failures end up in ``exchange``.

        A kept connection that the server closed just as it was used again is no failure of the
        server's: the request goes out once more on a new one (RFC 9112, 9.3.1).
        """
        connection = await self.start(request, exchange)
        await self.finish(connection, request, exchange)

    async def start(self, request: bytes, exchange: Exchange) -> "_Connection | None":
        """Send a request; None when no connection could be made."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                connection.send(request, exchange)
                return connection
        try:
            connection = await self._connect()
        except OSError as exc:
            exchange.fail(reason(exc))
            return None
        connection.send(request, exchange)
        return connection

    async def finish(
        self, connection: "_Connection | None", request: bytes, exchange: Exchange
    ) -> None:
        """Wait for the end of an answer; a cancelled wait closes the connection."""
        try:
            await exchange.done.wait()
            stale = exchange.error is not None and exchange.first_byte is None
            if connection is not None and connection.used and stale:
                exchange.error = exchange.sent = exchange.ended = None
                exchange.done.clear()
                self.drop_idle()
                connection = await self.start(request, exchange)
                await exchange.done.wait()
        except asyncio.CancelledError:
            if connection is not None and not exchange.done.is_set():
                connection.close()
            raise

    async def fetch(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of a small request outside the measurement.

        Raises OSError (ConnectionError) when there is no answer.
        """
        exchange = Exchange()
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                await self.exchange(self.request(method, path, body), exchange)
        except TimeoutError:
            exchange.fail(f"no answer within {FETCH_TIMEOUT_S:g} s")
        if exchange.error is not None or exchange.head is None:
            raise ConnectionError(exchange.error or "no answer")
        return exchange.head.status, exchange.body

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(self), self._host, self._port, ssl=self._context
        )
        self._all.add(connection)
        return connection

    def put_back(self, connection: _Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """Let go of a connection that was lost."""
        self._all.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def drop_idle(self) -> None:
        """Close the kept connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.close()


def reason(error: OSError) -> str:
    """A short class for a failure to connect, the same for all failures of one kind."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS handshake failed"
    if isinstance(error, TimeoutError):
        return "connect timeout"
    text = (error.strerror or str(error) or type(error).__name__).lower()
    # asyncio words the failure of several addresses itself, with their number in the text.
    return (
        "connection refused"
        if "connection refused" in text or "connect call failed" in text
        else text
    )
