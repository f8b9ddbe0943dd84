"""How far the load generator is from the truth, and what it costs: one core each for both sides.

``python -m benchmarks.loadgen`` runs it alone.  The table has a row a load; times in milliseconds.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.truth import FakeServer, can_build, started
from firsttoken.loadgen.records import Run, read
from firsttoken.loadgen.summary import percentile

__all__ = ["LOADS", "measure", "report"]

TOKENS = 128


class Load(NamedTuple):
    """An open loop of ``rate`` requests per second at a server of these times (microseconds)."""

    name: str
    rate: float
    ttft_us: int
    gap_us: int
    seconds: float = 24.0
    sync: int = 0
    prompt: str = "64"


LOADS = (
    Load("800 streams, 50 tokens/s", 303, 100_000, 20_000),
    Load("800 streams in bursts", 303, 100_000, 20_000, sync=1),
    Load("1,500 streams, 50 tokens/s", 568, 100_000, 20_000),
    Load("4,000 streams, 20 tokens/s", 620, 100_000, 50_000),
)


class Figures(NamedTuple):
    """Distortion is client minus truth; CPU of all the client's processes, per streamed token."""

    requests: int
    failed: int
    ttft: tuple[float, float, float]
    gap_p99: float
    lag_p99: float
    cpu_us: float
    memory_mb: float
    core: float
    streams: float


def measure(server: FakeServer, load: Load, client: Sequence[str] = ()) -> Figures:
    """Run one load in a process of its own, begun with ``client`` (such as ``taskset -c 1``)."""
    server.configure(ttft_us=load.ttft_us, itl_us=load.gap_us, sync=load.sync, ntok=0, tpc=1)
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "load.yaml", Path(folder) / "records.jsonl"
        warmup = (load.ttft_us + TOKENS * load.gap_us) / 1e6 + 2
        file.write_text(
            f"api: completions\nduration: {load.seconds}\nwarmup: {warmup}\n"
            f"arrivals: {{kind: poisson, rate: {load.rate}}}\nmax_in_flight: 20000\n"
            f"prompt_tokens: {load.prompt}\noutput_tokens: {TOKENS}\n"
        )
        command = [*client, sys.executable, "-m", "firsttoken", "load", "run", "--target"]
        process = subprocess.Popen(
            [*command, server.url, "--load", str(file), "--out", str(out), "--quiet"],
            stderr=subprocess.PIPE,
            env=_compiled(),
        )
        cpu, memory = _to_its_end(process)
        return _figures(read(out), server, cpu, memory)


def _compiled() -> dict[str, str]:
    """An environment in which modules are compiled once, as where the package is installed."""
    ours = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "firsttoken-benchmarks")}
    return {**os.environ, **ours, "PYTHONDONTWRITEBYTECODE": ""}


def _to_its_end(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """Seconds of CPU and the most memory (MB) of a process, once it has ended.

    What the system says in the end of a process' memory counts what it was forked from.
    """
    memory = 0.0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime, memory
        told = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        if found := re.search(r"VmHWM:\s+(\d+) kB", told):
            memory = int(found[1]) / 1024
        time.sleep(0.2)


def _figures(run: Run, server: FakeServer, cpu: float, memory: float) -> Figures:
    truth = server.log()
    ttft, gaps, lags, tokens, failed = [], [], [], 0, 0
    for record in run.records:
        tokens += record.output_tokens or 0
    for record in run.measured:
        sent = truth.get(record.trace_id or "")
        if not record.ok or sent is None or record.ttft is None:
            failed += 1
            continue
        ttft.append(record.ttft - sent.chunks[0])
        lags.append(record.lag or 0.0)
        true = [after - before for before, after in pairwise(sent.chunks)]
        if len(true) == len(record.gaps):
            gaps += [abs(gap - other) for gap, other in zip(record.gaps, true, strict=True)]
    busy = sum(r.e2e or 0 for r in run.measured) / run.measured_seconds
    ttft.sort()
    return Figures(
        requests=len(run.measured),
        failed=failed,
        ttft=(_ms(ttft, 0.5), _ms(ttft, 0.95), _ms(ttft, 0.99)),
        gap_p99=_ms(sorted(gaps), 0.99),
        lag_p99=_ms(sorted(lags), 0.99),
        cpu_us=cpu / tokens * 1e6 if tokens else 0.0,
        memory_mb=memory,
        core=run.generator.cpu_share,
        streams=busy,
    )


def _ms(ordered: Sequence[float], share: float) -> float:
    return percentile(ordered, share) * 1000 if ordered else float("nan")


def report(names: Sequence[str] = ()) -> None:
    """Measure each load (those whose names begin so) and print a line for it."""
    if not can_build():
        print("load generator: not measured, there is no C compiler (cc)")
        return
    cores = sorted(os.sched_getaffinity(0))
    server, client = ([], []) if len(cores) < 2 else (_on(cores[0]), _on(cores[1]))
    head = ("load", "streams", "TTFT p50", "p95", "p99", "gap p99", "lag p99", "us/token", "MB")
    print("".join(f"{name:>{30 if not at else 10}}" for at, name in enumerate((*head, "core"))))
    with started(server) as fake:
        measure(fake, LOADS[0]._replace(rate=1, seconds=1), client)  # compiles what is not yet
        for load in LOADS:
            if names and not load.name.startswith(tuple(names)):
                continue
            found = measure(fake, load, client)
            cells = (found.streams, *found.ttft, found.gap_p99, found.lag_p99)
            row = "".join(f"{cell:>10.3f}" for cell in cells)
            costs = f"{found.cpu_us:>10.2f}{found.memory_mb:>10.0f}{found.core:>10.0%}"
            note = f"   {found.failed} of {found.requests} failed" if found.failed else ""
            print(f"{load.name:>30}{row}{costs}{note}", flush=True)


def _on(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


if __name__ == "__main__":
    report(sys.argv[1:])
