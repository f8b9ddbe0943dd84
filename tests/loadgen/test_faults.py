"""Each fault of a server, on a real socket, is a record of its class; the run goes on."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from firsttoken.loadgen.prompts import CANDIDATES, Vocabulary
from firsttoken.loadgen.record import ErrorClass, Record
from firsttoken.loadgen.records import read
from firsttoken.loadgen.run import Stop, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.worker import Share, Worker
from firsttoken.loadgen.writer import Writer

Serve = Callable[..., Any]
LOAD: dict[str, Any] = {
    "arrivals": {"kind": "constant", "rate": 20},
    "duration": "200ms",
    "warmup": "0s",
    "prompt_tokens": 8,
    "output_tokens": 2,
    "timeout": "700ms",
}


def records(url: str, **changes: Any) -> tuple[Record, ...]:
    """What a short load leaves behind, the server having been reached before."""
    load = LoadFile.model_validate({**LOAD, **changes})
    done = with_fast_loop(run_load(load, url, None, Stop()))
    return tuple(done.records)


def unreached(url: str, out: Path, make_run: Callable[..., Any]) -> tuple[Record, ...]:
    """The same without asking the server anything before."""
    load = LoadFile.model_validate(LOAD)
    words = Vocabulary(CANDIDATES, None, 1, "estimate")
    with Writer(out) as writer:
        writer.begin(make_run())
        worker = Worker(Share(load, url, {}, "tiny", words, "nonce", out))
        worker.prepare()
        worker.run(perf_counter())
        writer.end(make_run())
    return tuple(read(out).records)


async def half_a_head(stream: Any, body: dict[str, Any]) -> None:
    await stream.raw(b"HTTP/1.1 200 OK\r\ncontent-ty")
    await stream.drop()


async def half_an_event(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await stream.chunk(b'data: {"choices": [{"ind')
    await asyncio.sleep(0.02)
    await stream.drop()


async def ended_before_done(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await stream.raw(b"0\r\n\r\n")


async def closed_at_once(stream: Any, body: dict[str, Any]) -> None:
    await stream.drop()


async def error_event(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("a")
    await stream.chunk(b'event: error\ndata: {"message": "engine died"}\n\n')
    await stream.end()


async def too_many(stream: Any, body: dict[str, Any]) -> None:
    await stream.reply(429, headers="retry-after: 1\r\n")


async def slow_loris(stream: Any, body: dict[str, Any]) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx: " + b"x" * 500:
        await stream.raw(bytes([byte]))
        await asyncio.sleep(0.05)


async def silent(stream: Any, body: dict[str, Any]) -> None:
    await asyncio.sleep(30)


async def not_utf8(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.chunk(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n')
    await stream.text("b", "length")
    await stream.usage(7, 2)
    await stream.end()


async def ten_megabytes(stream: Any, body: dict[str, Any]) -> None:
    await stream.head()
    await stream.text("x" * 10_000_000)
    await stream.text("b", "length")
    await stream.usage(7, 2)
    await stream.end()


async def too_few(stream: Any, body: dict[str, Any]) -> None:
    await stream.tokens(1)


@pytest.mark.parametrize(
    ("script", "error", "kind"),
    [
        (closed_at_once, "connection lost before an answer", "reset"),
        (half_a_head, "connection lost before an answer", "reset"),
        (half_an_event, "connection lost mid-stream", "cut_short"),
        (ended_before_done, "stream ended without [DONE]", "cut_short"),
        (error_event, "error in stream: engine died", "stream"),
        (too_many, "http 429", "http"),
        (slow_loris, "timeout", "timeout"),
        (silent, "timeout", "timeout"),
        (too_few, "wrong token count: 1 for 2", "wrong_token_count"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_fault_is_a_record_of_its_class(
    serve: Serve, script: Any, error: str, kind: ErrorClass
) -> None:
    found = records(serve(script).url)

    assert len(found) == 4
    for record in found:
        assert (record.error, record.error_class) == (error, kind)
        assert record.sent is not None
        assert record.ended is not None
        assert record.ended - record.intended < 3


@pytest.mark.parametrize("script", [not_utf8, ten_megabytes])
def test_odd_answers_are_answers(serve: Serve, script: Any) -> None:
    found = records(serve(script).url, timeout="20s", duration="100ms")

    assert [record.error for record in found] == [None, None]
    assert {record.chunks for record in found} == {2}
    if script is ten_megabytes:
        assert all(record.bytes > 10_000_000 for record in found)


def test_a_refused_connection_is_refused(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = unreached(f"http://127.0.0.1:{port}", tmp_path / "r.jsonl", make_run)

    assert [record.error_class for record in found] == ["refused"] * 4
    assert [record.error for record in found] == ["connection refused"] * 4


def test_a_name_that_does_not_resolve_is_dns(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    found = unreached("http://server.invalid:80", tmp_path / "r.jsonl", make_run)

    assert [record.error_class for record in found] == ["dns"] * 4


def test_a_certificate_that_is_not_trusted_is_tls(
    tmp_path: Path, make_run: Callable[..., Any], certificate: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener, accepting(listener, context):
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        found = unreached(url, tmp_path / "r.jsonl", make_run)

    assert [record.error_class for record in found] == ["tls"] * 4
    assert all("certificate not trusted" in str(record.error) for record in found)


@contextlib.contextmanager
def accepting(listener: socket.socket, context: ssl.SSLContext) -> Iterator[None]:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*command, "-out", str(files[0]), "-keyout", str(files[1])], check=True, capture_output=True
    )
    return files
