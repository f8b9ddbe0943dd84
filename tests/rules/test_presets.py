"""Objective files to begin with, and the schema that editors check files against."""

import json
import os
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from firsttoken.rules.commands import rules
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.presets import PRESETS
from firsttoken.rules.slo import load

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCHEMA = ROOT / "docs" / "objectives.schema.json"
FILES = sorted(EXAMPLES.glob("slo*.yaml"))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_is_an_example_and_gives_rules_without_further_ado(preset: str) -> None:
    """Every threshold is one of vLLM's bounds, and every figure has its source above it."""
    file = EXAMPLES / f"slo-{preset}.yaml"
    done = CliRunner().invoke(rules, ["init", preset, "--service", preset])
    assert done.exit_code == 0
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        file.write_text(done.stdout)

    assert file.read_text() == done.stdout
    assert rule_groups(load(file))
    lines = done.stdout.splitlines()
    for before, line in pairwise(lines):
        assert not line.startswith("  - {") or before.startswith("  # ")


def test_the_published_schema_is_that_of_the_files() -> None:
    done = CliRunner().invoke(rules, ["schema"])
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        SCHEMA.write_text(done.stdout)

    assert json.loads(SCHEMA.read_text()) == json.loads(done.stdout)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_schema_takes_the_examples(file: Path) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(
        yaml.safe_load(file.read_text())
    )


@pytest.mark.parametrize(
    "change", [{"objektives": []}, {"packs": ["stal"]}, {"objectives": [{"kind": "latency"}]}]
)
def test_the_schema_refuses_what_the_command_refuses(change: dict[str, object]) -> None:
    data = yaml.safe_load(FILES[0].read_text()) | change

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(data)


def test_a_service_that_is_no_name_is_refused() -> None:
    done = CliRunner().invoke(rules, ["init", "chat", "--service", "A B"])

    assert done.exit_code != 0
    assert not done.stdout
