"""What a validation does, one function a step; each returns a sentence on what came of it."""

import contextlib
import dataclasses
import time
from dataclasses import dataclass

from firsttoken import servers
from firsttoken.config import public_address
from firsttoken.dashboards import render
from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Group
from firsttoken.rules.model import Options as RuleOptions
from firsttoken.rules.output import rule_file
from firsttoken.rules.slo import SloFile
from firsttoken.validate import engine, faults, load, observe
from firsttoken.validate.alerts import AlertWatch, wait_for
from firsttoken.validate.compare import Evidence, compare
from firsttoken.validate.found import Found, Options
from firsttoken.validate.progress import Progress
from firsttoken.validate.stack import Exporter, Stack

__all__ = [
    "Session",
    "SkippedError",
    "check_alerts",
    "check_dashboards",
    "check_rules",
    "collect",
    "generate",
    "hold_together",
    "measure",
    "reach",
    "settle",
    "take_page",
    "validation_groups",
    "warm_up",
    "watch",
]

SIMULATED_GPUS = 2
_BEFORE_LOAD = 2
"""Scrapes before the load, so that every rate has a beginning."""


class SkippedError(Exception):
    """Raised by a step that cannot be done, where the run goes on without it."""


@dataclass(slots=True)
class Session:
    """What the steps share."""

    found: Found
    stack: Stack
    exits: contextlib.ExitStack
    progress: Progress
    running: load.Load | None = None
    watch: AlertWatch | None = None

    @property
    def options(self) -> Options:
        """What is asked for."""
        return self.found.options


def reach(session: Session) -> str:
    """Reach the engine, or start the embedded one."""
    options, found = session.options, session.found
    if options.target is None:
        session.progress.update("starting the embedded engine")
        found.url = session.stack.simulate(options.faults, SIMULATED_GPUS)
    else:
        found.url = engine.base_url(options.target)
    found.engine = engine.reach(found.url, options.model or options.load.model)
    if options.target is None or options.faults:
        found.engine = found.engine.model_copy(update={"simulated": True, "faults": options.faults})
    if options.target is not None and options.faults:
        session.exits.enter_context(faults.imposed(found.url, options.faults))
    version = f" {found.engine.version}" if found.engine.version else ""
    kind = "embedded engine" if found.engine.simulated else "engine"
    return f"{kind}{version} serves {found.engine.model}"


def collect(session: Session) -> str:
    """Start the collector against the engine and the GPU exporters."""
    options, found = session.options, session.found
    assert found.url is not None  # noqa: S101 (the step before)
    exporters = options.exporters
    if options.target is None and not exporters:
        exporters = (Exporter(f"{found.url}/dcgm/metrics,profile=dcgm"),)
    session.stack.collector(found.url, exporters, 0.8 * options.scrape_interval)
    page, _ = session.stack.page()
    series = sum(len(samples) for samples in page.samples.values())
    return f"{series:,} series from {1 + len(exporters)} sources on one page"


def generate(session: Session) -> str:
    """Generate rules and dashboards from the objectives."""
    found, out = session.found, session.options.out
    found.groups = validation_groups(session.options.slo, session.options.scrape_interval)
    text = (
        "# As evaluated by this validation; `firsttoken rules generate` writes those to deploy.\n"
    )
    (out / "rules.yaml").write_text(text + rule_file(found.groups), encoding="utf-8")
    found.shapes = render.dashboards()
    folder = out / "dashboards"
    folder.mkdir(exist_ok=True)
    for uid, shape in found.shapes.items():
        (folder / f"{uid}.json").write_text(render.to_json(shape), encoding="utf-8")
    rules = sum(len(group.rules) for group in found.groups)
    return f"{rules} rules, {len(found.shapes)} dashboards"


def validation_groups(slo: SloFile, interval: int) -> tuple[Group, ...]:
    """The rules of the objectives, all evaluated at the scrape interval.

    Some would be evaluated once in two minutes otherwise, and not at all in a short run.
    """
    groups = rule_groups(slo, options=RuleOptions(scrape=interval))
    return tuple(dataclasses.replace(group, interval=interval) for group in groups)


def watch(session: Session) -> str:
    """Start a private Prometheus on the collector and the rules, or use the one given."""
    options, found = session.options, session.found
    if options.prometheus is not None:
        shown = public_address(options.prometheus)
        found.prometheus = Prometheus(options.prometheus)
        if not found.prometheus.ready():
            found.prometheus, found.no_prometheus = None, f"{shown} does not answer"
            raise NotJudgedError(f"Prometheus at {shown} does not answer")
        _note_version(found)
        return f"using {shown}"
    missing = servers.missing_tools("prometheus")
    if missing:
        package = missing["prometheus"]
        found.no_prometheus = (
            f"Prometheus is not installed (Debian: apt-get install {package}), nor was one given"
            " with --prometheus"
        )
        raise SkippedError(found.no_prometheus)
    told = _listen(session)
    started = session.stack.prometheus(
        options.out / "rules.yaml", options.slo, options.scrape_interval, alertmanager=told
    )
    session.progress.update("waiting for its first scrapes")
    observe.wait_for_scrapes(started, _BEFORE_LOAD)
    found.prometheus = started
    _note_version(found)
    return f"scrapes and evaluates every {options.scrape_interval} s"


def _listen(session: Session) -> str | None:
    """Start an Alertmanager where alerts are expected; its address."""
    if session.options.expected is None or servers.missing_tools("prometheus-alertmanager"):
        return None
    session.progress.update("starting Alertmanager")
    address = session.stack.alertmanager()
    session.watch = AlertWatch(address, session.options.slo.service)
    return address


def _note_version(found: Found) -> None:
    version = found.prometheus.version() if found.prometheus else None
    if version:
        found.programs["Prometheus"] = version


def warm_up(session: Session) -> str:
    """Start the load; its first seconds are not measured."""
    options, found = session.options, session.found
    assert found.engine is not None  # noqa: S101
    found.before, _ = session.stack.page()
    arguments = load.load_arguments(
        found.engine.url,
        found.engine.model,
        found.records,
        options.load_file,
        rate=options.rate,
        concurrency=options.concurrency,
        duration=options.duration,
        tracing=options.otlp_listen is not None or options.trace_url is not None,
        grafana=options.grafana,
    )
    found.load_started = time.time()
    log = options.out / "logs" / "load.log"
    session.running = session.exits.enter_context(load.start(arguments, found.engine.url, log))
    if session.watch is not None:
        session.watch.begin(found.load_started)
    for state in session.running.follow(phase="warmup"):
        _advance(session, state)
    return ""


def measure(session: Session) -> str:
    """The measured part of the load, and what is still in flight then."""
    running, found = session.running, session.found
    assert running is not None  # noqa: S101
    for state in running.follow():
        _advance(session, state)
    code = running.finish()
    found.load_ended = time.time()
    load.check_ended(running, code, found.records)
    if running.lost_at is not None:
        found.broken = f"the engine stopped answering {running.lost_at:.0f} s into the load"
        raise NotJudgedError(found.broken)
    unmarked = running.unmarked()
    return f"{running.state}; {unmarked}" if unmarked else str(running.state)


def _advance(session: Session, state: load.State) -> None:
    session.progress.update(str(state))
    if session.watch is not None:
        session.watch.poll()


def check_alerts(session: Session) -> str:
    """Wait for what is expected to reach Alertmanager, and keep what did."""
    expected = session.options.expected
    if expected is None or session.watch is None:
        raise SkippedError("Alertmanager is not installed, or no alerts are expected of this run")
    wait_for(session.watch, expected)
    session.found.delivered = session.watch.delivered
    return f"reached Alertmanager: {len(session.watch.delivered)}"


def settle(session: Session) -> str:
    """Wait until Prometheus has everything, then take the page once more."""
    found = session.found
    try:
        if found.prometheus is not None and found.load_ended is not None:
            if session.options.prometheus is None:
                observe.settle(found.prometheus, found.load_ended)
            else:
                time.sleep(2 * session.options.scrape_interval)
    finally:
        take_page(session)
    return ""


def take_page(session: Session) -> None:
    """The collector's page after the load."""
    session.found.after, session.found.page_text = session.stack.page()


def hold_together(session: Session) -> str:
    """Compare what client and server have."""
    found = session.found
    if found.run is None or found.window is None or found.engine is None:
        raise SkippedError("there is nothing to compare")
    evidence = Evidence(found.engine.round_trip or 0.0, found.run.generator.late_wakeups)
    found.comparisons = compare(found.run, found.window, evidence)
    agree = sum(row.status == "agrees" for row in found.comparisons)
    return f"{agree} of {len(found.comparisons)} quantities agree"


def check_rules(session: Session) -> str:
    """Ask Prometheus for every rule and every alert."""
    found = session.found
    if found.prometheus is None:
        raise SkippedError(found.no_prometheus)
    found.rules = observe.rules(found.prometheus, found.groups)
    found.alerts = observe.alerts(found.prometheus, session.options.slo.service)
    well = sum(rule.status == "passed" for rule in found.rules)
    firing = sum(alert.state == "firing" for alert in found.alerts)
    return f"{well} of {len(found.rules)} rules are healthy; alerts firing: {firing}"


def check_dashboards(session: Session) -> str:
    """Run every query of every panel on the time of the run."""
    found = session.found
    if found.prometheus is None or found.load_started is None:
        raise SkippedError(found.no_prometheus)
    end = time.time()
    found.dashboards = observe.dashboards(
        found.prometheus,
        found.shapes,
        end=end,
        seconds=end - found.load_started,
        scrape_interval=session.options.scrape_interval,
        told=session.progress.update,
    )
    panels = [panel for board in found.dashboards for panel in board.panels]
    return f"{sum(panel.status == 'data' for panel in panels)} of {len(panels)} panels show data"
