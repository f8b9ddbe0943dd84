"""A suite as a person runs it: a real Prometheus, a real Alertmanager, faults on the engine."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from firsttoken import servers
from firsttoken.report.suite import SuiteReport

SUITE = """\
version: firsttoken/v1
slo: slo.yaml
scenarios:
  - name: steady
    load: {arrivals: {kind: closed, concurrency: 2}, warmup: 0s, duration: 2s, output_tokens: 8}
  - name: failing
    faults: {failing_share: 0.6}
    load: {arrivals: {kind: closed, concurrency: 4}, warmup: 0s, duration: 4s, output_tokens: 8}
    expect:
      verdict: missed
      missed: [availability]
      alerts: [LLMErrorBudgetBurn(availability)]
"""
SLO = """\
version: firsttoken/v1
service: chat
period: 30d
objectives:
  - {name: availability, kind: availability, target: 99}
packs: [absence, watchdog]
"""


def begin(folder: Path, suite: str, *arguments: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_text(suite)
    (folder / "slo.yaml").write_text(SLO)
    return subprocess.Popen(
        [sys.executable, "-m", "firsttoken", "validate", "--suite", str(folder / "suite.yaml"),
         "--out", str(folder / "out"), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def end(folder: Path, process: subprocess.Popen[str]) -> tuple[int, str, SuiteReport]:
    said, _ = process.communicate(timeout=240)
    file = folder / "out" / "report.json"
    assert file.exists(), said
    return process.returncode, said, SuiteReport.model_validate_json(file.read_text())


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """The suite on the embedded engine, begun and not waited for."""
    folder = tmp_path_factory.mktemp("suite")
    process = begin(folder, SUITE, "--simulate", "--faults")
    yield folder, process
    if process.poll() is None:
        process.kill()
        process.communicate()


def test_at_a_target_faults_are_put_in_force_and_back_and_only_when_asked(
    whole: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running firsttoken simulate; without Prometheus, so that it is quick."""
    empty = tmp_path / "empty"
    empty.mkdir()
    failing = SUITE[: SUITE.index("  - name: steady")] + SUITE[SUITE.index("  - name: failing") :]
    command = [sys.executable, "-m", "firsttoken", "simulate", "--listen", "127.0.0.1:0"]
    with servers.start("simulate", command, tmp_path / "simulate.log") as child:
        url = servers.announced_address(child)
        monkeypatch.setenv("PATH", str(empty))
        plain, faulty = tmp_path / "plain", tmp_path / "faulty"
        code, _, unasked = end(plain, begin(plain, failing, "--target", url))
        _, said, asked = end(faulty, begin(faulty, failing, "--target", url, "--faults"))
        after = requests.get(f"{url}/faults", timeout=30).json()

    (skipped,), (run,) = unasked.scenarios, asked.scenarios
    assert (code, skipped.status) == (3, "skipped")
    assert "--faults" in skipped.reasons[0]
    assert run.report is not None, said
    assert run.report.engine is not None
    assert run.report.engine.faults == ("failing_share=0.6",)
    assert run.report.load is not None
    assert run.report.load.ok < run.report.load.requests
    assert {check.name: check.status for check in run.report.checks}["alerts"] == "skipped"
    assert after["failing_share"] == 0.0


def test_faults_wake_whom_they_must_and_nobody_else(whole: tuple[Path, Any]) -> None:
    folder, process = whole
    code, said, suite = end(folder, process)

    results = {one.name: one for one in suite.scenarios}
    assert code == 0, said
    assert {one.status for one in results.values()} == {"passed"}, said
    steady, failing = results["steady"].report, results["failing"].report
    assert steady is not None
    assert failing is not None
    assert steady.delivered == ()
    assert {(one.name, one.objective) for one in failing.delivered} == {
        ("LLMErrorBudgetBurn", "availability")
    }
    assert {check.name: check.status for check in failing.checks}["alerts"] == "passed"
    assert (folder / "out" / "failing" / "report.html").exists()
    assert "2 scenarios" in (folder / "out" / "report.md").read_text()
    # What was written beside it does the same again alone.
    assert str(folder / "out" / "inputs" / "failing.slo.yaml") in failing.command
    assert (folder / "out" / "inputs" / "failing.load.yaml").exists()
