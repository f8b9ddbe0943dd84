"""``junit.xml``: each objective and each check a test case, as CI systems read them."""

import xml.etree.ElementTree as ET

from firsttoken.report.schema import Report, Status
from firsttoken.report.words import sentence

__all__ = ["junit", "legal"]

_ILLEGAL = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if code not in (9, 10, 13)}


def junit(report: Report) -> str:
    """The XML text.

    What was missed or failed is a failure, what could not be judged an error, for then nothing is
    known; what was skipped is skipped.
    """
    cases: list[tuple[str, str, Status, str, tuple[str, ...]]] = [
        ("objectives", one.name, one.status, sentence(one), ()) for one in report.objectives
    ]
    cases += [("checks", one.name, one.status, one.summary, one.details) for one in report.checks]
    if report.verdict.status == "not_judged":
        cases.append(("verdict", "verdict", "not_judged", report.verdict.headline, ()))
    root = ET.Element("testsuites", name=f"firsttoken {report.kind}")
    for group in dict.fromkeys(case[0] for case in cases):
        members = [case for case in cases if case[0] == group]
        statuses = [status for _, _, status, _, _ in members]
        suite = ET.SubElement(
            root, "testsuite", name=f"{report.service} {group}", timestamp=report.created[:19],
            tests=str(len(members)),
            failures=str(sum(status in ("missed", "failed") for status in statuses)),
            errors=str(statuses.count("not_judged")),
            skipped=str(statuses.count("skipped")),
        )  # fmt: skip
        for _, name, status, text, details in members:
            case = ET.SubElement(
                suite, "testcase", classname=f"{report.service}.{group}", name=name
            )
            tag = {"missed": "failure", "failed": "failure", "not_judged": "error"}.get(status)
            if tag or status == "skipped":
                result = ET.SubElement(case, tag or "skipped", message=legal(text))
                result.text = legal("\n".join(details)) or None
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def legal(text: str) -> str:
    """The text without the control characters that XML 1.0 cannot hold."""
    return text.translate(_ILLEGAL)
