"""Objective files: what is read exactly, and one clear line for each mistake."""

from decimal import Decimal
from pathlib import Path

import pytest

from firsttoken.errors import ConfigError, FirstTokenError
from firsttoken.rules import buckets
from firsttoken.rules.generate import rule_groups
from firsttoken.rules.slo import Latency, SloFile, load

HEAD = "version: firsttoken/v1\nservice: chat\nperiod: {period}\nobjectives:\n"
TTFT = "  - {name: ttft, kind: latency, metric: ttft, threshold: 500ms, target: 95}\n"

RATIO = (
    "  - {{name: r, kind: ratio, target: 99, total: {{metric: t_total, where: {where}}},"
    " bad: {{metric: b_total}}}}\n"
)
GATEWAY = "  - {{name: g, kind: availability, of: gateway, target: 99{more}}}\n"


def write(folder: Path, *objectives: str, period: str = "30d", tail: str = "") -> Path:
    file = folder / "slo.yaml"
    file.write_text(HEAD.format(period=period) + "".join(objectives) + tail)
    return file


@pytest.mark.parametrize("period", ["period: 28d", "calendar: quarter"])
def test_what_is_written_out_is_read_back_as_the_same(tmp_path: Path, period: str) -> None:
    file = write(tmp_path, TTFT)
    file.write_text(file.read_text().replace("period: 30d", period))
    read = load(file)

    assert SloFile.model_validate(read.model_dump()) == read


def test_numbers_are_exact(tmp_path: Path) -> None:
    objective = load(
        write(tmp_path, TTFT.replace("500ms", "0.1s").replace("95", "99.9"))
    ).objectives[0]

    assert isinstance(objective, Latency)
    assert (objective.threshold, objective.budget) == (Decimal("0.1"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("objectives", "tail", "said"),
    [
        ((TTFT.replace("95", "100"),), "", "line 5: .*target: .*no budget that could burn"),
        ((TTFT.replace("95", "0"),), "", "line 5: .*target: expected a percentage from 50"),
        ((TTFT.replace("95", "true"),), "", "target: expected a number such as 95"),
        ((TTFT.replace("metric: ttft", "metric: tttf"),), "", "line 5: .*'ttft', 'tpot'"),
        ((TTFT, TTFT), "", "two objectives have the name ttft"),
        ((TTFT.replace("500ms", "0ms"),), "", "threshold: .*greater than 0"),
        ((TTFT.replace("target", "targte"),), "", "unknown key; did you mean target"),
        ((TTFT,), "packs: [stal]\n", "packs.0: .*'stall'"),
        ((TTFT,), "labels: {severity: none}\n", "severity is set by the rules"),
        ((TTFT,), "calendar: week\n", "give either period, such as 30d, or calendar"),
        ((TTFT,), "engine_version: new\n", "engine_version: string should match"),
        ((TTFT,), "engine: vlm\n", "engine: input should be 'vllm', 'sglang'"),
        ((RATIO.format(where='{code: "=~("}'),), "", "code: expected a regular expression"),
        ((RATIO.format(where='{"a b": c}'),), "", "string should match pattern"),
        ((GATEWAY.format(more=""),), "", "of: gateway and the name of a gateway go together"),
        ((GATEWAY.format(more=", gateway: llmd"),), "", "gateway: input should be 'llm-d'"),
        ((GATEWAY.format(more=", gateway: istio, bad: [x]"),), "", "a ratio has them"),
    ],
)
def test_a_mistake_names_its_place_and_what_is_allowed(
    tmp_path: Path, objectives: tuple[str, ...], tail: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        load(write(tmp_path, *objectives, tail=tail))

    # A key that is spelled wrong is unknown, and the right one is missing.
    assert len(refused.value.problems) == (2 if "unknown key" in said else 1)


def test_a_threshold_off_the_bounds_names_its_neighbours_and_the_flag(tmp_path: Path) -> None:
    slo = load(write(tmp_path, TTFT.replace("500ms", "2s")))

    with pytest.raises(ConfigError, match=r"near are 1s and 2s500ms") as refused:
        rule_groups(slo)

    assert '--custom-histogram-buckets \'{"time_to_first_token":[0.001,' in str(refused.value)
    assert ",1,2,2.5," in str(refused.value)


def test_a_bound_that_the_file_lists_is_taken(tmp_path: Path) -> None:
    file = write(tmp_path, TTFT.replace("500ms", "2s"), tail="buckets: {ttft: [500ms, 1s, 2s]}\n")

    assert buckets.problems(load(file)) == []


@pytest.mark.parametrize(("direction", "bound"), [("up", "2.5"), ("down", "1")])
def test_snapping_takes_the_next_bound(tmp_path: Path, direction: str, bound: str) -> None:
    slo = load(write(tmp_path, TTFT.replace("500ms", "2s")))

    moved = buckets.snapped(slo, "up" if direction == "up" else "down").objectives[0]

    assert isinstance(moved, Latency)
    assert moved.threshold == Decimal(bound)


def test_a_period_too_short_names_the_objective(tmp_path: Path) -> None:
    with pytest.raises(FirstTokenError, match=r"objective ttft: period 1h is too short"):
        rule_groups(load(write(tmp_path, TTFT, period="1h")))
