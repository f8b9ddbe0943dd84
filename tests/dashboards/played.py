"""What engines showed over some minutes: the embedded one in virtual time, or a captured real one.

Pages go through the real collector and become a past that promtool can read.  The embedded engine
also says what was really observed, so that panels can be held against the truth.
"""

import asyncio
import lzma
import random
import re
import selectors
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from firsttoken.collector.collector import Collector
from firsttoken.collector.form import TEXT
from firsttoken.collector.settings import Settings, SourceSettings
from firsttoken.simulate.answers import Wish
from firsttoken.simulate.engine import Engine, running
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.gpupages import amd_page, dcgm_page
from firsttoken.simulate.gpus import SAMPLE_S, GpuModel
from firsttoken.simulate.httpmetrics import HttpMetrics
from firsttoken.simulate.metrics import EngineMetrics
from firsttoken.simulate.model import Emission, Request
from firsttoken.simulate.settings import Simulation

__all__ = ["Run", "Target", "Witness", "captured", "collected", "edited", "past", "play", "ranks"]

Pages = Mapping[str, str]
"""What one scrape of each source gave, by the source's profile."""


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: the time that it is asked to wait has then passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class _Virtual(asyncio.SelectorEventLoop):
    """An event loop on which minutes take as long as their computation."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


class Witness(EngineMetrics):
    """The engine's metrics, and beside them every single observation: (when, seconds)."""

    def __init__(self, simulation: Simulation, registry: CollectorRegistry) -> None:
        super().__init__(simulation, registry)
        self.seen: dict[str, list[tuple[float, float]]] = {
            name: [] for name in ("ttft", "tpot", "e2e", "queue", "prefill", "decode", "failed")
        }
        self.prompt: list[tuple[float, float]] = []
        self.output: list[tuple[float, float]] = []

    def emission(self, emission: Emission, arrival: float, now: float) -> None:
        super().emission(emission, arrival, now)
        if not emission.request.fails:
            self.output.append((now, 1))
        if emission.previous is None:
            self.seen["ttft"].append((now, now - arrival))
            self.prompt.append((now, len(emission.request.prompt)))

    def finished(
        self, request: Request, reason: str, max_tokens: int, arrival: float, now: float
    ) -> None:
        super().finished(request, reason, max_tokens, arrival, now)
        queued, scheduled = request.queued, request.scheduled
        first, last = request.first_token, request.last_token
        self.seen["failed"].append((now, float(reason == "error")))
        self.seen["e2e"].append((now, now - arrival))
        start = now if scheduled is None else scheduled
        begun = now if first is None else first
        ended = now if last is None else last
        self.seen["queue"].append((now, start - queued))
        self.seen["prefill"].append((now, begun - start))
        self.seen["decode"].append((now, ended - begun))
        later = request.generated - 1
        self.seen["tpot"].append((now, (ended - begun) / later if later > 0 else 0.0))


@dataclass(frozen=True)
class Run:
    """Pages every ``every`` seconds, and the witness where there was one."""

    every: float
    pages: tuple[Pages, ...]
    witness: Witness | None = None


async def _played(
    simulation: Simulation, rate: float, scrapes: int, every: float, faults: Mapping[int, Faults]
) -> Run:
    loop = asyncio.get_running_loop()
    registry = CollectorRegistry()
    HttpMetrics(registry)
    witness = Witness(simulation, registry)
    engine, gpus = Engine(simulation, witness), GpuModel(simulation, loop.time())
    source = random.Random(simulation.seed)

    async def arrive() -> None:
        beginning = [source.randrange(1000) for _ in range(96)]
        while rate:
            await asyncio.sleep(source.expovariate(rate))
            prompt = [*beginning, *(source.randrange(1000) for _ in range(source.randrange(400)))]
            engine.submit(prompt, Wish(source.randrange(1, 80), ignore_eos=True), loop.time())

    async def sample() -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            gpus.sample(engine, loop.time())

    pages: list[Pages] = []
    async with running(engine):
        tasks = [asyncio.create_task(arrive()), asyncio.create_task(sample())]
        for scrape in range(scrapes):
            await asyncio.sleep(scrape * every - loop.time())
            nvidia = simulation.gpu_vendor == "nvidia"
            page = dcgm_page(gpus, engine.faults) if nvidia else amd_page(gpus)
            shown = {"vllm": generate_latest(registry).decode()}
            pages.append(shown | {"dcgm" if nvidia else "amd": page})
            if scrape in faults:
                engine.inject(faults[scrape])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Run(every, tuple(pages), witness)


def play(
    simulation: Simulation,
    *,
    rate: float,
    scrapes: int,
    every: float,
    faults: Mapping[int, Faults] | None = None,
) -> Run:
    """The embedded engine under ``rate`` requests a second; ``faults`` begin after a scrape."""
    with asyncio.Runner(loop_factory=_Virtual) as runner:
        return runner.run(_played(simulation, rate, scrapes, every, faults or {}))


def captured(file: Path) -> Run:
    """The pages that ``ci/vllm/capture.py`` kept."""
    text = lzma.decompress(file.read_bytes()).decode()
    parts = re.split(r"^# scraped ([0-9.]+)\n", text, flags=re.MULTILINE)[1:]
    times, pages = [float(at) for at in parts[::2]], parts[1::2]
    every = (times[-1] - times[0]) / (len(times) - 1)
    return Run(round(every), tuple({"vllm": page} for page in pages))


def edited(run: Run, pattern: str, text: str = "", *, without: Sequence[str] = ()) -> Run:
    """The run with what matches replaced on the engine's pages, and ``without`` some sources."""
    pages = [
        {
            name: re.sub(pattern, text, page, flags=re.MULTILINE) if name == "vllm" else page
            for name, page in shown.items()
            if name not in without
        }
        for shown in run.pages
    ]
    return Run(run.every, tuple(pages))


def ranks(run: Run, models: Sequence[str], engines: int) -> Run:
    """The run as a server of several models and engine ranks would show it."""

    def several(page: str) -> str:
        kept = [line for line in page.splitlines() if "model_name=" not in line]
        lines = [line for line in page.splitlines() if "model_name=" in line]
        for model in models:
            for engine in range(engines):
                kept += [
                    re.sub(r'engine="[^"]*"', f'engine="{engine}"', named)
                    for named in (
                        re.sub(r'model_name="[^"]*"', f'model_name="{model}"', line)
                        for line in lines
                    )
                ]
        return "\n".join(kept) + "\n"

    pages = [{n: several(p) if n == "vllm" else p for n, p in s.items()} for s in run.pages]
    return Run(run.every, tuple(pages))


async def _collected(run: Run) -> tuple[str, ...]:
    now: dict[str, str] = {}

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=now[request.match_info["name"]])

    app = web.Application()
    app.router.add_get("/{name}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sources = tuple(
        SourceSettings(name=name, url=f"{host}/{name}", profile=name) for name in run.pages[0]
    )
    found = []
    try:
        async with Collector(Settings(sources=sources)) as collector:
            for shown in run.pages:
                now.update(shown)
                answer = await collector.answer(TEXT)
                assert all(result.up for result in answer.results)
                found.append(answer.page.decode())
    finally:
        await runner.cleanup()
    return tuple(found)


def collected(run: Run) -> tuple[str, ...]:
    """What the real collector makes of each scrape."""
    return asyncio.run(_collected(run))


@dataclass(frozen=True)
class Target:
    """A scraped target: what it served; ``lost_for`` is how long before the end it went away."""

    job: str
    instance: str
    pages: Sequence[str] = field(repr=False)
    lost_for: int = 0


def past(targets: Sequence[Target], end: int, every: int) -> str:
    """The past in OpenMetrics, the last scrape at ``end``, with the series of scraping itself."""
    lines: list[str] = []
    for target in targets:
        pod = target.instance.partition(":")[0]
        own = f'job="{target.job}",instance="{target.instance}",pod="{pod}",namespace="llm"'
        shown = (*target.pages, *("",) * (target.lost_for // every))
        start = end - every * (len(shown) - 1)
        for scrape, page in enumerate(shown):
            at, up = start + every * scrape, bool(page)
            samples = [line for line in page.splitlines() if line and line[0] != "#"]
            for line in samples:
                series, _, value = line.rpartition(" ")
                name, _, labels = series.rstrip("}").partition("{")
                lines.append(f"{name}{{{own}{',' if labels else ''}{labels}}} {value} {at}")
            for name, number in (
                ("up", int(up)),
                ("scrape_duration_seconds", 0.01),
                ("scrape_samples_post_metric_relabeling", len(samples)),
                ("scrape_series_added", 0 if scrape else len(samples)),
            ):
                lines.append(f"{name}{{{own}}} {number} {at}")
    return "\n".join(lines) + "\n# EOF\n"
