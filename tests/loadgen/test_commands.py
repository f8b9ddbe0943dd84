"""The command as a person or a CI job runs it: a process, its output, its exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.cli import main
from firsttoken.loadgen.records import read
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.workload_commands import write

BASE = ["--warmup", "0s", "--prompt-tokens", "8", "--output-tokens", "3", "--concurrency", "2"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "firsttoken", "load", *arguments]


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, **environment},
    )


def code_after(errors: str) -> int:
    """The exit code of an open loop that met all: 3 only where it says that it was late itself, as
    it may be on a machine with other work."""
    return 3 if "not judged: the load generator was the bottleneck" in errors else 0


async def three(stream: Any, body: dict[str, Any]) -> None:
    await stream.tokens(3, gap=0.02)


async def slow(stream: Any, body: dict[str, Any]) -> None:
    await stream.tokens(3, first=0.2, gap=0.2)


def test_a_run_and_its_report_say_the_same(serve: Callable[..., Any], tmp_path: Path) -> None:
    fake, out = serve(three), tmp_path / "records.jsonl"
    objectives = ["--objective", "ttft<5s@90", "--objective", "success@99"]
    done = call(
        "run", "--target", fake.url, *BASE, "--duration", "1s", "--out", str(out),
        "--json", *objectives,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    again = call("report", str(out), "--json", *objectives)
    assert again.returncode == 0
    told = json.loads(again.stdout)
    assert told["summary"]["requests"] == said["summary"]["requests"] > 5
    assert told["summary"]["ttft"]["p50"] == pytest.approx(said["summary"]["ttft"]["p50"], abs=1e-5)
    assert [one["met"] for one in told["objectives"]] == [True, True]
    assert told["goodput"] == pytest.approx(said["goodput"])
    assert told["load"]["output_tokens"] == {"kind": "fixed", "tokens": 3}


def test_target_model_rate_and_lengths_are_all_that_it_needs_to_be_told(
    serve: Callable[..., Any],
) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(body["max_tokens"])

    fake = serve(answer)
    asked = ["--rate", "20", "--input-tokens", "512", "--output-tokens", "128"]
    done = call(
        "--target", fake.url, "--model", "tiny", *asked, "--duration", "2s", "--warmup", "0s"
    )

    assert done.returncode == code_after(done.stderr), done.stderr
    assert done.stderr.count("\n") == (done.returncode == 3)
    assert "TTFT" in done.stdout
    assert "0 failed" in done.stdout
    assert 15 <= len(fake.bodies) <= 70
    for body in fake.bodies:
        assert (body["model"], body["max_tokens"], body["stream"]) == ("tiny", 128, True)
        assert len(body["messages"][0]["content"].split()) == 512


def test_the_table_and_the_markdown_show_latencies_and_verdicts(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "records.jsonl"
    ran = call("run", "--target", serve(three).url, *BASE, "--duration", "500ms", "--out", str(out))
    assert ran.returncode == 0
    assert "TTFT" in ran.stdout
    assert "0 failed" in ran.stdout
    shown = call("report", str(out), "--md", "--objective", "tpot<1ms@99")
    assert shown.returncode == 1
    assert "| tpot<1ms@99 | 0.00% |" in shown.stdout
    assert "| TPOT |" in shown.stdout
    assert shown.stderr == "firsttoken: missed: tpot<1ms@99\n"


def test_progress_is_one_json_object_a_second(serve: Callable[..., Any]) -> None:
    done = call(
        "run", "--target", serve(three).url, *BASE, "--duration", "1500ms", "--progress", "json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) >= 2
    assert list(lines[0]) == [
        "phase", "elapsed", "total", "issued", "done", "failed", "in_flight", "output_tokens",
        "ttft_p50", "ttft_p99", "tpot_p50", "tpot_p99", "lag_p99", "errors",
    ]  # fmt: skip
    assert lines[-1]["done"] == lines[-1]["issued"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_records_and_ends_with_130(
    serve: Callable[..., Any], tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "records.jsonl"
    arguments = ["run", "--target", serve(slow).url, *BASE, "--duration", "60s"]
    with subprocess.Popen(
        command(*arguments, "--out", str(out), "--progress", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["done"] == 0:
            pass
        process.send_signal(number)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert errors == f"firsttoken: interrupted: {number.name}\n"
    kept = read(out)
    assert kept.interrupted
    assert kept.stopped == number.name
    assert any(record.ok for record in kept.records)
    assert sum(record.error == "interrupted" for record in kept.records) == 2


def test_a_killed_run_leaves_its_records(serve: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    arguments = ["run", "--target", serve(three).url, *BASE, "--duration", "60s"]
    with subprocess.Popen(
        command(*arguments, "--out", str(out), "--progress", "json"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["done"] == 0:
            pass
        process.kill()
        process.communicate(timeout=240)
    kept = read(out)
    assert kept.interrupted
    assert any(record.ok for record in kept.records)
    shown = call("report", str(out))
    assert shown.returncode == 0
    assert "interrupted: the records file was cut off" in shown.stdout


def test_an_unreachable_server_is_one_line_and_code_3() -> None:
    done = call("run", "--target", "http://127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr == (
        "firsttoken: http://127.0.0.1:9: cannot be reached: connection refused\n"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--rate", "1", "--concurrency", "1"], "exclude each other"),
        (["--duration", "soon"], "load settings: duration: expected a duration"),
        (["--rate", "0"], "greater than 0"),
        (["--load", "missing.yaml"], "missing.yaml: cannot be read"),
        (["--objective", "speed<1s@9"], "metric must be one of ttft, tpot, itl, e2e, success"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", "run", "--target", "http://127.0.0.1:9", *arguments])
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert problem in shown.err


@pytest.mark.parametrize("how", [{"kind": "constant"}, {"kind": "gamma", "burstiness": 0.5}])
def test_flags_change_what_the_file_says(
    serve: Callable[..., Any], tmp_path: Path, how: dict[str, Any]
) -> None:
    """Another rate leaves the arrivals as even or as bursty as they are."""
    file = tmp_path / "load.yaml"
    arrivals = json.dumps({**how, "rate": 1})
    file.write_text(f"arrivals: {arrivals}\nduration: 60s\nwarmup: 0s\noutput_tokens: 3\n")
    done = call(
        "run", "--target", serve(three).url, "--load", str(file), "--rate", "20",
        "--duration", "400ms", "--json",
    )  # fmt: skip
    data = json.loads(done.stdout)
    assert data["load"]["arrivals"] == {**how, "rate": 20.0}
    assert data["measure"] == [0.0, 0.4]
    assert how["kind"] == "gamma" or data["summary"]["requests"] == 8


def test_the_key_is_sent_and_never_shown(serve: Callable[..., Any], tmp_path: Path) -> None:
    fake, out = serve(three), tmp_path / "records.jsonl"
    done = call(
        "run", "--target", fake.url, *BASE, "--duration", "300ms", "--out", str(out), "--json",
        FIRSTTOKEN_API_KEY="sk-hidden",
    )  # fmt: skip
    assert any("Authorization: Bearer sk-hidden" in head for head in fake.headers)
    assert "sk-hidden" not in done.stdout + done.stderr + out.read_text()


@pytest.mark.parametrize("name", ["run", "report"])
def test_help_shows_examples(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", name, "--help"])
    assert ended.value.code == 0
    assert f"  firsttoken load {name} " in capsys.readouterr().out


def test_shards_are_merged_and_a_missing_one_is_said(
    make_run: Callable[..., Any], make_record: Callable[..., Any], tmp_path: Path
) -> None:
    load = LoadFile.model_validate(
        {"arrivals": {"kind": "constant", "rate": 2}, "duration": 10, "warmup": 0}
    )
    files = []
    for index in (0, 1):
        shard = {"index": index, "of": 2, "run": "r", "host": f"pod-{index}"}
        records = [
            make_record(number / 2, index=number, ended=number / 2 + 0.5)
            for number in range(index, 20, 2)
        ]
        run = make_run(*records, load={**load.public(), "shard": shard})
        files.append(tmp_path / f"shard-{index}.jsonl")
        write(run, files[-1])
    out = tmp_path / "all.jsonl"
    both = call("merge", *map(str, files), "--out", str(out), "--objective", "ttft<1s@95")
    assert (both.returncode, both.stderr) == (0, "")
    assert "2 processes on 2 machines, started within 0.0 ms" in both.stdout
    assert len(read(out).records) == 20
    half = call("merge", str(files[1]), "--out", str(out))
    assert half.returncode == 3
    assert "shard 0 of 2 has no records: 10 of its 10 sessions are missing" in half.stderr
    same = call("merge", str(files[1]), "--out", str(files[1]))
    assert same.returncode == 2
    assert "is one of the files to merge" in same.stderr


def test_a_preset_is_run_at_the_rate_that_is_asked(serve: Callable[..., Any]) -> None:
    fake = serve(three)
    done = call(
        "run", "--target", fake.url, "--preset", "summarisation", "--rate", "30",
        "--duration", "1s", "--warmup", "0s", "--json",
    )  # fmt: skip
    assert done.returncode == code_after(done.stderr), done.stderr
    said = json.loads(done.stdout)
    assert said["load"]["arrivals"] == {"kind": "poisson", "rate": 30.0}
    assert said["load"]["prompt_tokens"]["median"] == 900
    both = call("run", "--target", fake.url, "--preset", "chat", "--load", "x.yaml")
    assert both.returncode == 2
    assert "--load and --preset exclude each other" in both.stderr


def test_shards_of_a_job_ask_the_one_plan_from_one_moment_on(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    fake = serve(three)
    file = tmp_path / "load.yaml"
    file.write_text(
        "arrivals: {kind: constant, rate: 40}\nduration: 1s\nwarmup: 0s\nprompt_tokens: 8\n"
        "output_tokens: 3\n"
    )
    asked = time.monotonic()
    call("run", "--help")
    # As far away as processes take to start on this machine.
    start = time.time() + 3 + 5 * (time.monotonic() - asked)
    running = [
        subprocess.Popen(
            command(
                *("run", "--target", fake.url, "--load", str(file), "--shard", "job/2"),
                *("--run-id", "r1", "--start-at", f"{start:.3f}"),
                *("--out", str(tmp_path / f"shard-{index}.jsonl")),
            ),
            env={**os.environ, "JOB_COMPLETION_INDEX": str(index)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == code_after(errors), errors
    out = tmp_path / "all.jsonl"
    shards = [str(tmp_path / f"shard-{index}.jsonl") for index in range(2)]
    done = call("merge", *shards, "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    merged = read(out)
    assert sorted(record.index for record in merged.records) == list(range(40))
    assert [shard.missing for shard in merged.shards] == [0, 0]
    assert {shard.started for shard in merged.shards} == {0.0}
    assert merged.started == pytest.approx(start, abs=0.001)
    # Sent when the one plan says, by two processes.
    for record in merged.records:
        assert record.intended == pytest.approx(record.index / 40)
    assert len({json.dumps(body["messages"]) for body in fake.bodies}) == 40
