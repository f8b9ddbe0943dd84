"""The command as a person runs it: real child processes, a real Prometheus, real signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from firsttoken.cli import main
from firsttoken.loadgen import records
from firsttoken.loadgen.annotations import NO_MARK
from firsttoken.report.schema import Report
from firsttoken.validate import load

SLO = """\
version: firsttoken/v1
service: chat
period: 30d
objectives:
  - {name: ttft, kind: latency, metric: ttft, threshold: 250ms, target: 90}
  - {name: tpot, kind: latency, metric: tpot, threshold: 200ms, target: 90}
  - {name: availability, kind: availability, target: 99}
packs: [stall, absence]
"""
LOAD = """\
version: firsttoken/v1
arrivals: {kind: closed, concurrency: 4}
warmup: 500ms
duration: 4s
prompt_tokens: 200
output_tokens: 16
"""
TRACES = "http://jaeger:16686/trace/{trace_id}"
Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An objective file, a load, and a PATH on which there is no Prometheus."""
    folder = tmp_path_factory.mktemp("validate")
    (folder / "slo.yaml").write_text(SLO)
    (folder / "load.yaml").write_text(LOAD)
    (folder / "empty").mkdir()
    return {"slo": folder / "slo.yaml", "load": folder / "load.yaml", "empty": folder / "empty"}


class Validation:
    """One run of the command, started and not waited for."""

    def __init__(self, files: Files, out: Path, *more: str, prometheus: bool = True) -> None:
        self.out = out
        arguments = [sys.executable, "-m", "firsttoken", "validate"]
        arguments += ["--slo", str(files["slo"]), "--load", str(files["load"])]
        environment = dict(os.environ)
        if not prometheus:
            environment["PATH"] = str(files["empty"])
        self.process = subprocess.Popen(
            [*arguments, "--out", str(out), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def children(self) -> dict[str, int]:
        """Its children by the sub-command they run."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in task.read_text().split():
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                found[line[3] if "firsttoken" in line else Path(line[0]).name] = int(pid)
        return found

    def until_measuring(self) -> None:
        """Wait until requests of the measured window were answered."""
        log = self.out / "logs" / "load.log"
        deadline = time.monotonic() + 120
        while not (log.exists() and '"measure"' in log.read_text()):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def end(self) -> tuple[int, str, str]:
        """Its exit code, stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=240)
        return self.process.returncode, stdout, stderr

    def report(self) -> Report:
        return Report.model_validate_json((self.out / "report.json").read_text())


Start = Callable[..., Validation]


@pytest.fixture(scope="module")
def start(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts validations, and ends those that a failed test left behind."""
    started: list[Validation] = []

    def run(*more: str, prometheus: bool = True) -> Validation:
        out = tmp_path_factory.mktemp("out")
        started.append(Validation(files, out, *more, prometheus=prometheus))
        return started[-1]

    yield run
    for validation in started:
        if validation.process.poll() is None:
            validation.process.kill()
            validation.process.communicate()


Ended = tuple[Validation, int, str, str]


@pytest.fixture(scope="module")
def side_by_side(start: Start) -> tuple[Ended, Ended]:
    """A good engine and one with a slow prefill, validated at the same time."""
    good = start("--simulate")
    slow = start("--simulate", "--fault", "prefill_slowdown=20", "--trace-url", TRACES)
    return (good, *good.end()), (slow, *slow.end())


@pytest.fixture(scope="module")
def good(side_by_side: tuple[Ended, Ended]) -> Ended:
    return side_by_side[0]


@pytest.fixture(scope="module")
def slow(side_by_side: tuple[Ended, Ended]) -> Ended:
    return side_by_side[1]


def test_a_good_engine_passes_with_everything_checked(good: Ended) -> None:
    validation, code, stdout, stderr = good

    report = validation.report()

    assert code == 0, stdout + stderr
    assert report.verdict.status == "passed"
    assert {o.name: o.status for o in report.objectives} == {
        "ttft": "passed", "tpot": "passed", "availability": "passed",
    }  # fmt: skip
    assert {c.name: c.status for c in report.checks} == dict.fromkeys(
        (
            "engine", "load generator", "client and server", "collector", "thresholds", "rules",
            "dashboards", "Prometheus",
        ), "passed",
    )  # fmt: skip
    assert "PASSED" in stdout
    assert f"report: {validation.out / 'report.html'}" in stdout


def test_client_and_server_counted_the_same(good: Ended) -> None:
    rows = {row.name: row for row in good[0].report().comparisons}

    for name in ("requests", "input tokens", "output tokens"):
        assert rows[name].client == rows[name].server
        assert rows[name].client
    assert rows["input tokens"].client == 200 * (rows["requests"].client or 0)
    assert rows["output tokens"].client == 16 * (rows["requests"].client or 0)


def test_every_rule_was_evaluated_and_no_panel_is_broken(good: Ended) -> None:
    report = good[0].report()

    assert len(report.rules) > 50
    assert {rule.status for rule in report.rules} == {"passed"}
    panels = [panel for board in report.dashboards for panel in board.panels]
    assert sum(panel.status == "data" for panel in panels) > len(panels) / 2
    assert "broken" not in {panel.status for panel in panels}


def test_the_servers_side_is_in_the_series_that_are_drawn(good: Ended) -> None:
    series = good[0].report().series

    assert max(value for _, value in series["requests running"]) > 0
    assert max(value for _, value in series["output tokens per second"]) > 0
    assert set(series) == {
        "requests running", "requests waiting", "KV cache in use", "output tokens per second",
        "tokens per step", "prefix cache hits", "GPU utilization", "GPU utilization of the busiest",
        "GPU memory in use", "GPU power",
    }  # fmt: skip


def test_all_files_are_there_and_can_be_read(good: Ended) -> None:
    out = good[0].out

    assert {path.name for path in out.iterdir()} == set(good[0].report().files)
    assert records.read(out / "records.jsonl").measured
    assert ET.parse(out / "junit.xml").getroot().tag == "testsuites"  # noqa: S314 (our own)
    assert "gen_ai_server_time_to_first_token_seconds_bucket" in (out / "metrics.prom").read_text()
    assert len(list((out / "dashboards").glob("*.json"))) == 7
    assert not (out / "logs" / "prometheus-data").exists()
    checked = subprocess.run(
        ["promtool", "check", "rules", str(out / "rules.yaml")], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_slow_prefill_is_a_missed_ttft_that_the_report_names_and_explains(slow: Ended) -> None:
    validation, code, stdout, stderr = slow

    report = validation.report()

    assert code == 1, stdout + stderr
    assert report.verdict.status == "missed"
    assert {o.name: o.status for o in report.objectives}["ttft"] == "missed"
    assert "ttft" in report.verdict.headline
    assert any("Prefill dominates" in line or "queue" in line for line in report.verdict.advice)
    assert report.engine is not None
    assert report.engine.faults == ("prefill_slowdown=20",)


def test_with_an_address_of_traces_the_slowest_requests_link_to_what_was_sent(slow: Ended) -> None:
    """Every request carried a trace then, so that the server's spans are found by the link."""
    validation, *_ = slow
    report = validation.report()
    sent = {
        record.index: record.trace_id
        for record in records.read(validation.out / "records.jsonl").records
    }

    assert report.slowest
    page = (validation.out / "report.html").read_text()
    for one in report.slowest:
        assert one.trace_id == sent[one.index]
        assert re.fullmatch("[0-9a-f]{32}", one.trace_id or "")
        assert one.trace_url == f"http://jaeger:16686/trace/{one.trace_id}"
        assert f'<a href="{one.trace_url}">' in page
    assert len(set(sent.values())) == len(sent)
    assert f"--trace-url '{TRACES}'" in report.command


def test_without_one_the_slowest_requests_link_nowhere(good: Ended) -> None:
    slowest = good[0].report().slowest

    assert slowest
    assert {one.trace_url for one in slowest} == {None}


def test_an_address_of_traces_without_a_place_for_the_id_is_a_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["validate", "--simulate", "--trace-url", "http://jaeger:16686/trace/"])

    assert ended.value.code == 2
    assert "expected an http address with {trace_id} in it" in capsys.readouterr().err


def test_two_runs_side_by_side_leave_no_process_behind(good: Ended, slow: Ended) -> None:
    for out in (good[0].out, slow[0].out):
        assert not _processes_that_name(str(out))


def _processes_that_name(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line.replace("\0", " "))
    return found


Ending = dict[str, tuple[Ended, dict[str, int]]]


@pytest.fixture(scope="module")
def grafana(
    a_grafana: Callable[[], AbstractContextManager[Any]],
) -> Iterator[Any]:
    """A Grafana that lets the validations of this module in."""
    with a_grafana() as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTTOKEN_GRAFANA_TOKEN", served.token)
        yield served


@pytest.fixture(scope="module")
def cut_short(start: Start, grafana: Any) -> Ending:
    """Three runs that end before their time, an engine that dies and two signals; and a short one,
    all without Prometheus.  The short one is marked in a Grafana.
    """
    short = start("--simulate", "--duration", "3s", "--grafana", grafana.url, prometheus=False)
    begun = {name: start("--simulate", "--duration", "40s", prometheus=False)
             for name in ("engine", "SIGINT", "SIGTERM")}  # fmt: skip
    children = {}
    for name, validation in begun.items():
        validation.until_measuring()
        children[name] = validation.children()
        assert set(children[name]) == {"simulate", "collect", "load"}
        if name == "engine":
            os.kill(children[name]["simulate"], signal.SIGKILL)
        else:
            validation.process.send_signal(signal.Signals[name])
    ended: Ending = {name: ((one, *one.end()), children[name]) for name, one in begun.items()}
    return ended | {"without": ((short, *short.end()), {})}


def test_without_prometheus_its_checks_are_skipped_and_never_passed(cut_short: Ending) -> None:
    (validation, code, stdout, stderr), _ = cut_short["without"]

    report = validation.report()

    checks = {check.name: check for check in report.checks}
    assert code in (0, 3), stdout + stderr  # 3 where this machine is too busy for a fair witness
    for name in ("rules", "dashboards", "Prometheus"):
        assert checks[name].status == "skipped"
        assert "apt-get install prometheus" in checks[name].summary
    assert checks["client and server"].status == "passed"
    assert (
        'skipped message="Prometheus is not installed' in (validation.out / "junit.xml").read_text()
    )


def test_the_load_is_marked_in_grafana_from_its_start_to_its_end(
    cut_short: Ending, grafana: Any
) -> None:
    (validation, _, _, _), _ = cut_short["without"]

    (note,) = grafana.notes.values()
    assert note["tags"] == ["loadtest", "firsttoken"]
    assert note["timeEnd"] - note["time"] >= 3000
    assert "4 requests at once: " in note["text"]
    assert "0 failed" in note["text"]
    assert f"--grafana {grafana.url}" in validation.report().command


def test_what_grafana_would_not_do_is_read_from_what_the_load_said(tmp_path: Path) -> None:
    said = f"{NO_MARK} at http://grafana: HTTP 401 Unauthorized"
    command = [sys.executable, "-c", f"print('firsttoken: {said}')"]

    with load.start(command, "http://127.0.0.1:9", tmp_path / "load.log") as running:
        assert list(running.follow()) == []
        assert running.unmarked() == said


def test_an_engine_that_dies_keeps_and_judges_what_was_measured(cut_short: Ending) -> None:
    (validation, code, stdout, stderr), _ = cut_short["engine"]

    report = validation.report()
    assert code in (1, 3), stdout + stderr
    assert report.verdict.headline.startswith("The engine stopped answering")
    assert report.verdict.partial
    assert any(record.ok for record in records.read(validation.out / "records.jsonl").records)
    assert "Traceback" not in stderr
    assert not _processes_that_name(str(validation.out))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_leaves_a_partial_report_and_no_child(cut_short: Ending, name: str) -> None:
    (validation, code, stdout, stderr), children = cut_short[name]

    report = validation.report()
    assert code == report.verdict.exit_code == 130, stdout + stderr
    assert report.verdict.partial
    assert "partial report" in (validation.out / "report.html").read_text()
    assert records.read(validation.out / "records.jsonl").interrupted
    for pid in children.values():
        assert not Path(f"/proc/{pid}").exists()


def test_an_engine_that_is_not_there_is_not_judged_in_one_clear_line(start: Start) -> None:
    validation = start("--target", "http://127.0.0.1:9", prometheus=False)

    code, stdout, stderr = validation.end()

    assert code == 3
    assert (
        "the engine at http://127.0.0.1:9 cannot be reached: connection refused" in stdout.lower()
    )
    assert "Traceback" not in stderr
    assert validation.report().verdict.status == "not_judged"
    assert (validation.out / "report.html").exists()


def called(*arguments: str) -> int:
    """The exit code of the command in this process, where it starts nothing."""
    with pytest.raises(SystemExit) as left:
        main(["validate", *arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--simulate"], "--slo is required"),
        (["--simulate", "--slo", "SLO", "--grafana", "x"], "expected an address such as"),
        (["--slo", "SLO"], "give either --target URL or --simulate"),
        (["--slo", "SLO", "--target", "ftp://x"], "expected a URL such as"),
        (["--slo", "SLO", "--target", "http://u:s3cret@x"], "http://***@x: a plain address"),
        (["--slo", "SLO", "--simulate", "--faults"], "--faults goes with --suite"),
        (["--suite", "SLO", "--simulate", "--slo", "SLO"], "--slo does not go with --suite"),
        (["--suite", "SLO", "--simulate"], "objectives: unknown key"),
        (["--slo", "none.yaml", "--simulate"], "none.yaml: cannot be read"),
        (["--slo", "SLO", "--simulate", "--fault", "gremlins=3"], "gremlins: unknown key"),
        (["--slo", "SLO", "--target", "http://x", "--fault", "xid=3"], "goes with --simulate"),
        (["--slo", "SLO", "--simulate", "--scrape-interval", "500ms"], "whole seconds"),
        (["--slo", "SLO", "--simulate", "--rate", "1", "--concurrency", "1"], "either --rate"),
        (["--slo", "LOAD", "--simulate"], "arrivals: unknown key"),
        (["--slo", "SLO", "--simulate", "--gpu-exporter", "dcgm"], "expected URL or URL,PROFILE"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    named = {"SLO": str(files["slo"]), "LOAD": str(files["load"])}

    code = called(*(named.get(text, text) for text in arguments), "--out", str(tmp_path / "out"))

    assert code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_threshold_off_the_engines_buckets_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text(SLO.replace("250ms", "400ms"))

    assert called("--simulate", "--slo", str(slo), "--out", str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "400ms is not a bucket bound of ttft; near are 250ms and 500ms" in said
    assert not (tmp_path / "out").exists()


def test_the_schema_of_the_report_is_published(
    good: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("--schema") == 0

    schema = json.loads(capsys.readouterr().out)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads((good[0].out / "report.json").read_text()), schema)


def test_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--help") == 0

    said = capsys.readouterr().out
    assert "firsttoken validate --simulate --slo slo.yaml" in said
    assert "Exit codes: 0 every objective met" in said
