"""What the collector serves of every page is what ``firsttoken profiles check --series`` says."""

import asyncio
import math
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.catalogue import METRICS
from firsttoken.collector.collector import Collector
from firsttoken.collector.form import TEXT
from firsttoken.collector.settings import Settings
from firsttoken.exporters import page, profile
from firsttoken.exporters.check import check
from firsttoken.naming import label_name

PAGES = Path(__file__).parents[1] / "data" / "pages"
NAMES = sorted(file.name for file in PAGES.glob("*.txt"))

NAME = re.compile("_(bucket|sum|count)$")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Handler(BaseHTTPRequestHandler):
    """Serves the pages under their files' names."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write((PAGES / self.path.strip("/")).read_bytes())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Tests say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def collected(url: str, name: str) -> Series:
    settings = Settings.model_validate({"sources": [{"name": "it", "url": url, "profile": name}]})

    async def once() -> bytes:
        async with Collector(settings) as collector:
            return (await collector.answer(TEXT)).page

    text = asyncio.run(once()).decode()
    assert re.search(r"^firsttoken_collector_source_up\b.* 1$", text, re.MULTILINE), text[:2000]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def own(name: str) -> profile.Profile:
    stem = name.replace("-", "_")
    return max(
        (each for each in profile.load_all() if stem.startswith(each.name)),
        key=lambda each: len(each.name),
    )


def expected(name: str) -> Series:
    report = check(own(name), page.parse((PAGES / name).read_text()))
    return {
        (s.name, frozenset((label_name(k), v) for k, v in s.attributes.items() if k != "le")
         | {("le", _bound(v)) for k, v in s.attributes.items() if k == "le"}): s.value
        for finding in report.findings for s in finding.series
    }  # fmt: skip


def _bound(text: str) -> str:
    return "+Inf" if text == "+Inf" else repr(float(text))


def canonical(series: Series) -> Series:
    """Bounds in one spelling."""
    return {
        (name, frozenset((k, _bound(v) if k == "le" else v) for k, v in labels)): value
        for (name, labels), value in series.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_collector_serves_what_the_check_says(server: str, name: str) -> None:
    served = canonical(collected(f"{server}/{name}", own(name).name))
    said = canonical(expected(name))

    assert said.keys() - served.keys() == set()
    assert {
        series: (value, served[series])
        for series, value in said.items()
        if not math.isclose(value, served[series])
    } == {}
    names = {metric.prometheus for metric in METRICS}
    more = {name for name, _ in served.keys() - said.keys() if NAME.sub("", name) in names}
    assert {name for name in more if not name.startswith("firsttoken_")} == set()
