"""Generated rules: the same bytes, accepted by the real promtool, and right on made-up series."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.errors import UsageError
from firsttoken.rules import output, scenarios
from firsttoken.rules.commands import rules
from firsttoken.rules.gateways import GATEWAYS
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile, load
from firsttoken.sources import vocabulary_of
from firsttoken.vocabulary import SEMCONV, Vocabulary

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "slo.yaml"
GOLDEN = ROOT / "tests" / "golden" / "rules"
FAST = Options(scrape=30)


def one(kind: str, **changes: object) -> SloFile:
    """A file with one objective over a period that is quick to test."""
    shapes: dict[str, dict[str, object]] = {
        "latency": {"metric": "ttft", "threshold": "1s", "target": 99},
        "availability": {"target": "99.5"},
        "http": {"kind": "availability", "of": "http", "target": 99},
        "ratio": {
            "target": 99,
            "total": {"metric": "gen_ai.server.requests.finished"},
            "good": {
                "metric": "gen_ai.server.requests.finished",
                "where": {"gen_ai.response.finish_reason": "stop"},
            },
        },
        "raw": {
            "kind": "ratio",
            "target": 99,
            "total": {"metric": "gateway_requests_total"},
            "bad": {"metric": "gateway_requests_total", "where": {"code": "500"}},
        },
        "throughput": {"floor": 500, "target": 95},
        "goodput": {"floor": "0.5", "metric": "e2e", "threshold": "10s", "target": 95},
    }
    objective: dict[str, object] = {"name": "it", "kind": kind, **shapes[kind]}
    head = {"version": "firsttoken/v1", "service": "chat", "period": "7d"}
    return SloFile.model_validate(head | {"objectives": [objective]} | changes)


def promtool(folder: Path, text: str) -> None:
    file = folder / "rules.yaml"
    file.write_text(text)
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_rules_are_the_golden_ones_and_promtool_takes_them(tmp_path: Path) -> None:
    text = output.rule_file(rule_groups(load(EXAMPLE)))
    golden = GOLDEN / "example.yaml"
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        golden.write_text(text)
        pytest.fail(f"{golden.name} rewritten, look at git diff")

    assert text == golden.read_text()
    promtool(tmp_path, text)


@pytest.mark.parametrize("target", ["90", "95", "99", "99.9", "99.99"])
@pytest.mark.parametrize("period", ["1d", "7d", "28d", "90d"])
def test_no_float_dirt(tmp_path: Path, target: str, period: str) -> None:
    slo = one("availability", period=period)
    slo = slo.model_copy(
        update={"objectives": (slo.objectives[0].model_validate(
            slo.objectives[0].model_dump() | {"target": target}
        ),)}
    )  # fmt: skip
    text = output.rule_file(rule_groups(slo))

    assert not re.search(r"\d\.\d{7,}|\de-\d", text)
    promtool(tmp_path, text)


def test_quotes_in_a_selector_are_escaped(tmp_path: Path) -> None:
    text = output.rule_file(rule_groups(one("latency", selector={"namespace": 'a"b\\c'})))

    promtool(tmp_path, text)
    assert r'namespace="a\"b\\c"' in yaml.safe_load(text)["groups"][0]["rules"][0]["expr"]


def test_alerts_fire_and_stay_silent_as_they_must() -> None:
    """Seven things that happen to a model, three slower burns, and a budget."""
    assert scenarios.run(one("latency"), SEMCONV, FAST) >= 7 + 3 + 1


@pytest.mark.parametrize("kind", ["availability", "http", "ratio", "raw"])
def test_whatever_is_counted_is_watched(kind: str) -> None:
    """Fast burns alone; the rest does not depend on what is counted."""
    run_file(one(kind), "burn-tests.yaml")


@pytest.mark.parametrize("kind", ["throughput", "goodput"])
def test_floors_are_watched_as_they_must(kind: str) -> None:
    assert scenarios.run(one(kind), SEMCONV, FAST) == 6


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_what_gateways_count_is_watched(gateway: str) -> None:
    """Fast burns alone; the rest does not depend on the counters."""
    objective = {
        "name": "it", "kind": "availability", "of": "gateway", "gateway": gateway, "target": 99
    }  # fmt: skip
    slo = one("latency").model_dump(mode="json") | {
        "objectives": [objective],
        "selector": {"a": "b"},
    }
    run_file(SloFile.model_validate(slo), "burn-tests.yaml")


@pytest.mark.parametrize("kind", ["latency", "throughput"])
def test_the_same_rules_work_on_an_engine_that_is_scraped_itself(kind: str) -> None:
    """Other names, labels, and one series for each direction of tokens."""
    run_file(one(kind), "burn-tests.yaml", vocabulary_of("vllm"))


BROKEN = {
    "cannot fire": (r"> 0\.144$", "> 1.44", 'gen_ai_request_model=\\"all-events-bad\\"'),
    "always fires": (r"\) > 0\.\d+$", ") > -1", 'gen_ai_request_model=\\"all-events-good\\"'),
    "has no guard": (r">= 2\.5$", ">= 0", 'gen_ai_request_model=\\"one-bad-event\\"'),
}
"""What is wrong with a rule -> what makes it so, and whose test must notice."""


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_the_unit_tests_notice_a_rule_that(fault: str, tmp_path: Path) -> None:
    pattern, wrong, noticed = BROKEN[fault]
    text = scenarios.parts(one("latency"), options=FAST)["burn.yaml"]
    broken = re.sub(pattern, wrong, text, flags=re.MULTILINE)
    if fault == "always fires":
        broken = broken.replace(">= 2.5", ">= 0")
    assert broken != text
    tests = scenarios.unit_tests(one("latency"), options=FAST)["burn-tests.yaml"]
    (tmp_path / "burn.yaml").write_text(broken)
    (tmp_path / "tests.yaml").write_text(output.to_yaml(tests))

    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert noticed in done.stderr


def run_file(slo: SloFile, name: str, vocabulary: Vocabulary = SEMCONV) -> None:
    """Run one of the files of unit tests."""
    with tempfile.TemporaryDirectory() as folder:
        for rules, text in scenarios.parts(slo, vocabulary, FAST).items():
            (Path(folder) / rules).write_text(text)
        tests = scenarios.unit_tests(slo, vocabulary, FAST)[name]
        (Path(folder) / name).write_text(output.to_yaml(tests))
        done = subprocess.run(
            ["promtool", "test", "rules", name],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("calendar", ["week", "month"])
def test_a_calendar_budget_begins_anew(calendar: str, tmp_path: Path) -> None:
    """promtool's time begins on Thursday, 1 January 1970; all is bad until the period ends."""
    slo = one("availability").model_dump(mode="json") | {"calendar": calendar}
    del slo["period"]
    days = {"week": 4, "month": 31}[calendar]
    shape = SloFile.model_validate(slo)
    for name, text in scenarios.parts(shape, options=FAST).items():
        (tmp_path / name).write_text(text)
    step = 7200
    before, after = days * 86400 // step, 86400 // step
    left = "round(slo:error_budget_remaining:ratio, 0.01)"
    labels = '{gen_ai_request_model="m", service="chat", slo="it"}'
    counter = 'gen_ai_server_requests_finished_total{gen_ai_request_model="m",'
    test = {
        "rule_files": ["burn.yaml", "budgets.yaml"],
        # Hours that are not recorded are missed on both sides of the ratio.
        "evaluation_interval": "6h" if calendar == "month" else "1h",
        "group_eval_order": [
            f"firsttoken-chat-{name}.rules" for name in ("calendar", "it", "it-period", "constants")
        ],
        "tests": [{
            "interval": "30m",
            "input_series": [
                {"series": f'{counter}gen_ai_response_finish_reason="error"}}',
                 "values": f"0+9x{4 * before} {36 * before}x{4 * after}"},
                {"series": f'{counter}gen_ai_response_finish_reason="stop"}}',
                 "values": f"0x{4 * before} 9+9x{4 * after}"},
            ],
            "promql_expr_test": [
                {"expr": left, "eval_time": f"{days * 24}h",
                 "exp_samples": [{"labels": labels, "value": -199}]},
                {"expr": left, "eval_time": f"{days * 24 + 12}h",
                 "exp_samples": [{"labels": labels, "value": 1}]},
                {"expr": 'slo:time_elapsed:seconds', "eval_time": f"{days * 24 + 12}h",
                 "exp_samples": [{"labels": 'slo:time_elapsed:seconds{service="chat"}',
                                  "value": 43200}]},
            ],
        }],
    }  # fmt: skip
    (tmp_path / "tests.yaml").write_text(output.to_yaml(test))

    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_for_a_newer_prometheus_says_the_same_and_an_old_one_refuses_it(
    tmp_path: Path,
) -> None:
    slo = load(EXAMPLE)
    old, new = (
        yaml.safe_load(output.rule_file(rule_groups(slo), Options(target=target)))["groups"]
        for target in ((2, 42), (3, 0))
    )
    text = output.rule_file(rule_groups(slo), Options(target=(3, 0), offset=30))
    (tmp_path / "rules.yaml").write_text(text)
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "field query_offset not found" in done.stderr
    assert "field labels not found" in done.stderr
    for before, after in zip(old, new, strict=True):
        common = after.pop("labels")
        rules = [
            {**rule, "labels": {**common, **rule.get("labels", {})}} for rule in after["rules"]
        ]
        assert {**after, "rules": rules} == before
    with pytest.raises(UsageError, match=r"needs Prometheus 2\.53"):
        output.rule_file(rule_groups(slo), Options(target=(2, 52), offset=30))


def test_every_alert_has_what_routing_and_people_need() -> None:
    groups = yaml.safe_load(
        output.rule_file(rule_groups(load(EXAMPLE), options=Options(runbooks="https://r.test/x/")))
    )["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert len({group["name"] for group in groups}) == len(groups)
    for alert in alerts:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["labels"]["service"] == "chat"
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert (
            alert["annotations"]["runbook_url"] == f"https://r.test/x/{alert['alert'].lower()}.md"
        )
        assert "$value" not in str(alert["labels"])


def test_the_command_writes_a_prometheusrule() -> None:
    done = CliRunner().invoke(
        rules, ["generate", str(EXAMPLE), "--format", "prometheusrule", "--namespace", "ml"]
    )

    shape = yaml.safe_load(done.stdout)
    assert shape["kind"] == "PrometheusRule"
    assert shape["metadata"] == {"name": "firsttoken-chat", "namespace": "ml"}
    assert shape["spec"] == yaml.safe_load((GOLDEN / "example.yaml").read_text())


def test_explain_says_when_it_pages_and_what_is_then_spent() -> None:
    done = CliRunner().invoke(rules, ["explain", str(EXAMPLE)])

    assert "availability: 99.5 % not ended with error, over 30d; 0.5 % may be bad." in done.stdout
    assert "more than 7.2 % are bad over 1h and over 5m (burn rate 14.4); 2 %" in done.stdout
