"""Pages over TLS: the collector's own, and its sources'."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.collector.conftest import GOOD, collected, response, settings

from firsttoken.collector.guard import Gate
from firsttoken.collector.serving import watched
from firsttoken.collector.settings import ServerTls, Settings
from firsttoken.collector.targets import UpstreamTls
from firsttoken.collector.tls import Certificate
from firsttoken.errors import UsageError


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates, a and b, each its own authority, for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("a", "b"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
            ],
            check=True,
            capture_output=True,
        )
    return folder


@contextlib.contextmanager
def tls_source(folder: Path, name: str, client_ca: str | None = None) -> Iterator[str]:
    """A source over TLS that answers each connection once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    if client_ca:
        context.load_verify_locations(folder / f"{client_ca}.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            connection, _ = listening.accept()
            with contextlib.suppress(OSError), context.wrap_socket(connection, True) as secure:
                if secure.recv(65536):
                    secure.sendall(response(GOOD))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/metrics"
    finally:
        stopped.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()
        listening.close()


def asked(url: str, tls: UpstreamTls | None) -> tuple[bool, str]:
    config = settings(url)
    told = config.sources[0].model_copy(update={"tls": tls})
    result = collected(config.model_copy(update={"sources": (told,)})).results[0]
    return result.up, result.reason


def test_a_source_is_known_by_its_authority(certificates: Path) -> None:
    own, other = certificates / "a.crt", certificates / "b.crt"
    with tls_source(certificates, "a") as url:
        assert asked(url, UpstreamTls(ca_file=own)) == (True, "")
        assert asked(url, UpstreamTls(ca_file=other)) == (False, "tls")
        assert asked(url, None) == (False, "tls")
        assert asked(url, UpstreamTls(ca_file=own, server_name="elsewhere")) == (False, "tls")
        assert asked(url, UpstreamTls(insecure_skip_verify=True)) == (True, "")
        missing = UpstreamTls(ca_file=certificates / "none.crt")
        assert asked(url, missing) == (False, "credentials")


def test_a_source_may_ask_for_a_certificate(certificates: Path) -> None:
    own = certificates / "a.crt"
    shown = UpstreamTls(
        ca_file=own, cert_file=certificates / "b.crt", key_file=certificates / "b.key"
    )
    with tls_source(certificates, "a", client_ca="b") as url:
        assert asked(url, shown) == (True, "")
        assert asked(url, UpstreamTls(ca_file=own))[0] is False


def served_name(port: int, folder: Path) -> str:
    """The common name of the certificate that a server shows."""
    context = ssl.create_default_context(cafile=folder / "a.crt")
    context.load_verify_locations(folder / "b.crt")
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown: Any = secure.getpeercert()
        return str(dict(item[0] for item in shown["subject"])["commonName"])


def test_a_new_certificate_is_served_without_a_restart(certificates: Path, tmp_path: Path) -> None:
    def use(name: str) -> None:
        for kind in ("crt", "key"):
            shutil.copy(certificates / f"{name}.{kind}", tmp_path / f"new.{kind}")
            (tmp_path / f"new.{kind}").replace(tmp_path / f"tls.{kind}")

    use("a")

    async def run() -> list[str]:
        certificate = Certificate(
            ServerTls(cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key")
        )
        made = watched(certificate, Gate(asyncio.Protocol, 8))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(made, "127.0.0.1", 0, ssl=certificate.context)
        port = server.sockets[0].getsockname()[1]
        names = [await asyncio.to_thread(served_name, port, certificates)]
        use("b")
        names.append(await asyncio.to_thread(served_name, port, certificates))
        (tmp_path / "tls.key").write_text("nonsense")
        names.append(await asyncio.to_thread(served_name, port, certificates))
        server.close()
        return names

    assert asyncio.run(run()) == ["a", "b", "b"]


def test_a_certificate_that_cannot_be_read_is_an_error_at_the_start(tmp_path: Path) -> None:
    told = ServerTls(cert_file=tmp_path / "none", key_file=tmp_path / "none")

    with pytest.raises(UsageError, match="No such file"):
        Certificate(told)


def test_the_configuration_of_both_sides_is_read() -> None:
    tls = {"cert_file": "/c", "key_file": "/k"}
    source = {"name": "a", "url": "https://h/m", "tls": {"ca_file": "/ca"}}
    config = Settings.model_validate({"tls": tls, "sources": [source]})

    assert config.tls is not None
    assert config.sources[0].tls is not None
