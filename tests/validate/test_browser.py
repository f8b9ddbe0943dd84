"""The page as a browser shows it: Chromium, driven over its own protocol."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from firsttoken.loadgen.records import Run
from firsttoken.report import render
from firsttoken.report.schema import Report
from firsttoken.validate import plots

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-allow-origins=*",
    "--remote-debugging-port=0",
)


class Tab:
    """One page over the DevTools protocol; keeps the events that it is sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]  # type: ignore[no-any-return]
            self.events.append(message)

    def until(self, method: str) -> None:
        while not any(event["method"] == method for event in self.events):
            self.events.append(json.loads(self._socket.recv(timeout=30)))

    def value(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


@contextlib.contextmanager
def opened(page: Path, profile: Path, *, dark: bool = False, width: int = 1200) -> Iterator[Tab]:
    """The page in a Chromium of its own."""
    chromium = subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 40
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert chromium.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        tabs = requests.get(f"http://127.0.0.1:{port}/json", timeout=10).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address, max_size=None) as socket:
            tab = Tab(socket)
            for domain in ("Runtime", "Log", "Network", "Page"):
                tab.call(f"{domain}.enable")
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            tab.call("Emulation.setEmulatedMedia", features=[scheme])
            tab.call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=900, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
            tab.call("Page.navigate", url=page.as_uri())
            tab.until("Page.loadEventFired")
            yield tab
    finally:
        chromium.terminate()
        chromium.wait(20)


@pytest.fixture
def page(report: Report, run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render.html(report, plots.pictures(report, run)), encoding="utf-8")
    return path


DRAWN = """
[...document.querySelectorAll('.plots svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('path, use')].filter(mark => {
    const b = mark.getBoundingClientRect();
    return b.width > 0 || b.height > 0;
  });
  return {width: box.width, height: box.height, marks: marks.length,
          text: svg.querySelectorAll('text').length};
})
"""


def test_a_browser_shows_every_plot_without_an_error_or_a_request(
    page: Path, tmp_path: Path
) -> None:
    with opened(page, tmp_path / "profile") as tab:
        drawn = tab.value(DRAWN)
        title, overflow = (
            tab.value("document.title"),
            tab.value(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            ),
        )
        events = tab.events

    errors = [
        event
        for event in events
        if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error")
    ]
    assert errors == []
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert title == "missed: chat – firsttoken validation"
    assert len(drawn) == 7
    for plot in drawn:
        assert plot["width"] > 300
        assert plot["height"] > 100
        assert plot["marks"] > 6
        assert plot["text"] > 5
    assert overflow == 0


def test_the_page_fits_a_narrow_dark_window_and_stays_readable(page: Path, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.querySelector('{}')).{}"
    with opened(page, tmp_path / "profile", dark=True, width=420) as tab:
        overflow = tab.value(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        ink = tab.value(colour.format("h2", "color"))
        card = tab.value(colour.format(".verdict", "backgroundColor"))
        axis = tab.value(colour.format(".plots svg text", "fill"))

    assert overflow == 0
    assert _lightness(ink) > 200
    assert _lightness(card) < 60
    assert _lightness(axis) > 140, "the plots follow the page's colours"


def _lightness(colour: str) -> float:
    numbers = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3
