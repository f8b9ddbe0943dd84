"""Pictures of dashboards on real data, drawn with Grafana's own libraries in a headless Chromium.

It is not the Grafana application: say "drawn with Grafana's libraries".  The page is built once by
``browser/build.sh``, which installs about 675 MB of npm packages; nothing else needs it.
"""

import contextlib
import functools
import html
import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import requests

from firsttoken.dashboards.expand import View
from firsttoken.errors import NotJudgedError

__all__ = ["Picture", "Theme", "picture"]

Theme = Literal["dark", "light"]
BUILD = Path(__file__).parent / "browser" / "build.sh"
TIMEOUT_S = 120
_REPORT = re.compile(r'<script[^>]*id="report"[^>]*>(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and what the page said while it drew it."""

    file: Path
    panels: tuple[Mapping[str, Any], ...]
    errors: tuple[str, ...]
    clipped: tuple[str, ...] = ()
    """Texts that are cut off, each after its panel's title."""

    @property
    def empty(self) -> tuple[str, ...]:
        """Titles of the panels that drew nothing."""
        return tuple(str(panel["title"]) for panel in self.panels if not panel["points"])


class _Page(ThreadingHTTPServer):
    """The page, its dashboard, and Prometheus' API behind the same address."""

    def __init__(self, folder: Path, prometheus: str, content: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.prometheus = prometheus.rstrip("/")
        self.content = content


class _Handler(SimpleHTTPRequestHandler):
    server: _Page

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: stderr belongs to the command."""

    def do_GET(self) -> None:
        if self.path == "/dashboard.json":
            self._answer(200, json.dumps(self.server.content).encode())
        elif self.path.startswith("/api/"):
            found = requests.get(f"{self.server.prometheus}{self.path}", timeout=TIMEOUT_S)
            self._answer(found.status_code, found.content)
        else:
            super().do_GET()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def _served(folder: Path, prometheus: str, content: Mapping[str, Any]) -> Iterator[str]:
    with _Page(folder, prometheus, content) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()
            thread.join()


def _chromium(url: str, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--virtual-time-budget=30000",
            f"--user-data-dir={profile}",
            *arguments,
            url,
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            raise NotJudgedError("chromium is not installed (Debian package chromium)") from None
        except subprocess.TimeoutExpired:
            raise NotJudgedError(f"chromium did not end within {TIMEOUT_S} s") from None
    return done.stdout


def picture(
    dashboard: Mapping[str, Any],
    prometheus: str,
    view: View,
    file: Path,
    *,
    build: Path,
    theme: Theme = "dark",
) -> Picture:
    """Draw a dashboard with data of a Prometheus; ``build`` is the folder of ``build.sh``.

    Raises NotJudgedError when the page is not built, chromium is missing, or nothing is drawn.
    """
    folder = build / "page"
    if not (folder / "main.js").exists():
        raise NotJudgedError(f"{folder} is not built; run {BUILD} {build}")
    span = {"from": int(view.start), "to": int(view.end), "scrapeInterval": view.scrape_interval}
    content = {"dashboard": dashboard, "view": span, "mode": theme}
    with _served(folder, prometheus, content) as url:
        found = _REPORT.search(_chromium(url, "--dump-dom"))
        if found is None:
            raise NotJudgedError(f"{dashboard['uid']}: the page drew nothing")
        report = json.loads(html.unescape(found[1]))
        size = f"--window-size=1600,{int(report['height'])}"
        _chromium(url, size, f"--screenshot={file.resolve()}")
    return Picture(file, tuple(report["panels"]), tuple(report["errors"]), tuple(report["clipped"]))
