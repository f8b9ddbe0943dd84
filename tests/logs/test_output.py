"""What is printed, served and generated from a log."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from firsttoken import catalogue
from firsttoken.errors import CheckFailedError, ConfigError, UsageError
from firsttoken.logs import shipping
from firsttoken.logs.commands import logs
from firsttoken.logs.privacy import check
from firsttoken.metric import Requirement

DATA = Path(__file__).parents[1] / "data" / "vllm"
TEXT = DATA / "vllm-0.32.0-text.log"


def run(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(logs, list(arguments), input=given)


def test_a_log_is_shown_with_its_timeline() -> None:
    result = run("show", str(TEXT))

    assert result.exit_code == 0
    assert "vLLM 0.32.0  /models/tiny  ready after 69.0 s" in result.output
    assert "init_engine            0.73 s  (EngineCore)" in result.output
    assert "request cmpl-abortme-0 aborted" in result.output
    assert "FATAL engine_died" in result.output


def test_a_pipe_is_read_as_kubectl_writes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firsttoken", "logs", "show", "--json"],
        input=TEXT.read_bytes(),
        capture_output=True,
        check=True,
    )

    data = json.loads(done.stdout)
    assert data["starts"][0]["kv_tokens"] == 524288
    assert data["http"]["500"] == 1


def test_every_metric_of_the_page_is_the_catalogues_and_has_what_it_requires() -> None:
    families = list(text_string_to_metric_families(run("show", "--metrics", str(TEXT)).output))

    assert len(families) >= 8
    known = {metric.prometheus.removesuffix("_total"): metric for metric in catalogue.METRICS}
    for family in families:
        metric = known[family.name]
        assert family.type == metric.instrument.prometheus_type
        labels = {attribute.label: attribute for attribute in metric.attributes}
        required = {n for n, a in labels.items() if a.requirement is Requirement.REQUIRED}
        for sample in family.samples:
            assert required <= sample.labels.keys() <= labels.keys()


def test_what_a_log_cannot_tell_is_absent_and_never_zero(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text("INFO 05-13 09:00:00 [api_server.py:1043] vLLM API server version 0.8.5\n")

    page = run("show", "--metrics", str(path)).output

    assert "aborted" not in page
    assert "kv_cache" not in page


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> tuple[Path, str, "subprocess.Popen[bytes]"]:
    path = tmp_path / "vllm.log"
    path.write_bytes(b"".join(TEXT.read_bytes().splitlines(keepends=True)[:30]))
    process = subprocess.Popen(
        [sys.executable, "-m", "firsttoken", "logs", "serve", str(path), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    return path, process.stdout.readline().split()[1].decode(), process


def until(url: str, wanted: str) -> str:
    """The page once it has ``wanted``."""
    deadline = time.monotonic() + 120
    while True:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
            page: str = answer.read().decode()
        if wanted in page or time.monotonic() > deadline:
            return page
        time.sleep(0.05)


def test_a_log_is_followed_through_a_rotation_and_served(
    served: tuple[Path, str, "subprocess.Popen[bytes]"],
) -> None:
    path, url, process = served
    try:
        with path.open("ab") as file:
            file.write(b"INFO 11-26 11:21:00 [x.py:1] Request cmpl-1 aborted.\n")
        assert "aborted_total" in until(url, "requests_aborted_total")
        path.rename(path.with_suffix(".1"))
        path.write_bytes(b"INFO 11-26 11:21:01 [x.py:1] Request cmpl-2 aborted.\n")
        assert re.search(r"aborted_total\{.*\} 2\n", until(url, "} 2\n"))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    result = run("show", str(tmp_path / "none"))

    assert isinstance(result.exception, ConfigError)
    assert "cannot be read: No such file" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "environment", "found"),
    [
        (["--model", "x"], {}, 0),
        (["--enable-log-requests", "--max-log-len", "0"], {}, 0),
        (["--enable-log-requests", "--log-level", "DEBUG", "--max-log-len=9"], {}, 1),
        (["--enable-log-requests", "--max-log-len=9"], {"VLLM_LOGGING_LEVEL": "debug"}, 1),
        (["--enable_log_requests=true --enable-log-outputs"], {}, 2),
        ([], {"VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "true"}, 1),
        (['--x "unbalanced'], {}, 0),
    ],
)
def test_settings_that_log_prompts_or_answers_are_found(
    arguments: list[str], environment: dict[str, str], found: int
) -> None:
    assert len(check(arguments, environment)) == found


def test_the_privacy_command_ends_with_1_where_prompts_are_logged(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text("INFO 12-05 10:01:00 logger.py:37] Received request c-1: prompt: 'x', params\n")

    assert isinstance(run("privacy", "--log", str(path)).exception, CheckFailedError)
    assert run("privacy", "--log", str(TEXT)).exit_code == 0
    assert isinstance(run("privacy").exception, UsageError)
    assert run("privacy", "--", "--enable-log-requests", "--max-log-len", "0").exit_code == 0


def test_shipped_lines_get_level_and_request_id_whatever_their_form() -> None:
    """The expressions of the generated configuration, on what the real server wrote."""
    text, request = re.compile(shipping._TEXT), re.compile(shipping._REQUEST)
    lines = TEXT.read_text().splitlines()
    levels = [found["level"] for line in lines if (found := text.search(line))]
    ids = {
        found["request_id"]: found["trace_id"] for line in lines if (found := request.search(line))
    }

    assert (levels.count("ERROR"), levels.count("WARNING")) == (8, 14)
    assert ids["cmpl-00000000000000000000000000abc001-0"] == "0" * 26 + "abc001"
    assert ids["chatcmpl-00000000000000000000000000abc002"] == "0" * 26 + "abc002"
    assert "cmpl-abortme-0" in ids


def test_a_request_id_is_never_a_label() -> None:
    alloy = run("config", "alloy", "--selector", "app=llama").output
    labels = re.search(r"stage\.labels \{\s+values = \{(.*)\}", alloy)
    loki = yaml.safe_load(run("config", "loki").output)
    indexed = loki["limits_config"]["otlp_config"]["resource_attributes"]["attributes_config"]

    assert labels is not None
    assert labels[1].strip() == 'level = ""'
    assert 'structured_metadata {\n    values = { request_id = "", trace_id = ""' in alloy
    assert "__meta_kubernetes_pod_label_app" in alloy
    assert not [a for entry in indexed for a in entry["attributes"] if "id" in a.split(".")]
    assert alloy.count("{") - alloy.count("}") == 2  # in two regular expressions


def test_the_collectors_operators_lead_from_one_to_the_next() -> None:
    config = yaml.safe_load(run("config", "collector").output)
    operators = config["receivers"]["filelog"]["operators"]
    ids = {operator.get("id", operator["type"]) for operator in operators}
    targets = {o["output"] for o in operators if "output" in o}
    targets |= {route["output"] for o in operators for route in o.get("routes", [])}

    assert targets | {"plain"} <= ids
    parsers = [o for o in operators if o["type"].endswith("parser")]
    assert all(o["on_error"] == "send_quiet" for o in parsers)  # no line is lost
    assert config["receivers"]["filelog"]["include"] == ["/var/log/pods/*/vllm/*.log"]
