"""promtool unit tests of generated rules: when each objective must alert and when it must not."""

import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from firsttoken.errors import CheckFailedError, NotJudgedError
from firsttoken.rules.generate import ALERT, rule_groups, tiers_of
from firsttoken.rules.model import DEFAULTS, Context, Options
from firsttoken.rules.output import rule_file, to_yaml
from firsttoken.rules.series import MODEL, Phase, input_series
from firsttoken.rules.slo import AnyObjective, Goodput, SloFile, Throughput
from firsttoken.vocabulary import SEMCONV, Vocabulary

__all__ = ["run", "unit_tests"]


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


def _tests(context: Context, objective: AnyObjective) -> list[dict[str, Any]]:
    found = tiers_of(context.slo, objective, context.options)
    pages = [tier for tier in found if tier.severity == "critical"]
    first, last = pages[0], pages[-1]
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
    tests = [_test(context, objective, step, *case) for case in cases]
    if last is not first and not floor:
        share = min(Decimal(1), (last.threshold + first.threshold) / 2)
        slow = max(context.options.scrape, last.short // 5)
        phases = [Phase(last.long // slow + 2, share)]
        expected = {last.burn: True} | ({} if share > first.threshold else {first.burn: False})
        tests.append(_test(context, objective, slow, "slow burn", phases, expected))
    return tests


def _test(
    context: Context, objective: AnyObjective, step: int, name: str,
    phases: list[Phase], expected: dict[str, bool],
) -> dict[str, Any]:  # fmt: skip
    end = f"{(sum(phase.steps for phase in phases)) * step}s"
    firing = f'ALERTS{{alertname="{ALERT}", alertstate="firing", slo="{objective.name}"'
    checks = [
        (f'count({firing}, burn="{burn}", {context.model}="{MODEL}"}}) or vector(0)', int(fires))
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
