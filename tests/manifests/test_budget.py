"""What a deployment is said to cost is what its pages cost behind the collector."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from firsttoken.manifests.budget import budget
from firsttoken.manifests.bundle import read

DATA = Path(__file__).parents[1] / "data"
GPUS = {"nvidia": "pages/dcgm-4.5.txt", "amd": "pages/amd-1.5.txt"}


@contextmanager
def pages() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        """Serves the test pages."""

        def do_GET(self) -> None:
            body = (DATA / self.path.strip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Tests say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("vendor", GPUS)
def test_the_estimate_is_within_a_fifth(vendor: str, write: Callable[..., Path]) -> None:
    changes: dict[str, Any] = {
        "accelerator": {"vendor": vendor, "count": 2},  # as many as the pages have
        "collector": {"image": "ft:1", "gpu_exporter": "http://gpu.svc:9400/metrics"},
        "replicas": 3,
    }
    spec, _ = read(write(**changes))
    with pages() as url:
        done = subprocess.run(
            [sys.executable, "-m", "firsttoken", "collect", "--once",
             f"--source=vllm={url}/vllm-0.32.0.prom", f"--source=gpu={url}/{GPUS[vendor]}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    series = sum(bool(line) and not line.startswith("#") for line in done.stdout.splitlines())

    assert budget(spec).pod == pytest.approx(series, rel=0.2)
    assert budget(spec).all == 3 * budget(spec).pod
