"""``report.json``: what a validation or a load found, as models; all other forms derive from it."""

import json
from typing import Literal

from pydantic import Field

from firsttoken.config import Model

__all__ = [
    "VERSION",
    "Check",
    "Comparison",
    "Dashboard",
    "DeliveredAlert",
    "Distribution",
    "Engine",
    "Environment",
    "Event",
    "FiringAlert",
    "Generator",
    "LoadResult",
    "Objective",
    "Panel",
    "Point",
    "Report",
    "RuleResult",
    "SlowRequest",
    "Status",
    "Step",
    "Verdict",
    "schema_text",
]

VERSION = "firsttoken.report/v1"

Status = Literal["passed", "missed", "failed", "skipped", "not_judged"]
Point = tuple[float, float]
"""Seconds since the first request, and a value."""


class Verdict(Model):
    """What it all comes to; ``exit_code`` is the command's."""

    status: Literal["passed", "missed", "failed", "not_judged", "measured"] = Field(
        description="measured: no objective was given, so that nothing is judged."
    )
    exit_code: int
    headline: str = Field(description="One sentence for whoever reads nothing else.")
    reasons: tuple[str, ...] = Field(default=(), description="Why, one sentence each.")
    advice: tuple[str, ...] = Field(default=(), description="What to do, one sentence each.")
    partial: bool = Field(default=False, description="The run was cut short.")


class Step(Model):
    """One step of the run."""

    name: str
    status: Status
    seconds: float
    detail: str = ""


class Engine(Model):
    """What answered at the target."""

    url: str
    model: str
    version: str | None = None
    simulated: bool = False
    faults: tuple[str, ...] = ()
    round_trip: float | None = Field(
        default=None, description="Seconds of a request that does no work, the median of several."
    )


class Distribution(Model):
    """Seconds, of the measured requests; percentiles are exact."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None


class LoadResult(Model):
    """What the client saw; counts and rates are of the measured window."""

    described: str = Field(description="The load in words.")
    settings: dict[str, object] = Field(description="The load as the generator was given it.")
    schedule_hash: str = Field(default="", description="Equal for equal schedules and lengths.")
    started: float = Field(description="Unix seconds of the records' time 0.")
    window: tuple[float, float] = Field(description="Measured seconds after ``started``.")
    requests: int
    ok: int
    failed: dict[str, int] = Field(default_factory=dict, description="Failures by error.")
    offered_rate: float | None = Field(default=None, description="Requests due, a second.")
    request_rate: float | None = Field(default=None, description="Completed requests a second.")
    input_token_rate: float | None = None
    output_token_rate: float | None = None
    concurrency: float | None = Field(default=None, description="Mean of requests in flight.")
    goodput: float | None = Field(
        default=None, description="Requests a second that met every objective of the client's."
    )
    latencies: dict[str, Distribution] = Field(default_factory=dict)


class Generator(Model):
    """The load generator's own state: whether it could be a fair witness."""

    cpu_share: float | None = Field(default=None, description="Share of one core.")
    lag_p99: float | None = Field(default=None, description="Seconds sent later than intended.")
    lateness_p99: float | None = Field(default=None, description="Seconds its loop woke up late.")
    held_back: int = 0
    bottleneck: str | None = None
    note: str = Field(default="", description="Why it was not, in spite of signs that it was.")


class Objective(Model):
    """One objective, held against every request that was issued in the measured window."""

    name: str
    kind: str = Field(description="As in the objective file, such as latency or availability.")
    promise: str = Field(description="What the target is a share of, in words.")
    metric: str
    threshold: float | None = Field(default=None, description="Seconds.")
    target: float = Field(description="Share from 0 to 1.")
    judged_by: Literal["client", "server"]
    status: Status
    attained: float | None = None
    low: float | None = Field(default=None, description="Lower end of the 95 % interval.")
    high: float | None = None
    good: int | None = None
    count: int | None = None
    margin: float | None = Field(
        default=None, description="The attained share less the target; below 0 it is missed."
    )
    value: float | None = Field(
        default=None,
        description="Seconds within which the target's share of all requests was answered, those"
        " that failed counted as never; None where that many were not answered.",
    )
    value_low: float | None = Field(
        default=None,
        description="Lower end of the 95 % interval of ``value``, from order statistics.",
    )
    value_high: float | None = Field(
        default=None, description="Its upper end; None where there are too few requests for one."
    )
    server_attained: float | None = Field(
        default=None, description="The same share as the server's histogram has it, warm-up too."
    )
    detail: str = ""


class Comparison(Model):
    """One quantity as client and server have it over the same requests, warm-up included."""

    name: str
    unit: Literal["requests", "tokens", "s"]
    client: float | None
    server: float | None
    tolerance: float = Field(description="In the unit; what is beyond it needs an explanation.")
    status: Literal["agrees", "explained", "mismatch", "not_compared"]
    explanation: str


class Check(Model):
    """One thing that must work, or could not be tried."""

    name: str
    status: Literal["passed", "failed", "skipped", "not_judged"]
    summary: str
    details: tuple[str, ...] = ()


class RuleResult(Model):
    """One rule that was generated, and what Prometheus made of it."""

    group: str
    name: str
    kind: Literal["recording", "alerting"]
    status: Literal["passed", "failed"]
    detail: str = ""


class FiringAlert(Model):
    """An alert that was pending or firing at the end of the load."""

    name: str
    state: Literal["pending", "firing"]
    severity: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    summary: str = ""


class DeliveredAlert(Model):
    """An alert that reached Alertmanager at some time of the run."""

    name: str
    objective: str = Field(default="", description="The objective that it is about, if any.")
    severity: str = ""
    at: float = Field(description="Seconds after the load began.")
    inhibited: bool = Field(default=False, description="Kept back by another one.")


class Panel(Model):
    """One panel: *data*, *no traffic*, *not reported* or *broken*."""

    title: str
    status: Literal["data", "no traffic", "not reported", "broken"]
    detail: tuple[str, ...] = ()


class Dashboard(Model):
    """One dashboard with every panel."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


class Event(Model):
    """Something that happened during the load; seconds since the first request."""

    kind: Literal["phase", "restart", "alert", "source", "fault", "stop"]
    text: str
    start: float
    end: float | None = Field(default=None, description="None for what took no time.")


class SlowRequest(Model):
    """One of the slowest measured requests; times in seconds."""

    index: int = Field(description="As in the records.")
    at: float = Field(description="When it was sent, since the first request.")
    worst: str = Field(description="What makes it one of the slowest, in words.")
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    ttft: float | None = None
    tpot: float | None = None
    e2e: float | None = None
    in_flight: float | None = Field(default=None, description="Mean of requests beside it.")
    trace_id: str | None = None
    trace_url: str | None = Field(default=None, description="Where the trace is shown.")
    stages: dict[str, float] = Field(
        default_factory=dict, description="Its time in each stage, where a trace has it."
    )


class Environment(Model):
    """Where it ran and with what: needed to repeat it, and to compare two runs."""

    machine: str
    cpus: int
    python: str
    programs: dict[str, str] = Field(default_factory=dict, description="Versions by program.")


class Report(Model):
    """Everything that a validation, or a load alone, found."""

    version: Literal["firsttoken.report/v1"] = "firsttoken.report/v1"
    kind: Literal["validation", "load"] = "validation"
    firsttoken: str = Field(description="The version of firsttoken that wrote it.")
    created: str = Field(description="When it was written, ISO 8601 in UTC.")
    service: str
    verdict: Verdict
    command: str = Field(default="", description="The command line that does the same again.")
    promises: dict[str, object] = Field(
        default_factory=dict, description="The objective file, as it was read."
    )
    environment: Environment | None = None
    engine: Engine | None = None
    steps: tuple[Step, ...] = ()
    objectives: tuple[Objective, ...] = ()
    load: LoadResult | None = None
    generator: Generator | None = None
    comparisons: tuple[Comparison, ...] = ()
    checks: tuple[Check, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    alerts: tuple[FiringAlert, ...] = ()
    delivered: tuple[DeliveredAlert, ...] = Field(
        default=(), description="Alerts that reached Alertmanager, where one was asked."
    )
    dashboards: tuple[Dashboard, ...] = ()
    series: dict[str, tuple[Point, ...]] = Field(
        default_factory=dict, description="What the server reported over time, by name."
    )
    events: tuple[Event, ...] = ()
    histograms: dict[str, tuple[Point, ...]] = Field(
        default_factory=dict,
        description="The server's histograms by metric: (bucket bound, share within), warm-up too.",
    )
    stages: dict[str, float] = Field(
        default_factory=dict, description="Mean seconds of a request in each stage of the server."
    )
    slowest: tuple[SlowRequest, ...] = ()
    files: dict[str, str] = Field(
        default_factory=dict, description="The other files of the report, and what each is."
    )


def schema_text() -> str:
    """The JSON schema of ``report.json``."""
    return json.dumps(Report.model_json_schema(), indent=2) + "\n"
