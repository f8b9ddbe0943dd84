"""A load client that does nothing but note times, on uvloop: what reading alone costs.

``python -m benchmarks.bare URL RATE SECONDS PROMPT TOKENS OUT`` sends one prepared request in an
open loop, reads into one buffer, and keeps the time of each read.  It recognises nothing but an
answer's end, and takes the second read, after the head's, for the first token.  ``OUT`` has what
``benchmarks.plain`` writes.
"""

import asyncio
import gc
import json
import random
import sys
import time
from array import array
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

__all__ = ["main"]

_END = b"0\r\n\r\n"


class _Client:
    """All connections, and what is common to them."""

    def __init__(self, url: str, prompt: int, tokens: int) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 80
        body = json.dumps(
            {"model": "fake", "prompt": [7] * prompt, "max_tokens": tokens, "stream": True}
        ).encode()
        self.request = (
            f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.buffer = memoryview(bytearray(1 << 16))
        self.idle: list[_Connection] = []
        self.flying: set[_Connection] = set()
        self.ended = asyncio.Event()
        self.ttfts: list[float] = []
        self._opening: set[asyncio.Task[object]] = set()

    def ask(self) -> None:
        """Send a request on a kept connection, else on a new one."""
        if self.idle:
            self.idle.pop().send()
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._open(loop))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        await loop.create_connection(lambda: _Connection(self), self._host, self._port)

    async def finish(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._opening)
        while self.flying:
            self.ended.clear()
            await self.ended.wait()


class _Connection(asyncio.BufferedProtocol):
    def __init__(self, client: _Client) -> None:
        self._client = client
        self._times = array("d")
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        """Send the request."""
        self._client.flying.add(self)
        self._times = array("d", [time.perf_counter()])
        self._transport.write(self._client.request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._client.buffer

    def buffer_updated(self, nbytes: int) -> None:
        times, client = self._times, self._client
        times.append(time.perf_counter())
        if client.buffer[nbytes - len(_END) : nbytes] == _END:
            client.ttfts.append(times[2] - times[0])
            client.flying.discard(self)
            client.idle.append(self)
            client.ended.set()


async def _load(
    url: str, rate: float, seconds: float, prompt: int, tokens: int
) -> dict[str, list[float]]:
    client, draw, lags = _Client(url, prompt, tokens), random.Random(1), []
    start = due = time.perf_counter()
    while (due := due + draw.expovariate(rate)) < start + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        lags.append(time.perf_counter() - due)
        client.ask()
    await client.finish()
    return {"ttfts": client.ttfts, "lags": lags}


def main() -> None:
    """Run it as its arguments say."""
    url, rate, seconds, prompt, tokens, out = sys.argv[1:]
    gc.disable()
    told = uvloop.run(_load(url, float(rate), float(seconds), int(prompt), int(tokens)))
    Path(out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
