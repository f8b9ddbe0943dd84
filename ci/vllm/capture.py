"""Keep the metrics pages of a real engine from before, under and after a load, each with its time.

Usage: python ci/vllm/serve.py python ci/vllm/capture.py {url} tests/data/vllm-0.32.0-run.xz

The file holds the pages one after the other; a line ``# scraped UNIXTIME`` stands before each.
Among the requests are some whose clients go away, and prompts that begin alike.
"""

import contextlib
import lzma
import subprocess
import sys
import threading
import time
from pathlib import Path

import requests

__all__ = ["main"]

EVERY_S = 5.0
IDLE_S, LOAD_S = 20.0, 80.0
RATE = "2"
ABORTED_EVERY_S = 6.0


def _load(url: str) -> subprocess.Popen[bytes]:
    arguments = ("--rate", RATE, "--duration", f"{LOAD_S:.0f}s", "--warmup", "0s")
    lengths = ("--prompt-tokens", "120", "--output-tokens", "40")
    run = (sys.executable, "-m", "firsttoken", "load", "run", "--target", url, "--progress", "none")
    return subprocess.Popen([*run, *arguments, *lengths], stdout=subprocess.DEVNULL)


def _go_away(url: str) -> None:
    """A client that leaves in the middle of its answer."""
    body = {"model": "tiny", "prompt": "The same beginning. " * 30, "max_tokens": 400}
    with contextlib.suppress(requests.RequestException):
        requests.post(f"{url}/v1/completions", json=body, timeout=1.5)


def _pages(url: str, seconds: float, kept: list[str]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        page = requests.get(f"{url}/metrics", timeout=EVERY_S).text
        kept.append(f"# scraped {time.time():.3f}\n{page}")
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))


def main(url: str, file: Path) -> None:
    """Write the pages of one run."""
    kept: list[str] = []
    _pages(url, IDLE_S, kept)
    load = _load(url)
    ended = threading.Event()

    def leave() -> None:
        while not ended.wait(ABORTED_EVERY_S):
            _go_away(url)

    leaving = threading.Thread(target=leave)
    leaving.start()
    _pages(url, LOAD_S, kept)
    ended.set()
    leaving.join()
    load.wait(60)
    _pages(url, IDLE_S, kept)
    file.write_bytes(lzma.compress("".join(kept).encode(), preset=9))
    print(f"{file}: {len(kept)} pages")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
