"""A receiver beside a program that does not itself run an event loop."""

import asyncio
import threading
from types import TracebackType
from typing import Self

from firsttoken.otlp.receiver import Receiver, Sink

__all__ = ["BackgroundReceiver"]


class BackgroundReceiver:
    """Receives on a thread of its own while its block runs; the sink is called on that thread."""

    def __init__(
        self, sink: Sink, *, host: str = "127.0.0.1", grpc_port: int = 0, http_port: int = 0
    ) -> None:
        self._receiver = Receiver(sink, host=host, grpc_port=grpc_port, http_port=http_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="otlp", daemon=True)

    @property
    def grpc_endpoint(self) -> str:
        """Such as ``http://127.0.0.1:4317``."""
        return self._receiver.grpc_endpoint

    @property
    def http_endpoint(self) -> str:
        """Such as ``http://127.0.0.1:4318``."""
        return self._receiver.http_endpoint

    def __enter__(self) -> Self:
        """Listen; raises UsageError when an address is taken."""
        self._thread.start()
        entering = asyncio.run_coroutine_threadsafe(self._receiver.__aenter__(), self._loop)
        try:
            entering.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._receiver.close(), self._loop).result()
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
