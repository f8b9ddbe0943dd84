"""Load files to begin with: complete, sourced, and with the means that their sources have."""

import itertools
import os
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner

from firsttoken.cli import firsttoken
from firsttoken.loadgen.presets import PRESETS, settings, text
from firsttoken.loadgen.schedule import arrivals
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.workload import plan

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_is_an_example_and_every_figure_has_its_source(preset: str) -> None:
    file = EXAMPLES / f"load-{preset}.yaml"
    done = CliRunner().invoke(firsttoken, ["load", "init", preset])
    assert (done.exit_code, done.stdout) == (0, text(preset))
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        file.write_text(done.stdout)
    assert file.read_text() == done.stdout
    assert LoadFile.load(file) == LoadFile.model_validate(settings(preset))
    assert all(line.source for line in PRESETS[preset].lines)


@pytest.mark.parametrize(
    ("preset", "prompt", "output"),
    [
        # Means of the traces' own files, or as published.
        ("chat", 1155, 211),
        ("rag", 2944, 283),
        ("code-completion", 2048, 28),
        ("summarisation", 1020, 73),
        ("batch", 312, 290),
    ],
)
def test_lengths_have_the_means_of_their_source(preset: str, prompt: int, output: int) -> None:
    closed = {"arrivals": {"kind": "closed", "concurrency": 1}}
    load = LoadFile.model_validate({**settings(preset), **closed})
    asked = [session[0] for session in itertools.islice(plan(load), 8000)]
    assert sum(one.prompt.tokens or 0 for one in asked) / 8000 == pytest.approx(prompt, rel=0.04)
    assert sum(one.output_tokens or 0 for one in asked) / 8000 == pytest.approx(output, rel=0.04)


def test_an_agent_s_calls_are_as_long_as_the_trace_s() -> None:
    closed = {"arrivals": {"kind": "closed", "concurrency": 1}}
    load = LoadFile.model_validate({**settings("agentic"), **closed})
    sizes, outputs = [], []
    for session in itertools.islice(plan(load), 1000):
        context = 0
        for turn in session:
            context += turn.prompt.tokens or 0
            sizes.append(context)
            outputs.append(turn.output_tokens or 0)
            context += turn.output_tokens or 0
    assert sum(sizes) / len(sizes) == pytest.approx(8596, rel=0.05)
    assert sum(outputs) / len(outputs) == pytest.approx(182, rel=0.05)


def test_code_completion_is_as_bursty_as_its_source() -> None:
    """A coefficient of variation of 3 between requests, at the preset's rate."""
    load = LoadFile.model_validate({**settings("code-completion"), "duration": "20h"})
    gaps = [after - before for before, after in itertools.pairwise(arrivals(load))]
    mean = statistics.fmean(gaps)

    assert mean == pytest.approx(1.0, rel=0.1)
    assert statistics.stdev(gaps) / mean == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("load*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_a_load_file(file: Path) -> None:
    assert LoadFile.load(file)
