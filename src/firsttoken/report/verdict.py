"""What a whole run comes to: one verdict, in one sentence, with an exit code."""

from collections.abc import Sequence
from typing import Literal

from firsttoken.report.schema import Check, Objective, Verdict
from firsttoken.report.words import sentence

__all__ = ["verdict"]


def verdict(
    judged: Sequence[Objective],
    checks: Sequence[Check],
    *,
    bottleneck: str | None = None,
    broken: str | None = None,
    interrupted: str | None = None,
    impossible: str | None = None,
    advice: Sequence[str] = (),
) -> Verdict:
    """What it all comes to.

    ``interrupted``: when the user stopped the run.  ``impossible``: why nothing could be measured.
    ``bottleneck``: why the load generator was no fair witness.  ``broken``: what ended the load
    before its time; what was measured until then is still judged.
    """
    missed = [objective for objective in judged if objective.status == "missed"]
    failed = [check for check in checks if check.status == "failed"]
    reasons = [f"Objective {sentence(objective)}." for objective in missed]
    reasons += [f"Check {check.name} failed: {check.summary}." for check in failed]
    status: Literal["passed", "missed", "failed", "not_judged"]
    if interrupted:
        status = "not_judged"
        headline = f"Interrupted {interrupted}: what was measured until then is shown, not judged."
    elif impossible:
        status, headline = "not_judged", _capital(impossible)
    elif broken:
        status, headline = ("missed" if missed else "failed"), _capital(broken)
    elif bottleneck:
        status = "not_judged"
        headline = f"Not judged: the load generator was the bottleneck, because {bottleneck}."
    elif missed:
        status, headline = "missed", _missed(missed, len(judged))
    elif failed:
        status, headline = "failed", _failed(failed, judged, len(checks))
    else:
        status, headline = _no_complaint(judged, checks)
    return Verdict(
        status=status,
        exit_code=130 if interrupted else {"passed": 0, "not_judged": 3}.get(status, 1),
        headline=headline,
        reasons=tuple(reasons),
        advice=tuple(advice),
        partial=bool(interrupted or broken),
    )


def _missed(missed: Sequence[Objective], count: int) -> str:
    if len(missed) == 1:
        return f"Objective {sentence(missed[0])}."
    names = ", ".join(objective.name for objective in missed)
    return f"{len(missed)} of {count} objectives missed: {names}."


def _failed(failed: Sequence[Check], judged: Sequence[Objective], count: int) -> str:
    met = all(objective.status == "passed" for objective in judged)
    names = ", ".join(check.name for check in failed)
    begin = "Every objective is met" if met else "No objective was missed"
    return f"{begin}, but {len(failed)} of {count} checks failed: {names}."


def _no_complaint(
    judged: Sequence[Objective], checks: Sequence[Check]
) -> tuple[Literal["passed", "not_judged"], str]:
    for objective in judged:
        if objective.status == "not_judged":
            return "not_judged", f"Objective {sentence(objective)}."
    done = sum(check.status == "passed" for check in checks)
    skipped = sum(check.status == "skipped" for check in checks)
    left = f"; {skipped} could not be made" if skipped else ""
    passed = sum(objective.status == "passed" for objective in judged)
    if not passed:
        return "not_judged", "No objective could be judged."
    met = "The objective is met" if passed == 1 else f"All {passed} objectives are met"
    if passed < len(judged):
        met = f"{passed} of {len(judged)} objectives are met and the others could not be judged"
    if not checks:
        return "passed", f"{met}."
    return "passed", f"{met}, and {done} of {len(checks)} checks passed{left}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
