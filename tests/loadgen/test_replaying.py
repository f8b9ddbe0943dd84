"""Traces, conversations and mixes on the embedded engine: what is sent is what was planned."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import UsageError
from firsttoken.loadgen.records import Run
from firsttoken.loadgen.run import Stop, run_load
from firsttoken.loadgen.settings import LoadFile
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.server import serving
from firsttoken.simulate.settings import Simulation

DATA = Path(__file__).parents[1] / "data" / "traces"
COSTS: dict[str, Any] = {
    "prefill_s_per_token": 1e-7,
    "decode_base_s": 2e-4,
    "decode_s_per_sequence": 0,
    "decode_s_per_context_token": 0,
}


def simulated(load: dict[str, Any]) -> tuple[Run, dict[str, float]]:
    """A run on a fresh engine of much memory, and what the engine counted."""
    parameters = Parameters(**COSTS, kv_blocks=8192, max_num_batched_tokens=16384)

    async def work() -> tuple[Run, dict[str, float]]:
        async with serving(Simulation(parameters=parameters)) as (deployment, url):
            run = await run_load(LoadFile.model_validate(load), url, None, Stop())
            counted = {
                sample.name: sample.value
                for family in deployment.registry.collect()
                for sample in family.samples
                if "prefix_cache" in sample.name and sample.name.endswith("_total")
            }
            return run, counted

    return asyncio.run(work())


def test_a_trace_s_prompts_are_exact_and_share_what_its_hashes_share() -> None:
    """The engine's own prefix cache finds what an endless cache of 512-token blocks would."""
    run, counted = simulated(
        {
            "workload": {"kind": "trace", "file": str(DATA / "mooncake.jsonl")},
            "arrivals": {"kind": "recorded", "speed": 20},
            "duration": "1600ms",
            "warmup": 0,
            "api": "completions",
        }
    )
    records = sorted(run.records, key=lambda record: record.index)
    assert [record.error for record in records] == [None] * 6
    assert [record.prompt_tokens for record in records] == [6758, 7322, 2290, 4834, 6955, 6472]
    assert [record.output_tokens for record in records] == [500, 490, 316, 173, 52, 26]
    times = [0, 0, 0, 3.052, 27.482, 30.535]
    assert [record.intended for record in records] == pytest.approx([at / 20 for at in times])
    assert all(record.workload == "trace" for record in records)
    assert counted["vllm:prefix_cache_queries_total"] == sum(
        record.prompt_tokens or 0 for record in records
    )
    # The first three come at once: how many of them find the one block that they share is up to
    # the engine's batches.  The fourth finds one block, the sixth twelve.
    hits = counted["vllm:prefix_cache_hits_total"] / 512
    assert hits in {13, 14, 15}


def test_a_conversation_is_asked_with_what_was_answered() -> None:
    run, counted = simulated(
        {
            "workload": {
                "kind": "synthetic",
                "prompt_tokens": 200,
                "output_tokens": 20,
                "conversation": {"turns": 3, "think": "20ms", "message_tokens": 30},
            },
            "arrivals": {"kind": "constant", "rate": 10},
            "duration": "1s",
            "warmup": 0,
        }
    )
    assert not [record for record in run.records if record.error]
    sessions: dict[str | None, list[Any]] = {}
    for record in sorted(run.records, key=lambda record: record.turn):
        sessions.setdefault(record.session, []).append(record)
    whole = [turns for turns in sessions.values() if len(turns) == 3]
    assert len(sessions) == 10
    assert len(whole) >= 8
    for first, second, third in whole:
        # Due when the answer before it had been read, not sooner.
        assert second.intended == pytest.approx(first.ended + 0.02)
        assert third.intended == pytest.approx(second.ended + 0.02)
        # All that was said before is in the prompt, and the new message.
        assert first.prompt_tokens == 200
        assert 200 + 20 + 30 <= second.prompt_tokens <= 200 + 20 + 30 + 30
        assert 220 + 50 + 30 <= third.prompt_tokens <= 220 + 50 + 30 + 60
    assert counted["vllm:prefix_cache_hits_total"] > 0.5 * sum(
        turns[1].prompt_tokens + turns[2].prompt_tokens for turns in whole
    )


def test_users_of_a_closed_loop_finish_their_conversations_before_the_next() -> None:
    run, _ = simulated(
        {
            "workload": {"kind": "synthetic", "prompt_tokens": 40, "conversation": {"turns": 2}},
            "output_tokens": 4,
            "arrivals": {"kind": "closed", "concurrency": 2},
            "duration": "500ms",
            "warmup": 0,
        }
    )
    assert not [record for record in run.records if record.error]
    assert len(run.records) > 20
    turns = [record.turn for record in run.records]
    assert turns.count(0) - turns.count(1) in {0, 1, 2}


def test_tenants_with_a_prompt_in_common_find_it_cached() -> None:
    run, counted = simulated(
        {
            "workload": {
                "kind": "synthetic",
                "prompt_tokens": 320,
                "prefix": {"tokens": 256, "groups": 3},
            },
            "output_tokens": 2,
            "arrivals": {"kind": "constant", "rate": 50},
            "duration": "1s",
            "warmup": 0,
            "api": "completions",
        }
    )
    assert len(run.records) == 50
    assert {record.prompt_tokens for record in run.records} == {320}
    hits = counted["vllm:prefix_cache_hits_total"] / 256
    assert 40 <= hits <= 47


def test_a_mix_is_recorded_by_part() -> None:
    file = str(DATA / "sharegpt.json")
    run, _ = simulated(
        {
            "workload": {
                "kind": "mix",
                "parts": [
                    {"kind": "synthetic", "name": "long", "prompt_tokens": 400, "weight": 1},
                    {"kind": "sharegpt", "name": "talk", "file": file, "weight": 1},
                ],
            },
            "output_tokens": 2,
            "arrivals": {"kind": "constant", "rate": 60},
            "duration": "1s",
            "warmup": 0,
        }
    )
    assert not [record for record in run.records if record.error]
    parts = {name: [r for r in run.records if r.workload == name] for name in ("long", "talk")}
    assert len(parts["long"]) + len(parts["talk"]) == 60
    assert all(len(records) > 15 for records in parts.values())
    assert {record.prompt_tokens for record in parts["long"]} == {400}
    assert max(record.prompt_tokens or 0 for record in parts["talk"]) < 60


def test_batch_requests_end_where_their_file_says() -> None:
    run, _ = simulated(
        {
            "workload": {"kind": "batch", "file": str(DATA / "batch.jsonl")},
            "model": "firsttoken/simulated-8b",
            "arrivals": {"kind": "constant", "rate": 20},
            "duration": "500ms",
            "warmup": 0,
        }
    )
    assert not [record for record in run.records if record.error]
    assert all((record.output_tokens or 0) <= 7 for record in run.records)
    assert run.load["left_out"] == {"for another path than completions": 1}


def test_models_and_lengths_that_are_not_served_are_refused_before_the_run() -> None:
    quick = {"duration": "200ms", "warmup": 0}
    with pytest.raises(UsageError, match="model 'adapter' is not served"):
        simulated({**quick, "workload": {"kind": "synthetic", "models": {"adapter": 1}}})
    with pytest.raises(UsageError, match="of up to 9264 tokens do not fit"):
        simulated({**quick, "workload": {"kind": "synthetic", "prompt_tokens": 9200}})


def test_each_request_goes_to_the_model_that_was_drawn_for_it(
    serve: Callable[..., Any],
) -> None:
    async def answer(stream: Any, body: dict[str, Any]) -> None:
        await stream.tokens(2)

    fake = serve(answer)
    fake.models = [{"id": "base"}, {"id": "sql", "parent": "base"}, {"id": "de", "parent": "base"}]
    load = LoadFile.model_validate(
        {
            "workload": {"kind": "synthetic", "models": {"base": 2, "sql": 1, "de": 1}},
            "arrivals": {"kind": "constant", "rate": 200},
            "duration": "500ms",
            "warmup": 0,
            "output_tokens": 2,
        }
    )
    run = asyncio.run(run_load(load, fake.url, None, Stop()))
    assert {body["model"] for body in fake.bodies} == {"base", "sql", "de"}
    asked = sorted(body["model"] for body in fake.bodies)
    assert asked == sorted(str(record.model) for record in run.records)
