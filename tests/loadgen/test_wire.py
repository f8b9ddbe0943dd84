"""HTTP/1.1 framing: the body's bytes and its end, wherever the bytes are split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.wire import Framer, Head, WireError, parse_head

CHUNKED = Head(200, {"transfer-encoding": "chunked"}, True)


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b"Trailer: x\r\n"]),
    st.sampled_from([b"", b";name=value"]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_a_chunked_body_is_the_same_however_it_is_split(
    chunks: list[bytes], trailer: bytes, extension: bytes, cuts: list[int]
) -> None:
    data = b"".join(b"%X%s\r\n%s\r\n" % (len(c), extension, c) for c in chunks)
    data += b"0\r\n" + trailer + b"\r\n"
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    framer = Framer(CHUNKED)
    out = []
    for start, end in itertools.pairwise(places):
        assert not framer.complete
        out.append(framer.feed(data[start:end]))
    assert framer.complete
    assert b"".join(out) == b"".join(chunks)


def test_a_chunk_that_ends_like_the_last_one_does_not_end_the_body() -> None:
    framer = Framer(CHUNKED)
    assert framer.feed(b"5\r\n0\r\n\r\n\r\n") == b"0\r\n\r\n"
    assert not framer.complete


@pytest.mark.parametrize(
    "data", [b"xyz\r\n", b"-1\r\n", b"0x3\r\nabc", b"1_0\r\n", b"3\r\nabcdef\r\n", b"a" * 9000]
)
def test_a_malformed_chunk_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        Framer(CHUNKED).feed(data)


def test_bytes_after_the_last_chunk_are_an_error() -> None:
    with pytest.raises(WireError, match="last chunk"):
        Framer(CHUNKED).feed(b"0\r\n\r\nmore")


def test_content_length_ends_the_body_and_more_is_an_error() -> None:
    framer = Framer(Head(200, {"content-length": "4"}, True))
    assert framer.feed(b"ab") == b"ab"
    assert not framer.complete
    assert framer.feed(b"cd") == b"cd"
    assert framer.complete
    with pytest.raises(WireError, match="content-length"):
        framer.feed(b"e")


def test_no_length_at_all_reads_until_the_connection_closes() -> None:
    framer = Framer(Head(200, {}, True))
    assert framer.until_close
    assert framer.feed(b"abc") == b"abc"
    assert not framer.complete


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nA: b", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
    ],
)
def test_a_connection_is_kept_as_the_head_says(head: bytes, keep: bool) -> None:
    assert parse_head(head).keep_alive is keep


@pytest.mark.parametrize("head", [b"SSH-2.0-x", b"HTTP/2 200", b"HTTP/1.1 200 OK\r\nno colon"])
def test_what_is_not_http_is_an_error(head: bytes) -> None:
    with pytest.raises(WireError):
        parse_head(head)
