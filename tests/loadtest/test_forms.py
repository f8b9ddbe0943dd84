"""The reports in every form, held by golden files, and their published schemas."""

import io
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from rich.console import Console

from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.search import Aim
from firsttoken.loadtest import capacity, comparing, forms, sweep
from firsttoken.loadtest.forms import Report
from firsttoken.loadtest.observe import Nobody
from firsttoken.loadtest.plots import capacity_figure
from firsttoken.loadtest.schema import (
    CapacityReport,
    ComparisonReport,
    Latency,
    Point,
    Seen,
    StepResult,
    SweepReport,
    schema_text,
)
from firsttoken.loadtest.step import Site

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "loadtest"
SITE = Site("http://127.0.0.1:8000", "tiny", None, Nobody())
OBJECTIVES = (parse_objective("ttft<500ms@95"),)
SCHEMAS: dict[str, type[BaseModel]] = {
    "capacity": CapacityReport,
    "sweep": SweepReport,
    "comparison": ComparisonReport,
}


def latency(p95: float) -> Latency:
    return Latency(p50=p95 / 2, p50_low=p95 / 2.2, p50_high=p95 / 1.8, p95=p95, p95_low=p95 * 0.9,
                   p95_high=p95 * 1.2, p99=p95 * 1.5)  # fmt: skip


def point(rate: float, p95: float, seen: Seen | None = None, **changes: Any) -> Point:
    values: dict[str, Any] = {
        "rate": rate, "seconds": 60.0, "requests": round(60 * rate), "failed": 0,
        "offered_rate": rate, "request_rate": rate, "input_rate": 256 * rate,
        "output_rate": 64 * rate, "in_flight": rate / 2, "goodput": 0.97 * rate,
        "goodput_low": 0.95 * rate, "goodput_high": 0.99 * rate, "ttft": latency(p95),
        "tpot": latency(p95 / 20), "e2e": latency(4 * p95), "e2e_mean": 2 * p95, "seen": seen,
        "records": "steps/01.jsonl",
    }  # fmt: skip
    return Point(**{**values, **changes})


def step(number: int, rate: float, verdict: str, p95: float, seen: Seen) -> StepResult:
    return StepResult.model_validate(
        {
            "number": number, "planned_rate": rate, "size": 1, "verdict": verdict,
            "leaning": "fails" if verdict == "fails" else "holds", "reason": f"it {verdict}",
            "point": point(rate, p95, seen),
        }
    )  # fmt: skip


def capacity_report() -> CapacityReport:
    calm = Seen(
        samples=60, running_mean=5, running_max=9, waiting_mean=0, waiting_max=1,
        kv_cache_max=0.4, preemptions=0, gpu_utilization=0.8, power=400, gpus=1,
    )  # fmt: skip
    full = calm.model_copy(update={"running_max": 16.0, "waiting_mean": 12.0})
    steps = (
        step(1, 4, "holds", 0.1, calm),
        step(2, 16, "fails", 3.0, full),
        step(3, 10, "holds", 0.3, calm),
        step(4, 10.9, "fails", 0.8, full),
    )
    wanted = capacity.Wanted(OBJECTIVES, Aim(), price=2.5, think_time=5, at_least=9)
    return capacity.report(steps, SITE, wanted, "vllm 0.32.0", "firsttoken load capacity ...")


def sweep_report() -> SweepReport:
    points = tuple(
        point(
            rate, (0.1 + rate**2 / 50) * output / 32, prompt_tokens=128, output_tokens=output,
            output_rate=rate * output, records=f"points/rate-{rate}-in-128-out-{output}.jsonl",
            bottleneck="it used 95% of its core (limit 90%)" if (rate, output) == (4, 64) else None,
        )
        for output in (32, 64)
        for rate in (1, 2, 4)
    )  # fmt: skip
    return sweep.report(points, SITE, OBJECTIVES, None, "firsttoken load sweep ...")


def comparison_report(made_up: Any) -> ComparisonReport:
    baseline, same, slower = (
        comparing.Given(name, (Path(f"{name}.jsonl"),), (made_up.noisy_run(1, noise, slowdown=by),))
        for name, noise, by in (("main", 1, 1.0), ("same", 2, 1.0), ("slower", 3, 1.1))
    )
    return comparing.comparison(baseline, [same, slower], OBJECTIVES)


@pytest.fixture(name="reports", scope="module")
def _reports(made_up: Any) -> dict[str, Report]:
    return {
        "capacity": capacity_report(),
        "sweep": sweep_report(),
        "comparison": comparison_report(made_up),
    }


@pytest.mark.parametrize("name", sorted(SCHEMAS))
@pytest.mark.parametrize("form", ["md", "csv", "xml", "json"])
def test_every_form_is_as_its_golden_file(reports: dict[str, Report], name: str, form: str) -> None:
    report = reports[name]
    makers: dict[str, Callable[[Report], str]] = {
        "md": forms.as_markdown,
        "csv": forms.as_csv,
        "xml": forms.as_junit,
        "json": lambda one: one.model_dump_json(indent=2) + "\n",
    }
    made = makers[form](report)
    file = GOLDEN / f"{name}.{form}"
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_published_schema_is_the_reports_and_the_report_follows_it(
    reports: dict[str, Report], name: str
) -> None:
    file = ROOT / "docs" / f"{name}.schema.json"
    text = schema_text(SCHEMAS[name])
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    jsonschema.validate(json.loads(reports[name].model_dump_json()), json.loads(text))


def test_a_regression_is_a_failure_and_too_little_data_is_skipped(
    reports: dict[str, Report],
) -> None:
    root = ET.fromstring(forms.as_junit(reports["comparison"]))  # noqa: S314 (our own)

    suites = {suite.get("name"): suite for suite in root}
    assert suites["same"].get("failures") == "0"
    assert int(suites["slower"].get("failures") or 0) >= 1
    (tpot,) = (case for case in suites["slower"] if case.get("name") == "TPOT p50")
    failure = tpot.find("failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith("worse: ")


def test_the_terminal_shows_result_and_curve(reports: dict[str, Report]) -> None:
    for name, words in (
        ("capacity", ("between 10 (holds) and 10.9 (fails)", "batch", "a million tokens")),
        ("sweep", ("4 /s *", "not to be trusted")),
        ("comparison", ("a regression", "WORSE", "one run a side")),
    ):
        console = Console(width=160, record=True, file=io.StringIO())
        forms.show(reports[name], console)
        text = console.export_text()
        for word in words:
            assert word in text, (name, text)


def test_text_of_others_breaks_no_table() -> None:
    report = capacity_report().model_copy(update={"model": "a|b\n<script>", "headline": "\x00|"})

    text = forms.as_markdown(report)
    assert "a\\|b &lt;script>" in text
    ET.fromstring(forms.as_junit(report))  # noqa: S314


def test_the_figures_follow_from_the_steps() -> None:
    """10 holds, 10.9 fails: their middle, and what was measured at 10 in proportion."""
    report = capacity_report()

    assert report.verdict == "found"
    assert report.exit_code == 0
    assert report.estimate == pytest.approx((10 * 10.9) ** 0.5)
    assert report.output_tokens == pytest.approx(64 * (10 * 10.9) ** 0.5)
    assert report.users == pytest.approx((10 * 10.9) ** 0.5 * (0.6 + 5))
    assert report.knee == 4
    assert report.saturation is not None
    assert (report.saturation.what, report.saturation.at_rate) == ("batch", 10.9)


def test_a_first_guess_far_off_leaves_room_for_the_curve() -> None:
    """10 holds and 10.9 fails: a step at 1,500 is in the table, and only told of in the picture."""
    report = capacity_report()
    far = report.steps[1].model_copy(update={"point": point(1500, 9.0), "verdict": "fails"})
    axes = capacity_figure(report.model_copy(update={"steps": (*report.steps, far)})).axes

    assert all(axis.get_xlim()[1] < 50 for axis in axes)
    assert axes[-1].get_xlabel() == "requests per second (1 further off: see the table)"
    assert capacity_figure(report).axes[-1].get_xlabel() == "requests per second"


@pytest.mark.parametrize(("at_least", "code"), [(None, 0), (9, 0), (10.2, 0), (10.7, 1), (11, 1)])
def test_a_gate_on_the_capacity_decides_the_exit_code(at_least: float | None, code: int) -> None:
    steps = capacity_report().steps
    wanted = capacity.Wanted(OBJECTIVES, Aim(), at_least=at_least)

    assert capacity.report(steps, SITE, wanted, None, "").exit_code == code


def test_what_was_not_found_is_said_and_not_judged() -> None:
    steps = capacity_report().steps
    wanted = capacity.Wanted(OBJECTIVES, Aim())

    low_only = capacity.report(steps[:1], SITE, wanted, None, "")
    assert (low_only.verdict, low_only.exit_code) == ("at least", 3)
    none = capacity.report(steps[1:2], SITE, wanted, None, "")
    assert (none.verdict, none.exit_code) == ("none", 1)
    wide = capacity.report(steps[:2], SITE, wanted, None, "")
    assert (wide.verdict, wide.exit_code) == ("not precise", 3)
    assert "less precise than the 5%" in wide.headline
