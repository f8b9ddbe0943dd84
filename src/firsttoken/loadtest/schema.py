"""What ``capacity.json``, ``sweep.json`` and ``comparison.json`` hold; their schema is published.

Seconds, requests per second and shares from 0 to 1 throughout; None where there is no value.
"""

import json
from typing import Literal

from pydantic import BaseModel, Field

from firsttoken.config import Model

__all__ = [
    "Candidate",
    "CapacityReport",
    "Change",
    "ComparisonReport",
    "Cost",
    "Evidence",
    "Latency",
    "Point",
    "Saturation",
    "Seen",
    "Side",
    "StepResult",
    "SweepReport",
    "schema_text",
]


class Latency(Model):
    """A latency's percentiles in seconds, each with its interval where that could be had."""

    p50: float
    p50_low: float | None = None
    p50_high: float | None = None
    p95: float
    p95_low: float | None = None
    p95_high: float | None = None
    p99: float


class Seen(Model):
    """What the server's own metrics showed during one load; None where not reported."""

    samples: int = 0
    running_mean: float | None = None
    running_max: float | None = None
    waiting_mean: float | None = None
    waiting_max: float | None = None
    kv_cache_max: float | None = Field(default=None, description="Share in use, at most.")
    preemptions: float | None = None
    step_tokens: float | None = Field(
        default=None, description="Tokens a step of the engine, mean over the fullest two seconds."
    )
    gpu_utilization: float | None = Field(default=None, description="Mean over time and GPUs.")
    power: float | None = Field(default=None, description="Watts of all GPUs, mean over time.")
    gpus: int | None = None


class Point(Model):
    """One load and how it fared."""

    rate: float | None = Field(default=None, description="Requests per second asked for.")
    concurrency: int | None = Field(default=None, description="Users, of a closed loop.")
    prompt_tokens: int | None = Field(default=None, description="Where it was set.")
    output_tokens: int | None = None
    seconds: float = Field(description="Measured time.")
    requests: int
    failed: int
    offered_rate: float = Field(description="Requests due a second, as it came to be.")
    request_rate: float = Field(description="Requests completed a second.")
    input_rate: float = Field(description="Prompt tokens a second.")
    output_rate: float = Field(description="Output tokens a second.")
    in_flight: float = Field(description="Mean number of requests at a time.")
    goodput: float | None = Field(default=None, description="Requests a second, all objectives.")
    goodput_low: float | None = None
    goodput_high: float | None = None
    ttft: Latency | None = None
    tpot: Latency | None = None
    e2e: Latency | None = None
    e2e_mean: float | None = None
    bottleneck: str | None = Field(default=None, description="Why the generator was at fault.")
    seen: Seen | None = None
    records: str = Field(description="The file of its records, in the same folder.")


class Evidence(Model):
    """One objective at one rate."""

    objective: str
    target: float
    attained: float | None
    low: float
    high: float
    requests: int
    effective: float = Field(description="Independent requests that would say as much.")


class StepResult(Model):
    """One step of a search for the capacity."""

    number: int
    planned_rate: float
    size: int = Field(description="0: a short step, of which only the direction counts.")
    verdict: Literal["holds", "fails", "undecided", "not judged"]
    leaning: Literal["holds", "fails"]
    reason: str
    stopped_early: bool = False
    evidence: tuple[Evidence, ...] = ()
    growth: float | None = Field(default=None, description="More in flight at the end than first.")
    growth_explained: float | None = Field(default=None, description="Of it, by chance.")
    point: Point


class Saturation(Model):
    """What of the server was at its limit first, as the rate grew."""

    what: Literal["queue", "KV cache", "batch", "GPU", "unknown"]
    at_rate: float | None = None
    explanation: str


class Cost(Model):
    """What serving at capacity costs, where a price or the GPUs' power is known."""

    gpus: int | None = None
    requests_per_gpu: float | None = None
    output_tokens_per_gpu: float | None = None
    price_per_gpu_hour: float | None = None
    price_per_million_output_tokens: float | None = None
    price_per_million_tokens: float | None = Field(default=None, description="In and out.")
    watts: float | None = None
    output_tokens_per_joule: float | None = None


class CapacityReport(Model):
    """The highest rate at which all objectives hold."""

    version: Literal["firsttoken.capacity/v1"] = "firsttoken.capacity/v1"
    verdict: Literal["found", "at least", "none", "not precise"]
    exit_code: int
    headline: str
    target: str
    model: str
    engine: str | None = None
    objectives: tuple[str, ...]
    confidence: float
    precision: float
    low: float | None = Field(default=None, description="The highest rate shown to hold.")
    high: float | None = Field(default=None, description="The lowest rate shown to fail.")
    estimate: float | None = Field(default=None, description="Requests a second, between them.")
    output_tokens: float | None = Field(default=None, description="Tokens a second, at it.")
    input_tokens: float | None = None
    users: float | None = Field(default=None, description="Requests in flight and thinking users.")
    think_time: float = 0.0
    knee: float | None = Field(
        default=None, description="Rate with the most throughput per latency (Kleinrock's power)."
    )
    saturation: Saturation | None = None
    cost: Cost | None = None
    at_least: float | None = None
    steps: tuple[StepResult, ...] = ()
    command: str = Field(default="", description="The command line that repeats it.")


class SweepReport(Model):
    """Loads side by side, and which of them no other beats."""

    version: Literal["firsttoken.sweep/v1"] = "firsttoken.sweep/v1"
    target: str
    model: str
    engine: str | None = None
    objectives: tuple[str, ...] = ()
    points: tuple[Point, ...]
    front_ttft: tuple[int, ...] = Field(
        description="Points, from 0, that no other beats in output rate and TTFT p95."
    )
    front_tpot: tuple[int, ...] = Field(description="The same for TPOT p95.")
    best: int | None = Field(default=None, description="The point of the highest goodput.")
    command: str = ""


class Side(Model):
    """One side of a comparison."""

    name: str
    files: tuple[str, ...]
    model: str
    engine: str | None
    requests: int
    schedule_hashes: tuple[str, ...]


class Change(Model):
    """One quantity of a candidate against the baseline's."""

    quantity: str
    unit: str
    higher_is_better: bool
    baseline: float | None
    candidate: float | None
    change: float | None = Field(description="Relative; for failed requests, of the shares.")
    low: float | None
    high: float | None
    p: float | None = Field(description="Adjusted for the number of quantities.")
    verdict: Literal["better", "worse", "no difference shown", "too little data"]
    regression: bool
    note: str = ""


class Candidate(Model):
    """A candidate and all that differs."""

    side: Side
    verdict: Literal["better", "worse", "no difference shown", "too little data"]
    changes: tuple[Change, ...]


class ComparisonReport(Model):
    """Candidates against a baseline."""

    version: Literal["firsttoken.comparison/v1"] = "firsttoken.comparison/v1"
    verdict: Literal["passed", "regression", "too little data"]
    exit_code: int
    headline: str
    confidence: float
    threshold: float
    baseline: Side
    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...] = ()


def schema_text(model: type[BaseModel]) -> str:
    """A report's JSON schema."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"
