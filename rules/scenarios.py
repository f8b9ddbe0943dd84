"""promtool unit tests of generated rules: what must alert when, and what must not.

Each objective: a fast burn, slower ones that only a slower tier may notice, one bad event, a
reset of the counters, idle time, and nothing at all.  Each alert of a pack: when it must fire, and
what looks like it and must not.
"""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from firsttoken import recorded
from firsttoken.config import parse_duration
from firsttoken.errors import CheckFailedError, NotJudgedError
from firsttoken.promql import quote
from firsttoken.rules import pack_scenarios, packs
from firsttoken.rules.generate import ALERT, rule_groups, tiers_of
from firsttoken.rules.indicators import matchers
from firsttoken.rules.model import DEFAULTS, AlertRule, Context, Group, Options, number
from firsttoken.rules.output import rule_file, to_yaml
from firsttoken.rules.series import Phase, input_series, names_models
from firsttoken.rules.slo import AnyObjective, Goodput, Latency, SloFile, Throughput
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
        "budget-tests.yaml": (
            ["burn.yaml", "budgets.yaml"],
            # promtool loads 10,000 samples at most, and a quarter's hours are more.
            [_budget_test(context, one) for one in counted if slo.calendar != "quarter"],
        ),
        "pack-tests.yaml": (["packs.yaml"], pack_scenarios.tests(context)),
    }  # fmt: skip
    for objective in counted:
        for burn, test in _slow_tests(context, objective):
            name = f"{burn.replace('_', '-')}-tests.yaml"
            found.setdefault(name, (["burn.yaml"], []))[1].append(test)
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
    return sum(len(one["promql_expr_test"]) for tests in files.values() for one in tests["tests"])


@dataclass(frozen=True, slots=True)
class _Case:
    """What happens to a model, and which tiers must then fire or not; none may without any."""

    name: str
    phases: tuple[Phase, ...]
    expected: tuple[tuple[str, bool], ...] = ()

    @property
    def model(self) -> str:
        """A model's name that says what happens to it."""
        return self.name.replace(" ", "-")


def _tests(context: Context, objective: AnyObjective) -> list[dict[str, Any]]:
    """Everything that can happen within the fastest tier's window, to one model each."""
    first = tiers_of(context.slo, objective, context.options)[0]
    none, all_bad = Decimal(0), Decimal(1)
    # A floor is held against a rate over a few scrapes, so its samples must be as close.
    floor = isinstance(objective, Throughput | Goodput)
    step = context.options.scrape if floor else max(context.options.scrape, first.short // 5)
    whole = first.long // step + 2
    lag = max(60, 4 * context.options.scrape) + step if floor else 0
    rest = (first.short + lag) // step + 2
    end = whole + rest
    fires, silent = ((first.burn, True),), ((first.burn, False),)
    cases = [
        _Case("all events bad", (Phase(rest, none), Phase(whole, all_bad)), fires),
        _Case("all events good", (Phase(end, none),)),
        _Case("idle", (Phase(end, none, 0),)),
        _Case("counters reset", (Phase(whole, none), Phase(rest, none, resets=True))),
        _Case("nothing reports", (Phase(end, none, absent=True),)),
        _Case("recovered", (Phase(whole, all_bad), Phase(rest, none)), silent),
    ]
    if not floor:
        blip = Phase(end - 4, none, 0), Phase(1, all_bad, 1), Phase(3, none, 0)
        cases.append(_Case("one bad event", blip))
    if names_models(objective):
        return [_test(context, objective, step, cases)]
    return [_test(context, objective, step, [case]) for case in cases]


def _slow_tests(context: Context, objective: AnyObjective) -> Iterator[tuple[str, dict[str, Any]]]:
    """A burn for each slower tier, by its name, that no faster one may notice."""
    found = tiers_of(context.slo, objective, context.options)
    for faster, tier in pairwise(found):
        step = max(context.options.scrape, tier.short // 5)
        # As much as the tier must notice and the faster one must not, where there is room between.
        share = min(Decimal(1), (tier.threshold + faster.threshold) / 2)
        expected = [(tier.burn, True)]
        expected += [] if share > faster.threshold else [(faster.burn, False)]
        phases = (Phase(tier.long // step + 2, share),)
        case = _Case(f"slow burn {tier.burn}", phases, tuple(expected))
        yield tier.burn, _test(context, objective, step, [case])


def _budget_test(context: Context, objective: AnyObjective) -> dict[str, Any]:
    """Many good events, then a tenth as many bad ones, then none: weighted by events, no NaN."""
    # Calendar periods are summed from hours, others from windows of five minutes.
    often = 240 if context.slo.calendar else 60
    step = max(context.options.scrape, min(often, context.period // 240))
    steps = min(5400, context.period // 4) // step
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
    expr = f"count({expr} < {number((spent / 10).quantize(_MILLI))}) or vector(0)"
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
    context: Context, objective: AnyObjective, step: int, cases: Sequence[_Case]
) -> dict[str, Any]:
    firing = f'ALERTS{{alertname="{ALERT}", alertstate="firing", slo="{objective.name}"'
    series, checks = [], []
    for case in cases:
        series += input_series(context, objective, case.phases, step, case.model)
        whose = case.model if names_models(objective) else ""
        mine = f"{firing}, {context.model}={quote(whose)}"
        end = f"{sum(phase.steps for phase in case.phases) * step}s"
        told = [
            (f'count({mine}, burn="{burn}"}}) or vector(0)', int(fires))
            for burn, fires in case.expected
        ]
        for expr, value in told or [(f"count({mine}}}) or vector(0)", 0)]:
            samples = [{"labels": "{}", "value": value}]
            checks.append({"expr": expr, "eval_time": end, "exp_samples": samples})
    return {
        "name": f"{objective.name}: {', '.join(case.name for case in cases)}",
        "interval": f"{step}s",
        "input_series": series,
        "promql_expr_test": checks,
    }
