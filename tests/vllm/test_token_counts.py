"""Token counts that are asked for are those that the real engine counts, in and out."""

from pathlib import Path
from typing import Any

import pytest

from firsttoken.loadgen.run import Stop, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

TOKENIZER = Path(__file__).parents[2] / ".vllm" / "tiny-model" / "tokenizer.json"


@pytest.mark.parametrize(
    "how",
    [
        {"api": "chat"},
        {"api": "completions"},
        {"api": "completions", "token_ids": False},
        {"api": "chat", "stream": False},
        {"api": "completions", "stream": False},
    ],
    ids=["chat", "ids", "text", "chat whole", "ids whole"],
)
def test_counts_are_those_asked_for(vllm: str, how: dict[str, Any]) -> None:
    load = LoadFile.model_validate(
        {
            "arrivals": {"kind": "closed", "concurrency": 2},
            "prompt_tokens": {"kind": "uniform", "low": 24, "high": 400},
            "output_tokens": {"kind": "uniform", "low": 2, "high": 9},
            "requests": 12,
            "warmup": 0,
            "duration": 120,
            **how,
        }
    )
    done = with_fast_loop(run_load(load, vllm, None, Stop()))

    assert done.load["prompt_source"] == "server"
    assert len(done.records) == 12
    for record in done.records:
        assert record.error is None
        assert (record.prompt_tokens, record.output_tokens, record.output_source) == (
            record.prompt_target,
            record.output_target,
            "usage",
        )


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "text"])
def test_the_model_s_own_tokenizer_counts_as_the_engine_does(vllm: str, ids: bool) -> None:
    if not TOKENIZER.is_file():
        pytest.skip(f"there is no {TOKENIZER}")
    load = LoadFile.model_validate(
        {
            "api": "completions",
            "token_ids": ids,
            "tokenizer": str(TOKENIZER),
            "prompt_tokens": {"kind": "uniform", "low": 8, "high": 200},
            "output_tokens": 2,
            "requests": 8,
            "warmup": 0,
            "duration": 120,
        }
    )
    done = with_fast_loop(run_load(load, vllm, None, Stop()))

    assert done.load["prompt_source"] == "tokenizer"
    assert [record.prompt_tokens for record in done.records] == [
        record.prompt_target for record in done.records
    ]
