"""Event streams: the standard's rules, whatever the line ends and wherever the bytes are split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.sse import Decoder, Event

STREAM = (
    ": a comment\n"
    "data: one\n\n"
    "event: error\ndata: two\ndata:  lines\n\n"
    "data:no space\nid: 7\nretry: 10\n\n"
    "data\n\n"
    "event: nothing\n\n"
    "data: größe 東京\n\n"
    "data: [DONE]\n\n"
)
EVENTS = [
    Event("", "one"),
    Event("error", "two\n lines"),
    Event("", "no space"),
    Event("", ""),
    Event("", "größe 東京"),
    Event("", "[DONE]"),
]


def decode(parts: list[bytes]) -> list[Event]:
    decoder = Decoder()
    return [event for part in parts for event in decoder.feed(part)]


@given(
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_any_split_and_any_line_end_give_the_same_events(
    end: str, bom: bool, cuts: list[int]
) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + STREAM.replace("\n", end).encode()
    places = sorted({0, *cuts, len(data)})
    parts = [data[a:b] for a, b in itertools.pairwise(places)]
    assert decode(parts) == EVENTS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_one_byte_at_a_time_gives_the_same_events(end: str) -> None:
    data = STREAM.replace("\n", end).encode()
    assert decode([data[at : at + 1] for at in range(len(data))]) == EVENTS


def test_an_event_without_its_blank_line_is_not_given() -> None:
    assert decode([b"data: one\n\ndata: half\n"]) == [Event("", "one")]


def test_a_name_does_not_pass_to_the_next_event() -> None:
    assert decode([b"event: error\n\ndata: plain\n\n"]) == [Event("", "plain")]


def test_the_decoder_knows_when_it_is_between_events() -> None:
    decoder = Decoder()
    decoder.feed(b"data: one\n\n")
    assert decoder.between
    decoder.feed(b"data: tw")
    assert not decoder.between
    decoder.feed(b"o\n")
    assert not decoder.between
    decoder.feed(b"\n")
    assert decoder.between
