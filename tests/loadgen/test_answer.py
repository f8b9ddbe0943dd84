"""What counts as a token, and how an answer ends."""

import json
from typing import Any

import pytest

from firsttoken.loadgen.answer import Reader
from firsttoken.loadgen.dialect import DIALECTS, Answer
from firsttoken.loadgen.wire import Head

HEAD = Head(200, {"content-type": "text/event-stream"}, True)


def chat(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def read(*chunks: dict[str, Any] | str, compact: bool = True) -> Answer:
    reader = Reader(HEAD, DIALECTS["chat"])
    reader.feed([0.0], [b": open\n\n"])
    for at, chunk in enumerate(chunks, 1):
        spacing = (",", ":") if compact else (", ", ": ")
        text = chunk if isinstance(chunk, str) else json.dumps(chunk, separators=spacing)
        reader.feed([float(at)], [f"data: {text}\n\n".encode()])
    return reader.finish()


ROLE = chat({"role": "assistant", "content": ""})
USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}


@pytest.mark.parametrize("compact", [True, False])
def test_the_role_the_end_and_the_usage_are_not_tokens(compact: bool) -> None:
    end = chat({}, "stop")
    answer = read(
        ROLE, chat({"content": "a"}), chat({"content": "b"}), end, USAGE, "[DONE]", compact=compact
    )
    assert list(answer.times) == [2.0, 3.0]
    assert list(answer.gaps) == [1.0]
    assert (answer.prompt_tokens, answer.output_tokens, answer.output_source) == (9, 3, "usage")
    assert answer.finish_reason == "stop"
    assert answer.error is None


@pytest.mark.parametrize(
    ("delta", "counts"),
    [
        ({"content": "a"}, True),
        ({"role": "assistant", "content": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"reasoning": "a"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"content": ""}, True),  # a part of a character, as vLLM sends it
        ({"role": "assistant", "content": ""}, False),
        ({"content": None}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("compact", [True, False])
def test_which_deltas_carry_a_token(delta: dict[str, Any], counts: bool, compact: bool) -> None:
    answer = read(chat(delta), "[DONE]", compact=compact)
    assert len(answer.times) == counts


def test_a_token_that_comes_with_the_end_counts() -> None:
    assert list(read(chat({"content": "a"}, "length"), "[DONE]").times) == [1.0]
    assert read(chat({"content": ""}, "length"), "[DONE]").output_tokens is None


def test_completions_carry_text() -> None:
    choices = [{"text": "a", "finish_reason": None}], [{"text": "", "finish_reason": "stop"}]
    answer = read(*({"choices": choice} for choice in choices), "[DONE]")
    assert list(answer.times) == [1.0]
    assert (answer.output_tokens, answer.output_source) == (1, "chunks")


@pytest.mark.parametrize("quoted", ['"finish_reason":null', '"content":"x"', '"error":'])
def test_text_that_looks_like_json_is_text(quoted: str) -> None:
    error = {"error": {"message": quoted}}
    assert read(chat({"content": quoted}), "[DONE]").error is None
    assert read(error).error == f"error in stream: {quoted}"
    assert read({"note": f'{quoted}"finish_reason":null'}, "[DONE]").output_tokens is None


def test_a_usage_beside_a_token_is_read() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 1}
    answer = read(chat({"content": "a"}, usage=usage), "[DONE]")
    assert (list(answer.times), answer.prompt_tokens, answer.output_tokens) == ([1.0], 4, 1)


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([chat({"content": "a"})], "stream ended without [DONE]"),
        (["[DONE]"], "no tokens in the answer"),
        ([{"error": {"message": "out of memory\nat"}}, "[DONE]"], "error in stream: out of memory"),
        ([{"object": "error", "message": "bad"}, "[DONE]"], "error in stream: bad"),
        (["{half", "[DONE]"], "error in stream: not JSON"),
    ],
)
def test_what_went_wrong_is_named(chunks: list[Any], error: str) -> None:
    assert read(*chunks).error == error


def test_what_comes_after_done_is_ignored() -> None:
    assert read(chat({"content": "a"}), "[DONE]", chat({"content": "b"})).output_tokens == 1


def test_several_tokens_in_one_part_share_its_time() -> None:
    events = "".join(f"data: {json.dumps(chat({'content': text}))}\n\n" for text in "abc")
    reader = Reader(HEAD, DIALECTS["chat"])
    reader.feed([1.5, 2.0], [events.encode(), b"data: [DONE]\n\n"])
    answer = reader.finish()
    assert list(answer.times) == [1.5, 1.5, 1.5]
    assert answer.output_tokens == 3
