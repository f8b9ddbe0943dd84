"""The simulated deployment as one HTTP server: API, metrics, GPU pages and faults."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from firsttoken.errors import ConfigError, NotJudgedError
from firsttoken.simulate.api import Api, errors_as_json, json_body
from firsttoken.simulate.engine import Engine, running
from firsttoken.simulate.gpupages import GARBAGE, amd_page, dcgm_page
from firsttoken.simulate.gpus import SAMPLE_S, GpuModel
from firsttoken.simulate.httpmetrics import HttpMetrics
from firsttoken.simulate.metrics import EngineMetrics
from firsttoken.simulate.protocol import ApiError
from firsttoken.simulate.settings import Simulation

__all__ = ["Deployment", "serving"]

_BODY_LIMIT = 64 * 1024 * 1024
_STOP_S = 1.0


class Deployment:
    """Engine, GPUs and metrics of one simulation, and the application that serves them."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.registry = CollectorRegistry()
        # The families of the server's own process that prometheus_client shows by default.
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        http = HttpMetrics(self.registry)
        self.engine = Engine(simulation, EngineMetrics(simulation, self.registry))
        self.gpus = GpuModel(simulation, asyncio.get_running_loop().time())
        self.app = web.Application(
            client_max_size=_BODY_LIMIT, middlewares=[http.middleware, errors_as_json]
        )
        self.app.on_response_prepare.append(http.response_begins)
        self.app.add_routes(Api(simulation, self.engine).routes())
        self.app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/faults", self._faults),
                web.put("/faults", self._change_faults),
                web.get("/dcgm/metrics", self._dcgm),
                web.get("/amd/metrics", self._amd),
            ]
        )

    async def sample_gpus(self) -> None:
        """Sample the GPUs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.gpus.sample(self.engine, loop.time())

    async def _metrics(self, _request: web.Request) -> web.Response:
        page = generate_latest(self.registry)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self.engine.faults.model_dump(mode="json"))

    async def _change_faults(self, request: web.Request) -> web.Response:
        changes = await json_body(request)
        if not isinstance(changes, dict):
            raise ApiError("expected a JSON object of faults to change")
        try:
            faults = self.simulation.with_faults(self.engine.faults, changes, origin="faults")
        except ConfigError as exc:
            raise ApiError(str(exc)) from None
        self.engine.inject(faults)
        return await self._faults(request)

    async def _dcgm(self, request: web.Request) -> web.Response:
        page = dcgm_page(self.gpus, self.engine.faults)
        return await self._gpu_page(request, page, vendor="nvidia")

    async def _amd(self, request: web.Request) -> web.Response:
        return await self._gpu_page(request, amd_page(self.gpus), vendor="amd")

    async def _gpu_page(self, request: web.Request, page: str, *, vendor: str) -> web.Response:
        faults = self.engine.faults
        if self.simulation.gpu_vendor != vendor or not self.simulation.gpus:
            raise web.HTTPNotFound
        if faults.gpu_exporter_delay:
            await asyncio.sleep(faults.gpu_exporter_delay)
        if faults.gpu_exporter == "down":
            # Nobody answers: what a client sees when the exporter's process has died.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if faults.gpu_exporter == "garbage":
            return web.Response(text=GARBAGE, content_type="text/html")
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=page.encode(), headers=headers)


@contextlib.asynccontextmanager
async def serving(
    simulation: Simulation, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[Deployment, str]]:
    """A deployment that serves while the block lasts, and its URL.

    Raises NotJudgedError when the address cannot be listened on.
    """
    deployment = Deployment(simulation)
    runner = web.AppRunner(
        deployment.app, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_S
    )
    await runner.setup()
    sampling = asyncio.create_task(deployment.sample_gpus())
    try:
        async with running(deployment.engine):
            site = web.TCPSite(runner, host, port, backlog=1024)
            try:
                await site.start()
            except OSError as exc:
                raise NotJudgedError(f"cannot listen on {host}:{port}: {exc.strerror}") from None
            bound = runner.addresses[0]
            name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            yield deployment, f"http://{name}:{bound[1]}"
    finally:
        sampling.cancel()
        await runner.cleanup()
