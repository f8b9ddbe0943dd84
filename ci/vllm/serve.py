"""Start the real engine with the tiny model, and end it with everything it started.

Usage: python ci/vllm/serve.py [--otlp ENDPOINT] [COMMAND ...]

Without a command it prints ``listening URL`` when the engine is ready and serves until it is told
to end.  With one it runs that, every ``{url}`` in it replaced, and ends with its exit code.
With ``--otlp`` (such as http://127.0.0.1:4317, or ``any`` for a free port that a command gets for
``{otlp}``) the engine sends its spans there, and logs requests.
Needs what ``ci/vllm/setup`` makes; runs in firsttoken's own environment.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from firsttoken.errors import FirstTokenError, NotJudgedError
from firsttoken.servers import Child, free_port, start

__all__ = ["engine", "main"]

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".vllm"
LOGS = ROOT / "out"
MODEL = "tiny"
READY_S = 480.0
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    # One thread computes, so that on two cores the load generator is never the bottleneck.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    # Nothing is fetched, nothing is reported to anyone.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _wait_until_healthy(child: Child, url: str) -> None:
    deadline = time.monotonic() + READY_S
    while not _healthy(url):
        if not child.running:
            raise NotJudgedError(f"the engine ended at start, see {child.log}: {child.tail(1)}")
        if time.monotonic() > deadline:
            raise NotJudgedError(f"the engine was not ready in {READY_S:.0f} s, see {child.log}")
        time.sleep(0.25)


@contextlib.contextmanager
def _started(port: int, otlp: str | None) -> Iterator[Child]:
    """The engine as a child process; what is left of it at the end is killed."""
    arguments = [
        *("nice", "-n", "10"),  # so that the load generator wakes up when it means to
        *(str(HOME / "bin" / "vllm"), "serve", str(HOME / "tiny-model")),
        *("--served-model-name", MODEL, "--max-model-len", "2048"),
        "--enforce-eager",  # compiling takes a minute, and a compiler
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    if otlp is not None:
        arguments += ["--otlp-traces-endpoint", otlp, "--enable-log-requests"]
    with start("vllm", arguments, LOGS / f"vllm-{port}.log") as child:
        try:
            yield child
        finally:
            child.stop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def engine(otlp: str | None = None) -> Iterator[str]:
    """The URL of a real engine that is ready; it is ended when the block is left.

    ``otlp`` is where its spans go.

    Raises NotJudgedError when it is not installed or does not come up.
    """
    if not (HOME / "tiny-model" / "model.safetensors").exists():
        raise NotJudgedError("the engine is not installed: run `make setup-vllm`")
    os.environ.update(SETTINGS)
    for attempt in range(3):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with _started(port, otlp) as child:
            try:
                _wait_until_healthy(child, url)
            except NotJudgedError:
                taken = "ddress already in use" in child.log.read_text(errors="replace")
                if taken and attempt < 2:
                    continue
                raise
            yield url
            return


def _run(command: list[str]) -> int:
    """The exit code of a command that is told itself to end, so that it can finish its report."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command too
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    """Serve until told to end, or as long as the command on the command line runs."""
    command, otlp = sys.argv[1:], None
    if command[:1] == ["--otlp"]:
        otlp, command = command[1], command[2:]
        if otlp == "any":
            otlp = f"http://127.0.0.1:{free_port()}"
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    print(f"serve: starting vLLM on the CPU; its log goes to {LOGS}/", file=sys.stderr)
    try:
        with engine(otlp) as url:
            print(f"serve: ready in {time.monotonic() - began:.0f} s", file=sys.stderr)
            if command:
                return _run(
                    [part.replace("{url}", url).replace("{otlp}", otlp or "") for part in command]
                )
            print(f"listening {url}", flush=True)
            while True:
                signal.pause()
    except FirstTokenError as exc:
        print(f"serve: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
