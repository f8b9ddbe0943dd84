"""Estimates of what the engine counts nowhere, on made-up series, by the real promtool."""

import json
import subprocess
from pathlib import Path

import pytest

from firsttoken.recorded import ABORTED_ESTIMATE, REFUSED_ESTIMATE
from firsttoken.rules import output
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile

MODEL = 'gen_ai_request_model="m"'
FIRST = f"gen_ai_server_time_to_first_token_seconds_count{{{MODEL}}}"
FINISHED = f'gen_ai_server_requests_finished_total{{{MODEL},gen_ai_response_finish_reason="stop"}}'
RUNNING = f"gen_ai_server_requests_running{{{MODEL}}}"
HTTP = "http_server_requests_total{{http_response_status_class='{}',http_request_method='POST'}}"


def recorded(folder: Path, series: dict[str, str], expression: str) -> float:
    """The value of an expression after ten minutes of a sample every 30 s."""
    slo = SloFile.model_validate(
        {
            "version": "firsttoken/v1",
            "service": "chat",
            "period": "30d",
            "objectives": [{"name": "up", "kind": "availability", "target": 99}],
            "packs": ["estimates"],
        }
    )
    (folder / "rules.yaml").write_text(output.rule_file(rule_groups(slo, options=Options(30))))
    probe = {"expr": expression, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": -1}]}
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [probe],
            }
        ],
    }
    (folder / "tests.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    # The expectation is wrong on purpose: promtool says what it got.
    (line,) = [
        part for part in done.stdout.splitlines() + done.stderr.splitlines() if "got:" in part
    ]
    return float(line.rsplit(maxsplit=1)[-1].strip('"'))


@pytest.mark.parametrize(
    ("first", "finished", "running", "aborted"),
    [
        pytest.param("0+2x20", "0+2x20", "3x20", 0, id="all finish"),
        pytest.param("0+2x20", "0+1x20", "3x20", 10, id="every other client leaves"),
        pytest.param("0+2x20", "0+1x20", "0+1x20", 0, id="they are running still"),
        pytest.param("0+1x20", "0+2x20", "40-1x20", 0, id="a backlog is worked off"),
    ],
)
def test_what_neither_finished_nor_runs_was_aborted(
    tmp_path: Path, first: str, finished: str, running: str, aborted: float
) -> None:
    series = {FIRST: first, FINISHED: finished, RUNNING: running}

    assert recorded(tmp_path, series, f"sum({ABORTED_ESTIMATE})") == pytest.approx(aborted, abs=1.1)


def test_an_engine_of_which_nothing_finished_yet_has_an_estimate_too(tmp_path: Path) -> None:
    series = {FIRST: "0+1x20", RUNNING: "0x20"}

    assert recorded(tmp_path, series, f"sum({ABORTED_ESTIMATE})") == pytest.approx(10, abs=1.1)


def test_http_errors_are_counted_where_the_engine_counts_none(tmp_path: Path) -> None:
    series = {HTTP.format("2xx"): "0+9x20", HTTP.format("4xx"): "0+1x20"}

    assert recorded(tmp_path, series, f"sum({REFUSED_ESTIMATE})") == pytest.approx(10, abs=0.1)
