"""The packs' alerts on made-up series, evaluated by the real promtool."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from firsttoken.errors import ConfigError
from firsttoken.rules import gpu_alerts, pack_scenarios, packs, scenarios
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import AlertRule, Context, Options
from firsttoken.rules.slo import Pack, SloFile
from firsttoken.sources import vocabulary_of
from firsttoken.vocabulary import SEMCONV, Vocabulary

ALL: tuple[Pack, ...] = get_args(Pack)


def slo(*chosen: Pack) -> SloFile:
    """A file whose only objective is a floor, which has the fewest scenarios."""
    floor = {"name": "it", "kind": "throughput", "floor": 1, "target": 90}
    head = {"version": "firsttoken/v1", "service": "chat", "period": "30d"}
    return SloFile.model_validate({**head, "objectives": [floor], "packs": list(chosen)})


def alerts(vocabulary: Vocabulary, *chosen: Pack) -> set[str]:
    groups = rule_groups(slo(*chosen), vocabulary)
    rules = [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]
    return {rule.alert for rule in rules} - {"LLMErrorBudgetBurn"}


@pytest.mark.parametrize(
    ("source", "chosen"),
    [("semconv", ALL), ("vllm,dcgm", ("stall", "gpu")), ("sglang,amd", ("gpu",))],
)
def test_every_alert_fires_when_it_must_and_not_on_what_looks_like_it(
    source: str, chosen: tuple[Pack, ...], tmp_path: Path
) -> None:
    vocabulary = vocabulary_of(source)
    count = scenarios.run(slo(*chosen), vocabulary, Options(), tmp_path)

    told = yaml.safe_load((tmp_path / "pack-tests.yaml").read_text())["tests"]
    of = {test["name"].partition(":")[0] for test in told}
    assert count > len(told)
    assert of == alerts(vocabulary, *chosen)


def test_every_alert_has_both_kinds_of_scenario() -> None:
    context = Context(slo(*ALL))
    tests = pack_scenarios.tests(context)
    for alert in alerts(SEMCONV, *ALL) - {"LLMWatchdog"}:
        counts = {
            check["exp_samples"][0]["value"]
            for test in tests
            if test["name"].startswith(f"{alert}:")
            for check in test["promql_expr_test"]
        }
        assert counts == {0, 1}, alert


def test_an_alert_without_its_metric_is_left_out_and_told() -> None:
    direct = vocabulary_of("vllm,dcgm")
    left_out = alerts(SEMCONV, "gpu") - alerts(direct, "gpu")

    assert left_out == {"GPUUnhealthy"}
    assert packs.missing(Context(slo("gpu"), direct), "gpu") == (gpu_alerts.STATUS.name,)


def test_a_pack_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vllm does not report firsttoken\.collector"):
        rule_groups(slo("collector"), vocabulary_of("vllm"))
