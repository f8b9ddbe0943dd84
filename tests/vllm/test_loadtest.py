"""A sweep and a search for the capacity on the real engine, checked by hand from the records."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

LOAD = """\
api: completions
warmup: 2s
prompt_tokens: 512
output_tokens: 4
"""


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firsttoken", "load", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def ttft_p95_by_hand(file: Path) -> float:
    """From the lines themselves: none of our code reads them."""
    head, *rows, tail = [json.loads(line) for line in file.read_text().splitlines()]
    assert (head["kind"], tail["kind"]) == ("run", "end")
    start, end = tail["measure"]
    values = sorted(
        row["first"] - row["sent"]
        for row in rows
        if row["error"] is None and start <= row["intended"] < end
    )
    place = 0.95 * (len(values) - 1)
    below = int(place)
    above = values[min(below + 1, len(values) - 1)]
    return float(values[below] + (above - values[below]) * (place - below))


@pytest.fixture(name="load_file")
def _load_file(tmp_path: Path) -> str:
    file = tmp_path / "load.yaml"
    file.write_text(LOAD)
    return str(file)


def points_are_right(points: list[dict[str, Any]], out: Path) -> None:
    for point in points:
        if point["ttft"] is not None and point["requests"]:
            by_hand = ttft_p95_by_hand(out / point["records"])
            assert point["ttft"]["p95"] == pytest.approx(by_hand, abs=2e-6)


def test_a_sweep_over_four_rates_is_right_by_hand(
    vllm: str, tmp_path: Path, load_file: str
) -> None:
    out = tmp_path / "sweep"
    done = load(
        "sweep", "--target", vllm, "--load", load_file, "--rate", "1,2,4,8", "--duration", "8s",
        "--objective", "ttft<1s@90", "--out", str(out), "--json",
    )  # fmt: skip

    assert done.returncode in (0, 3), done.stderr  # 3: two cores were too few for both at once
    report = json.loads(done.stdout)
    assert [point["rate"] for point in report["points"]] == [1, 2, 4, 8]
    assert all(point["failed"] == 0 for point in report["points"])
    assert all(point["seen"]["running_max"] is not None for point in report["points"])
    points_are_right(report["points"], out)
    assert (out / "sweep.svg").read_text().count("<path") > 4


def test_a_capacity_search_is_decided_and_its_steps_are_right_by_hand(
    vllm: str, tmp_path: Path, load_file: str
) -> None:
    """Long prompts and short answers: what the engine computes is the limit, and no socket is."""
    out = tmp_path / "capacity"
    done = load(
        "capacity", "--target", vllm, "--load", load_file, "--objective", "ttft<1s@90",
        "--start-rate", "4", "--precision", "0.3", "--max-step", "20s", "--out", str(out), "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "found"
    assert report["low"] < report["estimate"] < report["high"]
    assert {step["verdict"] for step in report["steps"]} >= {"holds", "fails"}
    assert len(report["steps"]) <= 12
    whole = [step["point"] for step in report["steps"] if not step["stopped_early"]]
    assert whole
    assert all(point["seen"]["running_max"] is not None for point in whole)
    points_are_right(whole, out)
