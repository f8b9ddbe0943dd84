"""Follows a log in a thread and serves what it has told, as a Prometheus page."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from firsttoken.errors import FirstTokenError, UsageError
from firsttoken.logs.entry import Reader
from firsttoken.logs.lines import Splitter
from firsttoken.logs.page import page
from firsttoken.logs.story import Story, Told
from firsttoken.logs.tail import chunks

__all__ = ["Watcher", "serve"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Watcher:
    """Reads a log as it is written; ``told`` may be asked from any thread."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._story, self._splitter = Story(), Splitter()
        self._reader = Reader(datetime.now(UTC))
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._error: FirstTokenError | None = None
        # Reading a pipe cannot be interrupted, so the thread must not keep the process.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Have the reading end soon."""
        self._stopped.set()

    def told(self) -> Told:
        """What the log has told until now; raises the error that ended the reading."""
        if self._error is not None:
            raise self._error
        with self._lock:
            return self._story.told()

    def _run(self) -> None:
        try:
            for data in chunks(self._path, follow=True, stopped=self._stopped):
                self._take(self._splitter.feed(data))
            self._take(self._splitter.close())
        except FirstTokenError as exc:
            self._error = exc

    def _take(self, found: Iterator[str]) -> None:
        with self._lock:
            for line in found:
                entry = self._reader.read(line)
                if entry is not None:
                    self._story.take(entry)


async def serve(
    watcher: Watcher, host: str, port: int, model: str | None, announce: Callable[[str], None]
) -> None:
    """Serve ``/metrics`` until SIGTERM or SIGINT; raises UsageError for a taken address."""

    async def metrics(_: web.Request) -> web.Response:
        try:
            text = page(watcher.told(), model)
        except FirstTokenError as exc:
            return web.Response(status=503, text=f"{exc}\n")
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    watcher.start()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        announce(f"http://{shown}:{bound[1]}/metrics")
        await stopped.wait()
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise UsageError(f"cannot listen on {host}:{port}: {reason}") from None
    finally:
        watcher.stop()
        await runner.cleanup()
