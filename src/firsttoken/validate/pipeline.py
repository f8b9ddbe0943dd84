"""The run, step by step; whatever ends it early, what was measured is judged and kept."""

import contextlib
import shutil
import time
from collections.abc import Callable

from firsttoken.errors import ConfigError, NotJudgedError, UsageError
from firsttoken.loadgen import records
from firsttoken.prometheus import Prometheus
from firsttoken.report.schema import Status, Step
from firsttoken.validate import history, observe, steps, tracing
from firsttoken.validate.found import FILES, Found, Options
from firsttoken.validate.progress import Progress
from firsttoken.validate.stack import Stack
from firsttoken.validate.steps import Session, SkippedError

__all__ = ["AFTERWARDS", "STEPS", "run"]

Action = Callable[[Session], str]
STEPS: tuple[tuple[str, Action], ...] = (
    ("Reach the engine", steps.reach),
    ("Start the collector", steps.collect),
    ("Generate rules and dashboards", steps.generate),
    ("Start Prometheus", steps.watch),
    ("Warm up", steps.warm_up),
    ("Run the load", steps.measure),
)
"""Each needs the one before it."""
AFTERWARDS: tuple[tuple[str, Action], ...] = (
    ("Let the last scrape in", steps.settle),
    ("Check the alerts", steps.check_alerts),
    ("Compare client and server", steps.hold_together),
    ("Check the rules", steps.check_rules),
    ("Check the dashboards", steps.check_dashboards),
)
"""Each stands for itself, once there was a load."""
RECEIVE: tuple[str, Action] = ("Listen for spans", tracing.receive)
JOIN: tuple[str, Action] = ("Join the traces", tracing.join_spans)
"""Both with --otlp-listen alone."""


def run(options: Options, progress: Progress) -> Found:
    """All steps; returns what was found, however the run ended.

    Raises UsageError and ConfigError for mistakes in what was given.
    """
    found = Found(options)
    prepare(options)
    with progress, contextlib.ExitStack() as exits:
        session = Session(found, Stack(options.out, exits), exits, progress)
        try:
            for name, action in (RECEIVE, *STEPS) if options.otlp_listen else STEPS:
                perform(session, name, action)
        except KeyboardInterrupt:
            found.interrupted = _moment(session)
        except NotJudgedError as exc:
            if found.broken is None:
                found.impossible = str(exc)
        end_load(session)
        try:
            afterwards = (JOIN, *AFTERWARDS) if options.otlp_listen else AFTERWARDS
            for name, action in afterwards if found.run and not found.interrupted else ():
                if action is steps.check_alerts and options.expected is None:
                    continue
                with contextlib.suppress(NotJudgedError):
                    perform(session, name, action)
        except KeyboardInterrupt:
            found.interrupted = _moment(session)
        salvage(session)
    return found


def prepare(options: Options) -> None:
    """The output folder, without what an earlier run left in it.  Raises ConfigError."""
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            path = options.out / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(options.out, [f"cannot be written: {exc.strerror}"]) from None


def perform(session: Session, name: str, action: Action) -> None:
    """One step, timed and shown; what it raises ends it and is passed on, save SkippedError."""
    session.progress.begin(name)
    began = time.monotonic()
    status: Status = "not_judged"
    detail = "interrupted"
    try:
        detail = action(session)
        status = "passed"
    except SkippedError as exc:
        status, detail = "skipped", str(exc)
    except NotJudgedError as exc:
        detail = str(exc).splitlines()[0]
        raise
    except UsageError:
        detail = "a mistake in what was given"
        raise
    finally:
        seconds = round(time.monotonic() - began, 3)
        step = Step(name=name, status=status, seconds=seconds, detail=detail)
        session.found.steps.append(step)
        session.progress.end(step)


def end_load(session: Session) -> None:
    """End the load if it still runs, and read what it measured."""
    found = session.found
    if session.running is not None:
        session.running.finish()
        found.load_ended = found.load_ended or time.time()
    if found.records.exists():
        with contextlib.suppress(ConfigError):
            found.run = records.read(found.records)
    if found.run is not None and found.run.stopped and not (found.interrupted or found.broken):
        found.broken = f"the load was stopped: {found.run.stopped}"


def salvage(session: Session) -> None:
    """What the servers still have, before they end."""
    found = session.found
    if found.before is not None and found.after is None:
        with contextlib.suppress(NotJudgedError):
            steps.take_page(session)
    if found.prometheus is not None:
        with contextlib.suppress(NotJudgedError):
            _over_time(found.prometheus, found)


def _over_time(prometheus: Prometheus, found: Found) -> None:
    """The server's series on the clock of the records, and its counters at the end."""
    if found.run is None or found.load_ended is None or found.engine is None:
        return
    model, step = found.engine.model, found.options.scrape_interval
    found.stored = observe.totals(prometheus, model, time.time())
    lasted = found.load_ended - found.run.started
    found.recorded = observe.recorded_shares(prometheus, found.options.slo, lasted)
    stretch = history.Stretch(prometheus, found.run.started, found.load_ended + step, step)
    found.series = history.series(stretch, model)
    found.events = history.events(stretch, found.options.slo.service, model)


def _moment(session: Session) -> str:
    state = session.running.state if session.running else None
    if state is not None and state.total:
        return f"{state.elapsed:.0f} s into the load of {state.total:.0f} s"
    if session.found.steps:
        return f"during “{session.found.steps[-1].name}”"
    return "before the first step"
