"""Our own rules are clean, and habits that break rules in the field are found."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.cli import firsttoken
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.lint import CHECKS, lint
from firsttoken.rules.output import rule_file
from firsttoken.rules.packs import PACKS
from firsttoken.rules.slo import load

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("slo*.yaml"))
GOOD: dict[str, object] = {
    "alert": "A",
    "expr": "sum(rate(m_total[5m])) > 1",
    "labels": {"severity": "warning"},
    "annotations": {"summary": "It is.", "description": "So it is."},
}


def found(rule: dict[str, object], **settings: int) -> list[str]:
    data = {"groups": [{"name": "g", "rules": [rule]}]}
    return [finding.check for finding in lint(data, **settings)]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_what_is_generated_is_clean(file: Path) -> None:
    slo = load(file).model_copy(update={"packs": tuple(PACKS)})

    assert lint(yaml.safe_load(rule_file(rule_groups(slo))), retention=31 * 86400) == ()


def test_a_sound_rule_is_left_alone() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("alerts/annotation", {"annotations": {"summary": "It is."}}),
        ("alerts/annotation", {"labels": {}}),
        ("alerts/annotation", {"annotations": {"summary": "{{ $labels.x }}", "description": "x"}}),
        ("alerts/template", {"labels": {"severity": "info", "now": "{{ $value }}"}}),
        ("alerts/comparison", {"expr": 'up{job!="x"}'}),
        ("alerts/absent", {"expr": "absent(up)"}),
        ("alerts/absent", {"expr": "absent(up)", "for": "30s"}),
        ("alerts/count", {"expr": 'count(up{job="vllm"} == 1) < 40'}),
        (
            "alerts/count",
            {"expr": 'rate(x_count[5m]) - rate(x_bucket{le="0.5"}[5m]) > 0'},
        ),
        ("promql/rate", {"expr": "rate(m_total[30s]) > 1"}),
        ("promql/rate", {"expr": "rate(sum(m_total)[5m:]) > 1"}),
        ("promql/le", {"expr": 'sum(rate(x_bucket{le="120"}[5m])) > 1'}),
        ("labels/conflict", {"labels": {"severity": "info", "instance": "x"}}),
    ],
)
def test_a_bad_habit_is_found(check: str, change: dict[str, object]) -> None:
    assert check in found({**GOOD, **change})


def test_a_recorded_ratio_of_nothing_is_found() -> None:
    rule: dict[str, object] = {"record": "a:b:c", "expr": "sum(rate(e[5m])) / sum(rate(t[5m]))"}

    assert found(rule) == ["promql/nan"]
    assert found(rule | {"expr": "sum(rate(e[5m])) / (sum(rate(t[5m])) > 0)"}) == []


def test_a_window_beyond_the_retention_is_found() -> None:
    rule: dict[str, object] = {"record": "a:b:c", "expr": "avg_over_time(x[30d])"}

    assert found(rule, retention=15 * 86400) == ["promql/range_query"]
    assert found(rule, retention=30 * 86400) == []


def test_two_of_a_name_are_found() -> None:
    group = {"name": "g", "rules": [GOOD, GOOD]}

    assert [one.check for one in lint({"groups": [group, group]})] == ["rule/duplicate"] * 2


def test_every_check_can_find_something() -> None:
    """The parameters above, and the tests below them, name each check."""
    text = Path(__file__).read_text()

    assert all(f'"{name}"' in text for name in CHECKS)


def test_the_command_names_file_rule_and_check(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [{**GOOD, "expr": "up"}]}]}))

    done = CliRunner().invoke(firsttoken, ["rules", "lint", str(file)], standalone_mode=False)

    assert done.return_value == 1
    assert f"{file}: A: compares nothing" in done.stdout
    assert "(alerts/comparison)" in done.stdout
