"""What the collector says of itself and of its sources."""

import asyncio
import contextlib
from typing import Any

from aiohttp import web
from tests.collector.conftest import GOOD, response, samples, settings, upstream
from tests.collector.test_merge import VLLM

from firsttoken import servers
from firsttoken.catalogue import (
    COLLISIONS,
    SOURCE_AGE,
    SOURCE_CACHED,
    SOURCE_DROPPED,
    SOURCE_ERROR_TIME,
    SOURCE_FAILURES,
    SOURCE_FAMILIES,
    SOURCE_RESTARTS,
    SOURCE_SIZE,
    Metric,
)
from firsttoken.collector.collector import Collector
from firsttoken.collector.form import TEXT
from firsttoken.collector.server import Served, application
from firsttoken.collector.settings import Settings


def pages(config: Settings, count: int = 1) -> list[dict[str, str]]:
    async def run() -> list[dict[str, str]]:
        async with Collector(config) as collector:
            return [samples((await collector.answer(TEXT)).page) for _ in range(count)]

    return asyncio.run(run())


def of(page: dict[str, str], metric: Metric, source: str = "s0", **more: str) -> float | None:
    pairs = [f'firsttoken_source="{source}"', *(f'{k}="{v}"' for k, v in more.items())]
    found = page.get(f"{metric.prometheus}{{{','.join(pairs)}}}")
    return None if found is None else float(found)


def test_a_source_that_is_up() -> None:
    with upstream(response(VLLM)) as engine:
        (page,) = pages(settings(engine.url))

    assert of(page, SOURCE_SIZE) == len(VLLM)
    assert of(page, SOURCE_CACHED) == 9
    assert of(page, SOURCE_DROPPED) == 0
    assert of(page, SOURCE_RESTARTS) == 0
    age = of(page, SOURCE_AGE)
    assert age is not None
    assert 0 <= age < 20
    outcomes = ("renamed", "passed", "superseded", "dropped")
    assert [of(page, SOURCE_FAMILIES, firsttoken_outcome=o) for o in outcomes] == [3, 2, 0, 0]


def test_what_is_left_out_is_counted() -> None:
    with upstream(response(VLLM)) as engine:
        (page,) = pages(settings(engine.url, unknown="drop"))

    assert of(page, SOURCE_DROPPED) == 2
    assert of(page, SOURCE_FAMILIES, firsttoken_outcome="dropped") == 2


def test_failures_are_counted_by_reason_and_the_last_one_is_known() -> None:
    answers = [response(b"", status=500), response(b"<html>"), response(b"<html>"), response(GOOD)]

    def next_answer(sock: Any) -> None:
        sock.sendall(answers[len(source.requests) - 1])

    with upstream(response(GOOD)) as steady, upstream(next_answer) as source:
        *_, last = pages(settings(steady.url, source.url), 4)

    assert of(last, SOURCE_FAILURES, "s1", error_type="status") == 1
    assert of(last, SOURCE_FAILURES, "s1", error_type="malformed") == 2
    first = of(last, SOURCE_ERROR_TIME, "s1", error_type="status")
    second = of(last, SOURCE_ERROR_TIME, "s1", error_type="malformed")
    assert first is not None
    assert second is not None
    assert first < second
    assert of(last, SOURCE_FAILURES, "s0", error_type="status") is None


def test_the_age_of_a_source_that_is_down_goes_on() -> None:
    answers = [response(GOOD), response(b"", status=500), response(b"", status=500)]

    def next_answer(sock: Any) -> None:
        sock.sendall(answers[len(source.requests) - 1])

    with upstream(response(GOOD)) as steady, upstream(next_answer) as source:
        _, down, later = pages(settings(steady.url, source.url), 3)

    one, two = of(down, SOURCE_AGE, "s1"), of(later, SOURCE_AGE, "s1")
    assert one is not None
    assert two is not None
    assert one < two


def test_restarts_are_counted() -> None:
    start = b"process_start_time_seconds %d\n"

    def next_answer(sock: Any) -> None:
        sock.sendall(response(start % (1 if len(source.requests) < 3 else 2)))

    with upstream(next_answer) as source:
        *_, last = pages(settings(source.url), 4)

    assert of(last, SOURCE_RESTARTS) == 1


def test_collisions_are_counted() -> None:
    with (
        upstream(response(b"# TYPE a counter\na 1\n")) as one,
        upstream(response(b"# TYPE a gauge\na 2\n")) as two,
    ):
        *_, page = pages(settings(one.url, two.url), 2)

    assert page[COLLISIONS.prometheus] == "1"


def test_a_collector_that_is_its_own_source_says_so() -> None:
    async def run() -> list[str]:
        async with contextlib.AsyncExitStack() as stack:
            port = servers.free_port()
            collector = Collector(settings(f"http://127.0.0.1:{port}/metrics", timeout=20))
            await stack.enter_async_context(collector)
            runner = web.AppRunner(application(Served(collector)))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", port).start()
            results = (await collector.answer(TEXT)).results
            return [result.detail for result in results]

    assert asyncio.run(run()) == ["answered HTTP 508"]
