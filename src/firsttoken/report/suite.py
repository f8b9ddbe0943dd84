"""Several scenarios in one report: as data, as a page with each of them whole, for CI."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from firsttoken.config import Model
from firsttoken.report.junit import legal
from firsttoken.report.plots import Section
from firsttoken.report.render import environment, page
from firsttoken.report.schema import Report, Verdict

__all__ = ["ScenarioResult", "SuiteReport", "conclude", "html", "junit", "markdown"]

_ID = re.compile(r'\b(id|for|aria-labelledby)="([^"]+)"')
_LINK = re.compile(r'href="#([^"]+)"')


class ScenarioResult(Model):
    """One scenario: what was expected of it, and what came of it."""

    name: str
    about: str = ""
    status: Literal["passed", "failed", "skipped", "not_judged"]
    expected: str = Field(description="What it must come to, in words.")
    reasons: tuple[str, ...] = Field(default=(), description="Why it is not passed.")
    faults: tuple[str, ...] = ()
    report: Report | None = None


class SuiteReport(Model):
    """Everything that a suite found."""

    version: Literal["firsttoken.suite/v1"] = "firsttoken.suite/v1"
    firsttoken: str = Field(description="The version of firsttoken that wrote it.")
    created: str = Field(description="When it was written, ISO 8601 in UTC.")
    service: str
    command: str = Field(description="The command line that does the same again.")
    verdict: Verdict
    scenarios: tuple[ScenarioResult, ...]


def conclude(scenarios: Sequence[ScenarioResult], *, interrupted: bool) -> Verdict:
    """One verdict for all: failed where one failed, not judged where one could not be."""
    counts = Counter(one.status for one in scenarios)
    judged = len(scenarios) - counts["skipped"]
    skipped = f"; {counts['skipped']} skipped" if counts["skipped"] else ""
    reasons = tuple(
        f"{one.name}: {reason}"
        for one in scenarios
        if one.status in ("failed", "not_judged")
        for reason in one.reasons
    )
    if interrupted:
        headline = f"Interrupted: {judged} of {len(scenarios)} scenarios were run."
        return Verdict(
            status="not_judged", exit_code=130, headline=headline, reasons=reasons, partial=True
        )
    if counts["failed"]:
        names = ", ".join(one.name for one in scenarios if one.status == "failed")
        headline = f"{counts['failed']} of {judged} scenarios did not come out as expected: {names}"
        return Verdict(
            status="failed", exit_code=1, headline=f"{headline}{skipped}.", reasons=reasons
        )
    if counts["not_judged"] or not judged:
        headline = f"{counts['not_judged']} of {judged} scenarios could not be judged{skipped}."
        return Verdict(status="not_judged", exit_code=3, headline=headline, reasons=reasons)
    return Verdict(
        status="passed", exit_code=0,
        headline=f"All {judged} scenarios came out as expected{skipped}.",
    )  # fmt: skip


def html(suite: SuiteReport, drawn: Mapping[str, Sequence[Section]]) -> str:
    """One page: the verdict, a table of scenarios, and each of them whole below it."""
    template = environment().get_template("scenario.html")
    bodies = {
        one.name: _apart(
            template.render(report=one.report, sections=drawn.get(one.name, ())), one.name
        )
        for one in suite.scenarios
        if one.report is not None
    }
    wrong = {one.name for one in suite.scenarios if one.status in ("failed", "not_judged")}
    return page("suite.html", suite=suite, bodies=bodies, wrong=wrong)


def _apart(text: str, name: str) -> str:
    """The page of a scenario with anchors of its own, so that several fit on one page."""

    def named(match: re.Match[str]) -> str:
        names = " ".join(f"{name}-{one}" for one in match[2].split())
        return f'{match[1]}="{names}"'

    return _LINK.sub(rf'href="#{name}-\1"', _ID.sub(named, text))


def markdown(suite: SuiteReport) -> str:
    """Markdown as GitHub and GitLab show it in a job's summary."""
    return environment().get_template("suite.md").render(suite=suite).strip() + "\n"


def junit(suite: SuiteReport) -> str:
    """Each scenario a test case: what did not come out as expected is a failure."""
    root = ET.Element("testsuites", name="firsttoken suite")
    counts = Counter(one.status for one in suite.scenarios)
    group = ET.SubElement(
        root, "testsuite", name=f"{suite.service} scenarios", timestamp=suite.created[:19],
        tests=str(len(suite.scenarios)), failures=str(counts["failed"]),
        errors=str(counts["not_judged"]), skipped=str(counts["skipped"]),
    )  # fmt: skip
    for one in suite.scenarios:
        case = ET.SubElement(
            group, "testcase", classname=f"{suite.service}.scenarios", name=one.name
        )
        tag = {"failed": "failure", "not_judged": "error", "skipped": "skipped"}.get(one.status)
        if tag:
            message = one.reasons[0] if one.reasons else one.status
            ET.SubElement(case, tag, message=legal(message)).text = legal("\n".join(one.reasons))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
