"""A load test marks itself in Grafana, and no Grafana can break a load test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import UsageError
from firsttoken.loadgen.annotations import marked, plan
from firsttoken.servers import announced_address, free_port, start

TOKEN = "glsa_secret"
"""What the served Grafana lets in."""


@pytest.fixture(name="engine")
def _engine(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "firsttoken", "simulate", "--listen", "127.0.0.1:0"]
    with start("simulate", command, tmp_path / "simulate.log") as child:
        yield announced_address(child)


def load(target: str, grafana: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "firsttoken", "load", "run", "--target", target),
        *("--grafana", grafana, "--concurrency", "4", "--duration", "1s", "--warmup", "0s"),
        *("--prompt-tokens", "20", "--output-tokens", "4", "--progress", "none"),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "FIRSTTOKEN_GRAFANA_TOKEN": token},
    )


def test_a_run_is_marked_from_its_start_to_its_end_with_what_came_of_it(
    grafana: Any, engine: str
) -> None:
    done = load(engine, f"{grafana.url}/")

    assert (done.returncode, done.stderr) == (0, "")
    (note,) = grafana.notes.values()
    assert note["tags"] == ["loadtest", "firsttoken"]
    assert 1000 <= note["timeEnd"] - note["time"] < 30_000
    assert f"load test of {engine}, 4 requests at once: " in note["text"]
    assert "0 failed" in note["text"]
    assert "TTFT p95" in note["text"]


def test_a_grafana_that_refuses_or_is_not_there_costs_only_the_mark(
    grafana: Any, engine: str
) -> None:
    gone = f"http://127.0.0.1:{free_port()}"

    refused, missing = load(engine, grafana.url, "wrong"), load(engine, gone)

    assert (refused.returncode, missing.returncode) == (0, 0)
    assert refused.stderr == (
        f"firsttoken: no annotation in Grafana at {grafana.url}: HTTP 401 Unauthorized\n"
    )
    assert "Connection refused" in missing.stderr
    assert "requests" in refused.stdout


def test_a_run_that_breaks_leaves_a_mark_that_ends(grafana: Any) -> None:
    with (
        pytest.raises(RuntimeError),
        marked(grafana.url, TOKEN, "load test", lambda text: pytest.fail(text)),
    ):
        raise RuntimeError

    assert grafana.notes[1]["text"] == "load test: broken off"
    assert grafana.notes[1]["timeEnd"] >= grafana.notes[1]["time"]


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("grafana", TOKEN, "expected an address"),
        ("http://x", "", "FIRSTTOKEN_GRAFANA_TOKEN"),
        ("http://me:secret@x", TOKEN, "no user and password in the address"),
    ],
)
def test_an_address_or_token_that_cannot_be_is_said_before_the_run(
    url: str, token: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said), marked(url, token, "load test", print):
        pytest.fail("the run began")


def test_a_plan_is_told_in_a_line_without_a_password() -> None:
    open_loop = {"arrivals": {"kind": "poisson", "rate": 4.0}}
    closed = {"arrivals": {"kind": "closed", "concurrency": 16}}
    steps = {"arrivals": {"kind": "steps"}}

    told = [plan(load, "http://me:secret@engine:8000") for load in (open_loop, closed, steps)]

    assert told == [
        "load test of http://engine:8000, 4 requests/s, poisson",
        "load test of http://engine:8000, 16 requests at once",
        "load test of http://engine:8000, steps arrivals",
    ]
