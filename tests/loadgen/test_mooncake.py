"""Mooncake's traces: lengths, times and the blocks that prompts have in common."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.mooncake import rows
from firsttoken.loadgen.trace import Row, Skipped

DATA = Path(__file__).parents[1] / "data" / "traces"


def test_published_lines_are_read_with_their_blocks() -> None:
    got = list(rows((DATA / "mooncake.jsonl").read_text().splitlines()))
    assert len(got) == 6
    assert got[0] == Row(0.0, 6758, 500, tuple(range(14)))
    assert isinstance(got[4], Row)
    assert isinstance(got[5], Row)
    assert (got[4].at, got[5].at) == (27.482, 30.535)
    shared = [a == b for a, b in zip(got[4].blocks, got[5].blocks, strict=False)]
    assert shared == [True] * 12 + [False]


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 5000), st.integers(1, 2000))))
def test_every_request_that_was_written_is_read_back(
    requests: list[tuple[int, int, int]],
) -> None:
    text = []
    wanted = []
    for number, (at, prompt, output) in enumerate(requests):
        blocks = [number * 100 + block for block in range(-(-prompt // 512))]
        text.append(
            json.dumps(
                {
                    "timestamp": at,
                    "input_length": prompt,
                    "output_length": output,
                    "hash_ids": blocks,
                }
            )
        )
        wanted.append(Row(at / 1000, prompt, output, tuple(blocks)))
    assert list(rows(text)) == wanted


def test_blocks_of_another_size_are_refused_unless_it_is_said() -> None:
    line = '{"timestamp": 0, "input_length": 33, "output_length": 1, "hash_ids": [1, 2, 3]}'
    assert list(rows([line])) == [Skipped(1, "hashes of blocks that are not of 512 tokens")]
    assert list(rows([line], 16)) == [Row(0.0, 33, 1, (1, 2, 3))]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '{"timestamp": 0}',
        '{"timestamp": "soon", "input_length": 1, "output_length": 1}',
        '{"timestamp": 0, "input_length": 1.5, "output_length": 1}',
        '{"timestamp": 0, "input_length": true, "output_length": 1}',
        '{"timestamp": 1e999, "input_length": 1, "output_length": 1}',
        '{"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}',
    ],
)
def test_lines_that_are_no_requests_are_counted(line: str) -> None:
    assert list(rows([line])) == [Skipped(1, "not a request")]


def test_a_conversation_is_kept_and_a_request_needs_no_blocks() -> None:
    line = '{"timestamp": 5, "input_length": 9, "output_length": 1, "session_id": 7}'
    assert list(rows([line])) == [Row(0.005, 9, 1, session="7")]
