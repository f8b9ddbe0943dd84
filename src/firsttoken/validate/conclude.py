"""From what was found to the report: every check, every objective, one verdict."""

import math
from datetime import UTC, datetime
from importlib import metadata

from firsttoken import servers
from firsttoken.catalogue import REQUESTS_RUNNING
from firsttoken.loadgen.fairness import bottleneck, only_late
from firsttoken.loadgen.judge import Objective as Promise
from firsttoken.loadgen.records import Run
from firsttoken.report.of_run import load_result
from firsttoken.report.schema import (
    Check,
    Comparison,
    Event,
    Generator,
    Objective,
    Point,
    Report,
    SlowRequest,
    Verdict,
)
from firsttoken.report.slowest import slowest
from firsttoken.report.verdict import verdict
from firsttoken.rules.slo import METRICS
from firsttoken.validate import alerts, checks, diagnose, history, judge, repeat, tracing
from firsttoken.validate.alerts import Expected
from firsttoken.validate.found import FILES, Found
from firsttoken.validate.page import Window

__all__ = ["conclude", "fairness"]

_SMALL_SHARE = 0.2
"""Of the time between requests, that they may be late and still be the load that was asked for."""


def conclude(found: Found) -> Report:
    """The report of a run, however it ended."""
    run, slo = found.run, found.options.slo
    if run is not None and not run.records:
        found.impossible = found.impossible or "no request was sent"
    objectives = judge.objectives(slo, run, found.window, found.recorded)
    met = all(objective.status == "passed" for objective in objectives)
    promises = judge.client_objectives(slo)
    generator = fairness(run, found.comparisons, promises, met=met) if run is not None else None
    load = load_result(run, promises) if run is not None else None
    made = _checks(found, generator) if run is not None else ()
    stages = diagnose.stages(found.window, found.series) if found.window else None
    failures = load.failed if load else {}
    return Report(
        firsttoken=metadata.version("firsttoken"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        service=slo.service,
        verdict=_verdict(found, objectives, made, generator, diagnose.advice(
            objectives, failures, stages
        )),
        command=repeat.command(found.options),
        promises=repeat.promises(found.options),
        environment=repeat.environment(found.programs),
        engine=found.engine,
        steps=tuple(found.steps),
        objectives=objectives,
        load=load,
        generator=generator,
        comparisons=found.comparisons,
        checks=made,
        rules=found.rules or (),
        alerts=found.alerts,
        delivered=found.delivered or (),
        dashboards=found.dashboards or (),
        series=found.series,
        events=_events(found),
        histograms=_histograms(found.window),
        stages=tracing.mean_stages(found.joined) or (stages.named if stages else {}),
        slowest=_slowest(found, run, objectives) if run is not None else (),
        files=_files(found),
    )  # fmt: skip


def _slowest(found: Found, run: Run, objectives: tuple[Objective, ...]) -> tuple[SlowRequest, ...]:
    return tracing.staged(slowest(run, objectives, found.options.trace_url), found.joined)


def _files(found: Found) -> dict[str, str]:
    """The files that there are: the spans' only where spans were asked for."""
    spans = found.options.otlp_listen is not None
    return {name: what for name, what in FILES.items() if spans or name != tracing.SPANS}


def _events(found: Found) -> tuple[Event, ...]:
    run = found.run
    if run is None:
        return ()
    stops = [(run.measure[1], text) for text in (found.broken, found.interrupted) if text]
    return (*history.own(run.measure, stops), *found.events)


def _histograms(window: Window | None) -> dict[str, tuple[Point, ...]]:
    """The server's own distributions, as the shares within its bucket bounds."""
    found = {}
    for name in ("ttft", "tpot", "e2e"):
        histogram = window.histogram(METRICS[name]) if window else None
        if histogram is not None and histogram.count > 0:
            found[name] = tuple(
                (bound, count / histogram.count)
                for bound, count in histogram.buckets
                if math.isfinite(bound)
            )
    return found


def _verdict(
    found: Found,
    objectives: tuple[Objective, ...],
    made: tuple[Check, ...],
    generator: Generator | None,
    advice: tuple[str, ...],
) -> Verdict:
    impossible = found.impossible
    answered = found.run is not None and any(record.ok for record in found.run.records)
    if found.broken and not answered:
        impossible = f"{found.broken}, and no request was answered until then"
    elif found.run is not None and not found.run.measured and not found.broken:
        impossible = impossible or "no request was due in the measured time"
    broken = found.broken
    if broken and found.run is not None:
        count = len(found.run.measured)
        broken = f"{broken}; what was measured until then ({count:,} requests) is judged and kept"
    return verdict(
        objectives,
        made,
        bottleneck=generator.bottleneck if generator else None,
        broken=broken,
        interrupted=found.interrupted,
        impossible=impossible,
        advice=advice,
    )


def _checks(found: Found, generator: Generator | None) -> tuple[Check, ...]:
    slo, window = found.options.slo, found.window
    cut_short = "the run was interrupted" if found.interrupted else None
    missing = cut_short or found.no_prometheus
    made = [checks.steadiness(found.broken, window), checks.generator(generator)]
    if found.comparisons:
        made.append(checks.agreement(found.comparisons))
    else:
        reason = cut_short or "there is no page of the server after the load"
        made.append(checks.skipped("client and server", reason))
    made.append(checks.sources(found.after))
    made.append(checks.bounds(slo, found.after or found.before))
    if found.rules is None:
        made.append(checks.skipped("rules", missing))
    else:
        made.append(checks.rules(found.rules, found.alerts))
    if found.dashboards is None:
        made.append(checks.skipped("dashboards", missing))
    else:
        made.append(checks.panels(found.dashboards))
    if found.options.expected is not None:
        made.append(_alerts(found, found.options.expected, missing))
    made.append(_recording(found, missing))
    made += tracing.check(found.joined, found.options.otlp_listen)
    return tuple(made)


def _alerts(found: Found, expected: tuple[Expected, ...], missing: str) -> Check:
    if found.delivered is not None:
        return alerts.check(found.delivered, expected)
    lacking = servers.missing_tools("prometheus-alertmanager")
    why = f"Alertmanager is not installed (Debian: apt-get install {', '.join(lacking.values())})"
    return checks.skipped("alerts", why if lacking else missing)


def _recording(found: Found, missing: str) -> Check:
    if found.stored is None or found.interrupted:
        return checks.skipped("Prometheus", missing)
    if found.window is None:
        return checks.skipped("Prometheus", "there is no page of the server after the load")
    running = found.window.after.samples.get(REQUESTS_RUNNING.prometheus, {})
    if any(running.values()):
        return checks.skipped("Prometheus", "the engine was still busy when both were read")
    return checks.recording(found.window, found.stored)


def fairness(
    run: Run,
    comparisons: tuple[Comparison, ...],
    promises: tuple[Promise, ...] = (),
    *,
    met: bool,
) -> Generator:
    """The generator's own state, and whether it was the bottleneck.

    On a busy machine the generator's loop wakes up late now and then.  That matters where it
    changes what is sent or what is judged.  It does not, where the lateness is small beside the
    time between requests, and either the server's clocks give the same means, or all objectives
    are ``met`` although lateness only ever makes a latency look longer.
    """
    own, complaint, note = run.generator, bottleneck(run, promises), ""
    if complaint is not None:
        means = {row.status for row in comparisons if row.name.startswith("mean ")}
        if only_late(run, promises) and means and own.lag_p99_low <= _SMALL_SHARE * _pause(run):
            if means == {"agrees"}:
                note = f"{complaint}, yet the server's clocks confirm what it measured"
            elif met and means <= {"agrees", "explained"}:
                note = f"{complaint}, yet every objective is met with that in the latencies"
        complaint = None if note else complaint
    return Generator(
        cpu_share=own.cpu_share,
        lag_p99=own.lag_p99,
        lateness_p99=own.late_wakeups,
        held_back=own.held_back,
        bottleneck=complaint,
        note=note,
    )


def _pause(run: Run) -> float:
    """Seconds from one request to the next, of a user in a closed loop or of all in an open one."""
    if not run.open_loop:
        spans = [record.e2e for record in run.measured if record.e2e is not None]
        return sum(spans) / len(spans) if spans else 0.0
    return run.measured_seconds / len(run.measured) if run.measured else 0.0
