"""A panel says what is the case: data, no traffic, not reported, or broken."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from firsttoken import recorded
from firsttoken.catalogue import REQUEST_MODEL, REQUESTS_RUNNING, TOKENS_PROCESSED
from firsttoken.dashboards.check import check, check_settings
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus, QueryError
from firsttoken.servers import free_port

END = 1_790_000_000
Looked = Callable[[Any], AbstractContextManager[Prometheus]]
TARGET = {"job": "vllm", "instance": "a:8000"}
MODEL = {**TARGET, REQUEST_MODEL.label: "llama"}


def serving(past: Any, *, tokens: float) -> None:
    past.gauge("up", TARGET, 1)
    past.gauge(REQUESTS_RUNNING, MODEL, 3)
    past.counter(TOKENS_PROCESSED, {**MODEL, "gen_ai_token_type": "output"}, tokens)


def statuses(prometheus: Prometheus, dashboard: dict[str, Any]) -> dict[str, str]:
    return {r.panel: r.status for r in check(prometheus, dashboard, end=END)}


@pytest.fixture(name="slo")
def _slo() -> dict[str, Any]:
    return dashboards()["firsttoken-slo"]


def test_under_load_every_panel_has_data_in_every_setting_of_the_variables(
    past: Any, looked_at: Looked, slo: dict[str, Any], recorded_objective: Any
) -> None:
    serving(past, tokens=100)
    recorded_objective(past, rate=10, bad=0.1)
    alert = {"alertname": "X", "severity": "warning", "alertstate": "firing", "service": "chat"}
    past.gauge("ALERTS", alert, 1)

    with looked_at(past) as prometheus:
        found = check_settings(prometheus, slo, end=END)

    assert {"as opened", "job=vllm", "service=chat", "objective=ttft", "model=llama"} <= set(found)
    wrong = {
        (setting, r.panel): r for setting, rs in found.items() for r in rs if r.status != "data"
    }
    assert wrong == {}


def test_an_idle_model_is_no_traffic_and_not_a_zero(
    past: Any, looked_at: Looked, slo: dict[str, Any], recorded_objective: Any
) -> None:
    serving(past, tokens=0)
    recorded_objective(past, rate=0, bad=0)

    with looked_at(past) as prometheus:
        found = statuses(prometheus, slo)

    assert found["Least budget left"] == "no traffic"
    assert found["Budget left"] == "no traffic"
    assert found["Fastest burn"] == "no traffic"
    assert found["Engines answering"] == "data"


def test_without_rules_the_objectives_are_not_reported_and_named(
    past: Any, looked_at: Looked, slo: dict[str, Any]
) -> None:
    serving(past, tokens=100)

    with looked_at(past) as prometheus:
        found = {r.panel: r for r in check(prometheus, slo, end=END)}

    assert found["Least budget left"].status == "not reported"
    assert recorded.PERIOD_BAD in found["Least budget left"].detail[0]
    assert found["Engines answering"].status == "data"


def test_breaking_one_metric_name_fails_the_check(
    past: Any, looked_at: Looked, slo: dict[str, Any]
) -> None:
    serving(past, tokens=100)
    broken = copy.deepcopy(slo)
    panel = next(p for p in broken["panels"] if p["title"] == "Engines answering")
    target = panel["targets"][0]
    target["expr"] = target["expr"].replace("requests_running", "requests_runing")

    with looked_at(past) as prometheus:
        results = check(prometheus, broken, end=END)

    (found,) = [r for r in results if r.status == "broken"]
    assert found.panel == "Engines answering"
    assert "nothing can serve gen_ai_server_requests_runing" in found.detail[0]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(up", "parse error"),
        ('up{job=~"$nosuch"}', "variable $nosuch is not defined"),
    ],
)
def test_a_query_that_cannot_run_is_broken_and_says_why(
    past: Any, looked_at: Looked, slo: dict[str, Any], expression: str, said: str
) -> None:
    slo["panels"][0]["targets"][0]["expr"] = expression

    with looked_at(past) as prometheus:
        found = check(prometheus, slo, end=END)[0]

    assert found.status == "broken"
    assert said in found.detail[0]


def test_a_total_outage_is_red_on_the_first_screen_also_an_hour_later(
    past: Any, looked_at: Looked, slo: dict[str, Any]
) -> None:
    with looked_at(past) as prometheus:
        found = statuses(prometheus, slo)
        tile = slo["panels"][0]
        expression = tile["targets"][0]["expr"]
        for name in ("job", "cluster", "namespace"):
            expression = expression.replace(f"${name}", ".*")
        value = prometheus.value(expression, at=END)

    assert found["Engines answering"] == "data"
    assert value == 0
    first, second = tile["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert (first["value"], second["value"]) == (None, 1)
    assert first["color"] == "#E02F44"


def test_a_prometheus_that_is_down_is_an_error(slo: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        check(Prometheus(f"http://127.0.0.1:{free_port()}"), slo)
