"""Sends export requests over gRPC or HTTP, one try a call; whoever calls decides about another.

The answers are those of the OTLP specification: what may be tried again, after how long, and how
many points of a request the receiver did not take.
"""

import contextlib
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
import grpc
from google.protobuf.message import DecodeError, Message

from firsttoken.otlp.signals import Signal

__all__ = ["GrpcSender", "HttpSender", "Outcome", "Sender", "sender"]

_RETRYABLE = frozenset({429, 502, 503, 504})
_GRPC_RETRYABLE = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: taken (less ``rejected`` of its items), refused, or to be retried.

    ``after``: how long the receiver wants to be left alone, in seconds.
    """

    kind: Literal["taken", "refused", "retry"]
    detail: str = ""
    rejected: int = 0
    after: float | None = None


class Sender(Protocol):
    """Sends bytes of one signal's export requests.  Use as an async context."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def send(self, packed: bytes) -> Outcome:
        """Try once to send a request, serialized and packed with gzip."""
        ...


def sender(
    signal: Signal,
    endpoint: str,
    protocol: Literal["grpc", "http/protobuf"],
    *,
    headers: Mapping[str, str],
    timeout: float,
) -> Sender:
    """The sender for a protocol; ``endpoint`` is ``http://HOST:PORT``, or ``https://``."""
    kind = GrpcSender if protocol == "grpc" else HttpSender
    return kind(signal, endpoint, headers, timeout)


class HttpSender:
    """Posts to ``/v1/...``, unless the endpoint has a path of its own."""

    def __init__(
        self, signal: Signal, endpoint: str, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._signal = signal
        own_path = urlsplit(endpoint).path.strip("/")
        self._url = endpoint if own_path else endpoint.rstrip("/") + signal.path
        self._headers = {**headers, "Content-Type": _PROTOBUF, "Content-Encoding": "gzip"}
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, packed: bytes) -> Outcome:
        assert self._session is not None, "used outside its with block"  # noqa: S101
        try:
            async with self._session.post(self._url, data=packed) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Outcome("retry", str(exc) or type(exc).__name__)
        if 200 <= answer.status < 300:
            return _taken(self._signal, body)
        detail = f"HTTP {answer.status}"
        if answer.status in _RETRYABLE:
            return Outcome("retry", detail, after=_seconds(answer.headers.get("Retry-After")))
        return Outcome("refused", detail)


class GrpcSender:
    """Calls the signal's ``Export``; plaintext for ``http://``."""

    def __init__(
        self, signal: Signal, endpoint: str, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._signal = signal
        url = urlsplit(endpoint)
        self._target = url.netloc if url.port else f"{url.netloc}:4317"
        self._plain = url.scheme == "http"
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._timeout = timeout
        self._channel: Any = None
        self._call: Any = None

    async def __aenter__(self) -> Self:
        options = {"compression": grpc.Compression.Gzip}
        self._channel = (
            grpc.aio.insecure_channel(self._target, **options)
            if self._plain
            else grpc.aio.secure_channel(self._target, grpc.ssl_channel_credentials(), **options)
        )
        self._call = self._channel.unary_unary(
            f"/{self._signal.service}/Export",
            request_serializer=lambda data: data,
            response_deserializer=lambda data: data,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def send(self, packed: bytes) -> Outcome:
        try:
            body = await self._call(
                gzip.decompress(packed), timeout=self._timeout, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as exc:
            code = exc.code().name
            kind: Literal["retry", "refused"] = "retry" if code in _GRPC_RETRYABLE else "refused"
            return Outcome(kind, f"{code}: {exc.details()}")
        return _taken(self._signal, body)


def _taken(signal: Signal, body: bytes) -> Outcome:
    response: Message | None = None
    with contextlib.suppress(DecodeError):
        response = signal.response.FromString(body)
    partial = getattr(response, "partial_success", None)
    if partial is None:
        return Outcome("taken")
    names = ("rejected_data_points", "rejected_spans", "rejected_log_records")
    rejected = next((getattr(partial, name) for name in names if hasattr(partial, name)), 0)
    return Outcome("taken", partial.error_message, rejected)


def _seconds(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if 0 <= found < 3600 else None
