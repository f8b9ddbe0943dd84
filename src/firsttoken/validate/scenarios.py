"""Run the scenarios of a suite, each a whole validation in a folder of its own."""

import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from firsttoken.config import public_address
from firsttoken.report import suite as report_suite
from firsttoken.report.plots import Section, sections
from firsttoken.report.schema import Report
from firsttoken.report.suite import ScenarioResult, SuiteReport
from firsttoken.validate import faults, pipeline
from firsttoken.validate.conclude import conclude
from firsttoken.validate.engine import base_url
from firsttoken.validate.found import Options
from firsttoken.validate.output import write
from firsttoken.validate.progress import Progress
from firsttoken.validate.suite import Case, Expect

__all__ = ["run", "unexpected"]

ALERTS = "alerts"
"""The name of the check whose result the expected alerts decide."""
INPUTS = "inputs"
NOT_ASKED = "faults are injected with --faults alone"
NOT_OURS = "faults need the embedded engine: the target is no firsttoken simulate"


def run(
    file: Path,
    cases: Sequence[Case],
    base: Options,
    *,
    inject: bool,
    view: Callable[[str], Progress],
) -> SuiteReport:
    """Every case, and the report of all of them, which is written too.

    ``view``: shows the steps of a scenario under its heading.
    """
    done: list[ScenarioResult] = []
    drawn: dict[str, Sequence[Section]] = {}
    interrupted = False
    for number, case in enumerate(cases, 1):
        name = case.scenario.name
        heading = f"scenario {number} of {len(cases)}: {name}"
        why = "interrupted before it" if interrupted else _skipped(case, base, inject)
        if why is not None:
            done.append(_result(case, "skipped", (why,), None))
            continue
        found = pipeline.run(_options(case, base), view(heading))
        report = conclude(found)
        write(report, found)
        drawn[name] = sections(report, found.run) if found.run is not None else ()
        interrupted = found.interrupted is not None
        done.append(_judged(case, report))
    suite = SuiteReport(
        firsttoken=metadata.version("firsttoken"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        service=cases[0].slo.service,
        command=_command(file, base, inject),
        verdict=report_suite.conclude(done, interrupted=interrupted),
        scenarios=tuple(done),
    )
    _write(suite, base.out, drawn)
    return suite


def _skipped(case: Case, base: Options, inject: bool) -> str | None:
    if not case.faults:
        return None
    if not inject:
        return NOT_ASKED
    ours = base.target is None or faults.in_force(base_url(base.target)) is not None
    return None if ours else NOT_OURS


def _options(case: Case, base: Options) -> Options:
    """What to validate for a case; its files are written, so that it can be done again alone."""
    folder = base.out / INPUTS
    folder.mkdir(parents=True, exist_ok=True)
    slo, load = (folder / f"{case.scenario.name}.{kind}.yaml" for kind in ("slo", "load"))
    slo.write_text(case.slo_text, encoding="utf-8")
    load.write_text(case.load_text, encoding="utf-8")
    return dataclasses.replace(
        base, out=base.out / case.scenario.name, slo=case.slo, slo_file=slo, load=case.load,
        load_file=load, faults=case.faults, expected=case.alerts,
    )  # fmt: skip


def _judged(case: Case, report: Report) -> ScenarioResult:
    verdict = report.verdict
    if verdict.status == "not_judged":
        return _result(case, "not_judged", (verdict.headline,), report)
    wrong = unexpected(case.scenario.expect, report)
    return _result(case, "failed" if wrong else "passed", wrong, report)


def unexpected(expect: Expect, report: Report) -> tuple[str, ...]:
    """What came out otherwise than expected, one sentence each."""
    missed = tuple(one.name for one in report.objectives if one.status == "missed")
    failed = [one for one in report.checks if one.status == "failed"]
    others = [one for one in failed if one.name != ALERTS]
    came = "missed" if missed else "failed" if others else "passed"
    wrong: list[str] = []
    if came != expect.verdict:
        wrong.append(f"{expect.verdict} was expected, and it {_past(came)}: {_why(report, others)}")
    elif expect.missed is not None and set(missed) != set(expect.missed):
        wrong.append(
            f"{', '.join(expect.missed)} must be missed, and no other;"
            f" missed: {', '.join(missed) or 'none'}"
        )
    if came == expect.verdict and expect.verdict != "failed":
        wrong += [f"check {one.name} failed: {one.summary}" for one in others]
    wrong += [line for one in failed if one.name == ALERTS for line in one.details]
    return tuple(wrong)


def _past(came: str) -> str:
    return {"missed": "missed objectives", "failed": "failed", "passed": "passed"}[came]


def _why(report: Report, failed: Sequence[object]) -> str:
    return report.verdict.headline if failed or report.verdict.status != "passed" else "all is well"


def _result(
    case: Case, status: str, reasons: Sequence[str], report: Report | None
) -> ScenarioResult:
    scenario = case.scenario
    return ScenarioResult.model_validate(
        {
            "name": scenario.name, "about": scenario.about, "status": status,
            "expected": _words(scenario.expect), "reasons": tuple(reasons),
            "faults": case.faults, "report": report,
        }
    )  # fmt: skip


def _words(expect: Expect) -> str:
    missed = ", ".join(expect.missed or ())
    verdict = f"missed: {missed}" if missed else expect.verdict
    alerts = ", ".join(expect.alerts) if expect.alerts else "no alert"
    return f"{verdict}; {alerts}"


def _command(file: Path, base: Options, inject: bool) -> str:
    words = ["firsttoken", "validate", "--suite", str(file)]
    words += ["--simulate"] if base.target is None else ["--target", public_address(base.target)]
    words += ["--faults"] if inject else []
    words += ["--grafana", base.grafana] if base.grafana else []
    return shlex.join(words)


def _write(suite: SuiteReport, out: Path, drawn: Mapping[str, Sequence[Section]]) -> None:
    texts = {
        "report.json": suite.model_dump_json(indent=2) + "\n",
        "junit.xml": report_suite.junit(suite),
        "report.md": report_suite.markdown(suite),
        "report.html": report_suite.html(suite, drawn),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
