"""One source's page over HTTP: the whole of it, or the reason why not."""

import asyncio
import ipaddress
import zlib
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from firsttoken.collector.targets import SourceSettings
from firsttoken.collector.tls import UpstreamContext
from firsttoken.errors import FirstTokenError

__all__ = ["Body", "FetchError", "Fetcher"]

# The text format first: in it a source's names are its own, while OpenMetrics has no colon in names
# and newer servers change them.  Nothing that a client of ours accepts is ever passed on.
ACCEPT = (
    "text/plain;version=0.0.4;q=1,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.9,"
    "application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"
)
REDIRECTS = 3
_REFUSED = ("application/vnd.google.protobuf", "application/json")


class FetchError(Exception):
    """Raised when a page did not come whole; ``reason`` is one of a few short words."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class Body(NamedTuple):
    """A page as it came."""

    data: bytes
    openmetrics: bool
    sealed: bool
    """Whether the transport said how long the page is, so that it cannot have been cut."""
    content_type: str


class Fetcher:
    """Asks one source for its page."""

    def __init__(self, source: SourceSettings, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._url = URL(source.url, encoded=True)
        self._tls = UpstreamContext(source.tls) if source.tls else None
        self.local = _is_local(source.url)
        # On the same machine to pack a page costs the source more than it saves.
        encoding = "identity" if self.local else "gzip"
        self._headers = {"Accept": ACCEPT, "Accept-Encoding": encoding}

    async def fetch(self, session: aiohttp.ClientSession, limit: float) -> Body:
        """The source's page; raises FetchError.  ``limit`` is in seconds, for all of it."""
        try:
            async with asyncio.timeout(limit):
                return await self._fetch(session)
        except TimeoutError:
            raise FetchError("timeout", f"no whole answer in {limit:.3g} s") from None
        except aiohttp.ClientPayloadError:
            raise FetchError("cut", "the answer ended before its length") from None
        except aiohttp.ClientConnectorCertificateError as exc:
            raise FetchError("tls", _reason(exc.certificate_error)) from None
        except aiohttp.ClientSSLError as exc:
            raise FetchError("tls", _reason(exc.os_error)) from None
        except aiohttp.ClientConnectorError as exc:
            detail = exc.os_error.strerror or type(exc.os_error).__name__
            raise FetchError("unreachable", detail) from None
        except (aiohttp.ClientError, ValueError) as exc:
            raise FetchError("connection", f"{type(exc).__name__} while asking") from None

    async def _fetch(self, session: aiohttp.ClientSession) -> Body:
        try:
            headers = self._headers | self._source.request_headers()
            tls: dict[str, Any] = self._tls.arguments() if self._tls else {}
        except FirstTokenError as exc:
            raise FetchError("credentials", str(exc)) from None
        url = self._url
        for _ in range(REDIRECTS + 1):
            asked = session.get(url, headers=headers, allow_redirects=False, **tls)
            async with asked as response:
                if response.status not in (301, 302, 303, 307, 308):
                    return await _body(response, self._max_bytes)
                target = url.join(URL(response.headers.get("Location", "")))
            if target.origin() != url.origin():
                raise FetchError("redirect", "redirected to another host, which is refused")
            url = target
        raise FetchError("redirect", f"redirected more than {REDIRECTS} times")


def _reason(exc: Exception) -> str:
    """What a library says about TLS, without the place in its own source."""
    return str(getattr(exc, "verify_message", "") or getattr(exc, "reason", "") or exc)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> Body:
    if response.status != 200:
        raise FetchError("status", f"answered HTTP {response.status}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _REFUSED:
        raise FetchError("content_type", f"answered {kind}, which is not text")
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise FetchError("too_large", f"answered more than {max_bytes} bytes")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    return Body(
        _unpacked(b"".join(chunks), encoding, max_bytes),
        openmetrics=kind == "application/openmetrics-text",
        sealed=chunked or "Content-Length" in response.headers,
        content_type=kind,
    )


def _unpacked(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """The page, never growing past the limit however well it was packed."""
    if encoding in ("identity", ""):
        return data
    if encoding not in ("gzip", "x-gzip"):
        raise FetchError("encoding", "answered in an encoding that was not asked for")
    out = b""
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            out += unpacker.decompress(data, max_bytes + 1 - len(out))
        except zlib.error:
            raise FetchError("encoding", "answered what is not gzip") from None
        if len(out) > max_bytes:
            raise FetchError("too_large", f"answered more than {max_bytes} bytes, unpacked")
        if not unpacker.eof:
            raise FetchError("cut", "the gzip ended before its end")
        data = unpacker.unused_data
    return out


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
