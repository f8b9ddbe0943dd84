"""Search and sweep as a person runs them: processes against the embedded engine."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from firsttoken.cli import main
from firsttoken.errors import ConfigError
from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadgen.records import Generator, Run
from firsttoken.loadgen.search import Aim, Plan
from firsttoken.loadtest import capacity, commands
from firsttoken.loadtest.observe import Nobody
from firsttoken.loadtest.schema import StepResult
from firsttoken.loadtest.step import Site, Stepped
from firsttoken.servers import announced_address, start
from firsttoken.simulate.capacity import capacity as known
from firsttoken.simulate.parameters import Parameters

LOAD = """\
api: completions
warmup: 0s
duration: 500ms
prompt_tokens: 8
output_tokens: 4
"""
OBJECTIVE = ("--objective", "ttft<5s@50")


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("engine") / "simulate.log"
    command = [sys.executable, "-m", "firsttoken", "simulate", "--listen", "127.0.0.1:0"]
    with start("simulate", command, log) as child:
        yield announced_address(child)


@pytest.fixture(name="load_file")
def _load_file(tmp_path: Path) -> str:
    file = tmp_path / "load.yaml"
    file.write_text(LOAD)
    return str(file)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "firsttoken", "load", *arguments]


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=240
    )


def test_a_search_runs_is_kept_and_gone_on_with(
    engine: str, load_file: str, tmp_path: Path
) -> None:
    """Two steps, then a third by the same command with one step more allowed."""
    out = tmp_path / "out"
    common = [
        "capacity", "--target", engine, "--load", load_file, *OBJECTIVE, "--out", str(out),
        "--precision", "0.5", "--max-step", "2s", "--start-rate", "8", "--json",
        "--price-per-gpu-hour", "2", "--gpu-exporter", f"{engine}/dcgm/metrics,profile=dcgm",
    ]  # fmt: skip
    first = call(*common, "--max-steps", "1")
    records = out / "steps" / "01.jsonl"
    written = records.stat().st_mtime_ns
    more = call(*common, "--max-steps", "2")

    assert first.returncode in (0, 3), first.stderr
    one, two = json.loads(first.stdout), json.loads(more.stdout)
    assert two["steps"][:1] == one["steps"]
    assert [step["number"] for step in two["steps"]] == [1, 2]
    assert records.stat().st_mtime_ns == written
    assert two["steps"][0]["point"]["seen"]["gpus"] == 2
    assert two["steps"][0]["point"]["seen"]["power"] > 0
    assert {path.name for path in out.iterdir()} >= {
        "capacity.json", "capacity.md", "capacity.csv", "junit.xml", "capacity.svg",
        "capacity.png", "steps", "search.json",
    }  # fmt: skip
    assert two["command"].startswith("firsttoken load capacity --target")


def test_the_capacity_of_a_real_server_is_what_its_parameters_say(tmp_path: Path) -> None:
    """Through processes, sockets and clocks, with steps of two seconds.

    The engine is slow, so that the generator beside it has nothing to be late for.  How close it
    comes is tried in virtual time, where many more requests cost less.
    """
    parameters = Parameters(max_num_seqs=8, decode_base_s=0.025, prefill_s_per_token=5e-6)
    config, load = tmp_path / "engine.yaml", tmp_path / "load.yaml"
    config.write_text(yaml.safe_dump({"gpus": 0, "parameters": parameters.model_dump()}))
    load.write_text("{api: completions, warmup: 500ms, prompt_tokens: 32, output_tokens: 2}\n")
    serve = [sys.executable, "-m", "firsttoken", "simulate", "--listen", "127.0.0.1:0"]
    with start("simulate", [*serve, "--config", str(config)], tmp_path / "engine.log") as child:
        done = call(
            "capacity", "--target", announced_address(child), "--load", str(load),
            "--objective", "ttft<500ms@80", "--start-rate", "400", "--precision", "0.4",
            "--out", str(tmp_path / "out"), "--json",
        )  # fmt: skip

    report = json.loads(done.stdout)
    truth = known(parameters, 32, 2).requests_per_s
    assert done.returncode == 0, done.stderr
    assert "not judged" not in {step["verdict"] for step in report["steps"]}
    assert report["low"] <= truth <= report["high"], done.stderr
    assert report["estimate"] == pytest.approx(truth, rel=0.4)
    # What it was overloaded with, not what came of it until it was stopped.
    assert report["steps"][0]["point"]["offered_rate"] > 350


def test_a_short_step_has_its_few_requests_at_any_rate() -> None:
    """200 of them, or as many as come in half a minute, but ten at least."""
    wanted = capacity.Wanted((parse_objective("ttft<1s@90"),), Aim())
    asked = {rate: capacity.ask_for(Plan(rate, 0), wanted, ()) for rate in (0.1, 2.0, 50.0)}

    assert {rate: one.duration for rate, one in asked.items()} == {0.1: 100, 2.0: 30, 50.0: 4}


def judged(run: Run, hopeless: str | None = None) -> StepResult:
    plan, wanted = Plan(20.0, 1), capacity.Wanted((parse_objective("ttft<1s@90"),), Aim())
    ask = capacity.ask_for(plan, wanted, ())
    return capacity.judge_step(1, plan, ask, Stepped(run, None, hopeless), wanted, "steps/01.jsonl")


@pytest.mark.parametrize(
    ("ttft", "late", "verdict"),
    [
        (0.1, 0.2, "holds"),  # lateness only makes it look worse
        (2.0, 0.2, "fails"),  # slow by more than that
        (1.1, 0.2, "not judged"),  # it may have been that alone
        (1.1, 0.02, "fails"),  # a fiftieth of the objective
    ],
)
def test_what_lateness_cannot_have_decided_stands(
    made_up: Any, ttft: float, late: float, verdict: str
) -> None:
    stream = random.Random(1)
    records = [
        made_up.record(n, 3 + n / 20, 3 + n / 20 + ttft * stream.uniform(0.95, 1.05), 8.0, 2, 8)
        for n in range(1000)
    ]
    own = Generator(lag_p99=late, lag_p99_low=late)

    assert judged(made_up.run_of(records, 3.0, 53.0, generator=own)).verdict == verdict


def test_a_step_that_was_stopped_early_was_offered_all_it_was_to_be(made_up: Any) -> None:
    """What was cut off, or not yet sent, is no lower rate."""
    records = [made_up.record(n, 3 + n / 20, 5.0, 6.0, 2, 8) for n in range(10)]
    step = judged(made_up.run_of(records, 3.0, 53.0), hopeless="all were slow")

    assert (step.verdict, step.point.offered_rate) == ("fails", 20.0)
    assert step.reason == "stopped early: all were slow"


def test_that_no_rate_holds_is_said_only_where_none_below_was_left_open(made_up: Any) -> None:
    def step(rate: float, ttft: float, count: int) -> StepResult:
        due = [3 + n / rate for n in range(count)]
        records = [
            made_up.record(n, at, at + ttft, at + ttft + 0.1, 2, 8) for n, at in enumerate(due)
        ]
        return judged(made_up.run_of(records, 3.0, 3.0 + count / rate))

    wanted = capacity.Wanted((parse_objective("ttft<1s@90"),), Aim())
    site = Site("http://127.0.0.1:9", "tiny", None, Nobody())
    fails, open_ = step(20.0, 2.0, 500), step(5.0, 0.1, 20)
    alone = capacity.report([fails], site, wanted, None, "")
    both = capacity.report([open_, fails], site, wanted, None, "")

    assert (alone.verdict, alone.exit_code) == ("none", 1)
    assert alone.headline.startswith("No rate holds: even 20 requests/s fails")
    assert (both.verdict, both.exit_code) == ("not precise", 3)
    assert both.headline.startswith("Less than 20 requests/s, which fails")


def test_a_folder_with_another_search_is_not_gone_on_with(tmp_path: Path) -> None:
    site = Site("http://127.0.0.1:9", "tiny", None, Nobody())
    first, other = (
        capacity.Wanted((parse_objective(text),), Aim(most_steps=0))
        for text in ("ttft<1s@90", "tpot<1s@90")
    )
    assert capacity.search(site, first, tmp_path, print, print) == ()

    with pytest.raises(ConfigError, match="holds a search with another objectives"):
        capacity.search(site, other, tmp_path, print, print)


def test_a_search_that_is_interrupted_keeps_its_steps_and_ends_with_130(
    engine: str, load_file: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(
        "capacity", "--target", engine, "--load", load_file, *OBJECTIVE, "--out", str(out),
        "--precision", "0.5", "--max-step", "2s", "--start-rate", "8",
    )  # fmt: skip
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("step 1: ")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=240)

    assert process.returncode == 130
    assert f"interrupted; the same command with --out {out} goes on" in errors
    assert (out / "steps" / "01.json").exists()


def test_a_sweep_over_rates_and_lengths_runs_once(
    engine: str, load_file: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = [
        "sweep", "--target", engine, "--load", load_file, "--rate", "20", "--output-tokens",
        "2,6", *OBJECTIVE, "--out", str(out), "--json",
    ]  # fmt: skip
    first = call(*arguments)
    written = {file: file.stat().st_mtime_ns for file in (out / "points").glob("*.jsonl")}
    again = call(*arguments)

    assert first.returncode in (0, 3), first.stderr
    report = json.loads(first.stdout)
    assert [(one["rate"], one["output_tokens"]) for one in report["points"]] == [
        (20, 2), (20, 6),
    ]  # fmt: skip
    assert min(file.name for file in written) == "rate-20-out-2.jsonl"
    assert again.stdout == first.stdout
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert "rate" in (out / "sweep.csv").read_text().splitlines()[0]


def test_a_target_that_is_not_there_is_one_line_and_code_3(tmp_path: Path) -> None:
    done = call("sweep", "--target", "http://127.0.0.1:9", "--rate", "1", "--out", str(tmp_path))

    assert done.returncode == 3
    assert "cannot be reached: connection refused" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["capacity", "--target", "http://x"], "--slo or --objective is required"),
        (["capacity", *OBJECTIVE], "--target is required"),
        (["capacity", "--target", "http://x", "--objective", "success@100"], "shows 100 %"),
        (["capacity", "--target", "http://x", *OBJECTIVE, "--max-rate", "0.001"], "--max-rate"),
        (["sweep", "--target", "http://x"], "give either --rate or --concurrency"),
        (["sweep", "--target", "http://x", "--rate", "1", "--concurrency", "1"], "give either"),
        (["sweep", "--target", "http://x", "--rate", "1,zero"], "expected numbers above 0"),
        (["sweep", "--rate", "1"], "--target is required"),
    ],
)
def test_a_mistake_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", *arguments])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("name", ["capacity", "sweep", "compare"])
def test_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", name, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"  firsttoken load {name} " in shown
    assert "Exit codes: 0 " in shown


@pytest.mark.parametrize("name", ["capacity", "sweep", "compare"])
def test_every_flag_is_on_the_commands_page(name: str) -> None:
    pages = {"capacity": "capacity.md", "sweep": "capacity.md", "compare": "compare.md"}
    text = (Path(__file__).parents[2] / "docs" / pages[name]).read_text(encoding="utf-8")
    for parameter in getattr(commands, name).params:
        for flag in parameter.opts if parameter.opts[0].startswith("--") else ():
            assert flag in text, flag


def test_a_load_that_runs_alone_imports_none_of_it() -> None:
    """The generator must not carry matplotlib and a collector while it keeps time."""
    code = (
        "import sys; from firsttoken.cli import main\n"
        "try: main(['load', 'run', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name.startswith('firsttoken.loadtest') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0
