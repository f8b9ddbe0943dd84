"""promtool unit tests of generated rules: what must alert when, and what must not.

Each objective: a fast burn, slower ones that only a slower tier may notice, one bad event, a
reset of the counters, idle time, and nothing at all.  Each alert of a pack: when it must fire, and
what looks like it and must not.
"""

import subprocess
import tempfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from firsttoken import recorded
from firsttoken.config import parse_duration
from firsttoken.errors import CheckFailedError, NotJudgedError
from firsttoken.rules import pack_scenarios, packs
from firsttoken.rules.gateways import GATEWAYS
from firsttoken.rules.generate import ALERT, rule_groups, tiers_of
from firsttoken.rules.indicators import matchers
from firsttoken.rules.model import DEFAULTS, AlertRule, Context, Group, Options, number
from firsttoken.rules.output import rule_file, to_yaml
from firsttoken.rules.series import MODEL, Phase, input_series
from firsttoken.rules.slo import AnyObjective, Availability, Goodput, Latency, SloFile, Throughput
from firsttoken.rules.windows import Tier
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["parts", "run", "unit_tests"]

_TENTH = 60
_MILLI = Decimal("0.001")


def unit_tests(
    slo: SloFile, vocabulary: Vocabulary = SEMCONV, options: Options = DEFAULTS
) -> dict[str, dict[str, Any]]:
    """promtool's test files by name, for the rules in the files of ``parts``.

    Each reads only the rules that it needs, and is evaluated as rarely as its scenarios allow.
    """
    context = Context(slo, vocabulary, options)
    told = [one for one in slo.objectives if _can_be_tested(slo, one)]
    counted = [one for one in told if not isinstance(one, Throughput | Goodput)]
    found: dict[str, tuple[list[str], list[dict[str, Any]]]] = {
        "burn-tests.yaml": (["burn.yaml"], [t for one in told for t in _tests(context, one)]),
        "slow-burn-tests.yaml": (
            ["burn.yaml"], [t for one in counted for t in _slow_tests(context, one)]
        ),
        "budget-tests.yaml": (
            ["burn.yaml", "budgets.yaml"], [_budget_test(context, one) for one in counted]
        ),
        "pack-tests.yaml": (["packs.yaml"], pack_scenarios.tests(context)),
    }  # fmt: skip
    return {
        name: {
            "rule_files": rules,
            "evaluation_interval": min((test["interval"] for test in tests), key=parse_duration),
            "tests": tests,
        }
        for name, (rules, tests) in found.items()
        if tests
    }


def parts(
    slo: SloFile, vocabulary: Vocabulary = SEMCONV, options: Options = DEFAULTS
) -> dict[str, str]:
    """The rules of an objective file in three files: burn rates, budgets, packs."""
    context = Context(slo, vocabulary, options)
    of_packs = {packs.group(context, pack).name for pack in slo.packs}
    found: dict[str, list[Group]] = {"burn.yaml": [], "budgets.yaml": [], "packs.yaml": []}
    for group in rule_groups(slo, vocabulary, options):
        burns = any(isinstance(rule, AlertRule) for rule in group.rules)
        kind = "packs" if group.name in of_packs else "burn" if burns else "budgets"
        found[f"{kind}.yaml"].append(group)
    return {name: rule_file(groups) for name, groups in found.items()}


def _can_be_tested(slo: SloFile, objective: AnyObjective) -> bool:
    # promtool 2.42 has no notation for native histograms.
    return slo.histograms == "classic" or not isinstance(objective, Latency | Goodput)


def run(slo: SloFile, vocabulary: Vocabulary, options: Options, folder: Path | None = None) -> int:
    """Run the unit tests, in a folder that stays when one is given; returns how many passed.

    Raises CheckFailedError with what promtool said, NotJudgedError when it is not installed or
    there is nothing that it could test.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run(slo, vocabulary, options, Path(temporary))
    folder.mkdir(parents=True, exist_ok=True)
    files = unit_tests(slo, vocabulary, options)
    if not files:
        raise NotJudgedError("promtool cannot make up native histograms; nothing else to test")
    for name, text in parts(slo, vocabulary, options).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, tests in files.items():
        (folder / name).write_text(to_yaml(tests), encoding="utf-8")
    try:
        done = subprocess.run(
            ["promtool", "test", "rules", *files],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NotJudgedError("promtool is not installed; it comes with Prometheus") from None
    if done.returncode:
        raise CheckFailedError(f"promtool: {(done.stdout + done.stderr).strip()}")
    return sum(len(tests["tests"]) for tests in files.values())


def _tests(context: Context, objective: AnyObjective) -> list[dict[str, Any]]:
    found = tiers_of(context.slo, objective, context.options)
    first = found[0]
    none, all_bad = Decimal(0), Decimal(1)
    # A floor is held against a rate over a few scrapes, so its samples must be as close.
    floor = isinstance(objective, Throughput | Goodput)
    step = context.options.scrape if floor else max(context.options.scrape, first.short // 5)
    whole = first.long // step + 2
    lag = max(60, 4 * context.options.scrape) + step if floor else 0
    cases = [
        ("all events bad", [Phase(whole, all_bad)], {first.burn: True}),
        ("all events good", [Phase(whole, none)], {}),
        ("idle", [Phase(whole, none, 0)], {}),
        ("counters reset", [Phase(whole // 2, none), Phase(whole // 2, none, resets=True)], {}),
        ("nothing reports", [Phase(whole, none, absent=True)], {}),
        (
            "recovered",
            [Phase(whole, all_bad), Phase((first.short + lag) // step + 2, none)],
            {first.burn: False},
        ),
    ]
    if not floor:
        blip = [Phase(whole, none, 0), Phase(1, all_bad, 1), Phase(3, none, 0)]
        cases.append(("one bad event", blip, {}))
    return [_test(context, objective, step, *case) for case in cases]


def _slow_tests(context: Context, objective: AnyObjective) -> list[dict[str, Any]]:
    """A burn for each slower tier that no faster one may notice."""
    found = tiers_of(context.slo, objective, context.options)
    return [
        _slow_burn(context, objective, faster, tier, max(context.options.scrape, tier.short // 5))
        for faster, tier in pairwise(found)
    ]


def _slow_burn(
    context: Context, objective: AnyObjective, faster: Tier, tier: Tier, step: int
) -> dict[str, Any]:
    """As much burn as ``tier`` must notice and ``faster`` must not, where there is room between."""
    share = min(Decimal(1), (tier.threshold + faster.threshold) / 2)
    phases = [Phase(tier.long // step + 2, share)]
    silent = {} if share > faster.threshold else {faster.burn: False}
    name = f"slow burn, {tier.burn}"
    return _test(context, objective, step, name, phases, {tier.burn: True, **silent})


def _budget_test(context: Context, objective: AnyObjective) -> dict[str, Any]:
    """Many good events, then a tenth as many bad ones, then none: weighted by events, no NaN."""
    # Calendar periods are summed from hours, others from windows of five minutes.
    often = 240 if context.slo.calendar else 60
    step = max(context.options.scrape, min(often, context.period // 240))
    steps = min(7200, context.period // 4) // step
    phases = [
        Phase(steps, Decimal(0)),
        Phase(steps, Decimal(1), _TENTH),
        Phase(steps, Decimal(0), 0),
    ]
    bad = Decimal(1) / 11
    spent = bad / objective.budget
    own = matchers({"service": context.slo.service, "slo": objective.name})
    left = f"{recorded.BUDGET_LEFT}{own}"
    expr = f"abs({left} - {number((1 - spent).quantize(_MILLI))})"
    expr = f"count({expr} < {number((spent / 20).quantize(_MILLI))}) or vector(0)"
    return {
        "name": f"{objective.name}: budget",
        "interval": f"{step}s",
        "input_series": input_series(context, objective, phases, step),
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{3 * steps * step}s",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        ],
    }


def _test(
    context: Context, objective: AnyObjective, step: int, name: str,
    phases: list[Phase], expected: dict[str, bool],
) -> dict[str, Any]:  # fmt: skip
    end = f"{(sum(phase.steps for phase in phases)) * step}s"
    whose = MODEL
    if isinstance(objective, Availability) and objective.gateway:
        whose = MODEL if GATEWAYS[objective.gateway].model else ""
    firing = f'ALERTS{{alertname="{ALERT}", alertstate="firing", slo="{objective.name}"'
    checks = [
        (f'count({firing}, burn="{burn}", {context.model}="{whose}"}}) or vector(0)', int(fires))
        for burn, fires in expected.items()
    ] or [(f"count({firing}}}) or vector(0)", 0)]
    return {
        "name": f"{objective.name}: {name}",
        "interval": f"{step}s",
        "input_series": input_series(context, objective, phases, step),
        "promql_expr_test": [
            {"expr": expr, "eval_time": end, "exp_samples": [{"labels": "{}", "value": value}]}
            for expr, value in checks
        ],
    }
