"""``python -m benchmarks.dashboards [FOLDER]``: what a look at each dashboard costs Prometheus.

200 replicas with a GPU each, scraped every minute for 24 hours, in a real Prometheus: every query
of every panel over the whole day, as the dashboard opens, with the time that Prometheus took and
the series that it gave.  Beside the dashboards' latency panels, in the same server, the same
percentiles as they are usually asked for: one line for each replica.

FOLDER keeps the day (2 GB; eight minutes to write), so that a second run only measures.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from firsttoken import recorded, servers
from firsttoken.catalogue import (
    METRICS,
    REQUEST_MODEL,
    TIME_PER_OUTPUT_TOKEN,
    TIME_TO_FIRST_TOKEN,
    Instrument,
    Metric,
)
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.promscan import selectors
from firsttoken.dashboards.render import dashboards
from firsttoken.recorded import SERVICE_LABEL

__all__ = ["main"]

REPLICAS, MODELS = 200, ("llama", "qwen", "mistral", "gemma")
DAY, EVERY, PART = 86400, 60, 7200
"""Seconds: the past, between scrapes, and of one file, which becomes one block."""
END = 1_790_006_400
WIDTH = 1600
"""Pixels of a dashboard; a panel's share of them is how many points Grafana asks for."""
SHARES = {"finish_reason": ("stop", "length", "error"), "token_type": ("input", "output")}
SLOWEST = 10
"""Of the queries, that are named."""
WHOLE = "whole"
"""A file that is there when all of the day is."""


def used() -> tuple[Metric, ...]:
    """The metrics that some panel reads."""
    names = {
        found.name
        for shape in dashboards().values()
        for panel in panels(shape)
        for target in panel["targets"]
        for found in selectors(target["expr"])
    }
    parts = ("", "_bucket", "_sum", "_count")
    return tuple(m for m in METRICS if names & {m.prometheus + part for part in parts})


def _attribute(metric: Metric) -> Sequence[str]:
    """The label by which a replica has several series of a metric, with its values."""
    for name, values in SHARES.items():
        for attribute in metric.attributes:
            if attribute.label.endswith(name):
                return [f',{attribute.label}="{value}"' for value in values]
    return [""]


@dataclass(frozen=True)
class _Line:
    """One series: its text up to the value, and how its value grows; 0 stays near ``base``."""

    head: str
    per_scrape: float
    base: float = 0.0


def _series(metric: Metric, labels: str, busy: float) -> Iterator[_Line]:
    name = metric.prometheus
    if metric.instrument is Instrument.HISTOGRAM:
        bounds = metric.buckets or (0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
        for index, bound in enumerate((*bounds, float("inf"))):
            le = "+Inf" if bound == float("inf") else str(float(bound))
            share = min(1.0, (index + 1) / len(bounds))
            yield _Line(f'{name}_bucket{{{labels},le="{le}"}}', 60 * busy * share)
        yield _Line(f"{name}_count{{{labels}}}", 60 * busy)
        yield _Line(f"{name}_sum{{{labels}}}", 60 * busy * bounds[len(bounds) // 2])
        return
    for more in _attribute(metric):
        grows = metric.instrument is Instrument.COUNTER
        yield _Line(f"{name}{{{labels}{more}}}", 60 * busy if grows else 0.0, busy / 10)


def everything() -> list[_Line]:
    """All series of the day."""
    lines: list[_Line] = []
    for index in range(REPLICAS):
        target = f'job="vllm",namespace="llm",instance="engine-{index}:8000",pod="engine-{index}"'
        busy = 1 + index % 7
        model = MODELS[index % len(MODELS)]
        engine = f'{target},{REQUEST_MODEL.label}="{model}",gen_ai_server_engine_id="0"'
        gpu = f'{target},hw_id="GPU-{index}",hw_vendor="NVIDIA",hw_model="H100",hw_gpu_index="0"'
        for metric in used():
            of = gpu if metric.name.startswith("hw.") else engine
            own = f'{target},firsttoken_source="vllm"'
            labels = own if metric.name.startswith("firsttoken.") else of
            task = ',hw_gpu_task="general"' if metric.name == "hw.gpu.utilization" else ""
            lines += _series(metric, labels + task, busy)
        for name in ("up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling",
                     "scrape_series_added"):  # fmt: skip
            lines.append(_Line(f"{name}{{{target}}}", 0.0, 1.0))
    return [*lines, *_recorded()]


def _recorded() -> Iterator[_Line]:
    for service in ("chat", "code"):
        for slo in ("ttft", "tpot", "availability"):
            own = f'{SERVICE_LABEL}="{service}",slo="{slo}"'
            yield _Line(f"{recorded.OBJECTIVE}{{{own}}}", 0.0, 0.99)
            yield _Line(f"{recorded.PERIOD}{{{own}}}", 0.0, 30 * DAY)
            for tier in recorded.TIERS:
                for window in ("5m", "1h"):
                    limit = f'{own},burn="{tier}",window="{window}"'
                    yield _Line(f"{recorded.LIMIT}{{{limit}}}", 0.0, 0.1)
            for model in MODELS:
                labels = f'{own},{REQUEST_MODEL.label}="{model}"'
                for name in (recorded.PERIOD_TOTAL, *map(recorded.total, ("5m", "1h", "6h", "3d"))):
                    yield _Line(f"{name}{{{labels}}}", 0.0, 20.0)
                for name in (recorded.PERIOD_BAD, *map(recorded.bad, ("5m", "1h", "6h", "3d"))):
                    yield _Line(f"{name}{{{labels}}}", 0.0, 0.1)


def _write(file: Path, lines: Sequence[_Line], start: int) -> None:
    heads = [line.head for line in lines]
    with file.open("w", encoding="utf-8") as out:
        for at in range(start, start + PART, EVERY):
            scrape = (at - (END - DAY)) // EVERY
            wave = 1 + (scrape % 60) / 600
            values = [
                line.per_scrape * scrape if line.per_scrape else line.base * wave for line in lines
            ]
            out.writelines(
                [f"{head} {value:g} {at}\n" if value < 1e6 else f"{head} {value:.0f} {at}\n"
                 for head, value in zip(heads, values, strict=True)]
            )  # fmt: skip
        out.write("# EOF\n")


def write_day(folder: Path) -> None:
    """Fill the folder's blocks; goes on where an earlier run was ended."""
    lines = everything()
    print(f"{REPLICAS} replicas, {len(lines)} series, {len(lines) * DAY // EVERY} samples")
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(END - DAY, END, PART):
        done = folder / f"done-{start}"
        if done.exists():
            continue
        page = folder / "part.txt"
        _write(page, lines, start)
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(page),
             str(folder / "prometheus-data")],
            check=True, capture_output=True,
        )  # fmt: skip
        page.unlink()
        done.touch()
        print(f"wrote the part of {time.strftime('%H:%M', time.gmtime(start))}", flush=True)
    (folder / WHOLE).touch()


@dataclass(frozen=True)
class Cost:
    """What one query took: seconds, and the series of its answer."""

    dashboard: str
    panel: str
    seconds: float
    series: int


def ask(url: str, expression: str, view: View, *, instant: bool) -> tuple[float, int]:
    """Seconds until Prometheus' answer was there, the better of two, and its series."""
    path, parameters = "query_range", {"start": view.start, "end": view.end, "step": view.step}
    if instant:
        path, parameters = "query", {"time": view.end}
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        answer = requests.post(f"{url}/api/v1/{path}", {"query": expression, **parameters},
                               timeout=120)  # fmt: skip
        taken.append(time.perf_counter() - began)
    answer.raise_for_status()
    return min(taken), len(answer.json()["data"]["result"])


def costs(url: str, view: View) -> Iterator[Cost]:
    """Each query of each panel over the day."""
    for uid, shape in dashboards().items():
        for panel in panels(shape):
            width = WIDTH * panel["gridPos"]["w"] // 24
            own = replace(view, pixels=panel.get("maxDataPoints", width))
            values = {**own.built_in(), **initial(shape)}
            for target in panel["targets"]:
                text = expand(target["expr"], values)
                taken, series = ask(url, text, own, instant=bool(target["instant"]))
                yield Cost(uid, panel["title"], taken, series)


def usual(metric: Metric) -> str:
    """A percentile as published dashboards ask for it: of every replica, with nothing chosen."""
    rate = f"sum by (le, instance) (rate({metric.prometheus}_bucket[$__rate_interval]))"
    return f"histogram_quantile(0.95, {rate})"


def main(arguments: Sequence[str]) -> None:
    """Write the day if it is not there, and print what the dashboards cost."""
    with contextlib.ExitStack() as exits:
        folder = Path(arguments[0]) if arguments else Path(
            exits.enter_context(tempfile.TemporaryDirectory()))  # fmt: skip
        if not (folder / WHOLE).exists():
            write_day(folder)
        config = folder / "prometheus.yml"
        config.write_text("{}")
        flags = ["--storage.tsdb.retention.time=100y"]
        _, url = exits.enter_context(servers.prometheus(config, folder, flags=flags))
        view = View(END - DAY, END - EVERY, EVERY, WIDTH // 3)
        found = list(costs(url, view))
        beside = {
            metric.name: ask(url, expand(usual(metric), view.built_in()), view, instant=False)
            for metric in (TIME_TO_FIRST_TOKEN, TIME_PER_OUTPUT_TOKEN)
        }
    _print(found, beside)


def _print(found: Sequence[Cost], beside: dict[str, tuple[float, int]]) -> None:
    print(f"{'dashboard':26}{'panels':>7}{'queries':>8}{'all':>9}{'slowest':>9}  most series")
    for uid in dict.fromkeys(cost.dashboard for cost in found):
        own = [cost for cost in found if cost.dashboard == uid]
        slowest = max(own, key=lambda cost: cost.seconds)
        most = max(own, key=lambda cost: cost.series)
        count: Any = len({cost.panel for cost in own})
        total = sum(cost.seconds for cost in own)
        print(f"{uid:26}{count:7}{len(own):8}{total:7.2f} s{slowest.seconds:7.2f} s"
              f"  {most.series:4} {most.panel}")  # fmt: skip
    for cost in sorted(found, key=lambda cost: -cost.seconds)[:SLOWEST]:
        print(f"slow: {cost.seconds:.2f} s, {cost.series} series: {cost.dashboard}: {cost.panel}")
    for name, (taken, series) in beside.items():
        print(f"beside: {taken:.2f} s, {series} series: p95 of {name} of every replica")
    print(json.dumps({"slowest_s": round(max(c.seconds for c in found), 3),
                      "most_series": max(c.series for c in found)}))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
