"""Sources on real sockets, good and bad, and a collector in front of them."""

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firsttoken.collector.collector import Answer, Collector
from firsttoken.collector.form import TEXT, Form
from firsttoken.collector.settings import Settings

CASES = sorted(Path(__file__).parent.parent.joinpath("data", "openmetrics").glob("*.txt"))
"""The good pages of the OpenMetrics specification's own parser tests."""

OWN = ("firsttoken_", "target_info")
"""How the names begin of what the collector says of itself and its sources."""

GOOD = b"# HELP queue_length Jobs.\n# TYPE queue_length gauge\nqueue_length 7\n"


def response(
    body: bytes, content_type: str = "text/plain; version=0.0.4", extra: str = "", status: int = 200
) -> bytes:
    """A whole HTTP answer with a length."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Upstream:
    """One source: what it sends for each request, and the requests that it got."""

    url: str
    answer: Callable[[Any], None]
    requests: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def upstream(answer: bytes | Callable[[Any], None]) -> Iterator[Upstream]:
    """A server that sends the bytes, or does with each connection what the function does."""

    def send(sock: Any) -> None:
        if callable(answer):
            answer(sock)
        else:
            sock.sendall(answer)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = b""
            while b"\r\n\r\n" not in request:
                received = self.request.recv(65536)
                if not received:
                    return
                request += received
            source.requests.append(request)
            with contextlib.suppress(OSError):
                source.answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        source = Upstream(f"http://127.0.0.1:{server.server_address[1]}/metrics", send)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield source
        finally:
            server.shutdown()
            thread.join()


def settings(*urls: str, **more: Any) -> Settings:
    """A configuration with these sources, called s0, s1, ..."""
    sources = [{"name": f"s{place}", "url": url} for place, url in enumerate(urls)]
    return Settings.model_validate({"sources": sources, "timeout": 5, **more})


def collected(config: Settings, form: Form = TEXT, patience: float | None = None) -> Answer:
    """One page of these sources."""

    async def run() -> Answer:
        async with Collector(config) as collector:
            return await collector.answer(form, patience)

    return asyncio.run(run())


def samples(page: bytes) -> dict[str, str]:
    """Series -> number's text, of a page without timestamps."""
    pairs = [
        line.rpartition(" ")[::2] for line in page.decode().splitlines() if not line.startswith("#")
    ]
    assert len(dict(pairs)) == len(pairs), "a series is there twice"
    return dict(pairs)


def escaped(text: str) -> str:
    """A label's value as the formats write it between quotes."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
