"""Draw the pictures of docs/pictures on data of a real run of a few minutes.

Usage: python ci/pictures.py [FOLDER]

Three embedded engines (two replicas of one model on NVIDIA GPUs, one of another on AMD GPUs), a
collector beside each, Prometheus with the rules of ``examples/slo.yaml``, and a load on each
engine.  Half-way one replica becomes slow and fails requests, for a minute.  Needs what
``dashboards/browser/build.sh build/browser`` makes, prometheus and chromium.
"""

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
from PIL import Image

from firsttoken import servers

__all__ = ["ENGINES", "SCRAPE_S", "Engine", "deployment", "main", "shrink", "under_load"]

ROOT = Path(__file__).resolve().parents[1]
SLO = ROOT / "examples" / "slo.yaml"
SCRAPE_S = 2
BEFORE_S, FAULT_S, AFTER_S = 80, 50, 50
QUIET_S = 10
"""Of a run, in seconds: before, during and after the fault, and idle at its start and end."""
FAULT = {"prefill_slowdown": 20.0, "failing_share": 0.1}
WELL = {"prefill_slowdown": 1.0, "failing_share": 0.0}
SIMULATED = {"parameters": {"kv_blocks": 1024}}
"""A cache that this load fills enough to see something."""
WORKLOAD = {
    "kind": "synthetic",
    "prompt_tokens": 300,
    "prefix": {"tokens": 128, "groups": 4},
}
"""Users of four applications, each with a prompt of its own in front of what they ask."""


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
def deployment(folder: Path, *, directly: bool = False) -> Iterator[tuple[str, dict[Engine, str]]]:
    """The URL of a Prometheus that watches the engines, and the URL of each engine.

    ``directly``: it scrapes the engines and the pages of NVIDIA GPUs, too, not the collectors only.
    """
    with contextlib.ExitStack() as exits:

        def run(name: str, *arguments: str) -> str:
            log = folder / f"{name}.log"
            child = exits.enter_context(servers.start(name, command(*arguments), log))
            return servers.announced_address(child)

        found, targets = {}, []
        settings = folder / "simulated.yaml"
        settings.write_text(yaml.safe_dump(SIMULATED), encoding="utf-8")
        for engine in ENGINES:
            simulated = (
                *("--config", str(settings), "--model", engine.model),
                *("--gpus", str(engine.gpus), "--gpu-vendor", engine.vendor),
            )
            url = run(
                f"simulate-{engine.pod}",
                *("simulate", "--listen", "127.0.0.1:0", *simulated),
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
            "scrape_configs": [
                {"job_name": "vllm", "static_configs": targets},
                *(past_the_collectors(found) if directly else ()),
            ],
        }
        config.write_text(yaml.safe_dump(shape), encoding="utf-8")
        _, prometheus = exits.enter_context(servers.prometheus(config, folder))
        yield prometheus, found


def past_the_collectors(engines: dict[Engine, str]) -> list[dict[str, object]]:
    """Scrape configurations of the engines themselves and of their NVIDIA GPUs."""
    pages = {"/metrics": [*engines], "/dcgm/metrics": [e for e in engines if e.vendor == "nvidia"]}
    return [
        {
            "job_name": f"direct{path}",
            "metrics_path": path,
            "static_configs": [{"targets": [engines[e].removeprefix("http://") for e in chosen]}],
        }
        for path, chosen in pages.items()
    ]


@contextlib.contextmanager
def under_load(engines: dict[Engine, str], seconds: float, folder: Path) -> Iterator[None]:
    """Requests to every engine until the block is left, at most so long."""
    load = folder / "load.yaml"
    load.write_text(yaml.safe_dump({"workload": WORKLOAD, "output_tokens": 80}), encoding="utf-8")
    with contextlib.ExitStack() as exits:
        for engine, url in engines.items():
            arguments = command(
                *("load", "run", "--target", url, "--load", str(load), "--rate", str(engine.rate)),
                *("--duration", f"{seconds:.0f}s", "--warmup", "0s", "--progress", "none"),
            )
            log = folder / f"load-{engine.pod}.log"
            exits.enter_context(servers.start(f"load-{engine.pod}", arguments, log))
        yield


def run(folder: Path, drawn: Path) -> int:
    """Run the deployment under load and draw; the exit code of ``dashboards pictures``."""
    with deployment(folder) as (prometheus, engines):
        started = time.monotonic()
        time.sleep(QUIET_S)
        slow = f"{engines[ENGINES[1]]}/faults"
        with under_load(engines, BEFORE_S + FAULT_S + AFTER_S, folder):
            print("load runs", file=sys.stderr)
            time.sleep(BEFORE_S)
            requests.put(slow, json=FAULT, timeout=10).raise_for_status()
            print("one replica is slow", file=sys.stderr)
            time.sleep(FAULT_S)
            requests.put(slow, json=WELL, timeout=10).raise_for_status()
            print("it is well again", file=sys.stderr)
            time.sleep(AFTER_S)
            now, seconds = time.time(), time.monotonic() - started
        draw = command(
            *("dashboards", "pictures", "--prometheus", prometheus, "--out", str(drawn)),
            *("--range", f"{seconds:.0f}s", "--end", f"{now:.0f}"),
            *("--scrape-interval", f"{SCRAPE_S}s"),
        )
        return subprocess.run(draw, check=False).returncode


def shrink(picture: Path, out: Path) -> Path:
    """The picture with a palette, a third of the size, under the name that the pages use."""
    name = f"dashboard-{picture.stem.removeprefix('firsttoken-')}.png"
    with Image.open(picture) as found:
        few = found.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(out / name, optimize=True)
    return out / name


def main(out: Path) -> int:
    """Draw all pictures into a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        drawn = Path(temporary) / "drawn"
        code = run(Path(temporary), drawn)
        out.mkdir(parents=True, exist_ok=True)
        for picture in sorted(drawn.glob("*.png")):
            print(shrink(picture, out))
    return code


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    sys.exit(main(folder))
