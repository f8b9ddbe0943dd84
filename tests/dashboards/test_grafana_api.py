"""Dashboards are compared with and written to a Grafana over its HTTP API."""

from typing import Any

import pytest
from click.testing import CliRunner

from firsttoken.dashboards.commands import dashboards as command
from firsttoken.dashboards.grafana_api import Grafana, GrafanaError
from firsttoken.dashboards.render import dashboards
from firsttoken.servers import free_port


def run(grafana: Any, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        command,
        [*arguments, "--grafana", grafana.url],
        env={"FIRSTTOKEN_GRAFANA_TOKEN": grafana.token},
    )
    said = str(done.exception) if done.exception else ""
    return done.exit_code, done.output + said


def test_push_writes_what_differs_and_then_nothing(grafana: Any) -> None:
    code, said = run(grafana, "push", "--message", "first")

    assert code == 0
    assert said.count("wrote firsttoken-") == 7
    assert grafana.folders == [{"uid": "folder-1", "title": "LLM"}]
    assert set(grafana.messages) == {"first"}
    assert run(grafana, "push") == (0, "nothing to write\n")
    assert run(grafana, "diff")[0] == 0


def test_a_dry_run_writes_nothing(grafana: Any) -> None:
    code, said = run(grafana, "push", "--dry-run", "firsttoken-slo")

    assert (code, said) == (0, "would write firsttoken-slo\n")
    assert grafana.dashboards == {}
    assert grafana.folders == []


def test_a_change_made_in_grafana_is_shown_as_a_diff(grafana: Any) -> None:
    run(grafana, "push")
    grafana.dashboards["firsttoken-slo"]["title"] = "Mine"

    code, said = run(grafana, "diff")

    assert code == 1
    assert '-  "title": "Mine"' in said
    assert '+  "title": "LLM / SLO"' in said
    assert "1 of 7 dashboards differ" in said


def test_a_wrong_token_is_said_and_never_shown(grafana: Any) -> None:
    with pytest.raises(GrafanaError, match="Invalid API key") as raised:
        Grafana(grafana.url, "glsa_wrong").diff(dashboards()["firsttoken-slo"])

    assert "glsa_wrong" not in str(raised.value)


def test_a_grafana_that_is_down_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(GrafanaError, match=url):
        Grafana(url).dashboard("x")
