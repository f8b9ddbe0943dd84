"""The generated routing in the real amtool and a real Alertmanager."""

import gzip
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml
from click.testing import CliRunner

from firsttoken import servers
from firsttoken.errors import UsageError
from firsttoken.rules.commands import alertmanager

ROOT = Path(__file__).parents[2]
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
            f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in alerts], timeout=30
        )
        assert posted.ok, posted.text
        found: set[str] = set()
        seen = 0
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (seen < len(alerts) or found != kept_back):
            shown = requests.get(f"{url}/api/v2/alerts", timeout=30).json()
            seen = len(shown)
            found = {a["labels"]["burn"] for a in shown if a["status"]["inhibitedBy"]}
            time.sleep(0.1)

    assert seen == len(alerts)
    assert found == kept_back


def generated(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(alertmanager, ["generate", *arguments])
    assert done.exit_code == 0, done.output
    shape: dict[str, Any] = yaml.safe_load(done.stdout)
    return shape


def test_the_dead_mans_switch_takes_the_watchdog_and_tells_it_at_once(tmp_path: Path) -> None:
    arguments = ["--page-webhook", "http://h/p", "--ticket-webhook", "http://h/t"]
    shape = generated(*arguments, "--deadman-webhook", "http://h/d", "--ticket-hours",
                      "monday:friday 08:00-18:00 Europe/Berlin")  # fmt: skip
    file = tmp_path / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(shape))

    for labels, receiver in (
        (["alertname=LLMWatchdog", "severity=none"], "deadman"),
        (["alertname=Watchdog", "severity=none"], "deadman"),
        (["severity=critical"], "page"),
        (["severity=warning"], "ticket"),
    ):
        done = subprocess.run(
            ["amtool", "config", "routes", "test", f"--config.file={file}",
             f"--verify.receivers={receiver}", *labels],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert shape["route"]["routes"][0]["group_wait"] == "0s"
    assert shape["time_intervals"][0]["time_intervals"][0]["location"] == "Europe/Berlin"


def test_alerts_are_kept_apart_by_the_labels_that_they_have(tmp_path: Path) -> None:
    """A page of one model must not keep back another's ticket because both lack a label."""
    file = tmp_path / "slo.yaml"
    file.write_text(
        "version: firsttoken/v1\nservice: chat\nperiod: 30d\nsource: vllm\ngroup_by: [tenant]\n"
        "objectives:\n  - {name: up, kind: availability, target: 99}\n"
    )
    hooks = ["--page-webhook", "http://h/p", "--ticket-webhook", "http://h/t"]
    shape = generated(str(file), *hooks)

    for rule in shape["inhibit_rules"][:3]:
        assert rule["equal"] == ["cluster", "namespace", "service", "slo", "model_name", "tenant"]
    assert shape["route"]["group_by"][-2:] == ["model_name", "tenant"]


def test_what_only_explains_is_told_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yaml"
    hooks = ["--page-webhook", "http://h/p", "--ticket-webhook", "http://h/t"]
    file.write_text(yaml.safe_dump(generated(*hooks)))

    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={file}",
         "--verify.receivers=nobody", "alertname=GPUApplicationXid", "severity=info"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_webhooks_token_stays_in_its_file() -> None:
    shape = generated(
        "--page-webhook", "http://h/p", "--ticket-webhook", "http://h/t",
        "--webhook-token-file", "/etc/am/token",
    )  # fmt: skip

    hook = shape["receivers"][0]["webhook_configs"][0]
    assert hook["http_config"] == {"authorization": {"credentials_file": "/etc/am/token"}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "tickets have no receiver"),
        (["--ticket-webhook", "http://h/t"], "pages have no receiver"),
        (["--slack-url-file", "/x"], "Slack needs both"),
        (
            ["--page-webhook", "http://u:secret@h/p", "--ticket-webhook", "http://h/t"],
            "address of the webhook on h holds a secret",
        ),
        (["--page-webhook", "h/p", "--ticket-webhook", "http://h/t"], "must be http://host/path"),
        (
            ["--page-webhook", "http://h", "--ticket-webhook", "http://h", "--ticket-hours", "9-5"],
            "expected days, times and a zone",
        ),
    ],
)
def test_a_mistake_is_one_clear_line_without_the_secret(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(alertmanager, ["generate", *arguments])

    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert "secret@" not in str(done.exception)


def strict(schema: Any) -> Any:
    """The schema with every key that it does not name forbidden, as a strict server has it."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # Go allows a flag inside a pattern, Python only before it; days are lower case here.
    found = {
        key: value.replace("(?i)", "") if key == "pattern" else strict(value)
        for key, value in schema.items()
    }
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found["additionalProperties"] = False
    return found


def test_the_operators_object_says_the_same_and_names_secrets_only() -> None:
    arguments = ["--slack-url-file", "/etc/am/slack", "--channel", "#llm",
                 "--pagerduty-key-file", "/etc/am/pagerduty", "--deadman-webhook", "http://h/d",
                 "--webhook-token-file", "/etc/am/token",
                 "--ticket-hours", "monday:friday 08:00-18:00"]  # fmt: skip
    plain = generated(*arguments)
    shape = generated(*arguments, "--format", "alertmanagerconfig", "--namespace", "ml")

    data = ROOT / "tests/data/schemas"
    (packed,) = data.glob("alertmanagerconfig_*.json.gz")
    schema = strict(json.loads(gzip.decompress(packed.read_bytes()))["properties"]["spec"])
    jsonschema.Draft7Validator(schema).validate(shape["spec"])
    assert len(shape["spec"]["inhibitRules"]) == len(plain["inhibit_rules"])
    assert [one["receiver"] for one in shape["spec"]["route"]["routes"]] == [
        one["receiver"] for one in plain["route"]["routes"]
    ]
    slack = shape["spec"]["receivers"][1]["slackConfigs"][0]
    assert slack["apiURL"] == {"name": "firsttoken-alerts", "key": "slack"}
    assert "/etc/am" not in str(shape)
