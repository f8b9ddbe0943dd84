"""The client of Prometheus' API heeds the environment, and says what it wants of a server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from firsttoken.prometheus import Prometheus


class Server(ThreadingHTTPServer):
    """Answers every query with nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers)))
        text = json.dumps({"data": {"resultType": "vector", "result": []}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_proxy_of_the_environment_is_asked_for_what_is_elsewhere(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")

    assert Prometheus("http://prometheus.invalid:9090").query("up") == ()

    ((path, headers),) = server.asked
    assert path == "http://prometheus.invalid:9090/api/v1/query"
    assert "gzip" in headers["Accept-Encoding"]


def test_a_password_of_netrc_is_sent_unless_there_is_a_token(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    Prometheus(server.url).query("up")
    Prometheus(server.url, token="glsa").query("up")

    said = [headers["Authorization"] for _, headers in server.asked]
    assert said == ["Basic bWU6c2VjcmV0", "Bearer glsa"]


def test_what_is_on_this_machine_answers_uncompressed(server: Server) -> None:
    Prometheus(server.url).query("up")

    ((_, headers),) = server.asked
    assert headers["Accept-Encoding"] == "identity"
