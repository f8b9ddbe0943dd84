"""The fake server as an instrument: built, started, told its times, and its log read."""

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["FakeServer", "Sent", "can_build", "started"]

SOURCE = Path(__file__).parent / "fakeserver" / "fakeserver.c"
TICK_S = 1e-7


class Sent(NamedTuple):
    """What the server did for one request: seconds from its arrival to each chunk's send.

    ``arrived``: seconds on the monotonic clock of the machine.
    """

    status: int
    chunks: tuple[float, ...]
    arrived: float = 0.0


class FakeServer:
    """A running fake server."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self._folder = url, folder

    def configure(self, **settings: int) -> None:
        """Set times and behaviour, as the source's first comment lists them, and forget the log."""
        pairs = "&".join(f"{name}={value}" for name, value in settings.items())
        self._get(f"/_cfg?{pairs}")
        self._get("/_reset")

    def log(self) -> dict[str, Sent]:
        """What was done for each request since it was configured, by ``X-Request-Id``."""
        return dict(self.everything())

    def everything(self) -> list[tuple[str, Sent]]:
        """The same in the order of arrival, also of requests that have no id."""
        file = self._folder / "log"
        self._get(f"/_dump?f={file}")
        return _log(file.read_bytes())

    def requests(self) -> int:
        """How many have come since it was started."""
        return int(json.loads(self._get("/_stat"))["nreq"])

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())


def can_build() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


@contextlib.contextmanager
def started(prefix: Sequence[str] = ()) -> Iterator[FakeServer]:
    """A fake server on a free port; ``prefix`` is put before its command, such as ``taskset``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "fakeserver"
        subprocess.run(["cc", "-O2", "-w", "-o", program, SOURCE, "-lm"], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [*prefix, str(program), "-p", str(port)], stderr=subprocess.DEVNULL
        )
        try:
            _answering(port)
            yield FakeServer(f"http://127.0.0.1:{port}", folder)
        finally:
            process.kill()
            process.wait()


def _answering(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.01)
    raise TimeoutError("the fake server does not answer")


def _log(data: bytes) -> list[tuple[str, Sent]]:
    (count,) = struct.unpack_from("Q", data, 8)
    at, found = 16, []
    for _ in range(count):
        (arrived,) = struct.unpack_from("Q", data, at)
        at += 24
        _, _, _, sent, status = struct.unpack_from("5I", data, at)
        at += 20
        name = data[at : at + 44].split(b"\0")[0].decode()
        at += 44
        ticks: tuple[int, ...] = ()
        if sent:
            ticks = struct.unpack_from(f"{sent}I", data, at)
            at += 8 * sent
        chunks = tuple(tick * TICK_S for tick in ticks)
        found.append((name, Sent(status, chunks, arrived * 1e-9)))
    return found
