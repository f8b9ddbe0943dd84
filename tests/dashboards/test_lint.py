"""The dashboards keep the rules, and the rules find what is wrong."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken.catalogue import REQUESTS_RUNNING
from firsttoken.dashboards.lint import EXCLUSIONS, lint
from firsttoken.dashboards.render import dashboards
from firsttoken.exporters.profile import load_all
from firsttoken.sources import vocabulary_of

Shape = dict[str, Any]
SHAPES = dashboards()
JOB = '{job=~"$job", instance=~"$instance"}'


def test_all_dashboards_keep_all_rules() -> None:
    assert lint(SHAPES) == ()


@pytest.mark.parametrize(
    "source", [*(p.name for p in load_all()), "vllm,dcgm", "sglang,dcgm", "vllm,amd"]
)
def test_what_is_drawn_of_a_source_alone_keeps_them_too(source: str) -> None:
    vocabulary = vocabulary_of(source)
    shapes = dashboards(vocabulary)

    assert lint(shapes, vocabulary=vocabulary) == ()
    assert "firsttoken-data-quality" in shapes
    if vocabulary.reports(REQUESTS_RUNNING):
        assert {"firsttoken-service", "firsttoken-replica"} <= set(shapes)


def test_every_exclusion_is_needed_and_has_a_reason() -> None:
    for exclusion in EXCLUSIONS:
        without = [other for other in EXCLUSIONS if other != exclusion]

        assert lint(SHAPES, exclusions=without), exclusion
        assert len(exclusion.reason) > 20


def panel(shape: Shape) -> Shape:
    found: Shape = shape["panels"][0]
    return found


def query(expression: str) -> Callable[[Shape], object]:
    return lambda shape: panel(shape)["targets"][0].update(expr=expression)


def variable(shape: Shape, name: str) -> Shape:
    return next(v for v in shape["templating"]["list"] if v["name"] == name)


MISTAKES: dict[str, Callable[[Shape], object]] = {
    "template-datasource-rule": lambda s: variable(s, "datasource").update(label="DS"),
    "template-job-rule": lambda s: variable(s, "job").update(allValue=".*"),
    "template-instance-rule": lambda s: variable(s, "instance").update(multi=False),
    "template-label-promql-rule": lambda s: variable(s, "model").update(query="label_values(x)"),
    "template-on-time-change-reload-rule": lambda s: variable(s, "model").update(refresh=1),
    "panel-datasource-rule": lambda s: panel(s).update(datasource={"uid": "P1809F7CD0C75ACF3"}),
    "panel-title-description-rule": lambda s: panel(s).update(description=" "),
    "panel-units-rule": lambda s: panel(s)["fieldConfig"]["defaults"].update(unit="tok/s"),
    "panel-no-targets-rule": lambda s: panel(s).update(targets=[]),
    "target-promql-rule": query(f"sum(gen_ai_server_requests_running{JOB}"),
    "target-rate-interval-rule": query(f"rate(gen_ai_server_preemptions_total{JOB}[5m])"),
    "target-job-rule": query('gen_ai_server_requests_running{instance=~"$instance"}'),
    "target-instance-rule": query('gen_ai_server_requests_running{job=~"$job"}'),
    "target-counter-agg-rule": query(f"sum(gen_ai_server_preemptions_total{JOB})"),
    "target-logql-rule": lambda s: panel(s)["targets"][0].update(datasource={"type": "loki"}),
    "target-logql-auto-rule": lambda s: panel(s)["targets"][0].update(
        datasource={"type": "loki"}, expr='rate({a="b"}[5m])'
    ),
    "target-place": query(f"gen_ai_server_requests_running{JOB}"),
    "hard-coded": query('gen_ai_server_requests_running{pod="chat-0"}'),
    "link-variables": lambda s: panel(s).update(links=[{"url": "/d/firsttoken-gpu?var-model=x"}]),
    "uneditable-dashboard": lambda s: s.update(editable=True),
    "known-metric": query(f"vllm:gpu_cache_usage_perc{JOB}"),
    "gauge-rate": query(f"rate(gen_ai_server_requests_running{JOB}[$__rate_interval])"),
    "mean-of-means": query(f"avg(rate(gen_ai_server_preemptions_total{JOB}[$__rate_interval]))"),
    "or-vector-on-groups": query(
        f"sum by (pod) (gen_ai_server_requests_running{JOB}) or vector(0)"
    ),
    "sum-without-count": query(
        f"rate(gen_ai_server_queue_duration_seconds_sum{JOB}[$__rate_interval])"
    ),
    "cost": lambda s: s["panels"].extend([panel(s)] * 40),
    "uid": lambda s: s.update(uid="x" * 41),
    "unused-variable": lambda s: s["templating"]["list"].append(
        {"name": "x", "type": "custom", "current": {"value": "x"}}
    ),
    "dead-link": lambda s: panel(s).update(links=[{"url": "/d/nowhere?x"}]),
    "resolution": lambda s: panel(s).update(maxDataPoints=100),
}


@pytest.mark.parametrize("rule", MISTAKES)
def test_each_rule_finds_its_mistake(rule: str) -> None:
    wrong = copy.deepcopy(SHAPES["firsttoken-service"])
    MISTAKES[rule](wrong)
    shapes = {**SHAPES, wrong["uid"]: wrong}

    assert rule in {finding.rule for finding in lint(shapes)}
