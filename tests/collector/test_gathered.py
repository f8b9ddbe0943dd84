"""What was scraped, as values: what a page says, without a page."""

import asyncio

import pytest
from tests.collector.conftest import response, settings, upstream
from tests.collector.test_merge import DCGM, VLLM

from firsttoken.catalogue import GPU_MEMORY_USAGE, REQUESTS_RUNNING
from firsttoken.collector.collector import Collector
from firsttoken.collector.form import TEXT
from firsttoken.collector.gathered import Gathered
from firsttoken.collector.page import Role
from firsttoken.collector.settings import Settings


def gathered(config: Settings) -> tuple[Gathered, bytes]:
    async def run() -> tuple[Gathered, bytes]:
        async with Collector(config) as collector:
            found = await collector.gather()
            return found, collector.page(TEXT, found)

    return asyncio.run(run())


def test_points_are_the_samples_of_the_page() -> None:
    with upstream(response(VLLM)) as engine, upstream(response(DCGM)) as gpu:
        found, page = gathered(settings(engine.url, gpu.url))
    points = {family.name: points for family, points in found.points()}
    count = sum(len(of_family) for of_family in points.values())

    assert count == sum(not line.startswith(b"#") for line in page.splitlines())
    (running,) = points[REQUESTS_RUNNING.prometheus]
    assert (running.value, running.source, running.role) == (3.0, "s0", Role.VALUE)
    (used,) = points[GPU_MEMORY_USAGE.prometheus]
    assert (used.value, used.source) == (81559 * 1024 * 1024, "s1")
    assert {point.source for point in points["process_open_fds"]} == {"s0", "s1"}


def test_a_family_knows_its_entry_in_the_catalogue() -> None:
    with upstream(response(VLLM)) as engine:
        found, _ = gathered(settings(engine.url))
    metrics = {family.name: family.metric for family, _ in found.points()}

    assert metrics[REQUESTS_RUNNING.prometheus] is REQUESTS_RUNNING
    assert metrics["vllm:not_in_the_catalogue"] is None


@pytest.mark.parametrize(
    ("page", "openmetrics"), [(b"a 1 1500\n", False), (b"a 1 1.5\n# EOF\n", True)]
)
def test_timestamps_are_unix_seconds(page: bytes, openmetrics: bool) -> None:
    kind = "application/openmetrics-text" if openmetrics else "text/plain"
    with upstream(response(page, kind)) as source:
        found, _ = gathered(settings(source.url))

    assert [p.timestamp for family, ps in found.points() for p in ps if family.name == "a"] == [1.5]
