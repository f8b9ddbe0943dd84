"""A small OTLP receiver: traces, metrics and logs over gRPC and HTTP, for development and tests.

It gives each export request to a sink as it came.  What it answers follows the OTLP specification:
an empty response on success, ``google.rpc.Status`` on failure, and codes that tell a sender whether
to try again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import grpc
from aiohttp import web
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from firsttoken.errors import UsageError
from firsttoken.otlp.jsonfile import from_json, to_json
from firsttoken.otlp.signals import SIGNALS, Signal

__all__ = ["GRPC_PORT", "HTTP_PORT", "BusyError", "Receiver", "Sink"]

GRPC_PORT, HTTP_PORT = 4317, 4318
MAX_BYTES = 64 * 1024 * 1024
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_INVALID_ARGUMENT, _UNAVAILABLE = 3, 14

Sink = Callable[[Message], None]
"""Takes an export request; raises BusyError when the sender shall try again later."""


class BusyError(Exception):
    """Raised by a sink that cannot take a request now."""


class Receiver:
    """Listens on a gRPC and an HTTP port, 0 for any free one.  Use as an async context."""

    def __init__(
        self,
        sink: Sink,
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        http_port: int = 0,
    ) -> None:
        self._sink = sink
        self._host = host
        self._ports = grpc_port, http_port
        self._grpc: Any = None
        self._runner: web.AppRunner | None = None
        self.grpc_endpoint = self.http_endpoint = ""

    async def __aenter__(self) -> Self:
        """Listen; raises UsageError when an address is taken."""
        try:
            await self._listen()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _listen(self) -> None:
        grpc_port, http_port = self._ports
        shown = f"[{self._host}]" if ":" in self._host else self._host
        options = [("grpc.max_receive_message_length", MAX_BYTES), ("grpc.so_reuseport", 0)]
        self._grpc = grpc.aio.server(options=options)
        self._grpc.add_generic_rpc_handlers([self._handler(signal) for signal in SIGNALS])
        try:
            bound = self._grpc.add_insecure_port(f"{shown}:{grpc_port}")
        except RuntimeError:
            raise UsageError(f"cannot listen on {shown}:{grpc_port} for OTLP/gRPC") from None
        await self._grpc.start()
        self.grpc_endpoint = f"http://{shown}:{bound}"

        app = web.Application(client_max_size=MAX_BYTES)
        for signal in SIGNALS:
            app.router.add_post(signal.path, self._route(signal))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, http_port).start()
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise UsageError(f"cannot listen on {shown}:{http_port}: {reason}") from None
        self.http_endpoint = f"http://{shown}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening; requests under way are let finish."""
        if self._grpc is not None:
            await self._grpc.stop(1)
            self._grpc = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _handler(self, signal: Signal) -> Any:
        async def export(request: Message, context: Any) -> Message:
            try:
                self._sink(request)
            except BusyError as exc:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(exc) or "busy")
            return signal.response()

        method = grpc.unary_unary_rpc_method_handler(
            export,
            request_deserializer=signal.request.FromString,
            response_serializer=signal.response.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(signal.service, {"Export": method})

    def _route(self, signal: Signal) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def export(request: web.Request) -> web.Response:
            as_json = request.content_type == _JSON
            if not as_json and request.content_type != _PROTOBUF:
                allowed = f"expected {_PROTOBUF} or {_JSON}"
                return _failure(415, _INVALID_ARGUMENT, allowed, as_json=False)
            try:
                body = await request.read()  # unpacks gzip and deflate
                message = from_json(body, signal) if as_json else signal.request.FromString(body)
            except (DecodeError, ValueError) as exc:
                return _failure(400, _INVALID_ARGUMENT, f"not OTLP: {exc}", as_json=as_json)
            except web.HTTPRequestEntityTooLarge:
                return _failure(
                    413, _INVALID_ARGUMENT, f"more than {MAX_BYTES} bytes", as_json=as_json
                )
            except (web.RequestPayloadError, asyncio.IncompleteReadError) as exc:
                return _failure(400, _INVALID_ARGUMENT, f"bad body: {exc}", as_json=as_json)
            try:
                self._sink(message)
            except BusyError as exc:
                busy = _failure(503, _UNAVAILABLE, str(exc) or "busy", as_json=as_json)
                busy.headers["Retry-After"] = "1"
                return busy
            return _answer(200, signal.response(), as_json=as_json)

        return export


def _answer(status: int, message: Message, *, as_json: bool) -> web.Response:
    if as_json:
        return web.Response(status=status, text=to_json(message), content_type=_JSON)
    return web.Response(status=status, body=message.SerializeToString(), content_type=_PROTOBUF)


def _failure(status: int, code: int, text: str, *, as_json: bool) -> web.Response:
    return _answer(status, Status(code=code, message=text[:500]), as_json=as_json)
