"""``python -m benchmarks.rules``: what the rules of 50 models and 4 objectives cost Prometheus.

Beside it, on the same series in the same server, a layout that records a ratio for every window
and averages it over the period, as Sloth 0.16 writes it.  The ratio of the two is what can be
compared between machines.  One server holds a day of the raw series and evaluates all rules;
another one holds what is averaged over the period, for the whole of it, of two of the models,
and is asked for that alone, times twenty-five.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from firsttoken import promql, recorded, servers
from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.config import format_duration
from firsttoken.prometheus import Prometheus
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.indicators import rates
from firsttoken.rules.model import Context, Options, RecordingRule
from firsttoken.rules.output import rule_file, to_yaml
from firsttoken.rules.slo import SloFile

__all__ = ["main"]

MODELS = 50
PART = 2
DAY = 86400
EVERY = 60
SLO = SloFile.model_validate(
    {
        "version": "firsttoken/v1",
        "service": "bench",
        "period": "30d",
        "objectives": [
            {"name": "ttft", "kind": "latency", "metric": "ttft", "threshold": "1s", "target": 99},
            {"name": "tpot", "kind": "latency", "metric": "tpot", "threshold": "50ms",
             "target": 99},
            {"name": "e2e", "kind": "latency", "metric": "e2e", "threshold": "10s", "target": 99},
            {"name": "up", "kind": "availability", "target": "99.9"},
        ],
    }
)  # fmt: skip
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
OPTIONS = Options(scrape=30)


def ratio_layout() -> str:
    """Ratios recorded for each window, meta series, and two alerts, for each objective."""
    context = Context(SLO, options=OPTIONS)
    label = context.vocabulary.label(REQUEST_MODEL.name)
    groups = []
    for objective in SLO.objectives:
        own = {"sloth_service": SLO.service, "sloth_slo": objective.name}
        where = ",".join(f"{key}={promql.quote(value)}" for key, value in own.items())
        rules: list[dict[str, object]] = []
        for window in WINDOWS:
            total, bad = rates(context, objective, window, alone=True)
            rules.append({"record": f"slo:sli_error:ratio_rate{window}",
                          "expr": f"({bad}) / ({total})", "labels": own})  # fmt: skip
        short = f"slo:sli_error:ratio_rate5m{{{where}}}[30d]"
        rules.append({"record": "slo:sli_error:ratio_rate30d", "labels": own,
                      "expr": f"sum_over_time({short}) / count_over_time({short})"})  # fmt: skip
        budget = f"{objective.budget:f}"
        now = f"slo:sli_error:ratio_rate5m{{{where}}} / {budget}"
        period = f"slo:sli_error:ratio_rate30d{{{where}}} / {budget}"
        for name, expression in (
            ("objective:ratio", f"vector({objective.ratio:f})"), ("budget:ratio", budget),
            ("time_period:days", "vector(30)"), ("current_burn_rate:ratio", now),
            ("period_burn_rate:ratio", period), ("remaining:ratio", f"1 - {period}"),
            ("info", "vector(1)"),
        ):  # fmt: skip
            text = f"vector({expression})" if expression == budget else expression
            rules.append({"record": f"sloth:{name}", "expr": text, "labels": own})
        for pairs in ((("5m", "1h", "14.4"), ("30m", "6h", "6")),
                      (("2h", "1d", "3"), ("6h", "3d", "1"))):  # fmt: skip
            legs = [
                f"(max by ({label}) (slo:sli_error:ratio_rate{short}{{{where}}} > {factor} *"
                f" {budget}) and max by ({label}) (slo:sli_error:ratio_rate{long}{{{where}}} >"
                f" {factor} * {budget}))"
                for short, long, factor in pairs
            ]
            rules.append({"alert": "RatioBurn", "expr": " or ".join(legs)})
        groups.append({"name": f"ratio-{objective.name}", "interval": "30s", "rules": rules})
    return to_yaml({"groups": groups})


def history(now: int) -> Iterator[str]:
    """A day of what the objectives read, for every model."""
    noise = random.Random(7)
    times = range(now - DAY, now, EVERY)
    kinds: list[tuple[str, str, float]] = []
    for objective in SLO.objectives[:3]:
        name = getattr(objective, "catalogue_metric").prometheus  # noqa: B009
        bound = f"{float(getattr(objective, 'threshold')):g}"  # noqa: B009
        bound = bound if "." in bound else f"{bound}.0"
        kinds += [(f"{name}_count", "", 1.0), (f"{name}_bucket", f',le="{bound}"', 0.995)]
    reason = "gen_ai_response_finish_reason"
    name = "gen_ai_server_requests_finished_total"
    kinds += [(name, f',{reason}="stop"', 1.0), (name, f',{reason}="error"', 0.0005)]
    for name, more, share in sorted(kinds):
        for model in range(MODELS):
            value = 0.0
            for at in times:
                value += 600 * share * noise.random()
                yield f'{name}{{gen_ai_request_model="model-{model}"{more}}} {value:.0f} {at}\n'
    yield "# EOF\n"


def whole_period(now: int) -> Iterator[str]:
    """What both layouts average over the period, of a part of the models, for the whole of it.

    Ours is recorded every five minutes, the ratios every half a minute.
    """
    noise = random.Random(11)
    start = now - int(SLO.period)
    kinds = (
        (recorded.SPACED_BAD, "service", "slo", recorded.SPACED),
        (recorded.SPACED_TOTAL, "service", "slo", recorded.SPACED),
        ("slo:sli_error:ratio_rate5m", "sloth_service", "sloth_slo", OPTIONS.scrape),
    )
    for name, service, slo, every in kinds:
        for objective in SLO.objectives:
            for model in range(PART):
                labels = (
                    f'gen_ai_request_model="model-{model}",{service}="{SLO.service}",'
                    f'{slo}="{objective.name}"'
                )
                for at in range(start // every * every, now, every):
                    yield f"{name}{{{labels}}} {noise.random() / 100:.6f} {at}\n"
    yield "# EOF\n"


def prepare(folder: Path, now: int) -> None:
    """Write both histories as blocks of a Prometheus each."""
    for name, lines in (("day", history(now)), ("period", whole_period(now))):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        with (place / "data.om").open("w", encoding="utf-8") as file:
            file.writelines(lines)
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics",
             "data.om", "prometheus-data"],
            cwd=place, check=True, capture_output=True,
        )  # fmt: skip
        (place / "data.om").unlink()
        (place / "prometheus.yaml").write_text("global: {}\n")
    (folder / "now").write_text(str(now))


def over_the_period(folder: Path, now: int) -> dict[str, float]:
    """Seconds that what averages over the period takes every 30 s, for all models."""
    group = next(g for g in rule_groups(SLO, options=OPTIONS) if g.name.endswith("-period.rules"))
    ours = [
        rule.expr
        for rule in group.rules
        if isinstance(rule, RecordingRule)
        and rule.record in (recorded.PERIOD_TOTAL, recorded.PERIOD_BAD)
    ]
    short = f'slo:sli_error:ratio_rate5m{{sloth_slo="{SLO.objectives[0].name}"}}[30d]'
    ratio = [f"sum_over_time({short}) / count_over_time({short})"]
    found = {}
    flags = ["--storage.tsdb.retention.time=60d"]
    with servers.prometheus(folder / "prometheus.yaml", folder, flags=flags) as (_, url):
        asked = Prometheus(url, timeout=120)
        for kind, expressions, every in (
            ("firsttoken", ours, group.interval), ("ratio", ratio, OPTIONS.scrape)
        ):  # fmt: skip
            times = []
            for _ in range(5):
                began = time.perf_counter()
                for expression in expressions:
                    assert len(asked.query(expression, at=now)) == PART, expression
                times.append(time.perf_counter() - began)
            once = min(times) * len(SLO.objectives) * MODELS / PART
            found[kind] = once * 30 / every
    return found


def of_the_day(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds that all rules take every 30 s on a day of raw series, and how many series."""
    (folder / "firsttoken.yaml").write_text(rule_file(rule_groups(SLO, options=OPTIONS)))
    (folder / "ratio.yaml").write_text(ratio_layout())
    config = folder / "prometheus.yaml"
    config.write_text("global: {}\nrule_files: [firsttoken.yaml, ratio.yaml]\n")
    cost = {"firsttoken": 0.0, "ratio": 0.0}
    # Rules run at their interval after a random delay below it: each has then run at least once,
    # but those that run every five minutes, which read what is recorded anyway.
    with servers.prometheus(config, folder) as (_, url):
        time.sleep(65)
        asked = Prometheus(url)
        for group in asked.rule_groups():
            kind = "ratio" if group["name"].startswith("ratio-") else "firsttoken"
            seconds = sum(rule["evaluationTime"] for rule in group["rules"])
            cost[kind] += seconds * 30 / group["interval"]
    made = [r for g in rule_groups(SLO, options=OPTIONS) for r in g.rules]
    once = [r for r in made if isinstance(r, RecordingRule)]
    series = {
        "firsttoken": float(sum(1 if r.expr.startswith("vector(") else MODELS for r in once)),
        "ratio": float(len(SLO.objectives) * ((len(WINDOWS) + 4) * MODELS + 4)),
    }
    return cost, series


def measure(folder: Path) -> None:
    """Run both layouts and print what each costs."""
    if not (folder / "now").exists():
        prepare(folder, int(time.time()) // 300 * 300)
    now = int((folder / "now").read_text())
    cost, series = of_the_day(folder / "day")
    period = over_the_period(folder / "period", now)
    print(f"{MODELS} models, {len(SLO.objectives)} objectives, {format_duration(SLO.period)};")
    print("milliseconds of evaluation every 30 s:")
    for kind in cost:
        windows, whole = cost[kind] * 1000, period[kind] * 1000
        print(
            f"{kind:12} {series[kind]:6.0f} series  windows and alerts {windows:7.1f}"
            f"  whole period {whole:7.1f}  together {windows + whole:7.1f}"
        )
    total = {kind: cost[kind] + period[kind] for kind in cost}
    print(f"ratio of time: {total['firsttoken'] / total['ratio']:.2f}")


def main() -> None:
    """Measure in a folder that is given, whose data are used again, or that is gone afterwards."""
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


if __name__ == "__main__":
    main()
