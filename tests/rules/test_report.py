"""The compliance report, from days of recorded series in a real Prometheus."""

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firsttoken import recorded, servers
from firsttoken.cli import firsttoken

NOW = int(time.time()) // 3600 * 3600
HOURS = 48
WORST = NOW - 10 * 3600
"""When half of what the bad model did was bad."""


def write(folder: Path) -> None:
    """Two days of two models: 10 events a second; one bad model has 1 % bad, once 50 %."""
    lines = []
    for at in range(NOW - HOURS * 3600, NOW + 60, 60):
        for slo, target in (("ttft", 0.99), ("silent", 0.9)):
            lines.append(f'{recorded.OBJECTIVE}{{service="chat",slo="{slo}"}} {target} {at}')
    for model in ("good", "bad"):
        labels = f'{{service="chat",slo="ttft",gen_ai_request_model="{model}"}}'
        for at in range(NOW - HOURS * 3600, NOW + 60, 60):
            share = 0.0 if model == "good" else 0.5 if WORST - 3600 < at <= WORST else 0.01
            lines.append(f"{recorded.total('1h')}{labels} 10 {at}")
            lines.append(f"{recorded.bad('1h')}{labels} {10 * share} {at}")
    lines.sort(key=lambda line: line.split("{")[0])
    (folder / "data.om").write_text("\n".join(lines) + "\n# EOF\n")
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "data.om", "prometheus-data"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(name="url", scope="module")
def _url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("report")
    write(folder)
    (folder / "prometheus.yaml").write_text("global: {}\n")
    with servers.prometheus(folder / "prometheus.yaml", folder) as (_, url):
        yield url


def ask(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        firsttoken, ["slo", "report", "--prometheus", url, "--period", "47h", *arguments],
        standalone_mode=False,
    )  # fmt: skip


def test_what_was_kept_what_is_left_and_when_it_was_worst(url: str) -> None:
    done = ask(url, "--format", "json")
    lines = {(one["objective"], one["of"]): one for one in json.loads(done.stdout)["objectives"]}

    good, bad, silent = lines["ttft", "good"], lines["ttft", "bad"], lines["silent", ""]
    assert (good["attained"], good["budget_left"], good["kept"]) == (1, 1, True)
    assert (silent["attained"], silent["kept"]) == (None, None)
    hours = 46
    share = (0.5 + (hours - 1) * 0.01) / hours
    assert bad["attained"] == pytest.approx(1 - share, abs=0.002)
    assert bad["budget_left"] == pytest.approx(1 - share / 0.01, abs=0.2)
    assert bad["kept"] is False
    assert bad["worst"] == pytest.approx(0.5)
    assert abs(bad["worst_at"] - WORST) <= 3600
    assert bad["trend"] < 0
    assert bad["events"] == pytest.approx(hours * 36000, rel=0.05)
    assert done.return_value == 1


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_people_are_told_which_objective_was_missed(url: str, form: str) -> None:
    shown = ask(url, "--format", form).stdout

    missed = [line for line in shown.splitlines() if "(missed)" in line]
    assert len(missed) == 1
    assert "bad" in missed[0]
    assert "(no data)" in shown
    assert "1 of 3 objectives met; 1 missed; 1 no data" in shown


class Page(HTMLParser):
    """The cells of a page's rows, and the addresses that it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.loaded: list[str] = []
        self.bars = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.bars += tag == "rect"
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_the_page_has_a_row_an_objective_and_model_and_needs_nothing_else(url: str) -> None:
    page = Page()
    page.feed(ask(url, "--format", "html").stdout)

    head, silent, bad, good = page.rows
    assert (silent[1], bad[1], good[1]) == ("no data", "missed", "met")
    assert bad[head.index("Target")] == "99 %"
    assert page.bars == 2 * 31
    assert page.loaded == ["data:,"]


def test_only_the_hours_of_the_sla_count(url: str) -> None:
    """Without the two hours of the day that the worst one overlaps, all is as it should be."""
    first, last = (datetime.fromtimestamp(WORST - ago, UTC).hour for ago in (5400, 1800))
    windows = [("00", f"{first:02}"), (f"{last + 1:02}", "24")]
    if first > last:
        windows = [(f"{last + 1:02}", f"{first:02}")]
    found = [
        line
        for start, end in windows
        if start < end
        for line in json.loads(
            ask(url, "--format", "json", "--hours", f"monday:sunday {start}:00-{end}:00").stdout
        )["objectives"]
        if line["of"] == "bad"
    ]

    assert found
    assert all(line["worst"] == pytest.approx(0.99, abs=0.001) for line in found)
    assert all(line["events"] < 46 * 36000 for line in found)


def test_an_objective_of_another_service_is_not_shown(url: str) -> None:
    assert "has no objectives of other" in str(ask(url, "--service", "other").exception)


def test_a_month_without_data_and_one_that_is_none(url: str) -> None:
    nothing = ask(url, "--month", "2020-02")
    wrong = ask(url, "--month", "2020-13")

    assert "has no objectives" in str(nothing.exception)
    assert "expected a month such as 2026-10" in str(wrong.exception)
