"""A server whose every byte and pause a test scripts, and records made up for arithmetic."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.loadgen.ring import Ring

Script = Callable[["Stream", dict[str, Any]], Awaitable[None]]


class Stream:
    """What a script writes an answer with; every write is one HTTP chunk."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int, body: bytes = b"{}", headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await self.raw(head.encode() + body)

    async def head(self, kind: str = "text/event-stream") -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        await self.raw(head.encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, data: dict[str, Any]) -> None:
        await self.chunk(f"data: {json.dumps(data)}\n\n".encode())

    async def text(self, text: str, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        await self.event({"choices": [choice]})

    async def usage(self, prompt: int, output: int) -> None:
        counts = {"prompt_tokens": prompt, "completion_tokens": output}
        await self.event({"choices": [], "usage": counts})

    async def end(self) -> None:
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    async def drop(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()

    async def tokens(self, count: int, first: float = 0.0, gap: float = 0.0) -> None:
        """A whole answer as vLLM streams one: role, tokens, usage, end."""
        await self.head()
        role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        await self.event({"choices": [role]})
        for number in range(count):
            await asyncio.sleep(gap if number else first)
            await self.text(" word", "length" if number == count - 1 else None)
        await self.usage(7, count)
        await self.end()


class Fake:
    """The server; ``bodies`` are the requests it got, ``peak`` the most at a time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.connections = 0
        self.peak = 0
        self.models: list[dict[str, Any]] = [{"id": "tiny", "owned_by": "test"}]
        self.others: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.port = 0
        self._now = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(60)

    def leave(self) -> None:
        """End the server from within a script."""
        self._stop.set()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has left already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.transport.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.headers.append(head)
                length = 0
                for line in head.splitlines():
                    if line.lower().startswith("content-length:"):
                        length = int(line.split(":")[1])
                body = json.loads(await reader.readexactly(length) or b"{}")
                await self._answer(head.split()[1], body, Stream(writer))
        writer.close()

    async def _answer(self, path: str, body: dict[str, Any], stream: Stream) -> None:
        if path == "/v1/models":
            await stream.reply(200, json.dumps({"data": self.models}).encode())
        elif path in self.others:
            await stream.reply(200, json.dumps(self.others[path](body)).encode())
        elif path.endswith("completions") or path in {
            "/generate",
            "/generate_stream",
            "/completion",
        }:
            self.bodies.append({"path": path, **body})
            self._now += 1
            self.peak = max(self.peak, self._now)
            try:
                await self.script(stream, body)
            finally:
                self._now -= 1
        else:
            await stream.reply(404)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Fake]]:
    """Start a scripted server; it ends with the test."""
    started: list[Fake] = []

    def start(script: Script) -> Fake:
        fake = Fake(script)
        fake.start()
        started.append(fake)
        return fake

    yield start
    for fake in started:
        fake.stop()


@pytest.fixture(params=["io_uring", "epoll"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of reading sockets in turn; that by io_uring only where the system has it."""
    if request.param == "epoll":

        def refused() -> None:
            raise PermissionError("as a container runtime's profile has it")

        monkeypatch.setattr("firsttoken.loadgen.ringed.Ring", refused)
        return "epoll"
    try:
        Ring().close()
    except OSError as exc:
        pytest.skip(f"no io_uring: {exc}")
    return "io_uring"


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A record of a good request that is due at ``at``; keywords change it."""

    def make(at: float = 0.0, **changes: Any) -> Record:
        values: dict[str, Any] = {
            "index": 0,
            "intended": at,
            "sent": at,
            "first": at + 0.1,
            "last": at + 0.5,
            "ended": at + 0.5,
            "chunks": 5,
            "prompt_tokens": 10,
            "output_tokens": 5,
            "output_source": "usage",
            "status": 200,
            "error": None,
            "finish_reason": "length",
            "gaps": (0.1, 0.1, 0.1, 0.1),
            "phase": "measure",
        }
        return Record(**{**values, **changes})

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """A run of given records, measured from 0 to 10 s; keywords change it."""

    def make(*records: Record, **changes: Any) -> Run:
        values: dict[str, Any] = {
            "version": VERSION,
            "target": "http://server",
            "model": "tiny",
            "engine": None,
            "started": 1000.0,
            "measure": (0.0, 10.0),
            "load": {"arrivals": {"kind": "poisson", "rate": 1.0}, "max_in_flight": 8},
            "schedule_hash": "0" * 16,
            "interrupted": False,
            "stopped": None,
            "generator": Generator(),
            "records": records,
        }
        return Run(**{**values, **changes})

    return make
