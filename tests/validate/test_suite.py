"""Suites: the file, what counts as expected, and the report of all scenarios."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from firsttoken.errors import ConfigError
from firsttoken.report import suite as suite_report
from firsttoken.report.plots import sections
from firsttoken.report.schema import Check, DeliveredAlert, Report
from firsttoken.report.suite import ScenarioResult, SuiteReport
from firsttoken.validate import alerts, suite
from firsttoken.validate.alerts import Expected
from firsttoken.validate.scenarios import unexpected
from firsttoken.validate.suite import Expect

ROOT = Path(__file__).parents[2]
SLO = """\
version: firsttoken/v1
service: chat
period: 30d
objectives:
  - {name: ttft, kind: latency, metric: ttft, threshold: 250ms, target: 95}
"""


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "slo.yaml").write_text(SLO)
    (tmp_path / "load.yaml").write_text("{duration: 30s, seed: 3, prompt_tokens: 100}\n")

    def write(scenarios: str) -> Path:
        path = tmp_path / "suite.yaml"
        path.write_text(
            f"version: firsttoken/v1\nslo: slo.yaml\nload: load.yaml\nscenarios:\n{scenarios}"
        )
        return path

    return write


def test_the_example_has_every_kind_of_scenario() -> None:
    _, cases = suite.load(ROOT / "examples" / "suite.yaml")

    names = {case.scenario.name for case in cases}
    assert {"smoke", "steady", "burst", "long-prompts", "prefix-reuse", "soak"} <= names
    assert sum(bool(case.faults) for case in cases) >= 3


def test_a_scenario_takes_from_the_suite_what_it_leaves_out(write: Callable[[str], Path]) -> None:
    _, (plain, own) = suite.load(
        write(
            "  - name: plain\n"
            "  - name: own\n    load: {duration: 5s}\n    objectives:\n"
            "      - {name: up, kind: availability, target: 99}\n"
        )
    )

    assert (plain.load.duration, plain.load.seed) == (30.0, 3)
    assert (own.load.duration, own.load.seed) == (5.0, 3)
    assert [one.name for one in plain.slo.objectives] == ["ttft"]
    assert [one.name for one in own.slo.objectives] == ["up"]
    assert own.slo.service == "chat"


@pytest.mark.parametrize(
    ("scenarios", "said"),
    [
        ("  - name: a\n    laod: {}\n", "laod: unknown key; did you mean load?"),
        ("  - name: a\n    load: {duration: soon}\n", "scenario a: load: duration: expected a"),
        ("  - name: a\n    faults: {gremlins: 3}\n", "scenario a: faults: gremlins: unknown key"),
        ("  - name: a\n    objectives: [{name: x}]\n", "scenario a: objectives"),
        ("  - name: a\n  - name: a\n", "two scenarios have the name a"),
        ("  - name: a\n    expect: {missed: [tpot]}\n", "there is no objective tpot"),
        ("  - name: a\n    expect: {alerts: ['a b c']}\n", "expect.alerts"),
        ("  - name: ../a\n", "name: string should match pattern"),
    ],
)
def test_a_mistake_names_the_scenario_and_the_key(
    write: Callable[[str], Path], scenarios: str, said: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        suite.load(write(scenarios))

    assert said in str(wrong.value)


# --- What is expected -----------------------------------------------------------------------------


def alert(name: str, objective: str = "") -> DeliveredAlert:
    return DeliveredAlert(name=name, objective=objective, at=5.0)


BURN = alert("LLMErrorBudgetBurn", "ttft")


@pytest.mark.parametrize(
    ("delivered", "expected", "details"),
    [
        ([], [], []),
        ([BURN], [Expected("LLMErrorBudgetBurn", "ttft")], []),
        ([BURN], [Expected("LLMErrorBudgetBurn")], []),
        ([], [Expected("LLMEngineStalled")], ["LLMEngineStalled did not arrive"]),
        (
            [BURN],
            [],
            ["LLMErrorBudgetBurn (ttft) arrived after 5 s and was not expected"],
        ),
        (
            [BURN],
            [Expected("LLMErrorBudgetBurn", "tpot")],
            [
                "LLMErrorBudgetBurn (tpot) did not arrive",
                "LLMErrorBudgetBurn (ttft) arrived after 5 s and was not expected",
            ],
        ),
    ],
)
def test_the_expected_alerts_and_only_those_must_arrive(
    delivered: list[DeliveredAlert], expected: list[Expected], details: list[str]
) -> None:
    check = alerts.check(delivered, expected)

    assert list(check.details) == details
    assert check.status == ("failed" if details else "passed")


def checked(report: Report, **statuses: str) -> Report:
    """The report with its failed checks replaced."""
    made = tuple(
        Check.model_validate(
            {"name": name, "status": status, "summary": "so", "details": (f"{name} it was",)}
        )
        for name, status in statuses.items()
    )
    return report.model_copy(update={"checks": made})


@pytest.mark.parametrize(
    ("expect", "checks", "said"),
    [
        ({"verdict": "missed"}, {}, ()),
        ({"verdict": "missed", "missed": ["ttft", "availability"]}, {}, ()),
        ({"verdict": "missed", "missed": ["ttft"]}, {}, ("ttft must be missed, and no other",)),
        ({}, {}, ("passed was expected, and it missed objectives",)),
        ({"verdict": "missed"}, {"rules": "failed"}, ("check rules failed",)),
        ({"verdict": "missed"}, {"alerts": "failed"}, ("alerts it was",)),
        ({"verdict": "missed"}, {"alerts": "skipped"}, ()),
    ],
)
def test_a_scenario_passes_when_it_comes_out_as_expected(
    report: Report, expect: dict[str, Any], checks: dict[str, str], said: tuple[str, ...]
) -> None:
    """The report that all of these are held against missed ttft and availability."""
    found = unexpected(Expect.model_validate(expect), checked(report, **checks))

    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


# --- The report of all ----------------------------------------------------------------------------


def test_one_that_failed_fails_all_and_one_that_was_skipped_is_said(whole: SuiteReport) -> None:
    assert whole.verdict.exit_code == 1
    assert whole.verdict.headline == (
        "1 of 2 scenarios did not come out as expected: slow; 1 skipped."
    )


@pytest.mark.parametrize(
    ("statuses", "interrupted", "code"),
    [
        (["passed", "passed"], False, 0),
        (["passed", "skipped"], False, 0),
        (["skipped"], False, 3),
        (["passed", "not_judged"], False, 3),
        (["failed", "not_judged"], False, 1),
        (["passed", "skipped"], True, 130),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    statuses: list[str], interrupted: bool, code: int
) -> None:
    results = [
        ScenarioResult.model_validate({"name": f"s{i}", "status": status, "expected": "passed"})
        for i, status in enumerate(statuses)
    ]

    assert suite_report.conclude(results, interrupted=interrupted).exit_code == code


def test_one_page_has_every_scenario_whole_with_names_of_its_own(
    whole: SuiteReport, report: Report, run: Any
) -> None:
    drawn = sections(report, run)
    page = suite_report.html(whole, {"steady": drawn, "slow": drawn})

    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert {"steady", "slow", "steady-latency", "slow-latency"} <= set(names)
    links = re.findall(r'href="#([^"]+)"', page)
    assert set(links) <= set(names)
    labelled = [name for text in re.findall(r'labelledby="([^"]+)"', page) for name in text.split()]
    assert set(labelled) <= set(names)
    assert "it was &lt;fast&gt;" in page.lower()
    assert "<script" not in page


def test_the_other_forms_have_a_line_for_each_scenario(whole: SuiteReport) -> None:
    text = suite_report.markdown(whole)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    root = ET.fromstring(suite_report.junit(whole))  # noqa: S314 (our own)

    assert len(rows) == 2 + 3
    assert len({len(re_split(row)) for row in rows}) == 1
    assert [case.attrib["name"] for case in root.iter("testcase")] == ["steady", "slow", "lost"]
    assert len(list(root.iter("failure"))) == len(list(root.iter("skipped"))) == 1
    assert SuiteReport.model_validate_json(whole.model_dump_json()) == whole


def test_the_published_schema_is_that_of_the_code(whole: SuiteReport) -> None:
    file = ROOT / "docs" / "suite.schema.json"
    text = json.dumps(SuiteReport.model_json_schema(), indent=2) + "\n"
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.write_text(text)

    assert file.read_text() == text
    jsonschema.validate(json.loads(whole.model_dump_json()), json.loads(text))


def re_split(row: str) -> list[str]:
    return row.replace("\\|", "").split("|")
