"""Where the server is and how it is spoken to, and the small requests beside the measurement."""

import asyncio
import http.client
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from firsttoken.errors import UsageError
from firsttoken.loadgen.connection import Dialler, describe

__all__ = ["Client"]

Headers = Sequence[tuple[str, str]]
FETCH_TIMEOUT_S = 10.0


class Client:
    """One server, and the headers that every request to it has."""

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
        self._host, tls = url.hostname, url.scheme == "https"
        self._port = port or (443 if tls else 80)
        self._context = ssl.create_default_context() if tls else None
        self._base = urlsplit(self.target).path
        self._headers = {"Accept-Encoding": "identity", **headers}
        self.headers = headers
        lines = {"Host": url.netloc, **self._headers}.items()
        self._lines = _lines(tuple(lines))

    def dialler(self) -> Dialler:
        """What opens connections to the server."""
        return Dialler(self._host, self._port, self._context)

    def request(self, path: str, body: bytes, headers: Headers = ()) -> bytes:
        """The bytes of a request with a JSON body; ``headers`` are this request's own."""
        own = _lines(headers) if headers else b""
        return b"POST %b%b HTTP/1.1\r\n%b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (  # noqa: E501
            self._base.encode(), path.encode(), self._lines, own, len(body), body,
        )  # fmt: skip

    async def fetch(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of a small request outside the measurement.

        Raises OSError (ConnectionError) when there is no answer.
        """
        return await asyncio.to_thread(self._fetch, method, path, body)

    def _fetch(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, FETCH_TIMEOUT_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=FETCH_TIMEOUT_S, context=self._context
            )
        headers = {**self._headers, "Content-Type": "application/json"} if body else self._headers
        try:
            connection.request(method, self._base + path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            raise ConnectionError(f"no answer within {FETCH_TIMEOUT_S:g} s") from None
        except OSError as exc:
            raise ConnectionError(describe(exc)) from None
        except http.client.HTTPException as exc:
            raise ConnectionError(f"bad answer: {type(exc).__name__}") from None
        finally:
            connection.close()


def _lines(headers: Headers) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return lines.encode("latin-1", errors="replace")
