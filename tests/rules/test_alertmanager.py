"""The generated routing in the real amtool and a real Alertmanager."""

import subprocess
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from firsttoken import servers
from firsttoken.rules.commands import alertmanager

OBJECTIVE = {"service": "chat", "slo": "ttft", "gen_ai_request_model": "m"}
BURN = {"alertname": "LLMErrorBudgetBurn", **OBJECTIVE}


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    for name in ("slack", "pagerduty"):
        (tmp_path / name).write_text("https://127.0.0.1:1/none")
    arguments = ["--slack-url-file", str(tmp_path / "slack"), "--channel", "#llm"]
    arguments += ["--pagerduty-key-file", str(tmp_path / "pagerduty")]
    done = CliRunner().invoke(alertmanager, ["generate", *arguments])
    assert done.exit_code == 0, done.output
    file = tmp_path / "alertmanager.yaml"
    file.write_text(done.stdout)
    return file


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "ticket")])
def test_severity_chooses_the_receiver(config: Path, severity: str, receiver: str) -> None:
    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={config}",
         f"--verify.receivers={receiver}", f"severity={severity}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alerts", "kept_back"),
    [
        pytest.param(
            [
                {**BURN, "severity": "critical", "burn": "page_fast"},
                {**BURN, "severity": "critical", "burn": "page_slow"},
                {**BURN, "severity": "warning", "burn": "ticket_slow"},
            ],
            {"page_slow", "ticket_slow"},
            id="a page keeps back its slower tiers and tickets",
        ),
        pytest.param(
            [
                {**BURN, "severity": "critical", "burn": "page_slow"},
                {**BURN, "severity": "critical", "burn": "page_fast"},
                {**BURN, "severity": "warning", "burn": "ticket_fast", "slo": "tpot"},
                {
                    **BURN,
                    "severity": "warning",
                    "burn": "ticket_slow",
                    "gen_ai_request_model": "other",
                },
            ],
            {"page_slow"},
            id="not those of another objective or model",
        ),
        pytest.param(
            [
                {
                    "alertname": "LLMEngineStalled",
                    "service": "chat",
                    "gen_ai_request_model": "m",
                    "severity": "critical",
                },
                {**BURN, "severity": "critical", "burn": "page_fast"},
            ],
            {"page_fast"},
            id="a stalled engine keeps back the burn that it causes",
        ),
    ],
)
def test_inhibition(
    config: Path, tmp_path: Path, alerts: list[dict[str, str]], kept_back: set[str]
) -> None:
    with servers.alertmanager(config, tmp_path) as (_, url):
        posted = requests.post(
            f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in alerts], timeout=5
        )
        assert posted.ok, posted.text
        found: set[str] = set()
        seen = 0
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and (seen < len(alerts) or found != kept_back):
            shown = requests.get(f"{url}/api/v2/alerts", timeout=5).json()
            seen = len(shown)
            found = {a["labels"]["burn"] for a in shown if a["status"]["inhibitedBy"]}
            time.sleep(0.1)

    assert seen == len(alerts)
    assert found == kept_back
