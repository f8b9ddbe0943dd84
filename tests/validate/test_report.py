"""The report in all its forms, from a made-up one."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from firsttoken.loadgen.records import Run
from firsttoken.report import render
from firsttoken.report.junit import junit
from firsttoken.report.schema import Report
from firsttoken.validate import plots

GOLDEN = Path(__file__).parents[1] / "golden" / "validate" / "report.md"
HOSTILE = '<script>alert("x")</script>'


def test_markdown_is_as_it_was_agreed(report: Report) -> None:
    text = render.markdown(report)

    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


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


def test_a_page_needs_nothing_but_itself(report: Report, run: Run) -> None:
    page = render.html(report, plots.pictures(report, run))

    assert not re.search(r'(src|href)="(?!data:|#)[a-z]+:', page.replace('xmlns:xlink="', ""))
    assert "@import" not in page
    assert "url(http" not in page
    assert "<script" not in page


def test_what_an_engine_calls_itself_is_text_and_not_markup(report: Report, run: Run) -> None:
    page = render.html(report, plots.pictures(report, run))

    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_the_verdict_comes_first_with_why_and_what_to_do(report: Report, run: Run) -> None:
    page = render.html(report, plots.pictures(report, run))

    places = [
        page.index(part)
        for part in (
            report.verdict.headline, "<h3>Why</h3>", "What to do", "<h2>Objectives</h2>",
            "Latency of every request", "<h2>Checks</h2>", "Client against server",
        )
    ]  # fmt: skip
    assert places == sorted(places)


def test_every_picture_is_drawn_with_names_of_its_own(report: Report, run: Run) -> None:
    drawn = plots.pictures(report, run)

    assert [picture.name for picture in drawn] == [
        "latency", "ttft-distribution", "tpot-distribution", "throughput", "queue", "kv-cache",
        "stages",
    ]  # fmt: skip
    names: list[str] = []
    for picture in drawn:
        names += re.findall(r'\bid="([^"]+)"', picture.svg)
        assert ET.fromstring(picture.svg).tag.endswith("svg")  # noqa: S314 (our own)
        assert "var(--plot-" in picture.svg
    assert len(names) == len(set(names))


def test_references_inside_a_picture_lead_somewhere(report: Report, run: Run) -> None:
    for picture in plots.pictures(report, run):
        names = set(re.findall(r'\bid="([^"]+)"', picture.svg))
        used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', picture.svg))
        assert used
        assert used <= names


def test_the_objective_is_drawn_into_its_distribution(report: Report, run: Run) -> None:
    ttft, tpot = plots.pictures(report, run)[1:3]

    assert "objective: 95 % within 250ms" in ttft.svg
    assert "objective" not in tpot.svg


def test_a_run_in_which_nothing_was_answered_has_no_pictures_and_a_page(
    report: Report, run: Run
) -> None:
    failed: Any = [record for record in run.records if not record.ok]
    empty = dataclasses.replace(run, records=tuple(failed))

    assert plots.pictures(report, empty) == ()
    assert "<h2>Objectives</h2>" in render.html(report, ())


def test_tokens_per_second_add_up_to_the_tokens_of_all_answers(run: Run) -> None:
    total = sum(rate for _, rate in plots.tokens_per_second(run))

    assert total == pytest.approx(sum(r.output_tokens or 0 for r in run.records if r.ok))


def test_requests_in_flight_begin_and_end_at_none(run: Run) -> None:
    steps = plots.in_flight(run)

    assert min(level for _, level in steps) == 0
    assert steps[-1][1] == 0
