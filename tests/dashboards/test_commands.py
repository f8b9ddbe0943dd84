"""The command, as a person runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from firsttoken.catalogue import SOURCE_UP
from firsttoken.cli import main
from firsttoken.servers import free_port, prometheus


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, as far as its exit code."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["dashboards", *arguments])
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return run


def test_check_prints_every_panel_and_gives_the_same_as_json(tmp_path: Path, run: Run) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": [{"job_name": "x", "static_configs": []}]}))

    with prometheus(config, tmp_path) as (_, url):
        printed = run("check", "--prometheus", url, "firsttoken-data-quality")
        machine = run("check", "--prometheus", url, "--json", "firsttoken-data-quality")

    assert printed.returncode == machine.returncode == 0, printed.stderr
    assert "not reported firsttoken-data-quality: Sources failing" in printed.stdout
    assert f"no series of {SOURCE_UP.prometheus}" in printed.stdout
    rows = {row["panel"]: row for row in json.loads(machine.stdout)}
    assert rows["Sources failing"]["status"] == "not reported"
    assert rows["Targets"]["setting"] == "as opened"


def test_a_prometheus_that_is_down_is_one_line_and_exit_code_3(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    done = run("check", "--prometheus", url)

    assert done.returncode == 3
    assert done.stderr == f"firsttoken: Prometheus at {url} cannot be asked: ConnectionError\n"


def test_a_wrong_argument_is_one_line_and_exit_code_2(run: Run) -> None:
    unknown = run("generate", "nonsense")
    folder = run("generate", "--format", "provisioning")
    span = run("check", "--prometheus", "http://x", "--range", "3parsecs")

    assert [unknown.returncode, folder.returncode, span.returncode] == [2, 2, 2]
    assert unknown.stderr.startswith(
        "firsttoken: no dashboard nonsense for source semconv; there are firsttoken-slo"
    )
    assert "needs --out" in folder.stderr
    assert "a duration such as" in span.stderr
    assert "Traceback" not in unknown.stderr + folder.stderr + span.stderr


def test_lint_says_how_many_dashboards_it_held_to_the_rules() -> None:
    command = [sys.executable, "-m", "firsttoken", "dashboards", "lint"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "7 dashboards, no findings, 4 exclusions\n"


def test_every_command_shows_examples(run: Run) -> None:
    for name in ("generate", "check", "lint", "diff", "push", "pictures"):
        assert "Examples:" in run(name, "--help").stdout, name
