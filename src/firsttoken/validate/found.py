"""What a validation is asked to do, and what it has found so far."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsttoken.loadgen.records import Run
from firsttoken.loadgen.settings import LoadFile
from firsttoken.prometheus import Prometheus
from firsttoken.report.schema import (
    Comparison,
    Dashboard,
    DeliveredAlert,
    Engine,
    Event,
    FiringAlert,
    Point,
    RuleResult,
    Step,
)
from firsttoken.rules.model import Group
from firsttoken.rules.slo import SloFile
from firsttoken.traces.join import Joined
from firsttoken.validate.alerts import Expected
from firsttoken.validate.page import Page, Window
from firsttoken.validate.stack import Exporter

if TYPE_CHECKING:  # only with --otlp-listen, and slow to import
    from firsttoken.otlp.store import Store

__all__ = ["FILES", "Found", "Options"]

FILES = {
    "report.html": "this report",
    "report.md": "this report as Markdown, for a CI job's summary",
    "report.json": "this report as data",
    "junit.xml": "objectives and checks as JUnit test cases",
    "records.jsonl": "every request of the load generator",
    "requests.csv": "the same as a table, one line a request",
    "slo.yaml": "the objectives that were judged",
    "load.yaml": "the load that was run",
    "rules.yaml": "the rules that Prometheus evaluated",
    "spans.jsonl": "the engine's spans, with --otlp-listen",
    "dashboards": "the dashboards that were checked",
    "metrics.prom": "the collector's page after the load",
    "logs": "what the started programs said",
}
"""What the output folder holds, and what each is."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to validate; ``target`` is None for the embedded engine.  Times are seconds."""

    slo: SloFile
    out: Path
    target: str | None = None
    faults: tuple[str, ...] = ()
    slo_file: Path | None = None
    load_file: Path | None = None
    load: LoadFile = field(default_factory=LoadFile)
    exporters: tuple[Exporter, ...] = ()
    prometheus: str | None = None
    model: str | None = None
    scrape_interval: int = 1
    rate: float | None = None
    concurrency: int | None = None
    duration: float | None = None
    otlp_listen: str | None = None
    """Where the engine sends its spans."""
    trace_url: str | None = None
    """Where a tracing backend shows them, ``{trace_id}`` in the place of a trace's id."""
    grafana: str | None = None
    """The Grafana on whose dashboards the load is marked."""
    expected: tuple[Expected, ...] | None = None
    """The alerts that must reach Alertmanager, and no others; None: none is started."""


@dataclass(slots=True)
class Found:
    """Filled in step by step; what stays None was not reached."""

    options: Options
    steps: list[Step] = field(default_factory=list)
    url: str | None = None
    engine: Engine | None = None
    groups: tuple[Group, ...] = ()
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)
    prometheus: Prometheus | None = None
    programs: dict[str, str] = field(default_factory=dict)
    """Versions of what was used."""
    no_prometheus: str = "the run ended before it"
    """Why what needs Prometheus could not be checked."""
    before: Page | None = None
    after: Page | None = None
    page_text: str = ""
    load_started: float | None = None
    load_ended: float | None = None
    """Unix seconds."""
    run: Run | None = None
    comparisons: tuple[Comparison, ...] = ()
    spans: "Store | None" = None
    """What the engine sent of its spans."""
    joined: Joined | None = None
    rules: tuple[RuleResult, ...] | None = None
    alerts: tuple[FiringAlert, ...] = ()
    delivered: tuple[DeliveredAlert, ...] | None = None
    """What reached Alertmanager; None where that was not asked, or could not be."""
    dashboards: tuple[Dashboard, ...] | None = None
    series: dict[str, tuple[Point, ...]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    recorded: dict[str, float] = field(default_factory=dict)
    """The good share of each objective, as the rules recorded it."""
    stored: dict[str, float] | None = None
    """The engine's token counters as Prometheus had them at the end, by token type."""
    broken: str | None = None
    """What ended the load before its time."""
    interrupted: str | None = None
    """When the user stopped the run."""
    impossible: str | None = None
    """Why nothing could be measured."""

    @property
    def window(self) -> Window | None:
        """The pages before and after the load, when there are both."""
        if self.before is None or self.after is None:
            return None
        return Window(self.before, self.after, self.engine.model if self.engine else None)

    @property
    def records(self) -> Path:
        """The file of the load generator."""
        return self.options.out / "records.jsonl"
