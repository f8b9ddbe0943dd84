"""Dashboards are compared with and written to a Grafana over its HTTP API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from firsttoken.dashboards.commands import dashboards as command
from firsttoken.dashboards.grafana_api import Grafana, GrafanaError
from firsttoken.dashboards.render import dashboards
from firsttoken.servers import free_port

TOKEN = "glsa_secret"


class Fake(ThreadingHTTPServer):
    """The three endpoints, with the answers that Grafana's documentation gives for them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.folders: list[dict[str, str]] = []
        self.messages: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def allowed(self) -> bool:
        if self.headers["Authorization"] == f"Bearer {TOKEN}":
            return True
        self.answer(401, {"message": "Invalid API key"})
        return False

    def do_GET(self) -> None:
        if not self.allowed():
            return
        if self.path.startswith("/api/folders"):
            self.answer(200, self.server.folders)
            return
        found = self.server.dashboards.get(self.path.rsplit("/", 1)[1])
        if found is None:
            self.answer(404, {"message": "Dashboard not found"})
        else:
            self.answer(200, {"dashboard": found, "meta": {}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path == "/api/folders":
            self.server.folders.append({"uid": "folder-1", "title": body["title"]})
            self.answer(200, self.server.folders[-1])
            return
        assert body["folderUid"] == "folder-1"
        kept = {**body["dashboard"], "id": 7, "version": 3}
        self.server.dashboards[kept["uid"]] = kept
        self.server.messages.append(body["message"])
        self.answer(200, {"status": "success"})


@pytest.fixture(name="grafana")
def _grafana() -> Iterator[Fake]:
    with Fake() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(grafana: Fake, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        command,
        [*arguments, "--grafana", grafana.url],
        env={"FIRSTTOKEN_GRAFANA_TOKEN": TOKEN},
    )
    said = str(done.exception) if done.exception else ""
    return done.exit_code, done.output + said


def test_push_writes_what_differs_and_then_nothing(grafana: Fake) -> None:
    code, said = run(grafana, "push", "--message", "first")

    assert code == 0
    assert said.count("wrote firsttoken-") == 7
    assert grafana.folders == [{"uid": "folder-1", "title": "LLM"}]
    assert set(grafana.messages) == {"first"}
    assert run(grafana, "push") == (0, "nothing to write\n")
    assert run(grafana, "diff")[0] == 0


def test_a_dry_run_writes_nothing(grafana: Fake) -> None:
    code, said = run(grafana, "push", "--dry-run", "firsttoken-slo")

    assert (code, said) == (0, "would write firsttoken-slo\n")
    assert grafana.dashboards == {}
    assert grafana.folders == []


def test_a_change_made_in_grafana_is_shown_as_a_diff(grafana: Fake) -> None:
    run(grafana, "push")
    grafana.dashboards["firsttoken-slo"]["title"] = "Mine"

    code, said = run(grafana, "diff")

    assert code == 1
    assert '-  "title": "Mine"' in said
    assert '+  "title": "LLM / SLO"' in said
    assert "1 of 7 dashboards differ" in said


def test_a_wrong_token_is_said_and_never_shown(grafana: Fake) -> None:
    with pytest.raises(GrafanaError, match="Invalid API key") as raised:
        Grafana(grafana.url, "glsa_wrong").diff(dashboards()["firsttoken-slo"])

    assert "glsa_wrong" not in str(raised.value)


def test_a_grafana_that_is_down_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(GrafanaError, match=url):
        Grafana(url).dashboard("x")
