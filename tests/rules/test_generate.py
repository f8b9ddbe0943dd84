"""Generated rules: the same bytes, accepted by the real promtool, and right on made-up series."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from firsttoken.errors import CheckFailedError
from firsttoken.rules import output, scenarios
from firsttoken.rules.commands import rules
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Options
from firsttoken.rules.slo import SloFile, load
from firsttoken.sources import vocabulary_of
from firsttoken.vocabulary import SEMCONV

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


@pytest.mark.parametrize(
    ("kind", "count"),
    [("latency", 8), ("availability", 8), ("http", 8), ("ratio", 8), ("raw", 8),
     ("throughput", 6), ("goodput", 6)],
)  # fmt: skip
def test_alerts_fire_and_stay_silent_as_they_must(kind: str, count: int) -> None:
    assert scenarios.run(one(kind), SEMCONV, FAST) == count


@pytest.mark.parametrize("kind", ["latency", "throughput"])
def test_the_same_rules_work_on_an_engine_that_is_scraped_itself(kind: str) -> None:
    """Other names, labels, and one series for each direction of tokens."""
    assert scenarios.run(one(kind), vocabulary_of("vllm"), FAST)


def test_the_unit_tests_notice_a_rule_that_cannot_fire(tmp_path: Path) -> None:
    slo = one("latency")
    scenarios.run(slo, SEMCONV, FAST, tmp_path)
    text = (tmp_path / "rules.yaml").read_text()
    (tmp_path / "rules.yaml").write_text(text.replace("> 0.144", "> 1.44"))

    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert 'burn="page_fast"' in done.stderr.replace("\\", "")
    assert "exp: {} 1E+00\n        got: {} 0E+00" in done.stderr


def test_the_unit_tests_notice_a_rule_that_always_fires(tmp_path: Path) -> None:
    slo = one("latency")
    scenarios.run(slo, SEMCONV, FAST, tmp_path)
    text = (tmp_path / "rules.yaml").read_text()
    (tmp_path / "rules.yaml").write_text(re.sub(r"\) > 0\.\d+", ") > -1", text).replace(
        ">= 2.5", ">= 0"
    ))  # fmt: skip

    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    # promtool 2.42 prints no test's name: 25m is "all events good", 27m is "one bad event".
    assert "time: 25m" in done.stderr
    assert "time: 27m" in done.stderr


def test_without_the_guard_one_bad_event_alerts() -> None:
    with pytest.raises(CheckFailedError, match=r"time: 27m.*\s+exp: \{\} 0E\+00\s+got: \{\} [1-9]"):
        scenarios.run(one("latency"), SEMCONV, Options(scrape=30, fewest_bad=1))


def test_every_alert_has_what_routing_and_people_need() -> None:
    groups = yaml.safe_load(
        output.rule_file(rule_groups(load(EXAMPLE), options=Options(runbooks="https://r.test/x/")))
    )["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert len({group["name"] for group in groups}) == len(groups)
    for alert in alerts:
        assert alert["labels"]["severity"] in {"critical", "warning"}
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
