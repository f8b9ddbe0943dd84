"""Every panel in every situation, on the embedded engine's pages and on a real vLLM's.

Each situation is a job of its own in one Prometheus, which scraped the collector for some minutes
and evaluates the rules of one service a job.  What each panel shows in each is kept as golden file.
"""

import contextlib
import importlib.util
import math
import os
import subprocess
import sys
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

from firsttoken import recorded
from firsttoken.dashboards.check import PanelResult, check, check_settings
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.output import rule_file
from firsttoken.rules.slo import SloFile
from firsttoken.servers import missing_tools, prometheus, wait_until
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.settings import Simulation

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "dashboards" / "outcomes.yaml"
CAPTURE = HERE.parent / "data" / "vllm-0.32.0-run.xz"
pytestmark = pytest.mark.skipif(
    bool(missing_tools("prometheus", "promtool")), reason="needs the Debian package prometheus"
)


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


played = _load("played")
SHAPES = dashboards()

# --- Two worlds -------------------------------------------------------------------------------

SLOW = {
    "prefill_s_per_token": 2e-4,
    "decode_base_s": 0.03,
    "decode_s_per_sequence": 2e-3,
    "kv_blocks": 512,
    "max_model_len": 2048,
    "max_num_seqs": 8,
}
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
        wait_until(child, lambda: server.value(have) == len(last_recorded) * len(jobs))
        ill = jobs & {"errors-only", "slow-replica"}
        fires = (
            f'count(count by (service) (ALERTS{{slo="availability", service=~"{"|".join(ill)}"}}))'
        )
        wait_until(child, lambda: (server.value(fires) or 0) == len(ill))
        since = time.time()
        wait_until(child, lambda: evaluated(server) > since)
        found = World(server, every, last, time.time(), witnesses)
        config.write_text("{}")  # what was recorded stays, and nothing competes with the queries
        requests.post(f"{url}/-/reload", timeout=10).raise_for_status()
        yield found


@pytest.fixture(name="embedded", scope="module")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The embedded engine beside NVIDIA and AMD GPUs; one replica becomes slow for a while."""
    nvidia = engine(seed=1)
    amd = engine(seed=2, gpu_vendor="amd", faults={0: Faults(failing_share=0.1)})
    idle = engine(seed=3, rate=0)
    failing = engine(seed=4, faults={0: Faults(failing_share=1.0)})
    slow = engine(
        seed=5, faults={SCRAPES - 7: Faults(prefill_slowdown=8, failing_share=0.3)}
    )  # fmt: skip
    targets = [
        *situations((nvidia, amd), idle, failing),
        played.Target("slow-replica", "slow-0:8000", played.collected(nvidia)),
        played.Target("slow-replica", "slow-1:8000", played.collected(slow)),
    ]
    folder = tmp_path_factory.mktemp("embedded")
    with world(folder, targets, EVERY, nvidia.witness, amd.witness) as found:
        yield found


@pytest.fixture(name="real", scope="module")
def _real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A real vLLM on a CPU, until its load ends; its failures are made up, as it has none."""
    run = played.captured(CAPTURE)
    busy = played.Run(run.every, run.pages[:-4])
    idle = played.Run(run.every, (run.pages[0],) * len(busy.pages))
    swapped = played.edited(busy, 'finished_reason="error"', 'finished_reason="x"')
    failing = played.edited(swapped, 'finished_reason="length"', 'finished_reason="error"')
    timed = r"^vllm:(time_to_first|request_|e2e_|inter_token)"
    silent = timed + r"\w+_(seconds|tokens)_(sum|count|bucket).*\n"
    folder = tmp_path_factory.mktemp("real")
    targets = situations((busy, busy), idle, played.edited(failing, silent))
    with world(folder, targets, int(run.every)) as found:
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


@pytest.mark.parametrize("name", ["embedded", "real"])
def test_each_panel_has_its_expected_outcome(name: str, request: pytest.FixtureRequest) -> None:
    found = outcomes(request.getfixturevalue(name))

    kept = yaml.safe_load(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("FIRSTTOKEN_GOLDEN"):
        kept[name] = found
        GOLDEN.write_text(yaml.safe_dump(kept, sort_keys=False, width=100))
        pytest.fail(f"{GOLDEN.name} rewritten, look at git diff")
    assert found == kept[name]


@pytest.mark.parametrize("name", ["embedded", "real"])
def test_an_outage_is_red_and_no_tile_shows_what_was_before(
    name: str, request: pytest.FixtureRequest
) -> None:
    found: World = request.getfixturevalue(name)

    assert found.value("firsttoken-slo", "Engines answering", "all-down") == 0
    assert found.value("firsttoken-slo", "Lost in 1 h", "all-down") == 2
    assert found.value("firsttoken-slo", "Engines answering", "one-replica-down") == 1
    assert found.value("firsttoken-slo", "Lost in 1 h", "one-replica-down") == 1
    assert found.ask("firsttoken-service", "TTFT p95", "all-down") == [()]
    assert found.ask("firsttoken-service", "Fullest KV cache", "all-down") == [()]


@pytest.mark.parametrize("uid", ["firsttoken-service", "firsttoken-capacity", "firsttoken-gpu"])
def test_no_choice_at_the_top_breaks_a_panel(uid: str, embedded: World) -> None:
    times: dict[str, float] = {"end": embedded.last, "seconds": RANGE_S}
    found = check_settings(
        embedded.prometheus, SHAPES[uid], **times, scrape_interval=embedded.every
    )

    assert {name.partition("=")[0] for name in found} >= {"as opened", "job", "instance"}
    broken = [(name, r) for name, rs in found.items() for r in rs if r.status == "broken"]
    assert broken == []
    for name in found:
        if name.startswith("instance="):
            titles = {r.panel for r in found[name] if r.status == "data"}
            assert titles, name


# --- The truth --------------------------------------------------------------------------------


def lately(found: World, pairs: Sequence[tuple[float, float]]) -> list[float]:
    """What was observed in the window that rates look at, at the last scrape."""
    end = EVERY * (SCRAPES - 1)
    return sorted(value for at, value in pairs if end - 4 * found.every < at <= end)


def seen(found: World, name: str) -> list[float]:
    return lately(found, [pair for witness in found.witnesses for pair in witness.seen[name]])


@pytest.mark.parametrize(
    ("title", "name"),
    [("Time to first token", "ttft"), ("Time per output token", "tpot"),
     ("Request duration", "e2e")],
)  # fmt: skip
def test_percentiles_lie_in_the_bucket_of_the_truth_and_means_are_exact(
    title: str, name: str, embedded: World
) -> None:
    *shares, (mean,), _ = embedded.ask("firsttoken-service", title, "loaded", at=embedded.last)
    values, metric = seen(embedded, name), f"{title}, distribution"
    (buckets,) = embedded.ask("firsttoken-service", metric, "loaded", at=embedded.last)
    bounds = sorted(float(series.labels["le"]) for series in buckets)

    assert len(values) > 100
    assert mean.last == pytest.approx(sum(values) / len(values), rel=0.01)
    for (shown,), share in zip(shares, (0.5, 0.95, 0.99), strict=True):
        truth = values[math.ceil(share * len(values)) - 1]
        above = next(bound for bound in bounds if bound >= truth)
        below = max((bound for bound in bounds if bound < truth), default=0.0)
        assert below <= shown.last <= above, (share, truth)


def test_rates_shares_and_phases_are_those_of_the_truth(embedded: World) -> None:
    def shown(uid: str, title: str) -> float:
        return embedded.value(f"firsttoken-{uid}", title, "loaded", at=embedded.last)

    window = 4 * embedded.every
    ended = seen(embedded, "failed")
    output = lately(embedded, [pair for witness in embedded.witnesses for pair in witness.output])
    prompts = lately(embedded, [pair for witness in embedded.witnesses for pair in witness.prompt])
    tokens = embedded.ask("firsttoken-service", "Tokens per second", "loaded", at=embedded.last)
    (within,) = embedded.ask(
        "firsttoken-service", "TTFT within the chosen bound", "loaded", at=embedded.last
    )[0]
    good = sum(value <= 0.5 for value in seen(embedded, "ttft"))
    phases = embedded.ask("firsttoken-service", "Mean time per phase", "loaded", at=embedded.last)

    assert sum(ended) > 3
    assert shown("service", "Requests") == pytest.approx(len(ended) / window, rel=0.01)
    assert shown("service", "Error share") == pytest.approx(sum(ended) / len(ended), rel=0.01)
    assert [one.last for (one,) in tokens] == pytest.approx(
        [sum(prompts) / window, len(output) / window], rel=0.01
    )
    assert shown("capacity", "Output tokens/s") == pytest.approx(len(output) / window, rel=0.01)
    every = len(seen(embedded, "ttft")) + sum(ended)
    assert within.last == pytest.approx(good / every, rel=0.01)
    truth = [seen(embedded, name) for name in ("queue", "prefill", "decode")]
    assert [one.last for (one,) in phases] == pytest.approx(
        [sum(values) / len(values) for values in truth], rel=0.01
    )


# --- One incident, from the dashboards alone --------------------------------------------------


def test_the_dashboards_alone_say_which_replica_is_slow_and_why(embedded: World) -> None:
    job, columns = "slow-replica", ("instance",)
    _, _, _, _, _, errors, ttft, *_ = embedded.ask(
        "firsttoken-replica", "Replicas", job, at=embedded.last
    )
    before, since = embedded.last - 8 * embedded.every, embedded.last
    phases = [
        [one.last for (one,) in embedded.ask(
            "firsttoken-service", "Mean time per phase", job, at=at)]
        for at in (before, since)
    ]  # fmt: skip
    closeness = [
        one.last for (one,) in embedded.ask("firsttoken-slo", "Closeness to an alert", job)
    ]
    (alerts,) = embedded.ask("firsttoken-slo", "Firing alerts", job)

    worst = {name: max(found, key=lambda s: s.last).labels[columns[0]]
             for name, found in (("errors", errors), ("ttft", ttft))}  # fmt: skip
    assert worst == {"errors": "slow-1:8000", "ttft": "slow-1:8000"}
    grown = [after / earlier for earlier, after in zip(*phases, strict=True)]
    assert grown[1] > 2, "prefill is what grew"
    assert max(closeness) > 1
    assert {alert.labels["slo"] for alert in alerts} >= {"availability"}
    assert {alert.labels["dashboard"] for alert in alerts} == {"LLMErrorBudgetBurn"}


def test_annotations_mark_each_event_once_and_do_not_spam(embedded: World) -> None:
    view = View(embedded.last - EVERY * (SCRAPES - 1), embedded.last, EVERY)
    for scenario, restarts in (("counter-reset", 1), ("loaded", 0), ("many", 0)):
        for shape in SHAPES.values():
            for note in (n for n in shape["annotations"]["list"] if "expr" in n):
                values = {**view.built_in(), **initial(shape), "job": scenario}
                found = embedded.prometheus.query_range(
                    expand(note["expr"], values), view.start, view.end, 60
                )
                events = sum(
                    1 + sum(b[0] - a[0] > 60 for a, b in zip(s.points, s.points[1:], strict=False))
                    for s in found
                )
                assert events < 50
                if note["name"] == "Engine restarts":
                    assert events == restarts, (scenario, shape["uid"])
