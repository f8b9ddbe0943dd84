"""The page on objectives names every key, series, alert, check and option that there is."""

import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from firsttoken import recorded
from firsttoken.cli import firsttoken
from firsttoken.rules.bounds import ENGINES
from firsttoken.rules.commands import alertmanager, rules
from firsttoken.rules.gateways import GATEWAYS
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.lint import CHECKS
from firsttoken.rules.model import AlertRule, RecordingRule
from firsttoken.rules.objectives import Availability, Goodput, Latency, Ratio, Throughput
from firsttoken.rules.packs import PACKS
from firsttoken.rules.presets import PRESETS
from firsttoken.rules.slo import SloFile

PAGE = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
KINDS = (Latency, Availability, Ratio, Throughput, Goodput)
EVERYTHING = {
    "version": "firsttoken/v1",
    "service": "chat",
    "period": "30d",
    "objectives": [
        {"name": "a", "kind": "latency", "metric": "ttft", "threshold": "1s", "target": 99},
        {"name": "b", "kind": "throughput", "floor": 100, "target": 90},
    ],
    "packs": list(PACKS),
}


def rows(section: str) -> list[str]:
    """The first cells of a section's tables."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)


def test_keys_of_the_file_are_those_of_the_table() -> None:
    assert {row.strip("`") for row in rows("The file")} == set(SloFile.model_fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_and_its_keys_are_documented(kind: type[Latency]) -> None:
    name = kind.model_fields["kind"].annotation.__args__[0]  # type: ignore[union-attr]
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))

    for key in set(kind.model_fields) - {"name", "target", "kind"}:
        assert f"`{key}`" in line


def test_series_and_alerts_are_those_of_the_tables() -> None:
    made = [r for group in rule_groups(SloFile.model_validate(EVERYTHING)) for r in group.rules]
    series = {rule.record for rule in made if isinstance(rule, RecordingRule)}
    told = {name for row in rows("What is recorded") for name in re.findall(r"`([\w:]+)`", row)}

    calendar = SloFile.model_validate(
        {key: value for key, value in EVERYTHING.items() if key != "period"} | {"calendar": "month"}
    )
    more = [r for group in rule_groups(calendar) for r in group.rules]
    series |= {rule.record for rule in more if isinstance(rule, RecordingRule)}
    windows = re.compile(rf"({recorded.TOTAL}|{recorded.BAD})(?!5m)")
    assert {name for name in series if not windows.match(name)} == told
    assert {row.strip("`") for row in rows("Alerts")} == {
        rule.alert for rule in made if isinstance(rule, AlertRule)
    }


def test_checks_presets_and_packs_are_documented() -> None:
    assert {row.strip("`") for row in rows("Lint")} == set(CHECKS)
    assert all(preset in PAGE for preset in PRESETS)
    assert all(f"`{pack}`" in PAGE for pack in PACKS)


def test_options_of_the_routing_are_those_of_the_table() -> None:
    command = alertmanager.commands["generate"]
    options = {
        option for one in command.params if isinstance(one, click.Option) for option in one.opts
    }
    text = PAGE.partition("\n## Routing\n")[2].partition("\n## ")[0]
    told = {name for row in re.findall(r"^\| `--.*", text, re.MULTILINE)
            for name in re.findall(r"`(--[a-z-]+)`", row)}  # fmt: skip

    assert told == options


def test_options_of_the_generator_are_those_of_the_table() -> None:
    command = rules.commands["generate"]
    options = {
        option for one in command.params if isinstance(one, click.Option) for option in one.opts
    }
    told = {name for row in rows("Options") for name in re.findall(r"`(--[a-z-]+)`", row)}

    assert told == options


def test_engines_and_gateways_are_documented() -> None:
    assert all(f"`{engine}`" in PAGE for engine in ENGINES)
    assert all(f"`{gateway}`" in PAGE for gateway in GATEWAYS)


def test_the_smallest_file_on_the_page_works() -> None:
    text = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]

    assert rule_groups(SloFile.model_validate(yaml.safe_load(text)))


def test_the_ratio_on_the_page_works() -> None:
    objective = yaml.safe_load(re.findall(r"`(\{name: gateway.*?\}\})`", PAGE)[0])

    slo = SloFile.model_validate({**EVERYTHING, "objectives": [objective], "packs": []})
    rule = rule_groups(slo)[0].rules[1]
    assert 'code=~"5.."' in rule.expr


def test_a_period_beyond_the_retention_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text(yaml.safe_dump(EVERYTHING))

    done = CliRunner().invoke(
        firsttoken, ["rules", "generate", str(file), "--retention", "15d"], standalone_mode=False
    )

    assert "a period of 30d needs samples for as long" in str(done.exception)


def test_the_number_of_series_on_the_page_is_right() -> None:
    """A rule of constants is one series, any other one is a series a model."""
    kinds = [{"name": f"o{n}", "kind": "latency", "metric": "ttft", "threshold": "1s", "target": 99}
             for n in range(4)]  # fmt: skip
    slo = SloFile.model_validate({**EVERYTHING, "objectives": kinds, "packs": []})
    made = [r for group in rule_groups(slo) for r in group.rules if isinstance(r, RecordingRule)]
    count = sum(1 if rule.expr.startswith("vector(") else 50 for rule in made)

    assert f"at most {count} series" in PAGE
