"""Draw the pictures of docs/pictures on data of a real run of a few minutes.

Usage: python ci/pictures.py [FOLDER]

Three embedded engines (two replicas of one model on NVIDIA GPUs, one of another on AMD GPUs), a
collector beside each, Prometheus with the rules of ``examples/slo.yaml``, and a load on each
engine.  Half-way one replica becomes slow and fails requests, for a minute.  Needs what
``dashboards/browser/build.sh build/browser`` makes, prometheus and chromium.
"""

# ruff: noqa: INP001 - a script, not a module of a package

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from firsttoken import servers

__all__ = ["ENGINES", "Engine", "deployment", "main", "under_load"]

ROOT = Path(__file__).resolve().parents[1]
SLO = ROOT / "examples" / "slo.yaml"
SCRAPE_S = 2
BEFORE_S, FAULT_S, AFTER_S = 110, 60, 90
QUIET_S = 10
"""Of a run, in seconds: before, during and after the fault, and idle at its start and end."""
FAULT = {"prefill_slowdown": 12.0, "failing_share": 0.1}


@dataclass(frozen=True)
class Engine:
    """One replica: what it serves, on whose GPUs, and how many requests a second it is sent."""

    pod: str
    model: str
    vendor: str
    gpus: int
    rate: float

    @property
    def gpu_source(self) -> tuple[str, str]:
        """The path of its GPU exporter's page and the profile that reads it."""
        return ("dcgm", "dcgm") if self.vendor == "nvidia" else ("amd", "amd")


ENGINES = (
    Engine("chat-0", "llama-3.1-8b", "nvidia", 2, 4),
    Engine("chat-1", "llama-3.1-8b", "nvidia", 2, 3),
    Engine("code-0", "qwen2.5-coder-7b", "amd", 2, 2),
)


def command(*arguments: str) -> list[str]:
    """The command line of ``firsttoken``, run by this same Python."""
    return [sys.executable, "-m", "firsttoken", *arguments]


def rules(folder: Path) -> Path:
    """The rules of the example, evaluated at each scrape so that minutes are enough."""
    done = subprocess.run(
        command("rules", "generate", str(SLO), "--scrape-interval", f"{SCRAPE_S}s"),
        capture_output=True,
        text=True,
        check=True,
    )
    shape = yaml.safe_load(done.stdout)
    for group in shape["groups"]:
        group["interval"] = f"{SCRAPE_S}s"
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump(shape), encoding="utf-8")
    return file


@contextlib.contextmanager
def deployment(folder: Path) -> Iterator[tuple[str, dict[Engine, str]]]:
    """The URL of a Prometheus that watches the engines, and the URL of each engine."""
    with contextlib.ExitStack() as exits:

        def run(name: str, *arguments: str) -> str:
            log = folder / f"{name}.log"
            child = exits.enter_context(servers.start(name, command(*arguments), log))
            return servers.announced_address(child)

        found, targets = {}, []
        for engine in ENGINES:
            simulated = ("--model", engine.model, "--gpus", str(engine.gpus))
            url = run(
                f"simulate-{engine.pod}",
                *("simulate", "--listen", "127.0.0.1:0", "--gpu-vendor", engine.vendor, *simulated),
            )
            path, profile = engine.gpu_source
            page = run(
                f"collect-{engine.pod}",
                *("collect", "--listen", "127.0.0.1:0", "--source", f"vllm={url}/metrics"),
                *("--source", f"gpu={url}/{path}/metrics,profile={profile}"),
            )
            found[engine] = url
            labels = {"namespace": "llm", "pod": engine.pod, "instance": f"{engine.pod}:8000"}
            targets.append({"targets": [page.removeprefix("http://")], "labels": labels})
        every = f"{SCRAPE_S}s"
        config = folder / "prometheus.yaml"
        shape = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(rules(folder))],
            "scrape_configs": [{"job_name": "vllm", "static_configs": targets}],
        }
        config.write_text(yaml.safe_dump(shape), encoding="utf-8")
        _, prometheus = exits.enter_context(servers.prometheus(config, folder))
        yield prometheus, found


@contextlib.contextmanager
def under_load(engines: dict[Engine, str], seconds: float, folder: Path) -> Iterator[None]:
    """Requests to every engine until the block is left, at most so long."""
    with contextlib.ExitStack() as exits:
        for engine, url in engines.items():
            arguments = command(
                *("load", "run", "--target", url, "--rate", str(engine.rate)),
                *("--duration", f"{seconds:.0f}s", "--warmup", "0s", "--progress", "none"),
                *("--prompt-tokens", "300", "--output-tokens", "80"),
            )
            log = folder / f"load-{engine.pod}.log"
            exits.enter_context(servers.start(f"load-{engine.pod}", arguments, log))
        yield


def main(out: Path) -> int:
    """Run the deployment under load and draw; the exit code of ``dashboards pictures``."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as exits:
        folder = Path(temporary)
        prometheus, engines = exits.enter_context(deployment(folder))
        started = time.monotonic()
        time.sleep(QUIET_S)
        with under_load(engines, BEFORE_S + FAULT_S + AFTER_S, folder):
            print("load runs", file=sys.stderr)
            time.sleep(BEFORE_S)
            slow = engines[ENGINES[1]]
            requests.put(f"{slow}/faults", json=FAULT, timeout=10).raise_for_status()
            print("one replica is slow", file=sys.stderr)
            time.sleep(FAULT_S)
            healthy = {"prefill_slowdown": 1.0, "failing_share": 0.0}
            requests.put(f"{slow}/faults", json=healthy, timeout=10).raise_for_status()
            print("it is well again", file=sys.stderr)
            time.sleep(AFTER_S)
            drawn = subprocess.run(
                command(
                    *("dashboards", "pictures", "--prometheus", prometheus, "--out", str(out)),
                    *("--range", f"{time.monotonic() - started:.0f}s"),
                    *("--scrape-interval", f"{SCRAPE_S}s", "--end", f"{time.time():.0f}"),
                ),
                check=False,
            )
        return drawn.returncode


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    sys.exit(main(folder))
