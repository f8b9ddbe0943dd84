"""Made-up runs and pages whose truth is known."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from firsttoken.catalogue import (
    DECODE_DURATION,
    FINISH_REASON,
    PREFILL_DURATION,
    QUEUE_DURATION,
    REQUEST_DURATION,
    REQUEST_MODEL,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    SOURCE,
    SOURCE_UP,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKEN_TYPE,
    TOKENS_PROCESSED,
    Metric,
)
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.report import suite as suite_report
from firsttoken.report.schema import (
    Dashboard,
    Engine,
    Environment,
    Event,
    FiringAlert,
    Panel,
    Report,
    RuleResult,
)
from firsttoken.report.suite import ScenarioResult, SuiteReport
from firsttoken.rules.slo import SloFile
from firsttoken.validate.compare import Evidence, compare
from firsttoken.validate.conclude import conclude
from firsttoken.validate.found import Found, Options
from firsttoken.validate.page import Page, Window, parse

MODEL = "llama"
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclasses.dataclass(frozen=True)
class Truth:
    """A run of requests one a tenth of a second, all alike but for ``ttfts``, in seconds.

    ``failed`` of them end with an error before the first token.
    """

    ttfts: Sequence[float] = (0.1,) * 100
    tpot: float = 0.02
    output: int = 11
    prompt: int = 50
    failed: int = 0
    generator: Generator = dataclasses.field(default_factory=lambda: Generator(cpu_share=0.1))
    interrupted: bool = False
    stopped: str | None = None
    arrivals: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"kind": "closed", "concurrency": 4}
    )

    def record(self, index: int, ttft: float) -> Record:
        """One request; the last ``failed`` fail."""
        sent = index / 10
        if index >= len(self.ttfts) - self.failed:
            return Record(
                index, sent, sent, None, None, sent + 0.01, 0, None, None, None, 503, "http 503",
                None, (), "measure",
            )  # fmt: skip
        first, gaps = sent + ttft, (self.tpot,) * (self.output - 1)
        last = first + sum(gaps)
        return Record(
            index, sent, sent, first, last, last, self.output, self.prompt, self.output, "usage",
            200, None, "length", gaps, "measure",
        )  # fmt: skip

    def run(self) -> Run:
        """The client's side."""
        records = tuple(self.record(index, ttft) for index, ttft in enumerate(self.ttfts))
        load = {
            "arrivals": dict(self.arrivals),
            "seed": 7,
            "prompt_tokens": {"kind": "fixed", "tokens": self.prompt},
            "output_tokens": {"kind": "fixed", "tokens": self.output},
        }
        return Run(
            VERSION, "http://engine", MODEL, "0.32.0", 1_790_000_000.0,
            (0.0, max(1.0, len(records) / 10)), load, "hash", self.interrupted, self.stopped,
            self.generator, records,
        )  # fmt: skip


def histogram(metric: Metric, values: Sequence[float]) -> list[str]:
    """The lines of a histogram that saw the values."""
    label = f'{REQUEST_MODEL.label}="{MODEL}"'
    name = metric.prometheus
    lines = [f"# TYPE {name} histogram"]
    lines += [
        f'{name}_bucket{{{label},le="{bound}"}} {sum(v <= bound for v in values)}'
        for bound in BOUNDS
    ]
    lines.append(f'{name}_bucket{{{label},le="+Inf"}} {len(values)}')
    lines.append(f"{name}_sum{{{label}}} {sum(values)!r}")
    lines.append(f"{name}_count{{{label}}} {len(values)}")
    return lines


def page_of(
    run: Run | None,
    *,
    latencies: Mapping[Metric, Sequence[float]] | None = None,
    more: Mapping[str, float] | None = None,
    up: float = 1,
) -> Page:
    """The merged page of an engine that saw exactly this run; None is one that saw nothing.

    ``latencies`` replaces what a histogram saw; ``more`` adds to a counter, by finish reason or
    token type.
    """
    answered = [record for record in run.records if record.ok] if run else []
    add = more or {}
    seen = {
        TIME_TO_FIRST_TOKEN: [r.ttft or 0 for r in answered],
        TIME_PER_OUTPUT_TOKEN: [r.tpot or 0 for r in answered],
        REQUEST_DURATION: [r.e2e or 0 for r in answered],
        QUEUE_DURATION: [(r.ttft or 0) * 0.75 for r in answered],
        PREFILL_DURATION: [(r.ttft or 0) * 0.25 for r in answered],
        DECODE_DURATION: [0.2 for _ in answered],
        **(latencies or {}),
    }
    lines = [line for metric, values in seen.items() for line in histogram(metric, values)]
    model = f'{REQUEST_MODEL.label}="{MODEL}"'
    counters = [
        (REQUESTS_FINISHED, FINISH_REASON.label, "length", len(answered)),
        (REQUESTS_FINISHED, FINISH_REASON.label, "abort", 0),
        (TOKENS_PROCESSED, TOKEN_TYPE.label, "input", sum(r.prompt_tokens or 0 for r in answered)),
        (TOKENS_PROCESSED, TOKEN_TYPE.label, "output", sum(r.output_tokens or 0 for r in answered)),
    ]
    for metric, label, value, count in counters:
        name = metric.prometheus
        lines.append(f"# TYPE {name} counter")
        lines.append(f'{name}{{{model},{label}="{value}"}} {count + add.get(value, 0)}')
    lines.append(f"{REQUESTS_RUNNING.prometheus}{{{model}}} 0")
    lines.append(f'{SOURCE_UP.prometheus}{{{SOURCE.label}="engine"}} {up}')
    return parse("\n".join(lines) + "\n")


@pytest.fixture
def truth() -> type[Truth]:
    """``Truth``, for tests to say what happened."""
    return Truth


@pytest.fixture
def window() -> Callable[..., Window]:
    """The server's pages before and after a run; see ``page_of``."""

    def made(run: Run, **changes: Any) -> Window:
        return Window(page_of(None), page_of(run, **changes), MODEL)

    return made


HOSTILE = '<script>alert("x")</script>'
SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "chat",
        "period": "30d",
        "objectives": [
            {
                "name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "250ms",
                "target": 95,
            },
            {"name": "availability", "kind": "availability", "target": 99.5},
        ],
    }
)  # fmt: skip


@pytest.fixture
def run(truth: type) -> Run:
    """A run with slow requests and failed ones."""
    made: Run = truth(ttfts=[0.1] * 60 + [2.0] * 40, failed=4).run()
    return made


@pytest.fixture
def report(run: Run, window: Callable[..., Window]) -> Report:
    """The report of it, with everything in it that a report can have."""
    pages = window(run)
    found = Found(Options(SLO, Path("out"), target="http://engine:8000"))
    found.engine = Engine(url="http://engine:8000", model="llama", version=f"0.32 {HOSTILE}")
    found.run, found.before, found.after = run, pages.before, pages.after
    found.comparisons = compare(run, pages, Evidence())
    found.series = {
        "requests running": ((0.0, 1.0), (5.0, 4.0)),
        "requests waiting": ((0.0, 0.0), (5.0, 2.0)),
        "KV cache in use": ((0.0, 0.1), (5.0, 0.8)),
        "output tokens per second": ((0.0, 100.0), (5.0, 120.0)),
        "prefix cache hits": ((0.0, 0.0), (5.0, 0.25)),
        "tokens per step": ((0.0, 12.0), (5.0, 30.0)),
        "GPU utilization": ((0.0, 0.1), (5.0, 0.9)),
        "GPU utilization of the busiest": ((0.0, 0.2), (5.0, 1.0)),
        "GPU memory in use": ((0.0, 0.7), (5.0, 0.71)),
        "GPU power": ((0.0, 90.0), (5.0, 610.0)),
    }
    found.events = (
        Event(kind="restart", text="the engine restarted", start=4.0),
        Event(kind="alert", text=f"alert {HOSTILE} fires", start=6.0, end=9.5),
    )
    found.rules = (
        RuleResult(group="g", name="slo:sli_bad:rate5m", kind="recording", status="passed"),
        RuleResult(group="g", name="Burn", kind="alerting", status="failed", detail="many | one"),
    )
    found.alerts = (FiringAlert(name="Burn", state="firing", labels={"slo": "ttft"}),)
    found.dashboards = (
        Dashboard(
            uid="d", title="LLM / SLO",
            panels=(
                Panel(title="Budget", status="data"),
                Panel(title="Old", status="broken", detail=(f"A: {HOSTILE}\x1b",)),
            ),
        ),
    )  # fmt: skip
    made = conclude(found)
    machine = Environment(
        machine="Linux 6.1, x86_64", cpus=2, python="3.11.7", programs={"Prometheus": "2.42.0"}
    )
    return made.model_copy(
        update={
            "created": "2026-11-24T17:00:00+00:00", "firsttoken": "0.1.0", "environment": machine,
        }
    )  # fmt: skip


@pytest.fixture(name="whole")
def _whole(report: Report) -> SuiteReport:
    """A suite of which one scenario passed, one failed and one was skipped."""
    results = (
        ScenarioResult(name="steady", status="passed", expected="passed; no alert", report=report),
        ScenarioResult(
            name="slow", status="failed", expected="missed; a | b", reasons=("it was <fast>",),
            faults=("prefill_slowdown=20",), report=report,
        ),
        ScenarioResult(name="lost", status="skipped", expected="passed", reasons=("not asked",)),
    )  # fmt: skip
    return SuiteReport(
        firsttoken="0.1.0", created="2026-11-24T17:00:00+00:00", service="chat",
        command="firsttoken validate --suite suite.yaml --simulate", scenarios=results,
        verdict=suite_report.conclude(results, interrupted=False),
    )  # fmt: skip
