"""Child processes: they are real, ready, and gone when they should be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus, QueryError
from firsttoken.servers import (
    alertmanager,
    announced_address,
    free_port,
    missing_tools,
    prometheus,
    start,
)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_real_prometheus_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text("{}")

    with prometheus(config, tmp_path) as (child, url):
        client = Prometheus(url)

        assert client.ready()
        assert client.value("vector(41) + 1") == 42
        assert client.value("vector(0) / 0") is None
        assert client.rule_groups() == []
        with pytest.raises(QueryError, match=r"parse error.*sum[(]"):
            client.query("sum(")

    assert gone(child.process.pid)


def test_two_of_a_kind_run_side_by_side(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text("{route: {receiver: none}, receivers: [{name: none}]}")

    with (
        alertmanager(config, tmp_path / "a") as (_, first),
        alertmanager(config, tmp_path / "b") as (_, second),
    ):
        assert first != second


def test_a_wrong_configuration_is_said_with_the_server_s_own_words(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text("nonsense: true")

    with (
        pytest.raises(NotJudgedError, match="field nonsense not found"),
        prometheus(config, tmp_path),
    ):
        pass


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(NotJudgedError, match="no-such-program is not installed"),
        start("ghost", ["no-such-program"], tmp_path / "log"),
    ):
        pass


def test_missing_tools_come_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert missing_tools("promtool", "amtool") == {
        "promtool": "prometheus",
        "amtool": "prometheus-alertmanager",
    }


def test_the_announced_address_is_read_from_the_log(tmp_path: Path) -> None:
    program = "import time; print('listening http://127.0.0.1:7', flush=True); time.sleep(60)"

    with start("server", [sys.executable, "-c", program], tmp_path / "log") as child:
        assert announced_address(child) == "http://127.0.0.1:7"


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import pathlib, time
from firsttoken.servers import start
with start("sleep", ["sleep", "60"], pathlib.Path({str(tmp_path / "log")!r})) as child:
    print(child.process.pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    assert gone(pid)


def test_a_server_that_is_down_is_an_error_that_names_it() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(QueryError, match=url):
        Prometheus(url).query("up")
    assert not Prometheus(url).ready()
