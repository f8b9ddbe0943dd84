"""Generated rules in a real Prometheus that scrapes a page every second."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from firsttoken import servers
from firsttoken.prometheus import Prometheus
from firsttoken.rules import output
from firsttoken.rules.generate import ALERT, rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile

SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "chat",
        "period": "1h",
        "objectives": [
            {
                "name": "ttft",
                "kind": "latency",
                "metric": "ttft",
                "threshold": "1s",
                "target": 99,
            },
            {"name": "up", "kind": "availability", "target": "99.5"},
        ],
        "packs": ["stall", "absence", "saturation", "gpu", "collector"],
    }
)
BAD_SHARE = {"good": 0.0, "bad": 0.5}


class Page(BaseHTTPRequestHandler):
    """Two models with ten requests a second each; of one, half are slow."""

    started = time.monotonic()

    def do_GET(self) -> None:
        count = int((time.monotonic() - self.started) * 10)
        name = "gen_ai_server_time_to_first_token_seconds"
        lines = []
        for model, share in BAD_SHARE.items():
            label = f'gen_ai_request_model="{model}"'
            lines += [
                f'{name}_bucket{{{label},le="1.0"}} {count - int(count * share)}',
                f"{name}_count{{{label}}} {count}",
                f"gen_ai_server_requests_finished_total{{{label},"
                f'gen_ai_response_finish_reason="stop"}} {count}',
                f"gen_ai_server_requests_running{{{label}}} 0",
                f"gen_ai_server_requests_waiting{{{label}}} 0",
            ]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.2)


def test_of_two_models_only_the_bad_one_pages_and_no_rule_fails(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        output.rule_file(rule_groups(SLO, options=Options(scrape=1)))
    )
    with serving() as target:
        config = tmp_path / "prometheus.yaml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"rule_files: [{tmp_path / 'rules.yaml'}]\n"
            f"scrape_configs: [{{job_name: llm, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        with servers.prometheus(config, tmp_path) as (_, url):
            asked = Prometheus(url)
            until(lambda: any(alert["state"] == "firing" for alert in asked.alerts()))
            until(lambda: asked.value('slo:error_budget_remaining:ratio{slo="ttft"}') is not None)
            alerts = asked.alerts()
            rules = [rule for group in asked.rule_groups() for rule in group["rules"]]
            left = {
                series.labels["gen_ai_request_model"]: series.last
                for series in asked.query('slo:error_budget_remaining:ratio{slo="ttft"}')
            }

    assert {
        (a["labels"]["alertname"], a["labels"]["slo"], a["labels"]["gen_ai_request_model"])
        for a in alerts
    } == {(ALERT, "ttft", "bad")}
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert all(not rule.get("lastError") for rule in rules)
    assert left["good"] == 1
    assert -60 < left["bad"] < -40
