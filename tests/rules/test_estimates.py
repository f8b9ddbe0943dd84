"""Estimates of what the engine counts nowhere, on made-up series, by the real promtool."""

import json
import lzma
import re
import subprocess
from pathlib import Path

import pytest

from firsttoken.recorded import ABORTED_ESTIMATE, REFUSED_ESTIMATE
from firsttoken.rules import output
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile

RUN = Path(__file__).parents[1] / "data" / "vllm-0.32.0-run.xz"
MODEL = 'gen_ai_request_model="m"'
FIRST = f"gen_ai_server_time_to_first_token_seconds_count{{{MODEL}}}"
FINISHED = f'gen_ai_server_requests_finished_total{{{MODEL},gen_ai_response_finish_reason="stop"}}'
RUNNING = f"gen_ai_server_requests_running{{{MODEL}}}"
HTTP = "http_server_requests_total{{http_response_status_class='{}',http_request_method='POST'}}"


def recorded(
    folder: Path, series: dict[str, str], expression: str, every: str = "30s", at: str = "10m"
) -> float:
    """The value of an expression at a moment of made-up series."""
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
    probe = {"expr": expression, "eval_time": at, "exp_samples": [{"labels": "{}", "value": -1}]}
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": every,
        "tests": [
            {
                "interval": every,
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


def test_clients_that_left_a_real_engine_are_found(tmp_path: Path) -> None:
    """Eight did, of 176 requests to a vLLM 0.32, and it counts none of them."""
    names = {
        FIRST: r"vllm:time_to_first_token_seconds_count\S* ([0-9.e+]+)",
        RUNNING: r"vllm:num_requests_running\S* ([0-9.e+]+)",
        FINISHED: r"vllm:request_success_total\S* ([0-9.e+]+)",
    }
    text = lzma.decompress(RUN.read_bytes()).decode()
    pages = text.split("# scraped ")[1:]  # every 5 s
    series = {
        name: " ".join(str(sum(map(float, re.findall(pattern, page)))) for page in pages)
        for name, pattern in names.items()
    }
    assert not re.search(r'request_success_total\S*"abort"\S* [1-9]', text)

    end = f"{(len(pages) - 1) * 5}s"
    found = recorded(tmp_path, series, f"sum({ABORTED_ESTIMATE})", "5s", end)

    assert found == pytest.approx(8, abs=0.5)
