"""From simulated engines to a webhook: who is told what, through every real part in between.

Engines, collector, Prometheus and Alertmanager run as processes; periods, waits and the minute that
a stalled engine is given are scaled to seconds, everything else is as generated.
"""

import contextlib
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from firsttoken import servers
from firsttoken.prometheus import Prometheus
from firsttoken.rules import output
from firsttoken.rules.alertmanager import Receivers, configuration
from firsttoken.rules.generate import ALERT, rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile

SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "chat",
        "period": "1h",
        "objectives": [
            {"name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "250ms",
             "target": 99},
            {"name": "tpot", "kind": "latency", "metric": "tpot", "threshold": "100ms",
             "target": 99},
            {"name": "up", "kind": "availability", "target": 99},
        ],
        "packs": ["stall", "absence", "saturation", "gpu", "collector", "watchdog"],
    }
)  # fmt: skip
SCALED = {"10s": "1s", "5m": "10s", "30m": "10s", "1m": "1s", "0s": "0s"}
"""Waits of the routing -> what the test waits."""
MINUTE, SCALED_MINUTE = "1m", "8s"
"""For how long an engine that is stalled has made no token."""
COMMAND = [sys.executable, "-m", "firsttoken"]
MODELS = ("good", "slow", "stuck", "idle", "gone")
PROMPT = "What the engine is asked is long enough that reading it takes a while. " * 30


@dataclass
class Inbox:
    """What webhooks were told, in order: receiver, status and labels of each alert."""

    told: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def take(self, receiver: str, message: dict[str, Any]) -> None:
        self.told += [(receiver, one["status"], one["labels"]) for one in message["alerts"]]

    def names(self, receiver: str, status: str = "firing") -> set[tuple[str, ...]]:
        """Alert, objective and model of what a receiver was told."""
        return {
            (labels["alertname"], labels.get("slo", ""), labels.get("gen_ai_request_model", ""))
            for to, state, labels in list(self.told)
            if (to, state) == (receiver, status)
        }


@contextlib.contextmanager
def inbox() -> Iterator[tuple[Inbox, str]]:
    """A webhook receiver; its path is the receiver's name."""
    found = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(self.path.strip("/"), json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scaled(shape: Any) -> Any:
    """The same configuration with shorter waits."""
    if isinstance(shape, list):
        return [scaled(item) for item in shape]
    if isinstance(shape, dict):
        return {
            key: SCALED[value] if key in {"group_wait", "group_interval"} else scaled(value)
            for key, value in shape.items()
        }
    return shape


def asking(url: str, model: str, stop: threading.Event) -> None:
    """Five requests a second, one after the other, until told to stop."""
    body = {"model": model, "prompt": PROMPT, "max_tokens": 3}
    for number in itertools.count():
        # Each prompt is another one, or the prefix cache would spare the engine the work.
        fresh = {**body, "prompt": f"{number} {PROMPT}"}
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{url}/v1/completions", json=fresh, timeout=2)
        if stop.wait(0.2):
            return


def waiting(url: str, model: str) -> None:
    """One long answer that its client waits for until the engine ends."""
    body = {"model": model, "prompt": "Tell.", "max_tokens": 4000, "ignore_eos": True}
    with contextlib.suppress(requests.RequestException):
        requests.post(f"{url}/v1/completions", json=body, timeout=200)


@dataclass
class Stack:
    """Everything that runs."""

    engines: dict[str, tuple[servers.Child, str]]
    prometheus: Prometheus
    alertmanager: str
    inbox: Inbox

    def inject(self, model: str, **faults: object) -> None:
        answer = requests.put(f"{self.engines[model][1]}/faults", json=faults, timeout=30)
        assert answer.ok, answer.text

    def inhibited(self) -> set[tuple[str, str]]:
        """Severity and objective of the alerts that are kept back."""
        shown = requests.get(f"{self.alertmanager}/api/v2/alerts", timeout=30).json()
        return {
            (one["labels"]["severity"], one["labels"].get("slo", ""))
            for one in shown
            if one["status"]["inhibitedBy"]
        }


def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[dict[str, tuple[servers.Child, str]]]:
    with contextlib.ExitStack() as running:
        started = {
            model: running.enter_context(
                servers.start(
                    model,
                    [*COMMAND, "simulate", "--listen", "127.0.0.1:0", "--model", model],
                    folder / f"{model}.log",
                )
            )
            for model in MODELS
        }
        yield {model: (child, servers.announced_address(child)) for model, child in started.items()}


@pytest.fixture(name="stack")
def _stack(tmp_path: Path) -> Iterator[Stack]:
    with contextlib.ExitStack() as running:
        messages, hook = running.enter_context(inbox())
        started = running.enter_context(engines(tmp_path))
        sources = [f"{model}={url}/metrics,profile=vllm" for model, (_, url) in started.items()]
        sources.append(f"gpu={started['idle'][1]}/dcgm/metrics,profile=dcgm")
        collect = [*COMMAND, "collect", "--listen", "127.0.0.1:0"]
        for source in sources:
            collect += ["--source", source]
        collector = servers.announced_address(
            running.enter_context(servers.start("collector", collect, tmp_path / "collector.log"))
        )
        receivers = Receivers(
            page_webhook=f"{hook}/page", ticket_webhook=f"{hook}/ticket", deadman=f"{hook}/deadman"
        )
        routing = tmp_path / "alertmanager.yaml"
        routing.write_text(output.to_yaml(scaled(configuration(receivers))))
        _, alertmanager = running.enter_context(servers.alertmanager(routing, tmp_path))
        rules = output.rule_file(rule_groups(SLO, options=Options(scrape=1)))
        assert f"[{MINUTE}]" in rules
        (tmp_path / "rules.yaml").write_text(rules.replace(f"[{MINUTE}]", f"[{SCALED_MINUTE}]"))
        config = tmp_path / "prometheus.yaml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"rule_files: [{tmp_path / 'rules.yaml'}]\n"
            "scrape_configs:\n"
            f"  - {{job_name: llm, static_configs: [{{targets: ['{host(collector)}']}}]}}\n"
            "alerting: {alertmanagers: [{static_configs: "
            f"[{{targets: ['{host(alertmanager)}']}}]}}]}}\n"
        )
        _, prometheus = running.enter_context(
            servers.prometheus(config, tmp_path, flags=["--rules.alert.resend-delay=1s"])
        )
        yield Stack(started, Prometheus(prometheus), alertmanager, messages)


def host(url: str) -> str:
    return url.removeprefix("http://")


@pytest.mark.timeout(240)
def test_those_who_must_be_told_are_told_and_of_nothing_else(stack: Stack) -> None:
    """One story, because a start of all parts takes longer than each chapter of it."""
    told = stack.inbox
    stop = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        try:
            for model in ("good", "slow", "gone"):
                pool.submit(asking, stack.engines[model][1], model, stop)
            pool.submit(waiting, stack.engines["stuck"][1], "stuck")
            running = 'gen_ai_server_requests_running{gen_ai_request_model="stuck"} > 0'
            until(lambda: stack.prometheus.value(running) is not None, "a request that runs")
            stack.inject("stuck", stalled=True)
            _one_slow_request(stack)
            _burn(stack)
            _gpu(stack)
            until(
                lambda: ("LLMEngineStalled", "", "stuck") in told.names("page"), "stall", seconds=90
            )
            _gone(stack)
        finally:
            stop.set()
            stack.engines["stuck"][0].stop()

    assert told.names("page") == {
        (ALERT, "ttft", "slow"),
        ("GPUFatalXid", "", ""),
        ("LLMEngineStalled", "", "stuck"),
        ("LLMModelAbsent", "", "gone"),
    }
    assert {name for name, _, model in told.names("ticket") if model != "slow"} == {"LLMSourceDown"}
    health = {rule["health"] for group in stack.prometheus.rule_groups() for rule in group["rules"]}
    assert health <= {"ok", "unknown"}


def _one_slow_request(stack: Stack) -> None:
    """A model that is nearly idle answers one request far too late: seen, and no page, ever."""
    stack.inject("idle", prefill_slowdown=50)
    body = {"model": "idle", "prompt": PROMPT, "max_tokens": 1}
    answer = requests.post(f"{stack.engines['idle'][1]}/v1/completions", json=body, timeout=30)
    assert answer.ok, answer.text
    stack.inject("idle", prefill_slowdown=1)
    bad = 'slo:sli_bad:rate5m{slo="ttft", gen_ai_request_model="idle"} > 0'
    until(lambda: stack.prometheus.value(bad) is not None, "the one slow request")


def _burn(stack: Stack) -> None:
    """A slow prefill pages for TTFT alone, keeps its ticket back, and is reported as resolved."""
    told = stack.inbox
    share = 'slo:sli_total:rate5m{slo="ttft", gen_ai_request_model="slow"} > 0'
    until(lambda: stack.prometheus.value(share) is not None, "traffic")
    until(lambda: bool(told.names("deadman")), "dead man's switch")
    # Where rules run before anything was scraped, nothing of the service was there indeed.
    assert told.names("page") <= {("LLMServiceAbsent", "", "")}
    told.told.clear()

    stack.inject("slow", prefill_slowdown=20)
    until(lambda: (ALERT, "ttft", "slow") in told.names("page"), "page")
    until(lambda: ("warning", "ttft") in stack.inhibited(), "inhibition")
    assert told.names("page") == {(ALERT, "ttft", "slow")}
    assert not told.names("ticket")

    stack.inject("slow", prefill_slowdown=1)
    until(lambda: (ALERT, "ttft", "slow") in told.names("page", "resolved"), "resolved")


def _gpu(stack: Stack) -> None:
    stack.inject("idle", xid=79)
    until(lambda: ("GPUFatalXid", "", "") in told_pages(stack), "XID")


def told_pages(stack: Stack) -> set[tuple[str, ...]]:
    return stack.inbox.names("page")


def _gone(stack: Stack) -> None:
    stack.engines["gone"][0].stop()
    until(lambda: ("LLMModelAbsent", "", "gone") in told_pages(stack), "absence")
    until(lambda: ("LLMSourceDown", "", "") in stack.inbox.names("ticket"), "source")
