"""Fixtures that several folders of tests share."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a machine with other work.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")
_TESTS = Path(__file__).parent
# What takes longest begins first, so that no process is left with it alone at the end.
_LONG = ("rules", "loadtest", "validate", "dashboards", "loadgen", "collector", "manifests", "ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders that take longest first."""
    order = {name: at for at, name in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[[list[tuple[str, str]], str, float], None]:
    """Evaluate an expression on made-up series with the real promtool.

    Arguments: pairs of a series and its values in promtool's notation, one a minute; the
    expression; the one value, without labels, that it must have five minutes in.
    """

    def run(series: list[tuple[str, str]], expression: str, expected: float) -> None:
        test = {
            "rule_files": [],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series],
                    "promql_expr_test": [
                        {
                            "expr": expression,
                            "eval_time": "5m",
                            "exp_samples": [{"labels": "{}", "value": expected}],
                        }
                    ],
                }
            ],
        }
        file = tmp_path / "test.yaml"
        file.write_text(json.dumps(test))
        done = subprocess.run(
            ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


class Grafana(ThreadingHTTPServer):
    """Grafana's endpoints for dashboards, folders and annotations, as its documentation has them.

    Only who shows ``token`` is answered.
    """

    token = "glsa_secret"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.folders: list[dict[str, str]] = []
        self.messages: list[str] = []
        self.notes: dict[int, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def got(self, path: str) -> tuple[int, object]:
        """Status and body of the answer to a GET."""
        if path.startswith("/api/folders"):
            return 200, self.folders
        found = self.dashboards.get(path.rsplit("/", 1)[1])
        if found is None:
            return 404, {"message": "Dashboard not found"}
        return 200, {"dashboard": found, "meta": {}}

    def posted(self, path: str, body: dict[str, Any]) -> tuple[int, object]:
        """Status and body of the answer to a POST."""
        if path == "/api/annotations":
            number = len(self.notes) + 1
            self.notes[number] = body
            return 200, {"id": number, "message": "Annotation added"}
        if path == "/api/folders":
            self.folders.append({"uid": "folder-1", "title": body["title"]})
            return 200, self.folders[-1]
        if body["folderUid"] != "folder-1":
            return 400, {"message": "folder not found"}
        kept = {**body["dashboard"], "id": 7, "version": 3}
        self.dashboards[kept["uid"]] = kept
        self.messages.append(body["message"])
        return 200, {"status": "success"}

    def patched(self, number: int, body: dict[str, Any]) -> tuple[int, object]:
        """Status and body of the answer to a PATCH of an annotation."""
        self.notes[number] |= body
        return 200, {"message": "Annotation patched"}


class _Handler(BaseHTTPRequestHandler):
    server: Grafana

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def _answer(self, answer: Callable[[], tuple[int, object]]) -> None:
        known = self.headers["Authorization"] == f"Bearer {self.server.token}"
        status, body = answer() if known else (401, {"message": "Invalid API key"})
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def do_GET(self) -> None:
        self._answer(lambda: self.server.got(self.path))

    def do_POST(self) -> None:
        body = self._body()
        self._answer(lambda: self.server.posted(self.path, body))

    def do_PATCH(self) -> None:
        number, body = int(self.path.rsplit("/", 1)[1]), self._body()
        self._answer(lambda: self.server.patched(number, body))


@contextlib.contextmanager
def _served() -> Iterator[Grafana]:
    with Grafana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def a_grafana() -> Callable[[], AbstractContextManager[Grafana]]:
    """``Grafana``, served while a block runs."""
    return _served


@pytest.fixture
def grafana(a_grafana: Callable[[], AbstractContextManager[Grafana]]) -> Iterator[Grafana]:
    """A ``Grafana`` of the test's own."""
    with a_grafana() as server:
        yield server
