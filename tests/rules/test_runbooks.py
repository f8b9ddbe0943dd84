"""Every alert has its runbook, and what a runbook asks Prometheus is valid and exists."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from firsttoken import places, recorded
from firsttoken.catalogue import METRICS
from firsttoken.dashboards import render
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.model import AlertRule, Options
from firsttoken.rules.output import to_yaml
from firsttoken.rules.packs import PACKS
from firsttoken.rules.slo import SloFile

DOCS = Path(__file__).parents[2] / "docs"
RUNBOOKS = sorted(path for path in (DOCS / "runbooks").glob("*.md") if path.stem != "README")
SECTIONS = ("## Meaning", "## Impact", "## Diagnosis", "## Mitigation")
NOT_OURS = {"up", "ALERTS", "prometheus_notifications_dropped_total"}


def alerts() -> dict[str, AlertRule]:
    """One rule of each alert that can be generated."""
    slo = SloFile.model_validate(
        {
            "version": "firsttoken/v1",
            "service": "chat",
            "period": "30d",
            "objectives": [{"name": "up", "kind": "availability", "target": 99}],
            "packs": list(PACKS),
        }
    )
    groups = rule_groups(slo, options=Options(runbooks="runbooks"))
    rules = [rule for group in groups for rule in group.rules]
    return {rule.alert: rule for rule in rules if isinstance(rule, AlertRule)}


def queries(runbook: Path) -> list[str]:
    """The PromQL of a page."""
    blocks = re.findall(r"```promql\n(.*?)```", runbook.read_text(), re.DOTALL)
    return [" ".join(block.split()) for block in blocks]


@pytest.mark.parametrize("alert", sorted(alerts()))
def test_the_address_on_an_alert_leads_to_its_runbook(alert: str) -> None:
    page = DOCS / alerts()[alert].annotations["runbook_url"]

    assert page in RUNBOOKS
    assert page.read_text().startswith(f"# {alert}\n")


def test_no_runbook_is_left_over_and_the_list_has_all() -> None:
    listed = re.findall(r"\]\((\w+\.md)\)", (DOCS / "runbooks" / "README.md").read_text())

    assert {path.name for path in RUNBOOKS} == {f"{name.lower()}.md" for name in alerts()}
    assert sorted(listed) == [path.name for path in RUNBOOKS]


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_to_look_at_and_what_to_do(runbook: Path, tmp_path: Path) -> None:
    text = runbook.read_text()
    places = [text.index(section) for section in SECTIONS]
    assert places == sorted(places)
    assert queries(runbook)

    rules = [{"record": f"q:{n}", "expr": query} for n, query in enumerate(queries(runbook))]
    file = tmp_path / "rules.yaml"
    file.write_text(to_yaml({"groups": [{"name": "queries", "rules": rules}]}).replace("q:", "q"))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_asks_only_for_series_that_exist(runbook: Path) -> None:
    known = {metric.prometheus + suffix for metric in METRICS for suffix in ("", "_sum", "_count")}
    known |= {getattr(recorded, name) for name in recorded.__all__ if name.isupper()} | NOT_OURS
    known |= {recorded.bad("5m"), recorded.total("5m")}
    words = {
        word
        for query in queries(runbook)
        for word in re.findall(
            r"(?<![\w:\"])[a-zA-Z_:][\w:]*(?=[{\[]| [<>=/+*)-]|\)|$)",
            re.sub(r"by \([^)]*\)|\"[^\"]*\"", "", query),
        )
    }

    assert words
    assert words - {"by"} <= known


@cache
def variables() -> dict[str, set[str]]:
    """The variables of every dashboard, by its uid."""
    return {
        uid: {variable["name"] for variable in shape["templating"]["list"]}
        for uid, shape in render.dashboards().items()
    }


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_names_the_dashboard_that_the_alert_links_to(runbook: Path) -> None:
    shown = re.findall(r"`/d/([\w-]+)(?:\?([^`]*))?`", runbook.read_text())
    alert = runbook.read_text().splitlines()[0].removeprefix("# ")

    for uid, query in shown:
        assert set(re.findall(r"var-(\w+)=", query)) <= variables()[uid]
    if alert in places.PLACES:
        assert places.PLACES[alert].dashboard == shown[0][0]
    assert shown
