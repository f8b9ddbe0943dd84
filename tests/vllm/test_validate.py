"""The main job against a real vLLM: both sides' figures, rules, dashboards and the verdict."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from firsttoken.report.schema import Report

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

CI = Path(__file__).parents[2] / "ci" / "vllm"
COUNTS = ("requests", "input tokens", "output tokens")
MEANS = ("mean TTFT", "mean TPOT", "mean E2E")


class Validation(NamedTuple):
    """How the command ended, what it said, and its report."""

    exit_code: int
    said: str
    report: Report
    folder: Path


@pytest.fixture(name="validation", scope="module")
def _validation(vllm: str, tmp_path_factory: pytest.TempPathFactory) -> Validation:
    out = tmp_path_factory.mktemp("validation") / "out"
    command = [sys.executable, "-m", "firsttoken", "validate", "--target", vllm]
    command += ["--slo", str(CI / "slo.yaml"), "--load", str(CI / "load.yaml"), "--out", str(out)]
    done = subprocess.run(
        [*command, "--duration", "15s"], capture_output=True, text=True, check=False, timeout=300
    )
    said = done.stdout + done.stderr
    assert (out / "report.json").exists(), said
    report = Report.model_validate(json.loads((out / "report.json").read_text()))
    return Validation(done.returncode, said, report, out)


def test_it_ends_with_the_verdict_of_its_report(validation: Validation) -> None:
    """Passed; only where this machine was too busy to generate the load may it not be judged."""
    verdict = validation.report.verdict
    busy = validation.report.generator is not None and validation.report.generator.bottleneck

    assert validation.exit_code == verdict.exit_code
    assert verdict.status in {"passed", "not_judged"} if busy else verdict.status == "passed", (
        validation.said
    )


@pytest.mark.parametrize("name", COUNTS)
def test_requests_and_tokens_are_equal_on_both_sides(validation: Validation, name: str) -> None:
    """What the client counted is what the server counted, exactly."""
    (row,) = [row for row in validation.report.comparisons if row.name == name]

    assert row.status == "agrees", row.explanation
    assert row.client
    assert row.client == row.server


@pytest.mark.parametrize("name", MEANS)
def test_mean_latencies_agree_or_the_report_explains(validation: Validation, name: str) -> None:
    """Within 5 % and 5 ms, else with the cause that was measured."""
    (row,) = [row for row in validation.report.comparisons if row.name == name]
    assert row.client is not None
    assert row.server is not None
    near = abs(row.client - row.server) <= 0.05 * row.server + 0.005

    assert row.status == ("agrees" if near else "explained"), row.explanation


def test_it_says_what_it_talked_to(validation: Validation) -> None:
    """A report without model and version is worth nothing a month later."""
    engine = validation.report.engine

    assert engine is not None
    assert (engine.model, engine.version, engine.simulated) == ("tiny", "0.32.0", False)


def test_every_rule_works_and_no_panel_is_broken(validation: Validation) -> None:
    """On a real engine's metrics, not only on those of the embedded one."""
    assert validation.report.rules
    assert [rule for rule in validation.report.rules if rule.status != "passed"] == []
    panels = [panel for board in validation.report.dashboards for panel in board.panels]
    assert [panel for panel in panels if panel.status == "broken"] == []
    assert [panel for panel in panels if panel.status == "data"]


def test_every_objective_was_held_against_every_request(validation: Validation) -> None:
    """The denominators are the requests that were issued."""
    report = validation.report

    assert report.load is not None
    assert {o.count for o in report.objectives if o.judged_by == "client"} == {report.load.requests}


@pytest.mark.parametrize("name", ["report.html", "report.md", "junit.xml", "records.jsonl"])
def test_every_form_of_the_report_is_there(validation: Validation, name: str) -> None:
    """And has something in it."""
    assert (validation.folder / name).stat().st_size > 500
