"""Generated rules in a real Prometheus that scrapes a page every second."""

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.rules.scraped import until, watched

from firsttoken import servers
from firsttoken.prometheus import Prometheus
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
NOW = int(time.time()) // 60 * 60
BAD_SHARE = {"good": 0.0, "bad": 0.5}


def page(seconds: float) -> bytes:
    """Two models with ten requests a second each; of one, half are slow."""
    count = int(seconds * 10)
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
    return ("\n".join(lines) + "\n").encode()


def test_of_two_models_only_the_bad_one_pages_and_no_rule_fails(tmp_path: Path) -> None:
    with watched(tmp_path, SLO, page) as asked:
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


@pytest.mark.parametrize(
    ("calendar", "moment", "start"),
    [
        ("week", "2026-11-26T11:20:00", "2026-11-23T00:00:00"),
        ("week", "2026-11-23T00:30:00", "2026-11-23T00:00:00"),
        ("month", "2026-03-01T05:00:00", "2026-03-01T00:00:00"),
        ("month", "2028-02-29T23:59:00", "2028-02-01T00:00:00"),
        ("quarter", "2026-12-31T23:00:00", "2026-10-01T00:00:00"),
        ("quarter", "2027-01-01T01:00:00", "2027-01-01T00:00:00"),
        ("quarter", "2028-05-10T12:34:00", "2028-04-01T00:00:00"),
    ],
)
def test_a_calendar_period_begins_with_its_first_day(
    url: str, calendar: str, moment: str, start: str
) -> None:
    """The expression needs no series, so an empty Prometheus can be asked about any moment."""
    groups = rule_groups(SLO.model_copy(update={"calendar": calendar, "period": 30 * 86400.0}))
    (rule,) = next(one.rules for one in groups if one.name.endswith("-calendar.rules"))
    at, first = (datetime.fromisoformat(f"{text}+00:00").timestamp() for text in (moment, start))

    assert Prometheus(url).value(rule.expr, at=at) == at - first


def test_a_new_xid_pages_and_a_sticky_old_one_does_not(url: str) -> None:
    """The gauge of one GPU has stood at 79 for hours, that of the other for two minutes."""
    gpu = next(
        group
        for group in rule_groups(SLO, options=Options(scrape=1))
        if group.name.endswith("-gpu.rules")
    )
    expr = next(rule.expr for rule in gpu.rules if getattr(rule, "alert", "") == "GPUFatalXid")

    found = Prometheus(url).query(expr, at=NOW)
    assert {(one.labels["hw_id"], one.last) for one in found} == {("new", 79.0)}


def write_xids(folder: Path) -> None:
    lines = ["# TYPE hw_gpu_xid_last gauge"]
    for gpu, since in (("new", NOW - 120), ("old", NOW - 9000), ("sound", NOW + 1)):
        lines += [
            f'hw_gpu_xid_last{{hw_id="{gpu}",instance="node"}} {79 if at >= since else 0} {at}'
            for at in range(NOW - 10800, NOW + 1, 60)
        ]
    (folder / "xids.om").write_text("\n".join([*lines, "# EOF"]) + "\n")
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "xids.om", "prometheus-data"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(name="url", scope="module")
def _url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("filled")
    write_xids(folder)
    (folder / "prometheus.yaml").write_text("global: {}\n")
    with servers.prometheus(folder / "prometheus.yaml", folder) as (_, url):
        yield url
