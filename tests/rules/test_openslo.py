"""OpenSLO documents: what can be expressed gives rules that work, the rest says why not."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from firsttoken.cli import firsttoken
from firsttoken.errors import ConfigError
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import Context
from firsttoken.rules.series import input_series
from firsttoken.rules.slo import load

DOCUMENTS = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: fast}
spec:
  service: chat
  indicatorRef: within-a-second
  timeWindow: [{duration: 7d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.995}]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: within-a-second}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'ttft_bucket{le="1", job="x"}'}}}
    total: {metricSource: {type: Prometheus, spec: {query: 'ttft_count{job="x"}'}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: ignored}
"""


def turn(folder: Path, text: str) -> Result:
    (folder / "openslo.yaml").write_text(text)
    return CliRunner().invoke(
        firsttoken, ["rules", "from-openslo", str(folder / "openslo.yaml")], standalone_mode=False
    )


def test_a_ratio_becomes_an_objective(tmp_path: Path) -> None:
    objective = yaml.safe_load(turn(tmp_path, DOCUMENTS).stdout)["objectives"][0]

    assert objective == {
        "name": "fast",
        "kind": "ratio",
        "target": "99.5",
        "total": {"metric": "ttft_count", "where": {"job": "x"}},
        "good": {"metric": "ttft_bucket", "where": {"le": "=~1([.]0)?", "job": "x"}},
    }


def test_its_rules_watch_it(tmp_path: Path) -> None:
    """Without le, for which unit tests cannot make up a value that fits a pattern."""
    text = DOCUMENTS.replace('le="1", job="x"', 'job="x"')
    (tmp_path / "slo.yaml").write_text(turn(tmp_path, text).stdout)
    read = load(tmp_path / "slo.yaml")

    names = [series["series"] for series in input_series(Context(read), read.objectives[0], [], 30)]
    rule = rule_groups(read)[0].rules[1]
    assert names == ['ttft_bucket{gen_ai_request_model="some/model",job="x"}',
                     'ttft_count{gen_ai_request_model="some/model",job="x"}']  # fmt: skip
    assert 'rate(ttft_bucket{job="x"}[2m])' in rule.expr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("openslo/v1\nkind: SLO", "openslo/v1alpha\nkind: SLO", "not a document of apiVersion"),
        ("isRolling: true", "isRolling: false", "a calendar window"),
        ("Occurrences", "Timeslices", "budgetingMethod must be Occurrences"),
        ("ratioMetric:", "thresholdMetric:", "only a ratioMetric of counters"),
        ("within-a-second\n  time", "other\n  time", "has no indicator, and other is not here"),
        ("'ttft_count{job=\"x\"}'", "'sum(ttft_count)'", "expected the selector of a counter"),
        ("target: 0.995", "target: 1", "no budget that could burn"),
        ("kind: SLO", "kind: SLOO", "kind SLOO is not known"),
        ("kind: SLO\n", "kind: Service\n", "holds no document of kind SLO"),
        ("service: chat", "servce: chat", "fast: service: field required"),
    ],
)
def test_what_cannot_be_expressed_is_refused_with_the_reason(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in DOCUMENTS
    done = turn(tmp_path, DOCUMENTS.replace(old, new, 1))

    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)
