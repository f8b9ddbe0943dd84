"""Start real Prometheus and Alertmanager as child processes, and leave none behind.

Each has its own data folder and a free loopback port.  A child dies with its parent, however the
parent ends, because the kernel is asked to signal it (``PR_SET_PDEATHSIG``).
"""

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import requests

from firsttoken.errors import NotJudgedError

__all__ = [
    "Child",
    "alertmanager",
    "announced_address",
    "free_port",
    "missing_tools",
    "prometheus",
    "start",
]

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
}
_PR_SET_PDEATHSIG = 1
READY_S = 30.0
STOP_S = 10.0


class Child:
    """A child process with its log file; ``stop`` ends it and what it started."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def tail(self, lines: int = 5) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """End it, first politely; returns its exit code."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def _die_with_parent() -> None:
    """Run in the child between fork and exec: ask for SIGTERM when the parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def start(name: str, arguments: Sequence[str], log: Path) -> Iterator[Child]:
    """A child process whose stdout and stderr go to ``log``, ended when the block is left.

    Raises NotJudgedError when the program is not installed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends its children
            )
        except FileNotFoundError:
            raise NotJudgedError(f"{name}: {arguments[0]} is not installed") from None
    child = Child(name, process, log)
    try:
        yield child
    finally:
        child.stop()


def free_port() -> int:
    """A loopback port that was free a moment ago; callers retry when another took it since."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def missing_tools(*names: str) -> dict[str, str]:
    """Those of the programs that are not on PATH, each with the Debian package that has it."""
    return {name: PACKAGES.get(name, name) for name in names if shutil.which(name) is None}


def wait_until(
    child: Child, ready: Callable[[], bool], *, timeout: float = READY_S, poll: float = 0.05
) -> None:
    """Wait for ``ready``; raises NotJudgedError when the child ends or the time is up."""
    deadline = time.monotonic() + timeout
    while not ready():
        if not child.running:
            raise NotJudgedError(f"{child.name} ended at start: {child.tail()}")
        if time.monotonic() > deadline:
            raise NotJudgedError(f"{child.name} was not ready in {timeout:.0f} s: {child.tail()}")
        time.sleep(poll)


def announced_address(child: Child, *, timeout: float = READY_S) -> str:
    """The URL in the line ``listening URL`` that our own servers print when they are ready."""
    found: list[str] = []

    def announced() -> bool:
        for line in child.log.read_text(errors="replace").splitlines():
            if line.startswith("listening "):
                found.append(line.split()[1])
                return True
        return False

    wait_until(child, announced, timeout=timeout)
    return found[0]


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def _on_free_port(
    name: str, folder: Path, arguments: Callable[[int], Sequence[str]]
) -> Iterator[tuple[Child, str]]:
    """Start a server that cannot choose its own port; try again when the port was taken."""
    for attempt in range(5):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with start(name, arguments(port), folder / f"{name}.log") as child:
            try:
                wait_until(child, lambda url=url: _answers(f"{url}/-/ready"))  # type: ignore[misc]
            except NotJudgedError:
                if attempt < 4 and "address already in use" in child.tail():
                    continue
                raise
            yield child, url
            return


@contextlib.contextmanager
def prometheus(
    config: Path, folder: Path, *, flags: Sequence[str] = ()
) -> Iterator[tuple[Child, str]]:
    """A real Prometheus on a configuration file: the child and its URL, when it is ready."""

    def arguments(port: int) -> list[str]:
        return [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus-data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            "--log.level=info",
            *flags,
        ]

    with _on_free_port("prometheus", folder, arguments) as started:
        yield started


@contextlib.contextmanager
def alertmanager(
    config: Path, folder: Path, *, flags: Sequence[str] = ()
) -> Iterator[tuple[Child, str]]:
    """A real Alertmanager on a configuration file: the child and its URL, when it is ready."""

    def arguments(port: int) -> list[str]:
        return [
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager-data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *flags,
        ]

    with _on_free_port("alertmanager", folder, arguments) as started:
        yield started
