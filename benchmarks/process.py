"""The collector as a process: CPU time, memory and answers over HTTP.

Its sources are served by other processes, so that what is counted is the collector's alone.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.pages import PAGES, Source, gauges
from firsttoken import servers

__all__ = ["churn", "load", "process"]

SCRAPES = 20_000
RATE, CLIENTS, SECONDS = 200, 20, 60
# What a Prometheus 2.42 sends.
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
    "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
TICKS = os.sysconf("SC_CLK_TCK")
GROWING = "growing"


async def _serve(versions: Sequence[bytes], told: Connection) -> None:
    count = 0

    async def page(_: web.Request) -> web.Response:
        nonlocal count
        count += 1
        body = versions[count % len(versions)]
        if body == GROWING.encode():
            body = gauges(2_000, mark=f"{count}-")
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.send(runner.addresses[0][1])
    await asyncio.Event().wait()


def _source_process(versions: Sequence[bytes], told: Connection) -> None:
    asyncio.run(_serve(versions, told))


@contextlib.contextmanager
def collecting(sources: Sequence[Source], *prefix: str) -> Iterator[tuple[str, int]]:
    """The URL and the process id of a collector of these sources."""
    context = get_context("spawn")
    children, arguments = [], []
    for place, source in enumerate(sources):
        here, there = context.Pipe()
        child = context.Process(target=_source_process, args=(source.versions, there), daemon=True)
        child.start()
        children.append(child)
        extra = f",profile={source.profile}" if source.profile else ""
        arguments += ["--source", f"s{place}={here.recv()}{extra}"]
    command = [*prefix, sys.executable, "-m", "firsttoken", "collect", *arguments]
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with servers.start("collector", [*command, "--listen", "127.0.0.1:0"], log) as running:
                yield f"{servers.announced_address(running)}/metrics", running.process.pid
    finally:
        for child in children:
            child.terminate()
            child.join()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def scrapes(url: str, count: int, headers: dict[str, str] | None = None) -> None:
    """Scrapes one after the other, on one connection, as one Prometheus does."""
    async with aiohttp.ClientSession(headers=headers or HEADERS, auto_decompress=False) as session:
        for _ in range(count):
            async with session.get(url) as answer:
                answer.raise_for_status()
                await answer.read()


def process() -> None:
    """CPU per scrape, and memory that stays what it is."""
    sources = PAGES["vLLM + 8 GPUs"]
    with collecting(sources) as (url, pid):
        asyncio.run(scrapes(url, 500))
        before, began = resident(pid), cpu(pid)
        asyncio.run(scrapes(url, SCRAPES))
        used, after = cpu(pid) - began, resident(pid)
        plain = {**HEADERS, "Accept-Encoding": "identity"}
        began = cpu(pid)
        asyncio.run(scrapes(url, 2_000, plain))
        unpacked = (cpu(pid) - began) / 2_000
    print(f"whole process, vLLM + 8 GPUs, gzip: {used / SCRAPES * 1e3:.2f} ms of CPU per scrape")
    print(f"whole process, vLLM + 8 GPUs, not packed: {unpacked * 1e3:.2f} ms of CPU per scrape")
    print(
        f"resident: {before:.1f} MiB after 500 scrapes,"
        f" {after - before:+.2f} MiB after {SCRAPES} more"
    )
    sizes = {}
    for count in (1_000, 21_000):
        with collecting((Source(None, (gauges(count),)),)) as (url, pid):
            asyncio.run(scrapes(url, 5))
            sizes[count] = resident(pid)
    print(f"memory: {(sizes[21_000] - sizes[1_000]) * 1024 / 20_000:.2f} KiB per further series")


def churn() -> None:
    """Memory when every scrape has other series than the one before."""
    with collecting((Source(None, (GROWING.encode(),)),)) as (url, pid):
        found = []
        for _ in range(4):
            asyncio.run(scrapes(url, 100))
            found.append(resident(pid))
    told = ", ".join(f"{size:.1f}" for size in found)
    print(f"churn, 2,000 new series a scrape: {told} MiB after 100, 200, 300 and 400 scrapes")


async def _loaded(url: str) -> tuple[list[float], int]:
    times: list[float] = []
    errors = 0
    began = time.perf_counter()

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal errors
        # Each client at a pace of its own, none waiting for another.
        for turn in range(RATE * SECONDS // CLIENTS):
            due = began + (turn * CLIENTS + number) / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                async with session.get(url) as answer:
                    await answer.read()
                    errors += answer.status != 200
            except aiohttp.ClientError:
                errors += 1
            times.append(time.perf_counter() - due)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=HEADERS, auto_decompress=False, connector=connector
    ) as session:
        await asyncio.gather(*(one(session, number) for number in range(CLIENTS)))
    return sorted(times), errors


def load() -> None:
    """Many clients at once, on one core."""
    on_one_core = ("taskset", "--cpu-list", "0") if _has_taskset() else ()
    with collecting(PAGES["vLLM + 8 GPUs"], *on_one_core) as (url, pid):
        asyncio.run(scrapes(url, 20))
        began = cpu(pid)
        times, errors = asyncio.run(_loaded(url))
        used = cpu(pid) - began
    p50, p99 = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99))
    print(
        f"{RATE} scrapes a second from {CLIENTS} clients for {SECONDS} s: {errors} errors of"
        f" {len(times)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {used / SECONDS:.0%} of a core"
    )


def _has_taskset() -> bool:
    return subprocess.run(["which", "taskset"], capture_output=True, check=False).returncode == 0
