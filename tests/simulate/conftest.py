"""Deployments that serve on free ports inside the test's own process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.server import Deployment, serving
from firsttoken.simulate.settings import Simulation

FAST: dict[str, float] = {
    "prefill_s_per_token": 1e-6,
    "decode_base_s": 1e-3,
    "decode_s_per_sequence": 0,
    "decode_s_per_context_token": 0,
}
"""Costs with which a request takes milliseconds."""


@dataclass(frozen=True)
class Client:
    """A deployment seen from outside."""

    deployment: Deployment
    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.session.post(self.url + path, json=body) as response:
            return response.status, await response.json()

    async def events(self, path: str, **body: Any) -> list[str]:
        """The data of the events of a stream."""
        async with self.session.post(self.url + path, json={**body, "stream": True}) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            text = await response.text()
        assert text.endswith("\n\n")
        return [event.removeprefix("data: ") for event in text[:-2].split("\n\n")]

    async def text(self, path: str) -> str:
        """The text of a page."""
        async with self.session.get(self.url + path) as response:
            assert response.status == 200
            return await response.text()

    async def inject(self, **faults: object) -> dict[str, Any]:
        """Change faults; returns those in force."""
        async with self.session.put(self.url + "/faults", json=faults) as response:
            assert response.status == 200, await response.text()
            changed: dict[str, Any] = await response.json()
            return changed

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so inside the deployment, which has no event for it."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def samples(self, path: str = "/metrics") -> dict[str, float]:
        """All samples of a page; series of one name are summed, of histograms without buckets."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(await self.text(path)):
            for sample in family.samples:
                if "le" not in sample.labels:
                    found[sample.name] = found.get(sample.name, 0) + sample.value
        return found


Simulate = Callable[..., contextlib.AbstractAsyncContextManager[Client]]


@contextlib.asynccontextmanager
async def _simulate(
    parameters: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Client]:
    simulation = Simulation(parameters=Parameters(**(FAST | (parameters or {}))), **settings)
    async with serving(simulation) as (deployment, url), aiohttp.ClientSession() as session:
        yield Client(deployment, url, session)


@pytest.fixture
def simulate() -> Simulate:
    """Start a deployment with fast costs; keywords are fields of Simulation."""
    return _simulate
