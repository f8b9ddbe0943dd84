"""Verdicts: objectives from the client's records, and what the whole run comes to."""

from collections.abc import Sequence
from typing import Literal

from firsttoken.config import format_duration
from firsttoken.loadgen import judge as client
from firsttoken.loadgen.records import Run
from firsttoken.rules.slo import AnyObjective, Availability, Latency, SloFile
from firsttoken.validate.page import Window
from firsttoken.validate.schema import Check, Objective, Verdict

__all__ = ["FEWEST", "client_objectives", "objectives", "percent", "sentence", "verdict"]

_METRIC = {"availability": "success"}
FEWEST = 10
"""Fewer measured requests than this judge nothing, save that they are clearly too slow."""


def client_objectives(slo: SloFile) -> tuple[client.Objective, ...]:
    """The objectives that a client can see for itself, as the load generator takes them."""
    found = []
    for objective in slo.objectives:
        target = float(objective.ratio)
        if not _seen_by_clients(objective):
            continue
        if isinstance(objective, Availability):
            found.append(client.Objective(objective.name, "success", None, target))
        elif isinstance(objective, Latency):
            threshold = float(objective.threshold)
            found.append(client.Objective(objective.name, objective.metric, threshold, target))
    return tuple(found)


def _seen_by_clients(objective: AnyObjective) -> bool:
    if isinstance(objective, Latency):
        return objective.metric != "queue"
    return isinstance(objective, Availability) and objective.of == "requests"


def percent(share: float) -> str:
    """A share as a percentage that never rounds up to 100 what is below it."""
    text = f"{share * 100:.1f}"
    if text == "100.0" and share < 1:
        text = f"{int(share * 10000) / 100:.2f}"
    return f"{text} %"


def objectives(slo: SloFile, run: Run | None, window: Window | None) -> tuple[Objective, ...]:
    """Every objective of the file, held against what there is."""
    seen = client.judge(run, client_objectives(slo)) if run else ()
    attained = {one.objective.name: one for one in seen}
    return tuple(
        _objective(objective, attained.get(objective.name), window) for objective in slo.objectives
    )


def _objective(
    objective: AnyObjective, seen: client.Attainment | None, window: Window | None
) -> Objective:
    server = _server_share(objective, window)
    latency = objective if isinstance(objective, Latency) else None
    result = Objective(
        name=objective.name,
        kind=objective.kind,
        metric=latency.metric if latency else _METRIC.get(objective.kind, objective.kind),
        threshold=float(latency.threshold) if latency else None,
        target=float(objective.ratio),
        judged_by="client",
        status="not_judged",
        server_attained=server[0] if server else None,
    )
    if not _seen_by_clients(objective) and latency is None:
        return result.model_copy(
            update={"judged_by": "server", "detail": "only the rules on the server's metrics tell"}
        )
    if latency is not None and latency.metric == "queue":
        result = result.model_copy(update={"judged_by": "server"})
        if server is None:
            return result.model_copy(update={"detail": "the server reports no queue time"})
        share, count = server
        good = round(share * count)
        low, high = client.wilson(good, count)
        return _with_status(result, share, good, count, low, high)
    if seen is None or seen.count == 0:
        return result.model_copy(update={"detail": "no measured request"})
    return _with_status(result, seen.attained, seen.good, seen.count, seen.low, seen.high)


def _with_status(
    result: Objective, share: float, good: int, count: int, low: float, high: float
) -> Objective:
    met = good >= result.target * count - 1e-9
    detail = ""
    # Few that are all bad still show that an engine is too slow; few that are good show nothing.
    too_few = count < FEWEST and (met or high >= result.target)
    if too_few:
        detail = f"{count} requests are too few; at least {FEWEST} are needed"
    elif met and low < result.target:
        detail = (
            f"met, but {count} requests cannot show it for certain: the true share may be as low as"
            f" {percent(low)}"
        )
    elif not met and high >= result.target:
        detail = f"missed, but within chance: the true share may be as high as {percent(high)}"
    status = "not_judged" if too_few else "passed" if met else "missed"
    return result.model_copy(
        update={
            "status": status, "attained": share, "good": good, "count": count,
            "low": low, "high": high, "detail": detail,
        }
    )  # fmt: skip


def _server_share(objective: AnyObjective, window: Window | None) -> tuple[float, int] | None:
    """The share within the threshold as the server's own buckets have it, and of how many."""
    if window is None or not isinstance(objective, Latency):
        return None
    histogram = window.histogram(objective.catalogue_metric)
    share = histogram.share_within(float(objective.threshold)) if histogram else None
    return None if share is None or histogram is None else (share, round(histogram.count))


def sentence(objective: Objective) -> str:
    """What an objective came to, in one sentence without a full stop."""
    what = "requests without error"
    if objective.threshold is not None:
        what = f"{objective.metric.upper()} within {format_duration(objective.threshold)}"
    if objective.attained is None or objective.count is None or objective.status == "not_judged":
        return f"{objective.name} ({what}) not judged: {objective.detail}"
    found, wanted = percent(objective.attained), f"{objective.target * 100:g} %"
    of = f"{objective.count:,} requests"
    if objective.threshold is None:
        return (
            f"{objective.name} {objective.status}: {found} of {of} without error, {wanted} wanted"
        )
    return f"{objective.name} {objective.status}: {what} for {found} of {of}, {wanted} wanted"


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
        if objective.status != "passed":
            return "not_judged", f"Objective {sentence(objective)}."
    done = sum(check.status == "passed" for check in checks)
    skipped = sum(check.status == "skipped" for check in checks)
    left = f"; {skipped} could not be made" if skipped else ""
    met = "The objective is met" if len(judged) == 1 else f"All {len(judged)} objectives are met"
    return "passed", f"{met}, and {done} of {len(checks)} checks passed{left}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
