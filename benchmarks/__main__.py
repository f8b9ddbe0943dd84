"""``python -m benchmarks``: each hot path beside a yardstick that is measured in the same run.

The ratio is what can be compared between machines and days; milliseconds only within one run.
"""

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.collector.collector import Collector
from firsttoken.collector.form import TEXT
from firsttoken.collector.settings import Settings, SourceSettings
from firsttoken.dashboards.render import dashboards
from firsttoken.loadgen.sse import Decoder
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.slo import load as load_objectives

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "tests" / "data" / "vllm-0.32.0.prom").read_bytes()
ROUNDS = 30
EVENTS = 2000
CHUNK = json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": "word"}}]})


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median time of a call."""
    return statistics.median(_timed(work) for _ in range(rounds))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def seconds_of(work: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> float:
    """The median time of awaiting a call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextlib.asynccontextmanager
async def source() -> AsyncIterator[str]:
    """The URL of a server that gives vLLM's page."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=PAGE, headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def collector() -> Iterable[tuple[str, float, str, float]]:
    """Scraping vLLM's page through the collector, against only fetching or only parsing it."""
    async with source() as url, aiohttp.ClientSession() as session:
        settings = Settings(sources=(SourceSettings(name="vllm", url=url, profile="vllm"),))

        async def fetch() -> None:
            async with session.get(url) as answer:
                await answer.read()

        async def first() -> None:
            async with Collector(settings) as fresh:
                await fresh.answer(TEXT)

        fetched = await seconds_of(fetch)
        once = await seconds_of(first, 5)
        async with Collector(settings) as warm:
            again = await seconds_of(lambda: warm.answer(TEXT))
    parsed = seconds(lambda: list(text_string_to_metric_families(PAGE.decode())), 5)
    return (
        ("collector, first scrape", once, "prometheus_client parsing the page", parsed),
        ("collector, every other scrape", again, "prometheus_client parsing the page", parsed),
        ("collector, every other scrape", again, "fetching the page", fetched),
    )


def loadgen() -> Iterable[tuple[str, float, str, float]]:
    """Taking an answer of 2,000 chunks apart, against reading the JSON in them."""
    stream = "".join(f"data: {CHUNK}\n\n" for _ in range(EVENTS)).encode()
    decoded = seconds(lambda: Decoder().feed(stream))
    read = seconds(lambda: [json.loads(CHUNK) for _ in range(EVENTS)])
    return ((f"event stream, {EVENTS} chunks", decoded, "json.loads of each", read),)


def generators() -> Iterable[tuple[str, float, str, float]]:
    """Rules and dashboards, against reading the objectives they are made from."""
    file = ROOT / "examples" / "slo.yaml"
    read = seconds(lambda: load_objectives(file), 10)
    objectives = load_objectives(file)
    return (
        ("rules", seconds(lambda: rule_groups(objectives), 10), "reading objectives", read),
        ("dashboards", seconds(dashboards, 5), "reading objectives", read),
    )


def main() -> None:
    """Run everything and print one line for each."""
    print(f"{'what':32}{'median':>12}   {'times':>7}  of")
    for what, took, yardstick, unit in (*asyncio.run(collector()), *loadgen(), *generators()):
        print(f"{what:32}{took * 1000:9.2f} ms   {took / unit:7.2f}  {yardstick}")


if __name__ == "__main__":
    main()
