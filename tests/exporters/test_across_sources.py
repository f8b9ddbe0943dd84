"""One expression for each question, over a Prometheus that scrapes four kinds of pods at once."""

import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from firsttoken import catalogue, promql, servers
from firsttoken.exporters import page
from firsttoken.prometheus import Prometheus
from firsttoken.promql import Matcher, Scope

PAGES = Path(__file__).parents[1] / "data" / "pages"
# Pods and their sources; each pod has a collector of its own.
PODS = {
    "nvidia": {"engine": "vllm-0.32.0.txt", "gpu": "dcgm-4.5.txt"},
    "amd": {"engine": "tgi-3.3.7.txt", "gpu": "amd-1.5.txt"},
}
MIB = 1024**2
GROWING = re.compile(
    r"^([a-zA-Z_:]+(?:_total|_bucket|_sum|_count|_success)(?:\{.*\})?) ([0-9.e+]+)$"
)
BY_PROVIDER = Scope(by=("gen_ai.provider.name",))
OUTPUT = BY_PROVIDER.matching(Matcher("gen_ai.token.type", "output"))
BY_VENDOR = Scope(by=("hw.vendor",))


def growing(text: str, seconds: float) -> str:
    """The page after some time: a second adds as much as a thousand pages have, in whole steps."""
    factor = round(1000 * (1 + seconds))
    lines = []
    for line in text.splitlines():
        if found := GROWING.match(line):
            line = f"{found[1]} {float(found[2]) * factor!r}"
        lines.append(line)
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    started = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        """Serves the pages under their files' names, growing."""

        def do_GET(self) -> None:
            text = growing((PAGES / self.path.strip("/")).read_text(), time.monotonic() - started)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Tests say nothing."""

    folder = tmp_path_factory.mktemp("pods")
    with ExitStack() as stack:
        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        stack.callback(http.server_close)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        stack.callback(thread.join)
        stack.callback(http.shutdown)
        targets = []
        for pod, sources in PODS.items():
            flags = [
                f"--source={name}=http://127.0.0.1:{http.server_port}/{file}"
                for name, file in sources.items()
            ]
            command = [sys.executable, "-m", "firsttoken", "collect", "--listen=127.0.0.1:0"]
            child = stack.enter_context(
                servers.start(f"collector-{pod}", [*command, *flags], folder / f"{pod}.log")
            )
            address = servers.announced_address(child).removeprefix("http://")
            targets.append({"targets": [address], "labels": {"pod": pod}})
        config = folder / "prometheus.yml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
                    "scrape_configs": [{"job_name": "pods", "static_configs": targets}],
                }
            )
        )
        _, url = stack.enter_context(servers.prometheus(config, folder))
        yield Prometheus(url)


def asked(
    prometheus: Prometheus, expression: str, label: str, wanted: dict[str, float], *, rel: float = 0
) -> dict[str, float]:
    """The values by a label, once they are as wanted, or what they were when the time was up."""
    deadline = time.monotonic() + 120
    found: dict[str, float] = {}
    while found != pytest.approx(wanted, rel=rel or None) and time.monotonic() < deadline:
        series = prometheus.query(expression)
        found = {each.labels.get(label, ""): each.last for each in series}
        time.sleep(0.1)
    return found


def test_gpu_utilisation(prometheus: Prometheus) -> None:
    busy = BY_VENDOR.matching(Matcher("hw.gpu.task", "general"))
    expression = promql.gauge(catalogue.GPU_UTILIZATION, busy, "max")

    wanted = {"NVIDIA": 0.97, "AMD": 0.91}
    assert asked(prometheus, expression, "hw_vendor", wanted) == wanted


def test_gpu_memory(prometheus: Prometheus) -> None:
    expression = promql.gauge(catalogue.GPU_MEMORY_USAGE, BY_VENDOR)

    wanted = {"NVIDIA": (76911.0 + 10) * MIB, "AMD": (180000.0 + 283) * MIB}
    assert asked(prometheus, expression, "hw_vendor", wanted) == wanted


def value(file: str, series: str) -> float:
    """The one value of a series of a page."""
    text = (PAGES / file).read_text()
    (found,) = re.findall(rf"^{series}(?:\{{.*\}})? (.*)$", text, re.MULTILINE)
    return float(found)


def test_the_queue(prometheus: Prometheus) -> None:
    expression = promql.gauge(catalogue.REQUESTS_WAITING, BY_PROVIDER)

    wanted = {"vllm": value("vllm-0.32.0.txt", "vllm:num_requests_waiting"), "tgi": 4.0}
    assert asked(prometheus, expression, "gen_ai_provider_name", wanted) == wanted


def test_the_kv_cache_of_those_that_report_it(prometheus: Prometheus) -> None:
    expression = promql.gauge(catalogue.KV_CACHE_UTILIZATION, BY_PROVIDER, "max")

    wanted = {"vllm": value("vllm-0.32.0.txt", "vllm:kv_cache_usage_perc")}
    assert asked(prometheus, expression, "gen_ai_provider_name", wanted) == wanted


def test_tokens_per_second(prometheus: Prometheus) -> None:
    """TGI has no counter of tokens; the sum of its histogram counts them as well."""
    expression = promql.rate(catalogue.TOKENS_PROCESSED, "5s", OUTPUT)

    wanted = {
        "vllm": 1000 * value("vllm-0.32.0.txt", "vllm:generation_tokens_total"),
        "tgi": 1000 * value("tgi-3.3.7.txt", "tgi_request_generated_tokens_sum"),
    }
    # Prometheus says when it scraped, the page when it was asked: a little later.
    found = asked(prometheus, expression, "gen_ai_provider_name", wanted, rel=0.1)
    assert found == pytest.approx(wanted, rel=0.1)


def test_the_95th_percentile_of_the_time_to_first_token(prometheus: Prometheus) -> None:
    """As every bucket grows alike, the quantile is the page's at any time."""
    metric = catalogue.TIME_TO_FIRST_TOKEN
    expression = promql.quantile(Decimal("0.95"), metric, "5s", BY_PROVIDER)
    families = page.parse((PAGES / "vllm-0.32.0.txt").read_text())
    first = next(f for f in families if f.name == "vllm:time_to_first_token_seconds")
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for sample in first.samples
        if sample.suffix == "_bucket"
    ]
    rank = 0.95 * buckets[-1][1]
    place = next(i for i, (_, count) in enumerate(buckets) if count >= rank)
    (low, below), (high, upto) = buckets[place - 1], buckets[place]
    wanted = {"vllm": low + (high - low) * (rank - below) / (upto - below)}

    found = asked(prometheus, expression, "gen_ai_provider_name", wanted, rel=1e-6)
    assert found == pytest.approx(wanted)
