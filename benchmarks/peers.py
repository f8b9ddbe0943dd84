"""``python -m benchmarks.peers``: our load generator beside others in one run.

All ask a server whose times are known.  The client has a core of its own, and the server the other.
What a client reports of the time to the first token is held against what the server did, by the
same percentiles of both; its processor time is counted from its first request on, so that no start
counts, and its memory is that of all its processes.  A plain client on aiohttp is the yardstick
from above, and one on uvloop that only notes the time of each read from below;
``--vllm`` and ``--guidellm`` name the peers' programs, and one that is not named, or is not there,
is not measured.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.truth import FakeServer, Sent, can_build, started
from firsttoken.loadgen.records import read
from firsttoken.loadgen.summary import percentile

__all__ = ["CLIENTS", "Client", "Load", "main"]

TTFT_US, GAP_US, PROMPT, TOKENS = 100_000, 20_000, 64, 128
MODEL = "fake"
SHARES = (0.5, 0.95, 0.99)
LONGEST_S = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """An open loop, Poisson where the client can."""

    rate: float
    seconds: float

    @property
    def requests(self) -> int:
        """How many that is."""
        return round(self.rate * self.seconds)


LOADS = (Load(18, 12.0), Load(303, 12.0))
"""Some 50 streams, which all clients can hold, and some 800."""


class Told(NamedTuple):
    """What a client reported: TTFTs in seconds of the answers, and its own lag at p99."""

    ttft: tuple[float, ...]
    lag_p99: float | None = None


class Job(NamedTuple):
    """What a client is to do, and where it leaves its result."""

    program: list[str]
    url: str
    load: Load
    out: Path
    tokenizer: str


class Client(NamedTuple):
    """How a client is started and read."""

    name: str
    command: Callable[[Job], list[str]]
    read: Callable[[Path], Told]


# --- The clients ----------------------------------------------------------------------------------


def _ours(job: Job) -> list[str]:
    file = job.out / "load.yaml"
    file.write_text(
        f"{{api: completions, warmup: 0s, duration: {job.load.seconds}s, max_in_flight: 20000,"
        f" arrivals: {{kind: poisson, rate: {job.load.rate}}}, prompt_tokens: {PROMPT},"
        f" output_tokens: {TOKENS}}}\n"
    )
    common = ["--target", job.url, "--load", str(file), "--out", str(job.out / "records.jsonl")]
    return [*job.program, "load", "run", *common, "--quiet"]


def _read_ours(out: Path) -> Told:
    run = read(out / "records.jsonl")
    return Told(tuple(r.ttft for r in run.records if r.ttft is not None), run.generator.lag_p99)


def _vllm(job: Job) -> list[str]:
    return [
        *job.program, "bench", "serve", "--backend", "openai", "--base-url", job.url,
        "--endpoint", "/v1/completions", "--model", MODEL, "--tokenizer", job.tokenizer,
        "--dataset-name", "random", "--random-input-len", str(PROMPT),
        "--random-output-len", str(TOKENS), "--ignore-eos", "--num-prompts", str(job.load.requests),
        "--request-rate", str(job.load.rate), "--disable-tqdm", "--save-result", "--save-detailed",
        "--result-dir", str(job.out), "--result-filename", "result.json",
    ]  # fmt: skip


def _read_vllm(out: Path) -> Told:
    return Told(tuple(one for one in _json(out / "result.json")["ttfts"] if one > 0))


def _guidellm(job: Job) -> list[str]:
    """As of version 0.8."""
    return [
        *job.program, "run", "--disable-console",
        "--backend",
        f"kind=openai_http,target={job.url},model={MODEL},request_format=/v1/completions",
        "--profile", f"kind=poisson,rate={job.load.rate}",
        "--constraint", f"kind=max_requests,count={job.load.requests}",
        "--tokenizer", f"kind=huggingface_auto,model={job.tokenizer}",
        "--data", f"kind=synthetic_text,prompt_tokens={PROMPT},output_tokens={TOKENS}",
        "--output", f"kind=json,path={job.out / 'result.json'}",
    ]  # fmt: skip


def _read_guidellm(out: Path) -> Told:
    (benchmark,) = _json(out / "result.json")["benchmarks"]
    found = benchmark["requests"]["successful"]
    return Told(tuple(one["time_to_first_token_ms"] / 1000 for one in found))


def _plain(job: Job) -> list[str]:
    numbers = (job.load.rate, job.load.seconds, PROMPT, TOKENS)
    return [*job.program, job.url, *map(str, numbers), str(job.out / "result.json")]


def _read_plain(out: Path) -> Told:
    found = _json(out / "result.json")
    return Told(tuple(found["ttfts"]), percentile(sorted(found["lags"]), 0.99))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


CLIENTS = {
    "firsttoken": Client("firsttoken", _ours, _read_ours),
    "plain": Client("plain aiohttp", _plain, _read_plain),
    "bare": Client("bare uvloop", _plain, _read_plain),
    "vllm": Client("vllm bench serve", _vllm, _read_vllm),
    "guidellm": Client("GuideLLM", _guidellm, _read_guidellm),
}


# --- Measuring ------------------------------------------------------------------------------------


class Watched:
    """Processor time and memory of a session's processes, sampled until ``end``."""

    def __init__(self, session: int, server: FakeServer) -> None:
        self._session, self._server = session, server
        self._before = server.requests()
        self._over = threading.Event()
        self._at_first: float | None = None
        self._last: dict[int, float] = {}
        self.memory_mb = 0.0
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Stop; seconds of processor time since the first request."""
        self._over.set()
        self._thread.join()
        return sum(self._last.values()) - (self._at_first or 0.0)

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            resident = 0.0
            for pid in self._members():
                try:
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    resident += _pss_mb(pid)
                except OSError:
                    continue  # it has just ended; what was seen last counts
                self._last[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
            self.memory_mb = max(self.memory_mb, resident)
            if self._at_first is None and self._server.requests() > self._before:
                self._at_first = sum(self._last.values())

    def _members(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            try:
                if os.getsid(pid) == self._session:
                    found.append(pid)
            except OSError:
                continue
        return found


def _pss_mb(pid: int) -> float:
    """Proportional set size: pages that processes share are shared out among them."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def measure(client: Client, job: Job, server: FakeServer, prefix: Sequence[str]) -> str:
    """Run one client once; the row of the table, or why there is none."""
    server.configure(ttft_us=TTFT_US, itl_us=GAP_US, ntok=0, tpc=1, sync=0)
    log = job.out / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*prefix, *client.command(job)],
            stdout=sink, stderr=sink, start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
        )  # fmt: skip
    watched = Watched(process.pid, server)
    try:
        process.wait(LONGEST_S + job.load.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    used = watched.end()
    try:
        told = client.read(job.out)
    except (OSError, KeyError, ValueError) as exc:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"  no result ({exc}): {''.join(last)[:120]}"
    return _row(told, [sent for _, sent in server.everything()], used, watched.memory_mb)


def _row(told: Told, sent: Sequence[Sent], used: float, memory: float) -> str:
    answered = [one for one in sent if one.chunks]
    true = sorted(one.chunks[0] for one in answered)
    seen = sorted(told.ttft)
    if len(true) < 2 or not seen:
        return "  nothing was answered"
    off = "".join(f"{(percentile(seen, s) - percentile(true, s)) * 1000:10.2f}" for s in SHARES)
    arrivals = sorted(one.arrived for one in sent)
    reached = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])
    lag = "         -" if told.lag_p99 is None else f"{told.lag_p99 * 1000:10.1f}"
    tokens = sum(len(one.chunks) for one in answered)
    missing = len(sent) - len(seen)
    note = f"   {missing} without a TTFT" if missing else ""
    return f"{off}{lag}{reached:10.0f}{used / tokens * 1e6:10.2f}{memory:8.0f}{note}"


def main() -> None:
    """Print a table for each load."""
    parser = argparse.ArgumentParser(description="Our load generator beside others.")
    parser.add_argument("--vllm", default=os.environ.get("FIRSTTOKEN_PEER_VLLM"), metavar="PROGRAM")
    parser.add_argument(
        "--guidellm", default=os.environ.get("FIRSTTOKEN_PEER_GUIDELLM"), metavar="PROGRAM"
    )
    parser.add_argument("--tokenizer", default=".vllm/tiny-model", help="a local one, for peers")
    given = parser.parse_args()
    if not can_build():
        print("not measured: there is no C compiler (cc)")
        return
    cores = sorted(os.sched_getaffinity(0))
    on = [[] if len(cores) < 2 else ["taskset", "-c", str(core)] for core in (cores[0], cores[-1])]
    programs = {
        "firsttoken": f"{sys.executable} -m firsttoken",
        "plain": f"{sys.executable} -m benchmarks.plain",
        "bare": f"{sys.executable} -m benchmarks.bare",
        "vllm": given.vllm,
        "guidellm": given.guidellm,
    }
    tokenizer = str(Path(given.tokenizer).resolve())
    with started(on[0]) as server:
        for load in LOADS:
            _table(load, programs, server, tokenizer, on[1])


def _table(
    load: Load, programs: dict[str, str | None], server: FakeServer, tokenizer: str,
    prefix: Sequence[str],
) -> None:  # fmt: skip
    streams = load.rate * (TTFT_US + TOKENS * GAP_US) / 1e6
    print(f"\n{load.rate:g} requests/s, about {streams:.0f} streams; TTFT is reported too high by")
    heads = ("p50 ms", "p95 ms", "p99 ms", "lag p99", "reached", "us/token")
    print(f"{'':18}{''.join(f'{head:>10}' for head in heads)}{'MB':>8}")
    for name, client in CLIENTS.items():
        program = programs[name]
        if program is None or shutil.which(program.split()[0]) is None:
            row = f"  not measured: no program (--{name})"
        else:
            with tempfile.TemporaryDirectory() as folder:
                job = Job(program.split(), server.url, load, Path(folder), tokenizer)
                row = measure(client, job, server, prefix)
        print(f"{client.name:18}{row}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
