"""Our own rules are clean, and habits that break rules in the field are found."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.cli import firsttoken
from firsttoken.rules.bounds import Version
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.lint import CHECKS, lint
from firsttoken.rules.output import rule_file
from firsttoken.rules.packs import PACKS
from firsttoken.rules.slo import load

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("slo*.yaml"))
VLLM_SLOW = (
    "rate(vllm:e2e_request_latency_seconds_count[5m])"
    ' - rate(vllm:e2e_request_latency_seconds_bucket{le="120"}[5m]) > 0'
)
"""From the rules that vLLM has as an example: it cannot have a result."""
GOOD: dict[str, object] = {
    "alert": "A",
    "expr": "sum(rate(m_total[5m])) > 1",
    "labels": {"severity": "warning"},
    "annotations": {"summary": "It is.", "description": "So it is."},
}


def found(rule: dict[str, object], **settings: int) -> list[str]:
    data = {"groups": [{"name": "g", "rules": [rule]}]}
    return [finding.check for finding in lint(data, retention=settings.get("retention", 0))]


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
        ("alerts/count", {"expr": "count(up) == 0"}),
        ("alerts/comparison", {"expr": "up == bool 0"}),
        ("alerts/for", {"for": "5 minutes"}),
        (
            "alerts/template",
            {
                "expr": "sum by (a) (rate(m_total[5m])) > 1",
                "annotations": {"summary": "It is.", "description": "On {{ $labels.b }}."},
            },
        ),
        ("promql/syntax", {"expr": "sum(rate(m_total[5m])"}),
        ("promql/rate", {"expr": "rate(gen_ai_server_requests_running[5m]) > 1"}),
        ("promql/counter", {"expr": "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL > 0"}),
        ("promql/nan", {"expr": "sum(rate(a[5m]) / rate(b[5m])) > 1"}),
        ("promql/vector_matching", {"expr": VLLM_SLOW}),
        ("promql/vector_matching", {"expr": "sum by (a) (x) > on (b) sum by (b) (y)"}),
        ("promql/vector_matching", {"expr": "sum by (a, le) (x_bucket) / sum by (a) (y) > 1"}),
        ("promql/regexp", {"expr": 'up{job=~"vllm"} == 0'}),
        ("promql/regexp", {"expr": 'up{job=~"^vllm.*"} == 0'}),
        ("promql/fragile", {"expr": "topk(3, x) > 1"}),
        ("promql/fragile", {"expr": "sum without (a) (x) / sum without (a) (y) > 1"}),
        ("promql/features", {"expr": "mad_over_time(x[5m]) > 1"}),
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


@pytest.mark.parametrize(
    "expr",
    [
        'sum by (a) (x_bucket{le="+Inf"}) - on (a) sum by (a) (y) > 1',
        "a / on (x) group_left (y) b > 1",
        "sum by (a) (rate(x_total[5m])) > 1 unless sum by (a) (rate(y_total[5m])) > 0",
        "increase(m_total[5m]) > 0 and on (instance) up == 1",
        "count by (a) (m_total) > 3",
        "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))) > 1",
        "x_total / 0.5 > bool 1 == 1",
        'up{job=~"a|b.*"} == 0',
    ],
)
def test_what_is_sound_is_left_alone(expr: str) -> None:
    assert set(found({**GOOD, "expr": expr})) <= {"promql/counter"}


def test_what_is_recorded_under_a_scraped_name_or_read_before_it_is_there_is_found() -> None:
    assert "rule/name" in found({"record": "ratio", "expr": "sum(x)"})
    rules = [{"record": "a:b:c", "expr": "d:e:f"}, {"record": "d:e:f", "expr": "sum(x)"}]
    data = {"groups": [{"name": "g", "rules": rules}]}
    assert [one.check for one in lint(data)] == ["rule/dependency"]
    assert lint({"groups": [{"name": "g", "rules": rules[::-1]}]}) == ()


@pytest.mark.parametrize(("field", "target"), [("query_offset", (2, 53)), ("labels", (3, 0))])
def test_a_field_that_the_target_does_not_have_is_found(field: str, target: Version) -> None:
    data = {"groups": [{"name": "g", "rules": [GOOD], field: {"a": "b"}}]}

    assert [one.check for one in lint(data)] == ["promql/features"]
    assert lint(data, target=target) == ()


def test_a_check_can_be_left_out_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [{**GOOD, "expr": "up"}]}]}))
    arguments = ["rules", "lint", str(file), "--disable"]

    done = CliRunner().invoke(firsttoken, [*arguments, "alerts/comparison"], standalone_mode=False)
    wrong = CliRunner().invoke(firsttoken, [*arguments, "alerts/comparson"], standalone_mode=False)

    assert done.return_value == 0
    assert "the checks are alerts/absent" in str(wrong.exception)


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
