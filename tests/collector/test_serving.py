"""The collector over HTTP, as a scraper sees it."""

import asyncio
import contextlib
import gzip
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.collector.conftest import GOOD, response, samples, settings, upstream

from firsttoken.collector.access import Access
from firsttoken.collector.collector import Collector
from firsttoken.collector.server import Served, application
from firsttoken.collector.settings import Settings


@contextlib.asynccontextmanager
async def served(
    config: Settings, access: Access | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A client and the URL of a running collector."""
    async with Collector(config) as collector, aiohttp.ClientSession() as client:
        runner = web.AppRunner(application(Served(collector, access)), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield client, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def test_the_page_has_the_form_that_was_asked_for() -> None:
    async def run(config: Settings) -> None:
        accept = {"Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"}
        async with served(config) as (client, url):
            async with client.get(f"{url}/metrics") as plain:
                assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert "# EOF" not in await plain.text()
            async with client.get(f"{url}/metrics", headers=accept) as dotted:
                assert dotted.content_type == "application/openmetrics-text"
                page = await dotted.text()
                assert page.endswith("# EOF\n")
                assert '{"firsttoken.collector.source.up","firsttoken.source"="s0"} 1\n' in page

    with upstream(response(GOOD)) as source:
        asyncio.run(run(settings(source.url)))
        assert b"application/openmetrics-text;version=1.0.0;escaping" not in source.requests[-1]


def test_a_page_is_packed_only_for_who_takes_it() -> None:
    big = b"".join(b'a{row="%d"} 1\n' % row for row in range(200))

    async def run(config: Settings) -> None:
        async with served(config) as (client, url):
            for accept, packed in (("gzip", True), ("identity", False), ("gzip;q=0", False)):
                got = await client.get(
                    f"{url}/metrics", headers={"Accept-Encoding": accept}, auto_decompress=False
                )
                async with got:
                    body = await got.read()
                    assert (got.headers.get("Content-Encoding") == "gzip") == packed
                    assert big.splitlines()[0] in (gzip.decompress(body) if packed else body)

    with upstream(response(big)) as source:
        asyncio.run(run(settings(source.url)))


def test_overlapping_requests_share_one_scrape() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(sock: Any) -> None:
        asked.set()
        go_on.wait(60)
        sock.sendall(response(GOOD))

    async def run(config: Settings) -> None:
        async with served(config) as (client, url):
            first = asyncio.create_task(_text(client, url))
            await asyncio.to_thread(asked.wait, 20)
            others = [asyncio.create_task(_text(client, url)) for _ in range(5)]
            async with client.get(f"{url}/healthz") as alive:  # after the others, so they wait too
                assert alive.status == 200
            go_on.set()
            pages = await asyncio.gather(first, *others)
            assert all("queue_length 7" in page for page in pages)

    with upstream(wait) as source:
        asyncio.run(run(settings(source.url)))
        assert len(source.requests) == 1


async def _text(client: aiohttp.ClientSession, url: str) -> str:
    async with client.get(f"{url}/metrics") as got:
        return await got.text()


def test_with_all_sources_down_the_scraper_is_told_so() -> None:
    async def run(config: Settings) -> None:
        async with served(config) as (client, url):
            async with client.get(f"{url}/metrics") as got:
                assert got.status == 503
                assert "s0: status: answered HTTP 500" in await got.text()
            async with client.get(f"{url}/healthz") as alive:
                assert alive.status == 200

    with upstream(response(b"", status=500)) as source:
        asyncio.run(run(settings(source.url)))


def test_the_scrapers_patience_is_the_deadline() -> None:
    async def run(config: Settings) -> None:
        header = {"X-Prometheus-Scrape-Timeout-Seconds": "1.5"}
        async with (
            served(config) as (client, url),
            client.get(f"{url}/metrics", headers=header) as got,
        ):
            assert "queue_length 7" in await got.text()

    def silent(sock: Any) -> None:
        sock.recv(1)

    with upstream(response(GOOD)) as good, upstream(silent) as slow:
        asyncio.run(asyncio.wait_for(run(settings(good.url, slow.url, timeout=3000)), 30))


def test_a_source_that_goes_leaves_no_series_and_comes_back_with_the_same_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "firsttoken.collector")
    answers = [response(GOOD), response(b"", status=500), response(b"", status=500), response(GOOD)]

    async def run(config: Settings) -> list[dict[str, str]]:
        async with served(config) as (client, url):
            return [samples((await _text(client, url)).encode()) for _ in answers]

    def next_answer(sock: Any) -> None:
        sock.sendall(answers[len(flapping.requests) - 1])

    with upstream(response(b"process_open_fds 1\n")) as steady, upstream(next_answer) as flapping:
        pages = asyncio.run(run(settings(steady.url, flapping.url)))

    assert ["queue_length" in page for page in pages] == [True, False, False, True]
    errors = {series for series in pages[3] if "error_type" in series}
    assert pages[0].keys() == pages[3].keys() - errors
    assert all('process_open_fds{firsttoken_source="s0"}' in page for page in pages)
    said = [record.message for record in caplog.records if "source s1" in record.message]
    assert [message.split(":")[0] for message in said] == [
        "source s1 is up", "source s1 is down", "source s1 is up",
    ]  # fmt: skip


def test_the_state_of_each_source_is_told() -> None:
    engine = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\nmine 2\n"

    async def run(config: Settings) -> dict[str, Any]:
        async with served(config) as (client, url):
            await _text(client, url)
            async with client.get(f"{url}/sources") as got:
                told: dict[str, Any] = await got.json()
                return told

    with upstream(response(engine)) as good, upstream(response(b"<html>\n", "text/html")) as bad:
        up, down = asyncio.run(run(settings(good.url, bad.url)))["sources"]

    assert (up["name"], up["profile"], up["up"], up["samples"]) == ("s0", "vllm", True, 2)
    assert up["families"] == [
        {
            "family": "vllm:num_requests_running",
            "outcome": "renamed",
            "name": "gen_ai_server_requests_running",
        },
        {"family": "mine", "outcome": "passed", "name": "mine"},
    ]
    assert (down["up"], down["reason"]) == (False, "malformed")
    assert "text/html" in down["error"]


def test_connections_to_a_source_are_kept() -> None:
    ports = set()

    def keep(sock: Any) -> None:
        ports.add(sock.getpeername())
        for _ in range(3):
            sock.sendall(response(GOOD))
            if not sock.recv(65536):
                return

    async def run(config: Settings) -> None:
        async with served(config) as (client, url):
            for _ in range(3):
                await _text(client, url)

    with upstream(keep) as source:
        asyncio.run(run(settings(source.url)))
    assert len(ports) == 1
