"""A made-up past whose truth is known, in a real Prometheus."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firsttoken.catalogue import Metric
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
    lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def times(self) -> range:
        return range(END - self.seconds, END + 1, self.step)

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


@pytest.fixture
def past() -> Past:
    """An empty hour."""
    return Past()


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
