"""The page as a browser shows it: Chromium, driven over its own protocol, and axe-core in it."""

import base64
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from firsttoken.loadgen.records import Run
from firsttoken.report import render, suite
from firsttoken.report.plots import sections
from firsttoken.report.schema import Report
from firsttoken.report.suite import SuiteReport

ROOT = Path(__file__).parents[2]
# This package carries axe-core 4.12; nothing else of it is used, nor installed.
AXE_FROM = "axe-playwright-python==0.1.8"
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
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=240))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]  # type: ignore[no-any-return]
            self.events.append(message)

    def open(self, page: Path, *, dark: bool = False, width: int = 1200, media: str = "") -> None:
        """Show a page anew in a window of this width; the events begin with it."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme], media=media)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self._socket.recv(timeout=240)))

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page; a promise is waited for."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


@pytest.fixture(name="tab", scope="module")
def _tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab in a Chromium of its own."""
    profile = tmp_path_factory.mktemp("profile")
    chromium = subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 120
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert chromium.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        tabs = requests.get(f"http://127.0.0.1:{port}/json", timeout=30).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address, max_size=None) as socket:
            tab = Tab(socket)
            for domain in ("Runtime", "Log", "Network", "Page"):
                tab.call(f"{domain}.enable")
            yield tab
    finally:
        chromium.terminate()
        chromium.wait(60)


@pytest.fixture(name="axe", scope="module")
def _axe() -> str:
    """The source of axe-core, fetched from the package index once."""
    file = ROOT / "build" / "axe" / f"{AXE_FROM}.js"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", AXE_FROM]
        done = subprocess.run(
            [*command, "--dest", str(file.parent)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (wheel,) = file.parent.glob("axe_playwright_python-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            file.write_bytes(archive.read("axe_playwright_python/axe.min.js"))
    return file.read_text(encoding="utf-8")


@pytest.fixture
def page(report: Report, run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render.html(report, sections(report, run)), encoding="utf-8")
    return path


DRAWN = """
[...document.querySelectorAll('figure')].map(figure => {
  const svgs = [...figure.querySelectorAll('.plot > svg, svg.stack')];
  const boxes = svgs.map(svg => svg.getBoundingClientRect());
  const marks = [...figure.querySelectorAll('svg path, svg rect, svg circle')].filter(mark => {
    const b = mark.getBoundingClientRect();
    return b.width > 0 || b.height > 0;
  });
  return {name: figure.id, width: Math.min(...boxes.map(b => b.width)), marks: marks.length,
          height: Math.min(...boxes.map(b => b.height))};
})
"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Of texts in plots, those that another text of the same plot lies over.
OVERLAPS = """
[...document.querySelectorAll('.plot > svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].filter(t => t.getBoundingClientRect().width > 0);
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3
  ).map(([b]) => a + ' / ' + b));
})
"""


def complaints(tab: Tab) -> list[dict[str, Any]]:
    return [
        event
        for event in tab.events
        if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error")
    ]


def faults(tab: Tab, axe: str) -> list[tuple[str, list[str]]]:
    """What axe-core calls serious or critical, with everything unfolded."""
    tab.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.value(f"{axe};0")
    found = json.loads(tab.value("axe.run().then(found => JSON.stringify(found.violations))"))
    return [
        (fault["id"], [node["html"] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_a_browser_shows_every_figure_without_an_error_or_a_request(tab: Tab, page: Path) -> None:
    tab.open(page)
    drawn = tab.value(DRAWN)

    assert complaints(tab) == []
    asked = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert tab.value("document.title") == "missed: chat – firsttoken validation"
    assert len(drawn) == 15
    for figure in drawn:
        assert figure["width"] > 300, figure
        assert figure["height"] >= 24, figure
        assert figure["marks"] >= 1, figure
    assert tab.value(OVERFLOW) == 0


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_axe_finds_no_serious_fault(tab: Tab, page: Path, axe: str, dark: bool, width: int) -> None:
    tab.open(page, dark=dark, width=width)
    assert faults(tab, axe) == []


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_overflows_and_no_words_lie_over_others(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width)

    assert tab.value(OVERFLOW) == 0
    assert tab.value(OVERLAPS) == []


@pytest.mark.parametrize(("width", "dark"), [(1200, True), (390, False)])
def test_a_suite_is_one_page_without_a_fault(
    tab: Tab, whole: SuiteReport, report: Report, run: Run, axe: str, tmp_path: Path,
    width: int, dark: bool,
) -> None:  # fmt: skip
    path = tmp_path / "suite.html"
    path.write_text(suite.html(whole, {"slow": sections(report, run)}), encoding="utf-8")
    tab.open(path, width=width, dark=dark)
    opened = tab.value("document.querySelectorAll('details.scenario[open]').length")
    tab.value("location.hash = '#steady'")
    followed = tab.value("document.querySelectorAll('details.scenario[open]').length")
    overflow = tab.value(OVERFLOW)
    bad = faults(tab, axe)

    assert (opened, followed) == (1, 2), "what failed is open, and so is what a link leads to"
    assert overflow == 0
    assert complaints(tab) == []
    assert bad == []


def test_in_the_dark_the_figures_follow_the_page(tab: Tab, page: Path) -> None:
    colour = "getComputedStyle(document.querySelector('{}')).{}"
    tab.open(page, dark=True, width=390)

    assert _lightness(tab.value(colour.format("h2", "color"))) > 200
    assert _lightness(tab.value(colour.format(".verdict", "backgroundColor"))) < 60
    assert _lightness(tab.value(colour.format(".plot text", "fill"))) > 140


def test_on_paper_it_is_light_and_has_every_figure(tab: Tab, page: Path) -> None:
    """Whatever the reader's screen is like."""
    tab.open(page, dark=True, media="print")
    ink = tab.value("getComputedStyle(document.body).color")
    shown = tab.value("getComputedStyle(document.querySelector('nav')).display")
    paper = base64.b64decode(tab.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    assert _lightness(ink) < 60
    assert shown == "none"
    assert paper.startswith(b"%PDF")
    assert 3 <= paper.count(b"/Type /Page\n") <= 12


def _lightness(colour: str) -> float:
    numbers = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3
