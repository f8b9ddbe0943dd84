"""``--prometheus``: the one that already watches the deployment, instead of one of our own."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from firsttoken import servers
from firsttoken.report.schema import Report
from firsttoken.rules import slo as slo_file
from firsttoken.rules.output import rule_file
from firsttoken.validate.stack import own_command, prometheus_config
from firsttoken.validate.steps import validation_groups

SLO = """\
version: firsttoken/v1
service: chat
period: 30d
objectives:
  - {name: ttft, kind: latency, metric: ttft, threshold: 500ms, target: 90}
  - {name: availability, kind: availability, target: 99}
"""


def validate(slo: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firsttoken", "validate", "--slo", str(slo)]
    load = slo.with_name("load.yaml")
    load.write_text("{arrivals: {kind: closed, concurrency: 4}, warmup: 500ms, duration: 3s}\n")
    command += ["--load", str(load), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture
def slo(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(SLO)
    return path


def test_the_given_prometheus_is_asked_and_none_is_started(slo: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(rule_file(validation_groups(slo_file.load(slo), 1)))
    config = tmp_path / "prometheus.yml"
    simulate = own_command("simulate", "--listen", "127.0.0.1:0")
    out = tmp_path / "out"

    with servers.start("simulate", simulate, tmp_path / "simulate.log") as child:
        engine = servers.announced_address(child)
        collect = own_command("collect", "--source", f"vllm={engine}", "--listen", "127.0.0.1:0")
        with servers.start("collector", collect, tmp_path / "collector.log") as collector:
            page = f"{servers.announced_address(collector)}/metrics"
            config.write_text(yaml.safe_dump(prometheus_config(page, rules, {}, 1)))
            with servers.prometheus(config, tmp_path) as (_, url):
                done = validate(slo, out, "--target", engine, "--prometheus", url)

    report = Report.model_validate_json((out / "report.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert {check.status for check in report.checks if check.name in {"rules", "dashboards"}} == {
        "passed"
    }
    assert not (out / "logs" / "prometheus.log").exists()


def test_a_given_prometheus_that_does_not_answer_is_named(slo: Path, tmp_path: Path) -> None:
    done = validate(slo, tmp_path / "out", "--simulate", "--prometheus", "http://127.0.0.1:1")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "http://127.0.0.1:1 does not answer" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
