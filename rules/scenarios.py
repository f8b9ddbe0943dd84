"""promtool unit tests of generated rules: when each objective must alert and when it must not."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from firsttoken.catalogue import REQUESTS_FINISHED
from firsttoken.errors import CheckFailedError, NotJudgedError
from firsttoken.promql import quote
from firsttoken.rules.generate import ALERT, rule_groups, tiers_of
from firsttoken.rules.model import DEFAULTS, Context, Options
from firsttoken.rules.output import rule_file, to_yaml
from firsttoken.rules.slo import Availability, Latency, SloFile
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["run", "unit_tests"]

_MODEL = "some/model"
_RATE = 600
"""Requests in a step."""


@dataclass(frozen=True, slots=True)
class _Phase:
    """So many steps with this share of bad events among ``requests`` in each."""

    steps: int
    bad: Decimal
    requests: int = _RATE


def unit_tests(
    slo: SloFile, vocabulary: Vocabulary = SEMCONV, options: Options = DEFAULTS
) -> dict[str, Any]:
    """A promtool test file for the rules of an objective file, which must lie at rules.yaml."""
    context = Context(slo, vocabulary, options)
    tests = [test for objective in slo.objectives for test in _tests(context, objective)]
    return {"rule_files": ["rules.yaml"], "evaluation_interval": f"{options.scrape}s",
            "tests": tests}  # fmt: skip


def run(slo: SloFile, vocabulary: Vocabulary, options: Options, folder: Path | None = None) -> int:
    """Run the unit tests, in a folder that stays when one is given; returns how many passed.

    Raises CheckFailedError with what promtool said, NotJudgedError when it is not installed.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run(slo, vocabulary, options, Path(temporary))
    folder.mkdir(parents=True, exist_ok=True)
    rules = rule_file(rule_groups(slo, vocabulary, options))
    tests = unit_tests(slo, vocabulary, options)
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    (folder / "tests.yaml").write_text(to_yaml(tests), encoding="utf-8")
    try:
        done = subprocess.run(
            ["promtool", "test", "rules", "tests.yaml"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NotJudgedError("promtool is not installed; it comes with Prometheus") from None
    if done.returncode:
        raise CheckFailedError(f"promtool: {(done.stdout + done.stderr).strip()}")
    return len(tests["tests"])


def _tests(context: Context, objective: Latency | Availability) -> list[dict[str, Any]]:
    found = tiers_of(context.slo, objective, context.options)
    pages = [tier for tier in found if tier.severity == "critical"]
    first, last = pages[0], pages[-1]
    none, all_bad = Decimal(0), Decimal(1)
    step = max(context.options.scrape, first.short // 5)
    whole = first.long // step + 2
    cases = [
        ("all events bad", [_Phase(whole, all_bad)], {first.burn: True}),
        ("all events good", [_Phase(whole, none)], {}),
        ("idle", [_Phase(whole, none, 0)], {}),
        ("one bad event", [_Phase(whole, none, 0), _Phase(1, all_bad, 1), _Phase(3, none, 0)], {}),
        (
            "recovered",
            [_Phase(whole, all_bad), _Phase(first.short // step + 2, none)],
            {first.burn: False},
        ),
    ]
    tests = [_test(context, objective, step, *case) for case in cases]
    if last is not first:
        share = min(Decimal(1), (last.threshold + first.threshold) / 2)
        slow = max(context.options.scrape, last.short // 5)
        phases = [_Phase(last.long // slow + 2, share)]
        expected = {last.burn: True} | ({} if share > first.threshold else {first.burn: False})
        tests.append(_test(context, objective, slow, "slow burn", phases, expected))
    return tests


def _test(
    context: Context, objective: Latency | Availability, step: int, name: str,
    phases: list[_Phase], expected: dict[str, bool],
) -> dict[str, Any]:  # fmt: skip
    end = f"{(sum(phase.steps for phase in phases)) * step}s"
    firing = f'ALERTS{{alertname="{ALERT}", alertstate="firing", slo="{objective.name}"'
    checks = [
        (f'count({firing}, burn="{burn}", {context.model}="{_MODEL}"}}) or vector(0)', int(fires))
        for burn, fires in expected.items()
    ] or [(f"count({firing}}}) or vector(0)", 0)]
    return {
        "name": f"{objective.name}: {name}",
        "interval": f"{step}s",
        "input_series": _series(context, objective, phases),
        "promql_expr_test": [
            {"expr": expr, "eval_time": end, "exp_samples": [{"labels": "{}", "value": value}]}
            for expr, value in checks
        ],
    }


def _series(
    context: Context, objective: Latency | Availability, phases: list[_Phase]
) -> list[dict[str, str]]:
    labels = {**context.slo.selector, context.model: _MODEL}
    total = _counter(phases, lambda phase: phase.requests)
    bad = _counter(phases, _bad)
    good = _counter(phases, lambda phase: phase.requests - _bad(phase))
    if isinstance(objective, Latency):
        name = context.vocabulary.find(objective.catalogue_metric, {})[0].series
        le = {"le": format(objective.threshold.normalize(), "f")}
        return [
            {"series": _named(f"{name}_count", labels), "values": total},
            {"series": _named(f"{name}_bucket", labels | le), "values": good},
        ]
    name = context.vocabulary.find(REQUESTS_FINISHED, {})[0].series
    reason = context.vocabulary.label("gen_ai.response.finish_reason")
    return [
        {"series": _named(name, labels | {reason: objective.bad[0]}), "values": bad},
        {"series": _named(name, labels | {reason: "stop"}), "values": good},
    ]


def _bad(phase: _Phase) -> int:
    return int(phase.bad * phase.requests)


def _counter(phases: list[_Phase], each: Callable[[_Phase], int]) -> str:
    """promtool's notation: start, then so many steps of so much."""
    parts, value = ["0"], 0
    for phase in phases:
        growth = each(phase)
        parts.append(f"{value + growth}+{growth}x{phase.steps - 1}")
        value += growth * phase.steps
    return " ".join(parts)


def _named(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f"{key}={quote(value)}" for key, value in labels.items()) + "}"
