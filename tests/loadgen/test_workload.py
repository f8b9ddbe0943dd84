"""From a load to its plan, for every kind of workload that a file can name."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import ConfigError, UsageError
from firsttoken.loadgen.plan import Blocks, Chat, Planned, Text
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.workload import plan, schedule_hash, workload_of

DATA = Path(__file__).parents[1] / "data" / "traces"


def load(**settings: Any) -> LoadFile:
    return LoadFile.model_validate({"warmup": 0, **settings})


def trace(name: str, **settings: Any) -> dict[str, Any]:
    return {"kind": "trace", "file": DATA / name, **settings}


def planned(settings: LoadFile, count: int | None = None) -> list[Planned]:
    return [turn for session in itertools.islice(plan(settings), count) for turn in session]


def test_a_trace_is_asked_at_its_times_and_lengths() -> None:
    settings = load(workload=trace("azure-2023-conv.csv"), duration=6)
    assert settings.open_loop
    got = planned(settings)
    lengths = [(one.prompt.tokens, one.output_tokens) for one in got]
    assert lengths == [(374, 44), (396, 109), (879, 55), (91, 16), (91, 16)]
    assert [round(one.intended or 0.0, 6) for one in got] == [
        0,
        4.314579,
        4.541877,
        4.710427,
        5.892655,
    ]
    assert [one.index for one in got] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("speed", [0.5, 1, 4])
def test_speed_scales_the_times_of_a_trace_and_nothing_else(speed: float) -> None:
    recorded = planned(load(workload=trace("mooncake.jsonl"), duration=31))
    settings = load(
        workload=trace("mooncake.jsonl"),
        duration=31 / speed,
        arrivals={"kind": "recorded", "speed": speed},
    )
    got = planned(settings)
    assert [one.prompt for one in got] == [one.prompt for one in recorded]
    assert [one.intended for one in got] == pytest.approx(
        [(one.intended or 0.0) / speed for one in recorded]
    )


def test_a_rate_scales_a_trace_to_its_mean() -> None:
    settings = load(
        workload=trace("mooncake.jsonl"), duration=0.52, arrivals={"kind": "recorded", "rate": 10}
    )
    got = planned(settings)
    # 6 requests in 30.535 s become 5 gaps of 0.1 s on average.
    assert got[-1].intended == pytest.approx(0.5)
    assert got[-2].intended == pytest.approx(0.5 * 27.482 / 30.535)


def test_blocks_of_a_trace_are_what_its_prompts_share() -> None:
    got = planned(load(workload=trace("mooncake.jsonl"), duration=31))
    assert got[4].prompt == Blocks(6955, (*range(46, 58), 2353, 2354), 512)


def test_a_trace_may_be_asked_at_other_times_than_its_own() -> None:
    settings = load(
        workload=trace("mooncake.jsonl"), duration=1, arrivals={"kind": "constant", "rate": 4}
    )
    assert [one.intended for one in planned(settings)] == [0.0, 0.25, 0.5, 0.75]
    closed = load(workload=trace("mooncake.jsonl"), arrivals={"kind": "closed", "concurrency": 2})
    assert len(planned(closed)) == 6


def test_a_trace_shorter_than_the_run_is_refused_with_its_length() -> None:
    with pytest.raises(UsageError, match=r"the trace has 36.64 s of requests at this speed"):
        planned(load(workload=trace("mooncake.jsonl"), duration=60))


def test_models_of_a_trace_are_those_that_they_are_said_to_be() -> None:
    settings = load(
        workload=trace("burstgpt-1.csv", models={"GPT-4": "large"}),
        arrivals={"kind": "recorded", "speed": 100},
        duration=10,
    )
    assert [one.model for one in planned(settings)] == [None, None, "large", None]
    assert workload_of(settings).models == {"large"}
    assert workload_of(settings).skipped == {"had failed": 1}


def test_records_of_a_run_are_replayed(make_run: Any, make_record: Any, tmp_path: Path) -> None:
    from firsttoken.loadgen.writer import Writer

    file = tmp_path / "run.jsonl"
    records = (
        make_record(2.5, index=1, prompt_target=20, output_target=4, session="s", workload="rag"),
        make_record(2.0, index=0, prompt_tokens=None, output_tokens=None, prompt_target=9,
                    output_target=3, error="timeout"),
        make_record(3.0, index=2, prompt_tokens=None, output_tokens=None, error="timeout"),
    )  # fmt: skip
    with Writer(file) as writer:
        run = make_run(*records)
        writer.begin(run)
        for record in records:
            writer.add(record)
        writer.end(run)
    got = planned(load(workload={"kind": "trace", "file": file}, duration="900ms"))
    assert [(one.intended, one.prompt.tokens, one.output_tokens) for one in got] == [
        (0.0, 9, 3),
        (0.5, 20, 4),
    ]


def test_conversations_of_a_file_are_asked_turn_by_turn() -> None:
    settings = {"kind": "sharegpt", "file": DATA / "sharegpt.json", "think": "2s"}
    sessions = list(itertools.islice(plan(load(workload={**settings, "turns": "all"})), 3))
    assert sorted(map(len, sessions)) == [1, 1, 2]
    talk = next(session for session in sessions if len(session) == 2)
    assert talk[1].prompt == Chat(({"role": "user", "content": "And between words?"},))
    assert talk[1].think == 2.0
    assert talk[1].output_tokens == len("Inter-token latency.") // 4
    assert {turn.session for turn in talk} == {"a1_0"}
    alone = list(itertools.islice(plan(load(workload=settings)), 6))
    assert {len(session) for session in alone} == {1}
    # Round and round: each three hold each conversation once.
    prompts = [session[0].prompt for session in alone]
    assert sorted(map(repr, prompts[:3])) == sorted(map(repr, prompts[3:]))
    assert workload_of(load(workload=settings)).skipped == {"conversations without an answer": 1}


def test_requests_of_a_batch_file_go_out_as_they_are() -> None:
    settings = {"kind": "batch", "file": DATA / "batch.jsonl"}
    one, other, again = planned(load(workload=settings), 3)
    assert one.prompt == again.prompt
    assert one.output_tokens is None
    assert one.extra_body == {"max_tokens": 7}
    assert other.extra_body == {"max_tokens": 5, "temperature": 0.2}
    assert one.model == "tiny"
    assert planned(load(workload=settings, model="served"), 1)[0].model is None
    with pytest.raises(ConfigError, match="set api: chat"):
        planned(load(workload=settings, api="completions"), 1)


def test_a_mix_has_its_parts_by_weight_each_as_it_is_alone() -> None:
    rag = {"kind": "synthetic", "name": "rag", "prompt_tokens": 90, "weight": 1}
    chat = {"kind": "synthetic", "name": "chat", "prompt_tokens": 10, "weight": 3}
    got = planned(load(workload={"kind": "mix", "parts": [rag, chat]}), 4000)
    assert {(one.workload, one.prompt.tokens) for one in got} == {("rag", 90), ("chat", 10)}
    share = sum(one.workload == "chat" for one in got) / 4000
    assert share == pytest.approx(0.75, abs=0.03)
    assert [one.index for one in got] == list(range(4000))
    assert workload_of(load(workload={"kind": "mix", "parts": [rag, chat]})).longest == 154


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"arrivals": {"kind": "recorded"}}, "recorded needs a file, or a workload of kind trace"),
        (
            {"workload": {"kind": "synthetic"}, "shared_prefix_tokens": 5},
            "shared_prefix_tokens goes into the workload",
        ),
        (
            {"workload": {"kind": "synthetic", "conversation": {"turns": 2}}, "api": "completions"},
            "several turns need api: chat",
        ),
        (
            {"workload": {"kind": "mix", "parts": [{"kind": "synthetic"}, {"kind": "synthetic"}]}},
            "two parts are called synthetic",
        ),
        ({"workload": {"kind": "synthetic", "models": {"a": 0}}}, "greater than 0"),
        (
            {
                "workload": trace("mooncake.jsonl"),
                "arrivals": {"kind": "recorded", "speed": 1, "rate": 1},
            },
            "exclude each other",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        load(**settings)


def test_a_numbered_request_is_the_same_but_for_its_numbers() -> None:
    one = Planned(Text("a"), 5, 1, 2.0, "mine", "m", "s", 3, 4.0, (("a", "b"),), {"key": 1})
    assert one.numbered(7, 8, 9.0) == dataclasses.replace(one, index=7, turn=8, intended=9.0)


def test_a_hash_is_a_plan_s_name() -> None:
    base: dict[str, Any] = {
        "workload": {"kind": "synthetic", "prefix": {"tokens": 5}},
        "arrivals": {"kind": "poisson", "rate": 2},
    }
    one = schedule_hash(load(**base))
    assert one == schedule_hash(load(**base))
    others: list[dict[str, Any]] = [
        {**base, "workload": {"kind": "synthetic", "prefix": {"tokens": 6}}},
        {**base, "workload": {"kind": "synthetic", "models": {"a": 1}}},
        {**base, "seed": 1},
        {**base, "api": "completions"},
        {**base, "arrivals": {"kind": "closed", "concurrency": 3}},
        {**base, "duration": 31},
    ]
    hashes = {schedule_hash(load(**other)) for other in others}
    assert len(hashes) == len(others)
    assert one not in hashes


def test_settings_survive_json() -> None:
    settings = load(
        workload={
            "kind": "mix",
            "parts": [
                {"kind": "synthetic", "prompt_tokens": {"kind": "quantiles", "at": {0: 1, 1: 9}}},
                {"kind": "sharegpt", "file": "x.json", "think": {"kind": "exponential", "mean": 2}},
            ],
        }
    )
    again = LoadFile.model_validate(json.loads(settings.model_dump_json()))
    assert again == settings
