"""``firsttoken load report`` with its files, as a person calls it."""

import csv
import dataclasses
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from firsttoken.cli import main
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.loadgen.writer import Writer


@pytest.fixture(name="records")
def _records(tmp_path: Path) -> Path:
    """A recorded run: 40 requests of which one failed and one was slow."""
    rows = []
    for index in range(40):
        ttft = 2.0 if index == 7 else 0.1
        sent, first = float(index), index + ttft
        bad = index == 9
        rows.append(
            Record(
                index, sent, sent, None if bad else first, None if bad else first + 0.5,
                first + 0.5, 0 if bad else 6, None if bad else 50, None if bad else 6, "usage",
                503 if bad else 200, "http 503" if bad else None, None,
                () if bad else (0.1,) * 5, "measure",
            )
        )  # fmt: skip
    run = Run(
        VERSION, "http://engine", "llama", "0.32.0", 1_790_000_000.0, (0.0, 40.0),
        {"arrivals": {"kind": "constant", "rate": 1.0}, "prompt_tokens": 50, "output_tokens": 6},
        "hash", False, None, Generator(cpu_share=0.1), (),
    )  # fmt: skip
    path = tmp_path / "records.jsonl"
    with Writer(path) as writer:
        writer.begin(run)
        for row in rows:
            writer.add(row)
        writer.end(dataclasses.replace(run, records=tuple(rows)))
    return path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["load", "report", *arguments])
    return int(left.value.code or 0)


def test_the_same_page_without_what_a_server_would_say(records: Path, tmp_path: Path) -> None:
    page, table, cases = tmp_path / "r.html", tmp_path / "r.csv", tmp_path / "r.xml"

    code = call(
        str(records), "--objective", "ttft<500ms@95", "--objective", "success@99",
        "--html", str(page), "--csv", str(table), "--junit", str(cases),
    )  # fmt: skip

    text = page.read_text()
    assert code == 1, "one of 40 failed"
    assert "Objective success@99 missed" in text
    assert "1 of 2" not in text
    for part in ("Latency over time", "Distribution of TTFT", "TPOT against concurrency", "lag"):
        assert part in text
    for part in ("KV cache", "Client against server", "Dashboards and rules"):
        assert part not in text
    assert len(list(csv.reader(table.read_text().splitlines()))) == 41
    names = [case.attrib["name"] for case in ET.parse(cases).iter("testcase")]  # noqa: S314
    assert names == ["ttft<500ms@95", "success@99", "load generator"]


def test_without_an_objective_nothing_is_judged(records: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"

    assert call(str(records), "--html", str(page)) == 0
    assert "40 requests measured, 1 of them failed; no objective was given" in page.read_text()


def test_a_file_that_cannot_be_written_is_one_line(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(str(records), "--html", str(tmp_path / "none" / "r.html")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_slowest_requests_link_to_their_traces(records: Path, tmp_path: Path) -> None:
    """Only the id is put in: other braces of such an address are its own."""
    lines = records.read_text().splitlines()
    records.write_text(
        "".join(
            line.replace('"trace_id":null', '"trace_id":"4bf92f35"') + "\n"
            if '"index":7,' in line
            else line + "\n"
            for line in lines
        )
    )
    page = tmp_path / "r.html"
    address = "http://grafana/explore?left={%22q%22:%22{trace_id}%22}&panes=1"

    asked = ("--objective", "ttft<5s@95", "--html", str(page))
    assert call(str(records), *asked, "--trace-url", address) == 0
    linked = address.replace("{trace_id}", "4bf92f35").replace("&", "&amp;")
    assert f'<a href="{linked}"><code>4bf92f35</code></a>' in page.read_text()
    assert "The objective is met.<" in page.read_text(), "there were no checks to speak of"

    assert call(str(records), *asked) == 0
    assert "<a href" not in page.read_text().partition('id="slowest"')[2]


@pytest.mark.parametrize("address", ["http://jaeger/trace/", "jaeger:16686/{trace_id}"])
def test_an_address_without_a_place_for_the_trace_is_a_mistake(
    records: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert call(str(records), "--trace-url", address) == 2
    assert "expected an http address with {trace_id} in it" in capsys.readouterr().err
