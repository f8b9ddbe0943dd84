"""Workloads on the real engine: prompts are as long, and have in common, what was planned."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from firsttoken.loadgen.record import Run
from firsttoken.loadgen.run import Stop, run_load, with_fast_loop
from firsttoken.loadgen.settings import LoadFile

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ALONE = {"arrivals": {"kind": "closed", "concurrency": 1}, "warmup": 0, "duration": "120s"}
BLOCK = 256  # tokens; a multiple of the engine's own blocks


def hits(url: str) -> tuple[float, int]:
    """Tokens found in the engine's prefix cache until now, and how many are in its blocks."""
    page = requests.get(f"{url}/metrics", timeout=10).text
    counted = re.search(r"^vllm:prefix_cache_hits_total\{.*\} (\S+)$", page, re.MULTILINE)
    size = re.search(r'block_size="(\d+)"', page)
    assert counted
    assert size
    return float(counted[1]), int(size[1])


def run(url: str, settings: dict[str, Any]) -> Run:
    return with_fast_loop(run_load(LoadFile.model_validate(settings), url, None, Stop()))


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_trace_s_prompts_are_exact_and_share_their_blocks(
    vllm: str, tmp_path: Path, api: str
) -> None:
    rows = [(700, [1, 2, 3]), (600, [1, 2, 4]), (1000, [1, 5, 6, 7]), (700, [1, 2, 3]), (90, [9])]
    file = tmp_path / "trace.jsonl"
    file.write_text(
        "\n".join(
            json.dumps(
                {"timestamp": 0, "input_length": length, "output_length": 3, "hash_ids": hashes}
            )
            for length, hashes in rows
        )
    )
    trace = {"kind": "trace", "file": str(file), "block_tokens": BLOCK}
    before, block = hits(vllm)
    done = run(vllm, {**ALONE, "api": api, "workload": trace})
    after, _ = hits(vllm)

    assert [record.error for record in done.records] == [None] * len(rows)
    assert [record.prompt_tokens for record in done.records] == [length for length, _ in rows]
    assert [record.output_tokens for record in done.records] == [3] * len(rows)
    # The second shares two blocks, the third one, the fourth all that are whole.
    shared = 2 * BLOCK + BLOCK + 700 // block * block
    assert BLOCK % block == 0
    if api == "completions":
        assert after - before == shared
    else:  # the template's end moves what is common by less than a block of the engine's
        assert shared - 3 * block <= after - before <= shared


def test_a_conversation_finds_what_was_said_before_in_the_cache(vllm: str) -> None:
    talk = {"turns": 3, "message_tokens": 40}
    settings = {
        **ALONE,
        "requests": 2,
        "output_tokens": 20,
        "workload": {"kind": "synthetic", "prompt_tokens": 300, "conversation": talk},
    }
    before, block = hits(vllm)
    done = run(vllm, settings)
    after, _ = hits(vllm)

    assert [record.turn for record in done.records] == [0, 1, 2, 0, 1, 2]
    assert not [record.error for record in done.records if record.error]
    first, second, third = (record.prompt_tokens or 0 for record in done.records[:3])
    assert first == 300
    # The answer is said again as a text, which a tokenizer may cut otherwise than the model did.
    assert 300 + 40 < second < 300 + 40 + 20 * 4 + 40
    assert second + 40 < third
    assert after - before >= 2 * ((first // block - 1) * block + (second // block - 2) * block)
