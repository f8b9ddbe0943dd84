"""Clients that are too many or too slow do not keep the scraper out."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from firsttoken.collector.guard import Gate

Client = Callable[[int, Gate], Coroutine[Any, Any, None]]
LARGE = b"x" * 8_000_000


def with_gate(client: Client, *, most: int = 2, seconds: float = 0.2) -> None:
    async def run() -> None:
        async def page(request: web.Request) -> web.Response:
            return web.Response(body=LARGE if request.path == "/large" else b"ok")

        app = web.Application()
        app.router.add_get("/{name:.*}", page)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        assert runner.server is not None
        gate = Gate(runner.server, most, seconds)
        server = await asyncio.get_running_loop().create_server(gate, "127.0.0.1", 0)
        try:
            await asyncio.wait_for(client(server.sockets[0].getsockname()[1], gate), 30)
        finally:
            server.close()
            await runner.cleanup()

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (the gate counts, and tells nobody)
        await asyncio.sleep(0.001)


async def ask(port: int, path: str = "/") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


def test_a_client_too_many_is_told_so_and_others_come_in_later() -> None:
    async def client(port: int, gate: Gate) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: gate.connections == 2)
        assert b"503" in await ask(port)
        for _, writer in held:
            writer.close()
        await until(lambda: not gate.connections)
        assert b"200 OK" in await ask(port)

    with_gate(client, seconds=20)


def test_a_client_that_sends_its_request_slowly_is_let_go() -> None:
    async def client(port: int, gate: Gate) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nX: ")
        assert await _end(reader) == b""
        writer.close()
        assert b"200 OK" in await ask(port)

    with_gate(client)


def test_a_client_that_does_not_read_its_answer_is_let_go() -> None:
    async def client(port: int, gate: Gate) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: gate.connections == 1)
        await until(lambda: not gate.connections)
        writer.close()

    with_gate(client)


def test_a_connection_that_is_kept_is_not_slow() -> None:
    async def client(port: int, gate: Gate) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"ok")
            await asyncio.sleep(0.3)
        writer.close()

    with_gate(client)


def test_a_head_that_is_too_large_is_refused() -> None:
    async def client(port: int, gate: Gate) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = b"".join(b"X-%d: %s\r\n" % (row, b"y" * 100) for row in range(400))
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
        answer = await _end(reader)
        assert answer[:13] in (b"HTTP/1.1 431 ", b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")
        writer.close()

    with_gate(client)


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
