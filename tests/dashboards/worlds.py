"""A Prometheus that has seen an engine in every situation, and what each panel shows of each.

Each situation is a job of its own, which scraped the collector for some minutes and evaluates the
rules of one service a job.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from tests.dashboards import played

from firsttoken import recorded
from firsttoken.dashboards.check import PanelResult, check
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.output import rule_file
from firsttoken.rules.slo import SloFile
from firsttoken.servers import prometheus, wait_until
from firsttoken.simulate.settings import Simulation

__all__ = [
    "EVERY",
    "RANGE_S",
    "SCRAPES",
    "SHAPES",
    "World",
    "engine",
    "expect_outage",
    "expect_outcomes",
    "played",
    "situations",
    "world",
]

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "dashboards" / "outcomes.yaml"
SHAPES = dashboards()

SLOW = {
    "prefill_s_per_token": 2e-4,
    "decode_base_s": 0.03,
    "decode_s_per_sequence": 2e-3,
    "kv_blocks": 512,
    "max_model_len": 2048,
    "max_num_seqs": 8,
}
PATIENCE_S = 120
"""For what Prometheus works out, which takes it a few seconds on an idle machine."""
EVERY, SCRAPES = 15, 21
"""Seconds between scrapes of the embedded engine, and their number."""
ANY_JOB = "any-job"
LATELY = 9
"""Scrapes that are kept of eight replicas: two windows of a rate, as their samples are the most."""
RANGE_S, LOST_S, LOOKBACK_S = 600.0, 200, 60
"""What the dashboards show, how long ago engines went away, and how old a value may be.

A past that promtool wrote lacks the marks with which a scrape ends a series at once.
"""
NO_PREFIX_CACHE = r"^(# \w+ )?vllm:(prefix_cache|num_preemptions).*\n"
FEW_BOUNDS = r'^vllm:time_to_first_token_seconds_bucket.*le="(?!0\.5"|1\.0"|5\.0"|\+Inf).*\n'


def engine(*, seed: int, rate: float = 2, faults: Any = None, **simulation: Any) -> Any:
    settings = Simulation.model_validate(
        {"model": "chat", "seed": seed, "parameters": SLOW, **simulation}
    )
    return played.play(settings, rate=rate, scrapes=SCRAPES, every=EVERY, faults=faults)


@dataclass(frozen=True)
class World:
    """A Prometheus that has seen all situations, and what really was observed in ``loaded``."""

    prometheus: Prometheus
    every: int
    last: int
    """When the last scrape was."""
    now: float
    """When the rules have recorded everything."""
    witnesses: tuple[Any, ...] = ()

    def check(self, uid: str, scenario: str) -> tuple[PanelResult, ...]:
        rules = uid == "firsttoken-slo"
        return check(
            self.prometheus,
            SHAPES[uid],
            variables={"job": scenario, **({"service": scenario} if rules else {})},
            # Rates end with the scrapes, and what rules record begins after them.
            end=self.now if rules else self.last,
            seconds=60 if rules else RANGE_S,
            scrape_interval=1 if rules else self.every,
        )

    def ask(self, uid: str, title: str, scenario: str, *, at: float | None = None) -> list[Any]:
        """What each query of a panel gives at a moment: series of each."""
        shape = SHAPES[uid]
        rules = uid == "firsttoken-slo"
        moment = at or (self.now if rules else self.last)
        view = View(moment - RANGE_S, moment, self.every)
        chosen = {"job": scenario, "service": scenario}
        values = {**view.built_in(), **initial(shape), **chosen}
        panel = next(p for p in panels(shape) if p["title"] == title)
        return [
            self.prometheus.query(expand(target["expr"], values), at=moment)
            for target in panel["targets"]
        ]

    def value(self, uid: str, title: str, scenario: str, *, at: float | None = None) -> float:
        ((one,),) = self.ask(uid, title, scenario, at=at)
        return float(one.last)

    def lately(self, pairs: Sequence[tuple[float, float]]) -> list[float]:
        """What was observed in the window that rates look at, at the last scrape."""
        end = EVERY * (SCRAPES - 1)
        return sorted(value for at, value in pairs if end - 4 * self.every < at <= end)

    def seen(self, name: str) -> list[float]:
        """The same of one kind of observation of all engines."""
        return self.lately([pair for witness in self.witnesses for pair in witness.seen[name]])


def situations(loaded: Sequence[Any], idle: Any, failing: Any) -> list[Any]:
    """The targets of each situation, from the runs of two loaded engines and of two others."""
    first, second = loaded
    a, b, still = (played.collected(run) for run in (first, second, idle))
    many = played.collected(played.ranks(first, ("llama", "qwen"), 2))[-LATELY:]

    def alone(job: str, run: Any) -> Any:
        return played.Target(job, "x-0:8000", played.collected(run))

    def two(job: str, *pages: Sequence[str], lost: Sequence[int] = ()) -> Any:
        for index, shown in enumerate(pages):
            gone = LOST_S if index in lost else 0
            yield played.Target(job, f"{job[:4]}-{index}:8000", shown, gone)

    again = len(a) * 2 // 3
    return [
        *two("loaded", a, b),
        *two("idle", still, still),
        *two("one-replica-down", a, b, lost=(1,)),
        *two("all-down", a, b, lost=(0, 1)),
        alone("errors-only", failing),
        played.Target("counter-reset", "x-0:8000", (*a[:again], *a[: len(a) - again])),
        alone("no-prefix-cache", played.edited(first, NO_PREFIX_CACHE)),
        alone("custom-buckets", played.edited(first, FEW_BOUNDS)),
        alone("no-gpu", played.edited(first, "$^", without=("dcgm",))),
        *(played.Target("many", f"many-{i}:8000", many) for i in range(8)),
    ]


SCENARIOS = (
    *("loaded", "idle", "one-replica-down", "all-down", "errors-only", "counter-reset"),
    *("no-prefix-cache", "custom-buckets", "no-gpu", "many", "nothing-at-all"),
)


def objectives(job: str) -> str:
    """The rules of a service that is one job."""
    return _objectives().replace(ANY_JOB, job)


@cache
def _objectives() -> str:
    slo = SloFile.model_validate(
        {
            "version": "firsttoken/v1",
            "service": ANY_JOB,
            "period": "30d",
            "selector": {"job": ANY_JOB},
            "objectives": [
                {"name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "500ms",
                 "target": 90},
                {"name": "availability", "kind": "availability", "target": 99},
            ],
            "packs": ["stall", "absence", "saturation", "gpu", "collector"],
        }
    )  # fmt: skip
    shape = yaml.safe_load(rule_file(rule_groups(slo)))
    for group in shape["groups"]:
        group["interval"] = "1s"
    return yaml.safe_dump(shape)


def evaluated(server: Prometheus) -> float:
    """When the group of rules was evaluated that was so longest ago."""
    times = [group["lastEvaluation"] for group in server.rule_groups()]
    return min(datetime.fromisoformat(at).timestamp() for at in times)


@contextlib.contextmanager
def world(folder: Path, targets: Sequence[Any], every: int, *witnesses: Any) -> Iterator[World]:
    last = int(time.time() - 2) // EVERY * EVERY  # subqueries look at whole multiples of a step
    page = folder / "past.txt"
    page.write_text(played.past(targets, last, every))
    data = folder / "prometheus-data"
    data.mkdir()
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(page), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    jobs = {target.job for target in targets}
    files = []
    for job in sorted(jobs):
        files.append(str(folder / f"{job}.yaml"))
        Path(files[-1]).write_text(objectives(job))
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"rule_files": files}))
    flags = [f"--query.lookback-delta={LOOKBACK_S}s"]
    with prometheus(config, folder, flags=flags) as (child, url):
        server = Prometheus(url)
        last_recorded = (recorded.PERIOD_TOTAL, recorded.LIMIT, recorded.BUDGET)
        have = " + ".join(f"count(count by (service) ({name}))" for name in last_recorded)
        wait_until(
            child, lambda: server.value(have) == len(last_recorded) * len(jobs), timeout=PATIENCE_S
        )
        ill = jobs & {"errors-only", "slow-replica"}
        fires = (
            f'count(count by (service) (ALERTS{{slo="availability", service=~"{"|".join(ill)}"}}))'
        )
        wait_until(child, lambda: (server.value(fires) or 0) == len(ill), timeout=PATIENCE_S)
        since = time.time()
        wait_until(child, lambda: evaluated(server) > since, timeout=PATIENCE_S)
        found = World(server, every, last, time.time(), witnesses)
        config.write_text("{}")  # what was recorded stays, and nothing competes with the queries
        requests.post(f"{url}/-/reload", timeout=30).raise_for_status()
        yield found


# --- What each panel shows --------------------------------------------------------------------


def outcomes(found: World) -> dict[str, dict[str, Any]]:
    """Per dashboard and panel what it shows: in all situations, or ``else`` but in those named."""
    shown: dict[str, dict[str, Any]] = {}
    for uid in SHAPES:
        by_panel: dict[str, dict[str, str]] = {}
        for scenario in SCENARIOS:
            twice: set[str] = set()
            for result in found.check(uid, scenario):
                if result.panel == "Firing alerts":  # see ``alerts``
                    continue
                name = f"{result.panel} (2)" if result.panel in twice else result.panel
                twice.add(result.panel)
                by_panel.setdefault(name, {})[scenario] = result.status
        shown[uid] = {name: _short(statuses) for name, statuses in by_panel.items()}
    return shown | {"alerts": {job: alerts(found, job) for job in SCENARIOS[:-1]}}


def alerts(found: World, job: str) -> list[str]:
    """The alerts whose condition holds at the end of a situation; of those that burn, which.

    What asks the engines is asked at their last scrape.  What asks the rules is what fires when
    they have recorded everything.
    """
    fires = f'ALERTS{{service="{job}", alertname="LLMErrorBudgetBurn"}}'
    burns = [series.labels for series in found.prometheus.query(fires, at=found.now)]
    held = {f"{one['alertname']} {one['slo']} {one['burn']}" for one in burns}
    for group in yaml.safe_load(objectives(job))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule and "slo:" not in rule["expr"]:
                series = found.prometheus.query(rule["expr"], at=found.last)
                held |= {rule["alert"]} if series else set()
    return sorted(held)


def _short(statuses: dict[str, str]) -> Any:
    counts = list(statuses.values())
    usual = max(sorted(set(counts)), key=counts.count)
    others = {scenario: status for scenario, status in statuses.items() if status != usual}
    return {"else": usual, **others} if others else usual


def expect_outcomes(name: str, found: World) -> None:
    """Hold what each panel shows against what is kept under that name."""
    shown = outcomes(found)
    kept = yaml.safe_load(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        kept[name] = shown
        GOLDEN.write_text(yaml.safe_dump(kept, sort_keys=False, width=100))
        pytest.fail(f"{GOLDEN.name} rewritten, look at git diff")
    assert shown == kept[name]


def expect_outage(found: World) -> None:
    """An outage is red, and no tile shows what was before."""
    assert found.value("firsttoken-slo", "Engines answering", "all-down") == 0
    assert found.value("firsttoken-slo", "Lost in 1 h", "all-down") == 2
    assert found.value("firsttoken-slo", "Engines answering", "one-replica-down") == 1
    assert found.value("firsttoken-slo", "Lost in 1 h", "one-replica-down") == 1
    assert found.ask("firsttoken-service", "TTFT p95", "all-down") == [()]
    assert found.ask("firsttoken-service", "Fullest KV cache", "all-down") == [()]
