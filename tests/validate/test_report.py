"""The report in all its forms, from a made-up one."""

import csv
import dataclasses
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from firsttoken.loadgen.records import Run
from firsttoken.report import render
from firsttoken.report.figure import Figure
from firsttoken.report.junit import junit
from firsttoken.report.plots import sections
from firsttoken.report.schema import Report
from firsttoken.report.table import COLUMNS, requests_csv

GOLDEN = Path(__file__).parents[1] / "golden" / "validate"
HOSTILE = '<script>alert("x")</script>'
FORMS: dict[str, Callable[[Report, Run], str]] = {
    "report.md": lambda report, _: render.markdown(report),
    "report.json": lambda report, _: report.model_dump_json(indent=2) + "\n",
    "junit.xml": lambda report, _: junit(report),
    "requests.csv": lambda _, run: requests_csv(run),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_as_it_was_agreed(name: str, report: Report, run: Run) -> None:
    text = FORMS[name](report, run)

    file = GOLDEN / name
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_the_csv_has_every_request_and_its_latencies(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(requests_csv(run))))

    assert [int(row["index"]) for row in rows] == [record.index for record in run.records]
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["ttft_s"]) == pytest.approx(run.records[0].ttft)
    assert rows[-1]["error"] == "http 503"
    assert rows[-1]["ttft_s"] == ""


def test_a_text_that_a_spreadsheet_would_run_is_only_text(run: Run) -> None:
    evil = dataclasses.replace(run.records[0], error="=HYPERLINK(1)")

    text = requests_csv(dataclasses.replace(run, records=(evil,)))

    assert next(csv.DictReader(io.StringIO(text)))["error"] == "'=HYPERLINK(1)"


def test_markdown_tables_have_as_many_cells_as_their_heads(report: Report) -> None:
    rows: list[int] = []
    for line in [*render.markdown(report).splitlines(), ""]:
        if line.startswith("|"):
            rows.append(len(re.findall(r"(?<!\\)\|", line)))
        elif rows:
            assert len(set(rows)) == 1
            rows = []


def test_junit_has_a_case_for_each_objective_and_check(report: Report) -> None:
    root = ET.fromstring(junit(report))  # noqa: S314 (our own)

    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    assert set(cases) == {o.name for o in report.objectives} | {c.name for c in report.checks}
    failure = cases["ttft"].find("failure")
    assert failure is not None
    assert "TTFT within 250ms" in failure.attrib["message"]
    assert cases["rules"].find("failure") is not None
    assert cases["Prometheus"].find("skipped") is not None
    assert list(cases["engine"]) == []
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite)
        assert int(suite.attrib["failures"]) == len(list(suite.iter("failure")))


def page_of(report: Report, run: Run) -> str:
    return render.html(report, sections(report, run))


def figures(report: Report, run: Run) -> dict[str, Figure]:
    return {figure.name: figure for part in sections(report, run) for figure in part.figures}


def test_a_page_needs_nothing_but_itself(report: Report, run: Run) -> None:
    page = page_of(report, run)

    assert not re.search(r'(src|href)="(?!data:|#)[a-z]+:', page)
    assert "@import" not in page
    assert "url(" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page, "and a browser is told so"


def test_what_an_engine_calls_itself_is_text_and_not_markup(report: Report, run: Run) -> None:
    page = page_of(report, run)

    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_the_first_screen_is_verdict_objectives_and_what_was_run(report: Report, run: Run) -> None:
    page = page_of(report, run)

    places = [
        page.index(part)
        for part in (
            report.verdict.headline, "<h3>Why</h3>", "What to do", "<h2>Objectives</h2>",
            "Requests measured", "<h2>What was run</h2>", "Latency over time",
            "Distribution of TTFT",
            "In flight, running and waiting", "<h2>Slowest requests</h2>", "<h2>Checks</h2>",
        )
    ]  # fmt: skip
    assert places == sorted(places)


def test_every_objective_has_its_margin_and_interval(report: Report, run: Run) -> None:
    page = page_of(report, run)

    ttft = next(o for o in report.objectives if o.name == "ttft")
    assert ttft.margin == pytest.approx(0.6 - 0.95)
    assert "−35.0\N{NO-BREAK SPACE}pp" in page
    assert "95 % CI 50.2–69.1 %" in page.replace("\xa0", " ").replace("\u2060", "")
    assert ttft.value == pytest.approx(2.0), "the 95th of 100 requests, four of which failed"
    assert ttft.value_low == pytest.approx(2.0)
    assert ttft.value_high is None
    assert "limit 250 ms; CI 2.00 s – above all" in page.replace("\xa0", " ").replace("\u2060", "")


def test_it_says_how_to_do_the_same_again(report: Report, run: Run) -> None:
    page = page_of(report, run)

    assert "firsttoken validate --target http://engine:8000" in report.command
    assert report.command in page
    assert "seed 7" in page
    assert "threshold: 250ms" in page or "threshold: &#39;0.25&#39;" in page
    assert "Prometheus 2.42.0" in page


def test_every_figure_is_drawn_with_names_of_its_own_and_a_table(report: Report, run: Run) -> None:
    drawn = figures(report, run)

    assert set(drawn) == {
        "latency", "throughput", "heatmap", "errors", "ttft-distribution", "tpot-distribution",
        "e2e-distribution", "itl-distribution", "ttft-prompt", "tpot-concurrency", "queue",
        "kv-cache", "batch", "gpu", "stages",
    }  # fmt: skip
    names: list[str] = []
    for figure in drawn.values():
        names += re.findall(r'\bid="([^"]+)"', figure.body)
        root = ET.fromstring(f"<div>{figure.body}</div>")  # noqa: S314 (our own)
        assert list(root.iter("title"))
        assert figure.table.rows
        assert {len(row) for row in figure.table.rows} == {len(figure.table.head)}
    assert len(names) == len(set(names))


def test_a_load_on_a_schedule_shows_the_generators_own_lag(report: Report, run: Run) -> None:
    load = {**run.load, "arrivals": {"kind": "poisson", "rate": 10.0}}

    assert "lag" in figures(report, dataclasses.replace(run, load=load))


def test_the_objective_is_drawn_into_its_distribution_and_no_other(
    report: Report, run: Run
) -> None:
    drawn = figures(report, run)

    assert ">250 ms</text>" in drawn["ttft-distribution"].body
    assert 'class="limit"' not in drawn["tpot-distribution"].body
    assert "60.0 % are within 250 ms" in drawn["ttft-distribution"].caption


def test_what_happened_is_marked_over_the_latencies(report: Report, run: Run) -> None:
    latency = figures(report, run)["latency"].body

    assert "the engine restarted" in latency
    assert 'class="lane bad"' in latency


def test_a_run_in_which_nothing_was_answered_has_a_page(report: Report, run: Run) -> None:
    failed: Any = [record for record in run.records if not record.ok]
    empty = dataclasses.replace(run, records=tuple(failed))

    assert "latency" not in figures(report, empty)
    assert "errors" in figures(report, empty)
    assert "<h2>Objectives</h2>" in page_of(report, empty)


def test_a_run_without_a_request_has_a_page_too(report: Report, run: Run) -> None:
    assert sections(report, dataclasses.replace(run, records=())) == ()


def test_a_hundred_thousand_requests_are_a_page_below_5_mb(
    report: Report, truth: Callable[..., Any]
) -> None:
    many = truth(ttfts=[0.05 + 0.0001 * (i % 4000) for i in range(100_000)], output=3, failed=50)
    run = many.run()

    page = page_of(report, run)

    assert len(page.encode()) < 5_000_000
    assert "100,000" in page or "99,950" in page


def test_the_published_schema_is_that_of_the_code(report: Report) -> None:
    file = Path(__file__).parents[2] / "docs" / "report.schema.json"
    text = json.dumps(Report.model_json_schema(), indent=2) + "\n"
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        file.write_text(text)

    assert file.read_text() == text
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(report.model_dump_json()), json.loads(text))
