"""The report of a load alone, from its records: the same page without what a server would say."""

import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from firsttoken.loadgen import judge
from firsttoken.loadgen.fairness import bottleneck
from firsttoken.loadgen.judge import Attainment
from firsttoken.loadgen.judge import Objective as Promise
from firsttoken.loadgen.records import Run
from firsttoken.report import axis
from firsttoken.report.judged import judged, located
from firsttoken.report.of_run import load_result
from firsttoken.report.schema import (
    Check,
    Engine,
    Environment,
    Event,
    Generator,
    Objective,
    Report,
    Verdict,
)
from firsttoken.report.slowest import slowest
from firsttoken.report.verdict import verdict

__all__ = ["report_of"]


def report_of(
    run: Run, promises: Sequence[Promise], records: Path, trace_url: str | None = None
) -> Report:
    """The report of a run against what was promised of it; ``records`` is its file.

    ``trace_url``: where a trace is shown, see ``tracelink``.
    """
    attained = judge.judge(run, promises)
    objectives = tuple(_objective(one, run) for one in attained)
    own, why = run.generator, bottleneck(run, promises)
    generator = Generator(
        cpu_share=own.cpu_share, lag_p99=own.lag_p99, lateness_p99=own.late_wakeups,
        held_back=own.held_back, bottleneck=why,
    )  # fmt: skip
    load = load_result(run, promises)
    words = ["firsttoken", "load", "report", str(records)]
    words += [word for promise in promises for word in ("--objective", promise.name)]
    return Report(
        kind="load",
        firsttoken=metadata.version("firsttoken"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        service=run.model,
        verdict=_verdict(run, objectives, why),
        command=shlex.join(words),
        environment=Environment(
            machine=f"{platform.system()} {platform.release()}, {platform.machine()}",
            cpus=os.cpu_count() or 1,
            python=platform.python_version(),
        ),
        engine=Engine(url=run.target, model=run.model, version=run.engine),
        objectives=objectives,
        load=load,
        generator=generator,
        checks=(_fair(generator),),
        events=_events(run),
        slowest=slowest(run, objectives, trace_url),
    )


def _objective(one: Attainment, run: Run) -> Objective:
    promise = one.objective
    within = "" if promise.threshold is None else f" within {axis.span(promise.threshold)}"
    empty = Objective(
        name=promise.name,
        kind="availability" if promise.metric == "success" else "latency",
        promise=f"{promise.metric.upper()}{within}" if within else "requests without error",
        metric=promise.metric,
        threshold=promise.threshold,
        target=promise.target,
        judged_by="client",
        status="not_judged",
        detail="no measured request",
    )
    return located(judged(empty, one.good, one.count), run) if one.count else empty


def _verdict(run: Run, objectives: tuple[Objective, ...], bottleneck: str | None) -> Verdict:
    stopped = f"before its end ({run.stopped})" if run.stopped else "before its end"
    if not objectives and not run.interrupted and not bottleneck:
        measured, failed = len(run.measured), sum(not r.ok for r in run.measured)
        told = f"{failed:,} of them failed" if failed else "none failed"
        return Verdict(
            status="measured", exit_code=0,
            headline=f"{measured:,} requests measured, {told}; no objective was given.",
        )  # fmt: skip
    return verdict(
        objectives,
        (),
        bottleneck=bottleneck,
        interrupted=stopped if run.interrupted else None,
        impossible=None if run.measured else "no request was due in the measured time",
    )


def _fair(state: Generator) -> Check:
    if state.bottleneck:
        return Check(name="load generator", status="not_judged", summary=state.bottleneck)
    share, late = (state.cpu_share or 0.0) * 100, (state.lag_p99 or 0.0) * 1000
    text = f"no bottleneck: {share:.0f} % of a core, 99 % of requests at most {late:.1f} ms late"
    return Check(name="load generator", status="passed", summary=text)


def _events(run: Run) -> tuple[Event, ...]:
    start, end = run.measure
    found = [Event(kind="phase", text="measured", start=start, end=end)]
    if start > 0:
        found.insert(0, Event(kind="phase", text="warm-up", start=0.0, end=start))
    if run.stopped:
        found.append(Event(kind="stop", text=run.stopped, start=end))
    return tuple(found)
