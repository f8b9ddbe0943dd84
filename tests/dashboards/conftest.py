"""A made-up past whose truth is known, in a real Prometheus."""

import contextlib
import importlib
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from firsttoken import recorded
from firsttoken.catalogue import (
    DECODE_DURATION,
    ENERGY,
    ENGINE,
    FINISH_REASON,
    GPU_MEMORY_FREE,
    GPU_MEMORY_LIMIT,
    GPU_MEMORY_USAGE,
    GPU_UTILIZATION,
    GPU_XID_LAST,
    HW_ID,
    HW_MODEL,
    HW_VENDOR,
    INTER_TOKEN_LATENCY,
    KV_CACHE_UTILIZATION,
    POWER,
    PREEMPTIONS,
    PREFILL_DURATION,
    PREFIX_CACHE_HITS,
    PREFIX_CACHE_QUERIES,
    QUEUE_DURATION,
    REQUEST_DURATION,
    REQUEST_MODEL,
    REQUESTS_FINISHED,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    SOURCE,
    SOURCE_DURATION,
    SOURCE_SAMPLES,
    SOURCE_UP,
    TEMPERATURE,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    TOKEN_TYPE,
    TOKENS_PROCESSED,
    Metric,
)
from firsttoken.prometheus import Prometheus
from firsttoken.servers import prometheus

END = 1_790_000_000
"""The moment at which the dashboards are looked at."""

Rate = Callable[[float], float]
Labels = Mapping[str, str]


@dataclass
class Past:
    """Series from ``END - seconds`` to ``END``, one sample every ``step`` seconds."""

    seconds: int = 3600
    step: int = 15
    until: int = END + 1
    """Series written now have their last sample before this moment."""
    lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def times(self) -> range:
        return range(END - self.seconds, min(self.until, END + 1), self.step)

    def _write(self, family: str, kind: str, name: str, labels: Labels, at: int, v: float) -> None:
        found = self.lines.setdefault(family, [f"# TYPE {family} {kind}"])
        body = ",".join(f'{key}="{value}"' for key, value in labels.items())
        found.append(f"{name}{{{body}}} {v!r} {at}")

    def gauge(self, name: str | Metric, labels: Labels, value: Rate | float) -> None:
        """A gauge; a function gives None-like NaN where there is no sample."""
        series = name if isinstance(name, str) else name.prometheus
        for at in self.times:
            number = value(at) if callable(value) else float(value)
            if number == number:
                self._write(series, "gauge", series, labels, at, number)

    def counter(self, metric: Metric, labels: Labels, rate: Rate | float) -> None:
        """A counter that grows at ``rate`` per second; a negative rate starts it again at 0."""
        total = 0.0
        family = metric.prometheus.removesuffix("_total")
        for at in self.times:
            self._write(family, "counter", metric.prometheus, labels, at, total)
            step = rate(at) if callable(rate) else float(rate)
            total = 0.0 if step < 0 else total + step * self.step

    def histogram(
        self, metric: Metric, labels: Labels, rate: Rate | float, observations: Sequence[float]
    ) -> None:
        """A histogram of ``rate`` observations per second, drawn in turn from ``observations``."""
        bounds = metric.buckets or (0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
        below = [sum(x <= bound for x in observations) / len(observations) for bound in bounds]
        average = sum(observations) / len(observations)
        name, count = metric.prometheus, 0.0
        for at in self.times:
            for bound, share in zip((*bounds, float("inf")), (*below, 1.0), strict=True):
                le = "+Inf" if bound == float("inf") else str(float(bound))
                self._write(
                    name, "histogram", f"{name}_bucket", {**labels, "le": le}, at, count * share
                )
            self._write(name, "histogram", f"{name}_count", labels, at, count)
            self._write(name, "histogram", f"{name}_sum", labels, at, count * average)
            count += (rate(at) if callable(rate) else float(rate)) * self.step

    def text(self) -> str:
        """The past in OpenMetrics."""
        return "\n".join(line for lines in self.lines.values() for line in lines) + "\n# EOF\n"


def up_before(moment: int) -> Rate:
    """``up`` of a target that is down from then on."""
    return lambda at: float(at < moment)


@dataclass(frozen=True)
class Deployment:
    """What stood there: ``rate`` is requests per second of one engine, also as a function of time.

    A request has 100 prompt tokens, of which 40 are in the prefix cache, and 50 output tokens.
    ``errors`` of them fail.  ``down`` instances were last seen 20 minutes before the end.
    """

    instances: int = 2
    models: Sequence[str] = ("llama",)
    ranks: int = 1
    rate: Rate | float = 10.0
    errors: float = 0.01
    gpus: Sequence[str] = ("nvidia",)
    down: int = 0
    without: Sequence[Metric] = ()
    latency: Mapping[Metric, Sequence[float]] = field(
        default_factory=lambda: {
            TIME_TO_FIRST_TOKEN: [i / 100 for i in range(1, 101)],
            TIME_PER_OUTPUT_TOKEN: [0.01 + i / 5000 for i in range(100)],
            REQUEST_DURATION: [0.5 + i / 100 for i in range(100)],
            INTER_TOKEN_LATENCY: [0.01, 0.02],
            QUEUE_DURATION: [0.02, 0.06],
            PREFILL_DURATION: [0.1, 0.3],
            DECODE_DURATION: [1.0, 2.0],
        }
    )

    def write(self, past: Past) -> None:
        """Into a past, as the collector would have served it."""
        for index in range(self.instances):
            target = {"job": "vllm", "instance": f"engine-{index}:8000", "pod": f"engine-{index}"}
            gone = END - 1200 if index < self.down else END + 1
            past.until = gone
            for model in self.models:
                for rank in range(self.ranks):
                    labels = {**target, REQUEST_MODEL.label: model, ENGINE.label: str(rank)}
                    self._engine(past, labels)
            for vendor in self.gpus:
                self._gpu(past, target, vendor)
            past.gauge(SOURCE_UP, {**target, SOURCE.label: "vllm"}, 1)
            past.gauge(SOURCE_DURATION, {**target, SOURCE.label: "vllm"}, 0.01)
            past.gauge(SOURCE_SAMPLES, {**target, SOURCE.label: "vllm"}, 400)
            past.until = END + 1
            past.gauge("up", target, up_before(gone))
            for name in ("scrape_duration_seconds", "scrape_samples_post_metric_relabeling"):
                past.gauge(name, target, 0.02)
            past.gauge("scrape_series_added", target, 0)

    def _engine(self, past: Past, labels: Labels) -> None:
        def times(factor: float) -> Rate:
            rate = self.rate
            return lambda at: (rate(at) if callable(rate) else rate) * factor

        counters = {
            (TOKENS_PROCESSED, TOKEN_TYPE.label, "input"): 100.0,
            (TOKENS_PROCESSED, TOKEN_TYPE.label, "output"): 50.0,
            (REQUESTS_FINISHED, FINISH_REASON.label, "stop"): 1 - self.errors,
            (REQUESTS_FINISHED, FINISH_REASON.label, "error"): self.errors,
            (PREFIX_CACHE_QUERIES, "", ""): 100.0,
            (PREFIX_CACHE_HITS, "", ""): 40.0,
            (PREEMPTIONS, "", ""): 0.01,
        }
        for (metric, label, value), factor in counters.items():
            if metric not in self.without:
                more = {label: value} if label else {}
                past.counter(metric, {**labels, **more}, times(factor))
        for metric, observations in self.latency.items():
            if metric not in self.without:
                past.histogram(metric, labels, times(1 - self.errors), observations)
        for metric, level in (
            (REQUESTS_RUNNING, 3.0),
            (REQUESTS_WAITING, 1.0),
            (KV_CACHE_UTILIZATION, 0.4),
        ):
            if metric not in self.without:
                past.gauge(metric, labels, level)

    def _gpu(self, past: Past, target: Labels, vendor: str) -> None:
        labels = {
            **target,
            HW_ID.label: f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, vendor + target['pod'])}",
            HW_VENDOR.label: vendor.upper(),
            HW_MODEL.label: "X100",
            "hw_type": "gpu",
        }
        past.gauge(GPU_UTILIZATION, {**labels, "hw_gpu_task": "general"}, 0.8)
        past.gauge(GPU_UTILIZATION, {**labels, "hw_gpu_task": "encoder"}, 0)
        past.gauge(GPU_MEMORY_USAGE, labels, 60e9)
        if vendor == "nvidia":
            past.gauge(GPU_MEMORY_FREE, labels, 20e9)
            past.gauge(GPU_XID_LAST, labels, 0)
            past.gauge("hw_gpu_memory_bandwidth_utilization_ratio", labels, 0.6)
            pipe = {**labels, "hw_gpu_pipe": "tensor"}
            past.gauge("hw_gpu_pipe_utilization_ratio", pipe, 0.3)
        else:
            past.gauge(GPU_MEMORY_LIMIT, labels, 80e9)
        past.gauge(POWER, labels, 400)
        past.gauge(TEMPERATURE, labels, 61)
        past.counter(ENERGY, labels, 400)


def record(past: Past, *, rate: float = 10, bad: float = 0.1, objective: str = "ttft") -> None:
    """What the rules would have recorded for one objective of 95 %."""
    named = {recorded.SERVICE_LABEL: "chat", recorded.OBJECTIVE_LABEL: objective}
    per_model = {**named, REQUEST_MODEL.label: "llama"}
    past.gauge(recorded.OBJECTIVE, named, 0.95)
    past.gauge(recorded.PERIOD, named, 30 * 86400)
    past.gauge(recorded.THRESHOLD, {**named, recorded.METRIC_LABEL: TIME_TO_FIRST_TOKEN.name}, 0.5)
    for tier in recorded.TIERS:
        for window in ("1h", "5m"):
            limit = {**named, recorded.BURN_LABEL: tier, recorded.WINDOW_LABEL: window}
            past.gauge(recorded.LIMIT, limit, 0.5)
    for name in (recorded.PERIOD_BAD, recorded.bad("5m"), recorded.bad("1h")):
        past.gauge(name, per_model, bad)
    for name in (recorded.PERIOD_TOTAL, recorded.total("5m"), recorded.total("1h")):
        past.gauge(name, per_model, rate)


@pytest.fixture
def past() -> Past:
    """An empty hour."""
    return Past()


@pytest.fixture
def deployment() -> type[Deployment]:
    """``Deployment``, for tests to say what stood there."""
    return Deployment


@pytest.fixture
def recorded_objective() -> Callable[..., None]:
    """``record``: what the rules would have recorded."""
    return record


Looked = Callable[[Past], contextlib.AbstractContextManager[Prometheus]]


@pytest.fixture
def looked_at(tmp_path: Path) -> Looked:
    """A real Prometheus that has scraped a past."""

    @contextlib.contextmanager
    def run(past: Past) -> Iterator[Prometheus]:
        data = tmp_path / "prometheus-data"
        data.mkdir()
        if past.lines:
            page = tmp_path / "past.txt"
            page.write_text(past.text())
            arguments = [
                "promtool",
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                str(page),
                str(data),
            ]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        config = tmp_path / "prometheus.yml"
        config.write_text("{}")
        with prometheus(config, tmp_path, flags=["--storage.tsdb.retention.time=100y"]) as (_, url):
            yield Prometheus(url)

    return run


@pytest.fixture(scope="session")
def worlds() -> ModuleType:
    """``worlds.py``, which lies beside the tests and is none."""
    return importlib.import_module("tests.dashboards.worlds")
