"""One request: the same is read of it however its bytes were cut, and each token has its time."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken.loadgen.dialect import DIALECTS
from firsttoken.loadgen.flow import Clock, Flow, Prepared
from firsttoken.loadgen.plan import Planned, Text

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SECOND = 1_700_000_000


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def token(text: str) -> bytes:
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [delta]})


def ending(count: int) -> bytes:
    last = {"index": 0, "delta": {}, "finish_reason": "length"}
    usage = {"prompt_tokens": 7, "completion_tokens": count}
    events = (event({"choices": [last]}), event({"choices": [], "usage": usage}))
    return b"".join(map(chunk, (*events, b"data: [DONE]\n\n"))) + b"0\r\n\r\n"


def stamp(at: int) -> bytes:
    """The kernel's time, ``at`` milliseconds after a second."""
    return SECOND.to_bytes(8, "little") + (at * 1_000_000).to_bytes(8, "little")


def read(parts: list[bytes]) -> Flow:
    """A flow that got each part a millisecond after the one before, as a socket's reader does."""
    planned = Planned(Text("a"), None)
    flow = Flow(Prepared(planned, "trace", b"request"), 0.0, "measure", 0.0, -1)
    clock = Clock()
    clock.set(SECOND * 1_000_000_000, 0.0)

    def digest() -> None:
        flow.digest(DIALECTS["chat"], clock, stream=True)

    for at, part in enumerate(parts):
        line = flow.lines.get(len(part))
        usual = line is not None and part.startswith(line + flow.before)
        if usual and part.endswith(flow.end):
            flow.tokens += stamp(at)
            flow.bytes += len(part)
        elif flow.take(part, stamp(at)):
            digest()
    digest()
    return flow


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(edges)]


texts = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12)


@settings(max_examples=60)
@given(texts, st.lists(st.integers(0, 4000), max_size=40))
def test_what_is_read_does_not_depend_on_where_the_bytes_were_cut(
    words: list[str], places: list[int]
) -> None:
    body = b"".join(chunk(token(word)) for word in words) + ending(len(words))
    flow = read(cut(HEAD + body, places))

    assert flow.reader is not None
    assert flow.reader.complete
    answer = flow.answer()
    assert (answer.error, answer.finish_reason) == (None, "length")
    assert (len(answer.times), answer.output_tokens) == (len(words), len(words))
    assert list(answer.times) == sorted(answer.times)


@settings(max_examples=30)
@given(texts)
def test_each_token_has_the_time_of_the_part_that_brought_it(words: list[str]) -> None:
    tokens = [chunk(token(word)) for word in words]
    flow = read([HEAD, *tokens, ending(len(words))])
    expected = [0.001 * (number + 1) for number in range(len(words))]

    assert list(flow.answer().times) == pytest.approx(expected, abs=1e-6)
    assert flow.first_byte == pytest.approx(0.0, abs=1e-6)
    assert flow.bytes == sum(map(len, tokens)) + len(ending(len(words)))


def test_nothing_is_kept_of_tokens_but_their_times() -> None:
    tokens = [chunk(token(f" word{number}")) for number in range(1000)]
    flow = read([HEAD, *tokens])

    assert not flow.parts
    assert len(flow.answer().times) == 1000


@pytest.mark.parametrize(
    "odd",
    [
        token("a").replace(b'"finish_reason": null', b'"finish_reason": "stop"'),
        event({"error": {"message": "engine died"}}),
        event({"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}),
        b": a comment\n\n",
    ],
)
def test_an_event_that_looks_like_a_token_and_is_none_is_read_as_what_it_is(odd: bytes) -> None:
    usual = [chunk(token(word)) for word in ("a", "b", "c")]
    flow = read([HEAD, *usual, chunk(odd), *usual])
    answer = flow.answer()

    assert len(answer.times) == 6 + (b"stop" in odd)
    assert answer.finish_reason == ("stop" if b"stop" in odd else None)
    assert (answer.error or "").startswith("error in stream") == (b"error" in odd)


def test_tokens_that_came_while_the_head_was_not_read_have_their_own_times() -> None:
    clock = Clock()
    clock.set(SECOND * 1_000_000_000, 0.0)
    flow = Flow(Prepared(Planned(Text("a"), None), "trace", b"request"), 0.0, "measure", 0.0, -1)
    words = ["a", "b", "c"]
    parts = [HEAD[:30], HEAD[30:], *[chunk(token(word)) for word in words], ending(3)]
    for at, part in enumerate(parts):
        flow.take(part, stamp(at))
    flow.digest(DIALECTS["chat"], clock, stream=True)

    assert flow.reader is not None
    assert flow.reader.complete
    assert list(flow.answer().times) == pytest.approx([0.002, 0.003, 0.004], abs=1e-6)


def test_times_that_are_handed_out_late_are_in_order() -> None:
    clock = Clock()
    clock.set(SECOND * 1_000_000_000, 0.0)
    flow = Flow(Prepared(Planned(Text("a"), None), "trace", b"request"), 0.0, "measure", 0.0, -1)
    flow.take(HEAD + chunk(token("a")), stamp(0))
    flow.digest(DIALECTS["chat"], clock, stream=True)
    flow.take(chunk(token("d")) + ending(4), stamp(3))
    flow.digest(DIALECTS["chat"], clock, stream=True)
    flow.tokens += stamp(2) + stamp(1)
    flow.digest(DIALECTS["chat"], clock, stream=True)

    assert list(flow.answer().times) == pytest.approx([0.0, 0.001, 0.002, 0.003], abs=1e-6)
