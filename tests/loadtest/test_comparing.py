"""From files to a verdict: which runs are taken, which are refused, and the exit code."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.cli import main
from firsttoken.errors import ConfigError
from firsttoken.loadgen.records import Generator, Run
from firsttoken.loadgen.writer import Writer
from firsttoken.loadtest.comparing import given

Save = Callable[..., Path]


@pytest.fixture(name="save")
def _save(tmp_path: Path) -> Save:
    """Write a run to a file below the test's folder."""

    def save(run: Run, name: str) -> Path:
        path = tmp_path / name
        with Writer(path) as writer:
            writer.begin(run)
            for record in run.records:
                writer.add(record)
            writer.end(run)
        return path

    return save


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["load", "compare", *map(str, arguments)])
    shown = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, shown.out, shown.err


def test_a_slower_build_is_a_regression_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save, tmp_path: Path
) -> None:
    old = save(made_up.noisy_run(1, 1), "old.jsonl")
    new = save(made_up.noisy_run(1, 3, slowdown=1.1), "new.jsonl")
    code, out, _ = called(capsys, old, new, "--json", "--out", tmp_path / "out")

    report = json.loads(out)
    assert (code, report["verdict"]) == (1, "regression")
    assert "TPOT p50" in report["headline"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.json", "comparison.md", "comparison.csv", "junit.xml",
    }  # fmt: skip


def test_the_same_build_passes_with_exit_code_0(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save
) -> None:
    """Two repetitions a side, in folders."""
    for n in (1, 2):
        save(made_up.noisy_run(n, n), f"old/{n}.jsonl")
        save(made_up.noisy_run(n, n + 10), f"new/{n}.jsonl")
    folder = save(made_up.noisy_run(1, 1), "old/1.jsonl").parent

    code, out, _ = called(capsys, folder, folder.parent / "new", "--md")
    assert code == 0
    assert "no difference shown in" in out
    assert "one run a side" not in out


def test_other_workloads_models_and_schedules_are_refused_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save
) -> None:
    run = made_up.noisy_run(1, 1)
    load = {**run.load, "prompt_tokens": {"kind": "fixed", "tokens": 9}}
    old = save(run, "old.jsonl")
    for name, other in (
        ("model: sim against big", dataclasses.replace(run, model="big")),
        ("prompt_tokens: None against", dataclasses.replace(run, load=load)),
        ("schedule: ", dataclasses.replace(run, schedule_hash="f" * 16)),
    ):
        code, _, errors = called(capsys, old, save(other, "new.jsonl"))
        assert code == 2
        assert name in errors
        assert len(errors.splitlines()) == 1
        code, out, _ = called(capsys, old, save(other, "new.jsonl"), "--allow-different", "--json")
        assert code == 0
        assert any(name in warning for warning in json.loads(out)["warnings"])


def test_an_unfair_witness_is_refused_with_exit_code_3(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save
) -> None:
    run = made_up.noisy_run(1, 1)
    busy = dataclasses.replace(run, generator=Generator(cpu_share=0.99))

    code, _, errors = called(capsys, save(run, "old.jsonl"), save(busy, "new.jsonl"))
    assert code == 3
    assert "the load generator was the bottleneck" in errors


def test_too_little_data_is_exit_code_3(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save
) -> None:
    run = made_up.noisy_run(1, 1)
    measured = [record for record in run.records if record.intended >= run.measure[0]]
    few = dataclasses.replace(run, records=tuple(measured[:6]))

    code, out, _ = called(capsys, save(few, "old.jsonl"), save(few, "new.jsonl"), "--json")
    report = json.loads(out)
    assert {change["verdict"] for change in report["candidates"][0]["changes"]} == {
        "too little data"
    }
    assert code == 3


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no records"):
        given(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a baseline and at least one candidate"),
        (["a.jsonl"], "give a baseline and at least one candidate"),
        (["a.jsonl", "b.jsonl"], "a.jsonl: cannot be read"),
        (["a.jsonl", "b.jsonl", "--confidence", "2"], "0.5<=x<=0.9999"),
    ],
)
def test_a_mistake_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    code, _, errors = called(capsys, *arguments)
    assert code == 2
    assert problem in errors


@pytest.mark.parametrize("threshold", ["five", "-1%", "150%"])
def test_a_threshold_is_a_share(
    capsys: pytest.CaptureFixture[str], made_up: Any, save: Save, threshold: str
) -> None:
    old = save(made_up.noisy_run(1, 1), "old.jsonl")
    code, _, errors = called(capsys, old, old, f"--regression-threshold={threshold}")
    assert code == 2
    assert "expected a share such as 5% or 0.05" in errors
