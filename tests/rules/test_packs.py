"""The packs' alerts on made-up series, evaluated by the real promtool."""

import json
import subprocess
from pathlib import Path

import pytest

from firsttoken.rules import output
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import Pack, SloFile

RUNNING = 'gen_ai_server_requests_running{gen_ai_request_model="m"}'
WAITING = 'gen_ai_server_requests_waiting{gen_ai_request_model="m"}'
TOKENS = 'gen_ai_server_tokens_processed_total{gen_ai_request_model="m",gen_ai_token_type="output"}'
CACHE = 'gen_ai_server_kv_cache_utilization_ratio{gen_ai_request_model="m"}'
XID = 'hw_gpu_xid_last{hw_id="GPU-1"}'
SOURCE = 'firsttoken_collector_source_up{firsttoken_source="dcgm"}'


def firing(
    folder: Path, pack: Pack, series: dict[str, str], minutes: int, alert: str, count: int
) -> None:
    """Hold how many alerts of a name fire after so many minutes of one sample a minute."""
    slo = SloFile.model_validate(
        {
            "version": "firsttoken/v1",
            "service": "chat",
            "period": "30d",
            "objectives": [{"name": "up", "kind": "availability", "target": 99}],
            "packs": [pack],
        }
    )
    (folder / "rules.yaml").write_text(output.rule_file(rule_groups(slo, options=Options(60))))
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
                        " or vector(0)",
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": "{}", "value": count}],
                    }
                ],
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
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("running", "tokens", "count"),
    [
        pytest.param("3x20", "0+0x20", 1, id="requests and no tokens"),
        pytest.param("3x20", "0+50x20", 0, id="requests and tokens"),
        pytest.param("0x20", "500x20", 0, id="idle"),
        pytest.param("3x20", "_x20", 1, id="never a token"),
    ],
)
def test_an_engine_stalls_with_requests_and_without_tokens(
    tmp_path: Path, running: str, tokens: str, count: int
) -> None:
    series = {RUNNING: running, WAITING: "0x20", TOKENS: tokens}

    firing(tmp_path, "stall", series, 15, "LLMEngineStalled", count)


@pytest.mark.parametrize(
    ("running", "count"),
    [
        pytest.param("0x40", 0, id="idle"),
        pytest.param("0x10 stale _x29", 1, id="gone"),
    ],
)
def test_a_model_that_vanished_is_absent_and_an_idle_one_is_not(
    tmp_path: Path, running: str, count: int
) -> None:
    firing(tmp_path, "absence", {RUNNING: running}, 30, "LLMModelAbsent", count)
    firing(tmp_path, "absence", {RUNNING: running}, 30, "LLMServiceAbsent", count)


def test_only_the_model_that_vanished_is_absent(tmp_path: Path) -> None:
    series = {RUNNING: "0x10 stale _x29", RUNNING.replace('"m"', '"other"'): "0x40"}

    firing(tmp_path, "absence", series, 30, "LLMModelAbsent", 1)
    firing(tmp_path, "absence", series, 30, "LLMServiceAbsent", 0)


@pytest.mark.parametrize(
    ("codes", "minutes", "count"),
    [
        pytest.param("0x10 79x10", 15, 1, id="new"),
        pytest.param("0x10 79x110", 100, 0, id="sticky and old"),
        pytest.param("0x10 13x10", 15, 0, id="an application's error"),
        pytest.param("79x60 0x1 95x20", 70, 1, id="another code after an old one"),
    ],
)
def test_a_fatal_xid_pages_for_an_hour_and_an_old_one_does_not(
    tmp_path: Path, codes: str, minutes: int, count: int
) -> None:
    firing(tmp_path, "gpu", {XID: codes}, minutes, "GPUFatalXid", count)


@pytest.mark.parametrize(("waiting", "count"), [("5x40", 1), ("0x40", 0)])
def test_a_full_cache_is_a_ticket_only_while_requests_wait(
    tmp_path: Path, waiting: str, count: int
) -> None:
    series = {CACHE: "0.99x40", WAITING: waiting}

    firing(tmp_path, "saturation", series, 35, "LLMKVCacheFull", count)


@pytest.mark.parametrize(("up", "count"), [("0x20", 1), ("1x20", 0), ("1x12 0 1x7", 0)])
def test_a_source_is_down_when_it_stays_down(tmp_path: Path, up: str, count: int) -> None:
    firing(tmp_path, "collector", {SOURCE: up}, 15, "LLMSourceDown", count)


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        pytest.param("0.5x10 stale _x29", "0.5x40", 1, id="one of two"),
        pytest.param("0.5x10 stale _x29", "0.5x10 stale _x29", 0, id="the whole replica"),
        pytest.param("0x40", "0.5x40", 0, id="idle"),
    ],
)
def test_a_gpu_that_vanished_alone_pages(
    tmp_path: Path, first: str, second: str, count: int
) -> None:
    series = {
        f'hw_gpu_utilization_ratio{{instance="i",hw_id="{gpu}"}}': values
        for gpu, values in (("1", first), ("2", second))
    }

    firing(tmp_path, "gpu", series, 30, "GPUVanished", count)
