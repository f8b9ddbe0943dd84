"""From an alert to its panel and its runbook, and from a replica to its GPUs, logs and traces."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from firsttoken import places, recorded
from firsttoken.dashboards.expand import panels
from firsttoken.dashboards.render import dashboards
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import AlertRule, Options
from firsttoken.rules.output import rule_file
from firsttoken.rules.packs import PACKS, WATCHDOG
from firsttoken.rules.slo import load
from firsttoken.rules.windows import tiers

ROOT = Path(__file__).parents[2]
GRAFANA = "https://grafana.example.org"


def alerts() -> list[AlertRule]:
    slo = load(ROOT / "examples" / "slo.yaml").model_copy(update={"packs": tuple(PACKS)})
    groups = rule_groups(slo, options=Options(grafana=f"{GRAFANA}/"))
    return [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]


def panel(uid: str, number: int) -> dict[str, Any]:
    return next(dict(p) for p in panels(dashboards()[uid]) if p["id"] == number)


def test_every_alert_has_a_panel_but_the_one_that_always_fires() -> None:
    assert {alert.alert for alert in alerts()} - {WATCHDOG} == set(places.PLACES)


@pytest.mark.parametrize("name", places.PLACES)
def test_an_alert_leads_to_its_panel_with_the_choices_that_it_is_about(name: str) -> None:
    place = places.PLACES[name]
    alert = next(alert for alert in alerts() if alert.alert == name)
    filled = re.sub(r"\{\{ with [^}]*\}\}(.*?)\{\{ \. \| urlquery \}\}\{\{ end \}\}", r"\1x",
                    alert.annotations["dashboard_url"])  # fmt: skip
    address = urlsplit(filled)
    asked = parse_qs(address.query)
    variables = {v["name"] for v in dashboards()[place.dashboard]["templating"]["list"]}

    assert address.path == f"/d/{place.dashboard}"
    assert panel(place.dashboard, int(asked["viewPanel"][0]))["title"] == place.panel
    assert {f"var-{name}" for name in place.variables} == {k for k in asked if k.startswith("var")}
    assert set(place.variables) <= variables


def test_prometheus_accepts_the_templates(tmp_path: Path) -> None:
    slo = load(ROOT / "examples" / "slo.yaml").model_copy(update={"packs": tuple(PACKS)})
    file = tmp_path / "rules.yaml"
    file.write_text(rule_file(rule_groups(slo, options=Options(grafana=GRAFANA))))

    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "viewPanel=" in yaml.safe_load(file.read_text())["groups"][0]["rules"][-1][
        "annotations"]["dashboard_url"]  # fmt: skip


def test_the_table_of_alerts_leads_to_runbooks_that_there_are() -> None:
    slo = dashboards(runbooks="https://docs.example.org/runbooks/")["firsttoken-slo"]
    table = next(p for p in panels(slo) if p["title"] == "Firing alerts")
    shown = {o["matcher"]["options"]: o["properties"] for o in table["fieldConfig"]["overrides"]}
    mappings, links = (p["value"] for p in shown["Runbook"])

    (link,) = links
    assert link["url"] == "https://docs.example.org/runbooks/${__value.text}"
    files = {value["text"] for value in mappings[0]["options"].values()}
    assert files == {places.runbook(name) for name in places.PLACES}
    assert all((ROOT / "docs" / "runbooks" / file).exists() for file in files)
    uids = {value["text"] for value in shown["Dashboard"][0]["value"][0]["options"].values()}
    assert uids <= set(dashboards())


def test_without_an_address_of_runbooks_no_link_leads_nowhere() -> None:
    assert '"title": "Read it"' not in json.dumps(dashboards()["firsttoken-slo"])


def test_a_replica_leads_to_its_gpus_its_logs_and_its_traces() -> None:
    table = next(p for p in panels(dashboards()["firsttoken-replica"]) if p["title"] == "Replicas")
    links = {
        link["title"]: link["url"]
        for override in table["fieldConfig"]["overrides"]
        for shown in override["properties"]
        if shown["id"] == "links"
        for link in shown["value"]
    }

    assert links["Its GPUs"].startswith("/d/firsttoken-gpu?")
    assert "var-instance=${__data.fields.Instance}" in links["Its GPUs"]
    for title, source, query in (
        ("Its logs", "${logs}", '{pod="${__data.fields.Pod}"}'),
        ("Its traces", "${traces}", '{resource.k8s.pod.name="${__data.fields.Pod}"}'),
    ):
        panes = json.loads(links[title].partition("panes=")[2])
        assert panes["a"]["datasource"] == source
        assert query in panes["a"]["queries"][0].values()
    gpus = next(p for p in panels(dashboards()["firsttoken-gpu"]) if p["title"] == "GPUs")
    assert "/d/firsttoken-replica?" in json.dumps(gpus)


def test_the_tiers_of_the_dashboards_are_those_of_the_alerts() -> None:
    slo = load(ROOT / "examples" / "slo.yaml")
    found = [tier.burn for tier in tiers(int(slo.period), slo.objectives[0].budget, 30)]

    assert tuple(found) == recorded.TIERS
