"""Verdicts: objectives from the client's records, and what the whole run comes to."""

from collections.abc import Mapping, Sequence
from typing import Literal

from firsttoken.loadgen import judge as client
from firsttoken.loadgen.records import Run
from firsttoken.report.schema import Check, Objective, Verdict
from firsttoken.report.words import percent, sentence
from firsttoken.rules.slo import AnyObjective, Availability, Latency, SloFile
from firsttoken.validate.page import Window

__all__ = ["FEWEST", "client_objectives", "objectives", "verdict"]

_METRIC = {"availability": "success"}
FEWEST = 10
"""Fewer measured requests than this judge nothing, save that they are clearly too slow."""


def client_objectives(slo: SloFile) -> tuple[client.Objective, ...]:
    """The objectives that a client can see for itself, as the load generator takes them."""
    return tuple(one for objective in slo.objectives for one in _seen_by_client(objective))


def _seen_by_client(objective: AnyObjective) -> tuple[client.Objective, ...]:
    name, target = objective.name, float(objective.ratio)
    if isinstance(objective, Availability):
        return (client.Objective(name, "success", None, target),)
    if isinstance(objective, Latency) and objective.metric != "queue":
        return (client.Objective(name, objective.metric, float(objective.threshold), target),)
    return ()


def objectives(
    slo: SloFile,
    run: Run | None,
    window: Window | None,
    recorded: Mapping[str, float] | None = None,
) -> tuple[Objective, ...]:
    """Every objective of the file, held against what there is.

    ``recorded``: the good share by objective, as Prometheus recorded it with the rules; it judges
    the kinds that neither records nor histograms can, such as a throughput.
    """
    seen = client.judge(run, client_objectives(slo)) if run else ()
    attained = {one.objective.name: one for one in seen}
    return tuple(
        _objective(objective, attained.get(objective.name), window, recorded or {})
        for objective in slo.objectives
    )


def _objective(
    objective: AnyObjective,
    seen: client.Attainment | None,
    window: Window | None,
    recorded: Mapping[str, float],
) -> Objective:
    server = _server_share(objective, window)
    latency = objective if isinstance(objective, Latency) else None
    by_client = objective.name in {one.name for one in _seen_by_client(objective)}
    result = Objective(
        name=objective.name,
        kind=objective.kind,
        promise=objective.promise,
        metric=latency.metric if latency else "success" if by_client else objective.kind,
        threshold=float(latency.threshold) if latency else None,
        target=float(objective.ratio),
        judged_by="client" if by_client else "server",
        status="not_judged",
        server_attained=server[0] if server else recorded.get(objective.name),
    )
    if by_client:
        if seen is None or seen.count == 0:
            return result.model_copy(update={"detail": "no measured request"})
        return _with_status(result, seen.attained, seen.good, seen.count, seen.low, seen.high)
    if server is not None:
        share, count = server
        good = round(share * count)
        return _with_status(result, share, good, count, *client.wilson(good, count))
    return _by_record(result, recorded.get(objective.name))


def _by_record(result: Objective, share: float | None) -> Objective:
    if share is None:
        detail = "nothing that it counts happened, or it was not recorded"
        return result.model_copy(update={"status": "skipped", "detail": detail})
    status = "passed" if share >= result.target - 1e-9 else "missed"
    detail = "as the rules recorded it in Prometheus"
    return result.model_copy(update={"status": status, "attained": share, "detail": detail})


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
    return "passed", f"{met}, and {done} of {len(checks)} checks passed{left}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
